"""Responses: `Response`, `StreamResponse`, and the `Cookie`s on them.

Facts:  most programs read the status and one of `content`, `text`, `json()`. So nothing is
        decompressed, decoded or parsed before it is used. `content` and `text` are kept; what
        `json()` returns is not, because its objects would stay in memory, and displace those of
        other tasks from the processor's cache, until the program drops the response.
Rules:  `body` is what was received, still compressed; `content` is decompressed. A truncated body
        is an error, unless the caller allows it.
Implemented elsewhere: what both have in common (`_response.base_response`), reading from the
        connection (`src_pyx/hotpath`), streams of a body (`_response.stream`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ._config.other_libraries import STREAM, WHOLE, add_hints
from ._hotpath import Headers
from ._response.base_response import BaseResponse, content_decoder
from ._response.charset import decode
from ._response.json_document import parse_json, to_utf8
from ._response.stream import DEFAULT_MAX_DECOMPRESSED, StreamBody
from ._response.stream_readers import split_lines
from .errors import AsksException, ResponseTooLarge, StreamConsumed, add_request_context
from .http_utils import charset_of

if TYPE_CHECKING:
    from ._annotations import AnyArgument, AnyFunction, Json
    from .cookie_utils import Cookie

__all__ = ["BaseResponse", "Cookie", "Response", "StreamBody", "StreamResponse"]


def __getattr__(name: str) -> object:
    if name == "Cookie":
        from .cookie_utils import Cookie

        return Cookie
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Response(BaseResponse):
    """A response with its body in memory."""

    __slots__ = ()

    body: bytes

    @property
    def decompress_data(self) -> bool:
        """Whether `content`, `text` and `json()` decompress the body."""
        options = self._options
        return self._decompress is not False and (options is None or bool(options.decompress))

    @decompress_data.setter
    def decompress_data(self, decompress: bool) -> None:
        self._decompress = bool(decompress)
        self._content = self._text = None

    @property
    def raw(self) -> bytes:
        """The body as received, still compressed; the same as `body`."""
        return self.body

    @property
    def content(self) -> bytes:
        """The body, decompressed. An unknown content coding is not removed.

        Raises:
            DecodingError: the compressed data is corrupt or incomplete.
            ResponseTooLarge: the body is larger than `max_decompressed`; or this is a response in
                `history` whose body was not read to its end.
        """
        content = self._content
        if content is None:
            content = self._content = self._decoded()
        return content

    def _decoded_partially(self) -> bytes:
        """Decompress a truncated body as far as possible."""
        codings = self.content_codings() if self.decompress_data else []
        plain: bytes = content_decoder().decode_truncated(
            self.body,
            codings,
            max_size=self._get_option("max_decompressed", DEFAULT_MAX_DECOMPRESSED),
            max_ratio=self._get_option("max_ratio", None),
            strict=self.strict,
        )
        return plain

    def _decoded(self) -> bytes:
        """Return the body without its content codings."""
        if self._is_identity_encoded():
            return self.body
        if self.is_truncated:
            return self._decoded_partially()
        if not self.is_complete:
            raise ResponseTooLarge(
                f"{self.method} {self.url}: only {len(self.body or b'')} bytes of the body of this "
                f"{self.status_code} were read, because another request followed it; with "
                "follow_redirects=False the body of a redirect is read to its end"
            )
        codings, body, options = self.headers.get("content-encoding"), self.body, self._options
        if not codings or not body or not self.decompress_data:
            return body
        try:
            plain: bytes = content_decoder().decode_body(
                body,
                codings,
                max_size=DEFAULT_MAX_DECOMPRESSED if options is None else options.max_decompressed,
                max_ratio=None if options is None else options.max_ratio,
                strict=self.strict,
            )
            return plain
        except AsksException as error:
            add_request_context(error, f"{self.method} {self.url}")
            raise

    @property
    def text(self) -> str:
        """The body as text.

        The encoding is, in this order: `encoding` if it was assigned; the charset of Content-Type;
        that of a byte order mark; `encoding=` of the request or session; UTF-8. Invalid bytes
        become U+FFFD.

        Raises:
            UnknownEncoding: the assigned encoding does not exist.
            DecodingError: the body cannot be decompressed, or the library for it is missing.
        """
        chosen = self._chosen
        cached = self._text
        if cached is not None and cached[0] == chosen:
            return cached[1]
        content, options = self.content, self._options
        # Of one coding, all was removed or nothing; of several, a part.
        if (
            not self._is_identity_encoded()
            and (options is None or options.decompress)
            and (content is self.body or "," in self.headers.get("content-encoding", ""))
        ):
            self._check_decompressed()
        charset = chosen or charset_of(self.headers.get("content-type"))
        detect = options is not None and options.detect_encoding
        text = decode(content, charset, self._encoding or "utf-8", detect=detect)
        self._text = (chosen, text)
        return text

    def json(self, **kwargs: AnyArgument) -> Json:
        """Parse the body as JSON.

        Args:
            kwargs: arguments of `json.loads`.

        Returns:
            The parsed document: a new object at each call, as in requests and httpx.

        Raises:
            JsonDecodeError: the body is not JSON; also a `json.JSONDecodeError`.
            DecodingError: the body cannot be decompressed.
        """
        options = self._options
        loads: AnyFunction[Json] | None = None if options is None else options.json_loads
        try:
            if loads is None and not kwargs:
                text = self._plain_json()
                return parse_json(self._json_source() if text is None else text)
            if loads is None:
                return json.loads(self._json_source(), **kwargs)
            return loads(to_utf8(self._json_source()), **kwargs)
        except AsksException:
            raise
        except (ValueError, RecursionError) as error:
            from ._response.json_error import not_json

            raise not_json(self, error, self._missing_library()) from error

    def _json_source(self) -> bytes | str:
        """Return the body as text if it declares a charset, else as bytes.

        Decompressed bytes are not kept. Together with the parsed objects they would displace the
        documents of other tasks from the processor's cache.
        """
        content_type: str | None = self.headers.get("content-type")
        if content_type is not None and "charset" in content_type.lower():
            return self.text
        content: bytes | None = self._content
        return self._decoded() if content is None else content

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the head of the request, which may contain credentials."""
        state = (self.reason_phrase, self.method, self.url, self.http_version)
        return (
            _unpickle,
            (
                self.status_code,
                self.headers,
                bytes(self.body),
                state,
                self.history,
                (self._fallback, self._chosen),
                self.is_complete,
            ),
            self.__dict__ or None,
        )

    def iter_lines(self) -> list[str]:
        """Return the lines of `text` without their line ends, as `body.lines()` does."""
        lines = split_lines(self.text)
        return lines if lines[-1] else lines[:-1]


def _unpickle(
    status: int,
    headers: Headers,
    body: bytes,
    state: tuple[str, str, str, str],
    history: list[BaseResponse],
    encodings: tuple[str, str | None],
    complete: bool = True,
) -> Response:
    """Make a response from its pickled parts."""
    response = Response()
    reason, method, url, version = state
    head = f"{method} / HTTP/{version}\r\n\r\n".encode()
    response._set_from_parts(
        status,
        headers,
        body,
        reason=reason.encode("utf-8", "replace"),
        sent_head=head,
        minor=int(version == "1.1"),
        complete=complete,
    )
    response.url = url
    response.history = history
    response._encoding, response._chosen = encodings
    return response


class StreamResponse(BaseResponse):
    """A response whose body the caller reads: `async for chunk in response.body`."""

    __slots__ = ()

    body: StreamBody
    _body_class = StreamBody

    @property
    def decompress_data(self) -> bool:
        """Whether the stream decompresses the body: `body.decompress_data`."""
        return self.body.decompress_data

    @decompress_data.setter
    def decompress_data(self, decompress: bool) -> None:
        self.body.decompress_data = decompress

    @property
    def content(self) -> bytes:
        """Not available for streams: read `body`.

        Raises:
            StreamConsumed: always.
        """
        raise StreamConsumed("the body of a stream is read with `async for chunk in response.body`")


add_hints(Response, WHOLE)
add_hints(StreamResponse, STREAM)
