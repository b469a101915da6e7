"""The library: a hybrid recommender, its training and its stores. Knows nothing of Ray or HTTP."""
