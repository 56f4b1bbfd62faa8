"""`asks.req_structs`, for programs that import it: `CaseInsensitiveDict`."""

from __future__ import annotations

from multidict import CIMultiDict

__all__ = ["CaseInsensitiveDict"]

CaseInsensitiveDict = CIMultiDict
