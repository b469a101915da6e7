"""Experiments: a placement's users split over variants, and what is decided by what comes of them."""
