"""Stages of a request: fetching users and answering queries, and the ways on which a request passes through them."""
