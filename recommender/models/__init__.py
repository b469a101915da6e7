"""LightFM with ids for names: it grows, answers the sixteen cases, folds users in, and can be checkpointed."""
