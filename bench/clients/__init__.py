"""One small script per client, written as that client's documentation advises."""
