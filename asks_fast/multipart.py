"""Multipart forms: the import path of asks. The code is in `_request/multipart`."""

from __future__ import annotations

from ._request.multipart import MultipartData, MultipartSource, build_multipart_body

__all__ = ["MultipartData", "MultipartSource", "build_multipart_body"]
