"""`CaseInsensitiveDict`, for programs written for asks that import it."""

from __future__ import annotations

from multidict import CIMultiDict

__all__ = ["CaseInsensitiveDict"]

CaseInsensitiveDict = CIMultiDict
