"""Test helpers: scripted servers, real servers, a proxy that injects faults, leak checks.

Fixtures are defined in `tests/conftest.py`.
"""
