"""vector_search."""
