"""Cookies: parsing, matching, the jar, cookie files (RFC 6265)."""
