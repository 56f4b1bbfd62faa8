"""asks_fast: the asks API on a compiled hot path."""
