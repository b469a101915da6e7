"""Durable state: the model registry and the interaction archive, in a folder or an object store."""
