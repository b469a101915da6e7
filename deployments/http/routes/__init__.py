"""Routes of the HTTP contract, one module a chapter."""
