"""Marks for tests that a fault of the interpreter's `ssl` module makes impossible.

Facts:  with OpenSSL 3, early releases of CPython 3.10 and 3.11 (among them 3.11.2, not 3.10.13
        and 3.11.7) set `OP_IGNORE_UNEXPECTED_EOF` in each new context (gh-95494): an end without
        close_notify is then read as a complete end.
"""

from __future__ import annotations

import ssl

import pytest

needs_unexpected_eof = pytest.mark.skipif(
    bool(ssl.create_default_context().options & ssl.OP_IGNORE_UNEXPECTED_EOF),
    reason="this ssl module hides an end without close_notify (CPython gh-95494)",
)
