"""What an answer comes to, however the wire cut it, and two answers that many tests begin with."""

from __future__ import annotations

import re
from typing import Any

from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError
from support.exchange_harness import Answer, answer_of
from support.split_input import feed_all_ways


def read(sample: bytes, **options: Any) -> Answer:
    """The one answer that all ways of cutting the sample give; the same for a stream."""

    def parse(pieces: list[bytes]) -> Answer:
        try:
            return answer_of(pieces, **options)
        except Exception as error:
            # What was seen so far differs with the cut, and so does the time.
            raise type(error)(kind_of(str(error))) from None

    answer = feed_all_ways(sample, parse)
    assert feed_all_ways(sample, lambda pieces: answer_of(pieces, stream=True, **options)) == answer
    return answer


def kind_of(text: str) -> str:
    return re.split(r"[:,]| \[| after | before | in the middle", text, maxsplit=3)[0]


def refused(sample: bytes, **options: Any) -> None:
    """Every way of cutting the sample is an error of the server's."""
    for stream in (False, True):

        def parse(pieces: list[bytes], stream: bool = stream) -> str:
            try:
                answer = answer_of(pieces, stream=stream, **options)
            except (BadHttpResponse, ServerClosedConnectionError) as error:
                named = str(error).startswith("GET http://h/x: ")
                return "refused" if named else str(error)
            return f"taken: {answer}"

        assert feed_all_ways(sample, parse) == "refused"


FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
