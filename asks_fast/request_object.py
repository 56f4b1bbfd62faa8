"""`Request` and `RequestProcessor`, for programs written for asks that import them.

Both names are the class of `response.request`. Sessions create it. In contrast to asks, it has no
method that sends it.
"""

from __future__ import annotations

from ._request.prepared_request import PreparedRequest

__all__ = ["Request", "RequestProcessor"]

Request = RequestProcessor = PreparedRequest
