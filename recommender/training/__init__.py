"""From the interaction log to a published version: full and incremental training, promotion gate, schedule."""
