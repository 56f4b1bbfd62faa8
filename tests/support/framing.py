"""Read a response split in every way, and expect one result; two heads that many tests use."""

from __future__ import annotations

import re
from typing import Any

from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError
from support.exchange_harness import Answer, read_response
from support.split_input import feed_all_ways


def read(sample: bytes, **options: Any) -> Answer:
    """Return the response, which is the same for each way to split it, and for a stream."""

    def parse(pieces: list[bytes]) -> Answer:
        try:
            return read_response(pieces, **options)
        except Exception as error:
            # The progress in the text differs with the split, and so does the time.
            raise type(error)(kind_of(str(error))) from None

    answer = feed_all_ways(sample, parse)
    assert (
        feed_all_ways(sample, lambda pieces: read_response(pieces, stream=True, **options))
        == answer
    )
    return answer


def kind_of(text: str) -> str:
    return re.split(r"[:,]| \[| after | before | in the middle", text, maxsplit=3)[0]


def assert_rejected(sample: bytes, **options: Any) -> None:
    """Assert that the response is an error of the server, however it is split."""
    for stream in (False, True):

        def parse(pieces: list[bytes], stream: bool = stream) -> str:
            try:
                answer = read_response(pieces, stream=stream, **options)
            except (BadHttpResponse, ServerClosedConnectionError) as error:
                named = str(error).startswith("GET http://h/x: ")
                return "refused" if named else str(error)
            return f"taken: {answer}"

        assert feed_all_ways(sample, parse) == "refused"


FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
