"""Care of Ray's processes: HAProxy, orphans, niceness, garbage collection, deploying."""
