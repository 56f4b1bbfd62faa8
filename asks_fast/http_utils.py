"""Header values and decompression: the import path of asks.

The code is in `_response/header_values` and `_response/content_decoder`.
"""

from __future__ import annotations

from ._header_syntax import parse_parameters
from ._response.content_decoder import decompress, decompress_one, parse_content_encoding
from ._response.header_values import (
    charset_of,
    decode_text,
    filename_from,
    parse_content_type,
    parse_http_date,
    parse_links,
    retry_after,
)

__all__ = [
    "charset_of",
    "decode_text",
    "decompress",
    "decompress_one",
    "filename_from",
    "parse_content_encoding",
    "parse_content_type",
    "parse_http_date",
    "parse_links",
    "parse_parameters",
    "retry_after",
]
