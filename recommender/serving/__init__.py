"""From a snapshot and a request to an answer: retrieval, filters, boosts, diversification, explanation."""
