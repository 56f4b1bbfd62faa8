"""Adapters that let programs written for other HTTP clients send their requests with asks_fast."""
