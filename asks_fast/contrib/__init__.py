"""Adapters: transports for other HTTP clients, telemetry for sessions."""
