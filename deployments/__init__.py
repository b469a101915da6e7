"""The service: a thin Ray Serve graph around the library."""
