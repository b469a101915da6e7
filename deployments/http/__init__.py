"""HTTP: middlewares, routes, schemas, problem documents, keys."""
