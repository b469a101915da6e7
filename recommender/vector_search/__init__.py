"""Maximum-inner-product search: exact top-k, quantised to 8 bits, and an inverted file (IVF)."""
