"""The typed HTTP client, sync and async, with retries."""
