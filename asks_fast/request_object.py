"""`asks.request_object`, for programs that import it: `Request` (2017) and `RequestProcessor`.

Both are the request that `PreResponseAuth` and `PostResponseAuth` are called with, and
`response.request`. Sessions make it; it does not send itself, as that of asks did.
"""

from __future__ import annotations

from ._request.prepared_request import PreparedRequest

__all__ = ["Request", "RequestProcessor"]

Request = RequestProcessor = PreparedRequest
