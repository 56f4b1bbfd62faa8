"""One small script per client: how that client's own documentation does each piece of work."""
