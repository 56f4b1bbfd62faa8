"""Responses: `Response`, `StreamResponse`, and the `Cookie`s on them.

Facts:  most programs read the status and one of `content`, `text`, `json()`. So nothing is
        decompressed, decoded or parsed before it is asked for, and then once.
Rules:  `body` is what was received, still compressed; `content` is decompressed. A truncated body
        is an error, never a short success.
Implemented elsewhere: reading from the connection (`src_pyx/hotpath`), streams of a body
        (`_response.stream`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ._hotpath import BaseHttpResponse, Headers
from ._response.charset import TextDecoder, decode
from ._response.stream import DEFAULT_MAX_DECOMPRESSED, StreamBody, split_lines
from .errors import (
    AsksException,
    BadStatus,
    DecodingError,
    ResponseTooLarge,
    StreamConsumed,
    add_request_context,
    printable,
)
from .http_utils import charset_of, filename_from, parse_links

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._config.options import RequestOptions
    from ._config.peer_certificate import PeerCertificate
    from ._config.timings import Timings
    from ._hotpath import Connection
    from ._request.prepared_request import PreparedRequest
    from ._response.json_lines import JsonLines
    from ._response.server_sent_events import EventStream
    from .cookie_utils import Cookie

__all__ = ["BaseResponse", "Cookie", "Response", "StreamBody", "StreamResponse"]


def __getattr__(name: str) -> Any:
    if name == "Cookie":
        from .cookie_utils import Cookie

        return Cookie
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class BaseResponse(BaseHttpResponse):
    """What every response has, whether its body was read or is a stream.

    `response_head` is the head as received, `framed_body` a chunked body as received (None without
    `keep_framing=True`, empty if it takes more than twice `max_body` and 64 KiB).
    `status_code`, `reason_phrase`, `http_version`, `headers`, `trailers`, `interim`, `method`,
    `url`, `peer` and `reused` come from the compiled base. They can be assigned to, and so can
    names of your own. Made by hand, for a test say, it takes the arguments of asks:
    `Response(encoding, http_version, status_code, reason_phrase, headers, body, method, url)`.
    """

    __slots__ = (
        "__dict__",  # for what a program notes on a response
        "__weakref__",
        "_chosen",
        "_cookies",
        "_marks",
        "_request",
    )

    history: list[BaseResponse]  # the answers on the way here: redirects, challenges
    _marks: list[tuple[str, float]]  # the steps of the exchange; set where timings were asked for

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_code} {printable(self.reason_phrase, 80)}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if isinstance(self.body, StreamBody):
            await self.body.close()

    @property
    def request(self) -> PreparedRequest:
        """The request that this answers: method, url, headers, body.

        Where none had to be made in full, it is read off the head that was sent.
        """
        try:
            return self._request
        except AttributeError:
            from ._request.prepared_request import from_head

            self._request: PreparedRequest = from_head(self.request_head or b"", self.url)
            return self._request

    @request.setter
    def request(self, request: PreparedRequest) -> None:
        self._request = request

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def encoding(self) -> str:
        """The encoding of `text`: the one set here, else that of Content-Type, else as asked for.

        What is set here goes before whatever the server says.
        """
        return self._charset or self._fallback

    @encoding.setter
    def encoding(self, encoding: str | None) -> None:
        self._chosen = encoding

    @property
    def _charset(self) -> str | None:
        """The encoding set here, else that of Content-Type; None if there is neither."""
        chosen: str | None = getattr(self, "_chosen", None)
        return chosen or charset_of(self.headers.get("content-type"))

    @property
    def _fallback(self) -> str:
        return self._encoding or "utf-8"

    @property
    def elapsed(self) -> timedelta:
        """From before the first byte was sent until the body was read (streamed: the head)."""
        return timedelta(seconds=self.elapsed_seconds)

    @property
    def timings(self) -> Timings | None:
        """Where the time of this exchange went, if `timings=True` was asked for; None otherwise.

        Of a stream, `body` and `total` are there when its last byte was read.
        """
        marks = getattr(self, "_marks", None)
        if marks is None:
            return None
        from ._config.timings import Timings

        return Timings.from_marks(marks, self)

    @property
    def peer_certificate(self) -> PeerCertificate | None:
        """The certificate that the server showed; None without TLS."""
        return getattr(self.peer, "certificate", None)

    @property
    def cookies(self) -> list[Cookie]:
        """The cookies that this response sets."""
        try:
            return self._cookies
        except AttributeError:
            self._cookies: list[Cookie] = []
        if "set-cookie" in self.headers:
            from .cookie_utils import parse_set_cookie
            from .urls import parse_url

            url = parse_url(self.url)
            found = (
                parse_set_cookie(value, url.host, url.path) for value in self.headers["set-cookie"]
            )
            self._cookies = [cookie for cookie in found if cookie is not None]
        return self._cookies

    @cookies.setter
    def cookies(self, cookies: list[Cookie]) -> None:
        self._cookies = cookies

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The Link fields, by relation or else by URL (RFC 8288)."""
        return parse_links(self.headers.get("link", ""))

    @property
    def filename(self) -> str | None:
        """The file name that Content-Disposition or the URL suggests, safe to create; or None."""
        return filename_from(self.headers.get("content-disposition"), self.url)

    @property
    def early_hints(self) -> list[Headers]:
        """The fields of the 103 answers that came before this one (RFC 8297)."""
        return [fields for status, fields in self.interim or () if status == 103]

    @property
    def is_redirect(self) -> bool:
        """Whether this points to another place that can be gone to."""
        return self.status_code in (301, 302, 303, 307, 308) and "location" in self.headers

    @property
    def next_request(self) -> PreparedRequest | None:
        """The request that this redirect leads to, for `session.send`; None if it is none.

        It follows no further redirect by itself, so that each step is the caller's. Credentials
        that belong to this origin are left out of a request to another.

        Raises:
            InvalidURL: the Location is not a URL that can be requested.
            UnreplayableBody: the body must be sent again and came from a one-shot stream.
        """
        if not self.is_redirect:
            return None
        from ._request.redirect import next_request

        raw = self.headers.raw
        location = next(value for name, value in raw if name.lower() == b"location")
        return next_request(self.request, self.status_code, location)

    def raise_for_status(self) -> None:
        """Raise `BadStatus` for a 4xx or 5xx."""
        if self.status_code < 400:
            return
        whose = "Client" if self.status_code < 500 else "Server"
        reason = printable(self.reason_phrase, 80) or _standard_reason(self.status_code)
        raise BadStatus(
            f"{self.status_code} {whose} Error: {reason} for url: {self.url}",
            self,
            self.status_code,
        )

    def _set_options(self, options: RequestOptions, encoding: str) -> None:
        """Hand over what the request said about reading the body."""
        self._options = options
        self.strict = options.strict
        self._encoding = options.encoding or encoding
        self.keeps_framing = options.keep_framing

    def _get_option(self, name: str, default: Any) -> Any:
        options = self._options
        return default if options is None else getattr(options, name)

    def content_codings(self) -> list[str]:
        """The values of the Content-Encoding fields, in order."""
        return self.headers.getlist("content-encoding")

    def _missing_library(self) -> str | None:
        """What to install for a content coding that is still on the decompressed body, or None."""
        codings = self.content_codings()
        if not codings:
            return None
        from ._response.content_decoder import missing_library

        return missing_library(codings)

    def _check_decompressed(self) -> None:
        """Raise `DecodingError` if the body is not text because a library is missing."""
        missing = self._missing_library()
        if missing is not None:
            raise DecodingError(f"{self.method} {self.url}: {missing}")

    def events(
        self, *, max_event_size: int | None = 1 << 20, check_content_type: bool = True
    ) -> EventStream:
        """Iterate over the server-sent events of the body: `async for event in response.events()`.

        With `stream=True` each event is returned as soon as it is complete. To reconnect, use
        `session.events`.

        Args:
            max_event_size: the most bytes of one event, None for no limit.
            check_content_type: False accepts types other than `text/event-stream`.

        Raises:
            BadHttpResponse: the body is not an event stream.
        """
        from ._response.server_sent_events import EventStream

        return EventStream(
            self, max_event_size=max_event_size, check_content_type=check_content_type
        )

    def json_lines(self, *, max_line_size: int | None = 64 << 20) -> JsonLines:
        """Iterate over a body with one JSON document per line (NDJSON, JSON Lines).

        With `stream=True` each document is returned as soon as its line is complete. It is
        parsed by `json_loads=` of the request or session.

        Args:
            max_line_size: the most bytes of one line, None for no limit.
        """
        from ._response.json_lines import JsonLines

        return JsonLines(self, max_line_size=max_line_size)

    def text_decoder(self, decompressed: bool = True) -> TextDecoder:
        """Make the decoder for the text of a streamed body, by the same rules as `Response.text`.

        Raises:
            UnknownEncoding: the encoding that the caller chose is not a text encoding.
            DecodingError: `decompressed` is wanted, and the library for it is missing.
        """
        if decompressed:
            self._check_decompressed()
        return TextDecoder(self._charset, self._fallback)


_UNREAD: Any = object()


def _in_utf8(source: bytes | str) -> bytes | str:
    """The source of JSON for libraries that read UTF-8 without byte order mark, or text."""
    if isinstance(source, bytes) and (source[:1] in (b"\xef", b"\xfe", b"\xff") or 0 in source[:2]):
        from json import detect_encoding

        return decode(source, detect_encoding(source))
    return source


_scan: Callable[[str, int], tuple[Any, int]] | None = None  # json's scanner, once it was needed


def _parse_json(source: bytes | str) -> Any:
    """Parse JSON as `json.loads` does; the usual document costs half as much.

    Usual is UTF-8 that begins with an object or array and ends with it.
    """
    global _scan
    if _scan is None:
        from json import JSONDecoder

        _scan = JSONDecoder().scan_once  # type: ignore[attr-defined]  # the C scanner
    if isinstance(source, bytes) and source[:1] in (b"{", b"[") and 0 not in source[:2]:
        source = source.decode("utf-8", "surrogatepass")
    if isinstance(source, str) and source[:1] in ("{", "["):
        try:
            found, end = _scan(source, 0)
        except StopIteration:
            end = -1  # `loads` says what is wrong
        if end == len(source):
            return found
    from json import loads

    return loads(source)


def _standard_reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.upper()
    except ValueError:
        return ""


class Response(BaseResponse):
    """An answer with its whole body in memory."""

    __slots__ = ("_decompress", "_json", "_text")

    body: bytes

    @property
    def decompress_data(self) -> bool:
        """Whether `content`, `text` and `json()` decompress the body; False gives it as it came."""
        decompress: bool = getattr(self, "_decompress", True)
        return decompress and bool(self._get_option("decompress", True))

    @decompress_data.setter
    def decompress_data(self, decompress: bool) -> None:
        self._decompress = bool(decompress)
        self._content = None
        for name in ("_json", "_text"):
            if hasattr(self, name):
                delattr(self, name)

    @property
    def raw(self) -> bytes:
        """The body as it came, still compressed: the same as `body`."""
        return self.body

    @property
    def content(self) -> bytes:
        """The body, decompressed.

        Raises `DecodingError` for a corrupt or cut off one, `ResponseTooLarge` beyond
        `max_decompressed`. A coding that is unknown here is left on. In a `history`, also if the
        body was left unread there.
        """
        content = self._content
        if content is None:
            content = self._content = self._decoded()
        return content

    def _decoded_partially(self) -> bytes:
        """As much of a truncated body as can be decompressed."""
        from ._response.content_decoder import decode_truncated

        codings = self.content_codings() if self.decompress_data else []
        return decode_truncated(
            self.body,
            codings,
            max_size=self._get_option("max_decompressed", DEFAULT_MAX_DECOMPRESSED),
            max_ratio=self._get_option("max_ratio", None),
            strict=self.strict,
        )

    def _decoded(self) -> bytes:
        """The body without the content codings that its fields name."""
        if self._is_identity_encoded():
            return self.body
        if self.is_truncated:
            return self._decoded_partially()
        if not self.is_complete:
            raise ResponseTooLarge(
                f"{self.method} {self.url}: the body of this {self.status_code} was left after "
                f"{len(self.body or b'')} bytes, for it led to another; with "
                "follow_redirects=False a redirect is read whole"
            )
        codings = self.content_codings()
        if not codings or not self.body or not self.decompress_data:
            return self.body
        from ._response.content_decoder import decode_body

        try:
            return decode_body(
                self.body,
                ", ".join(codings),
                max_size=self._get_option("max_decompressed", DEFAULT_MAX_DECOMPRESSED),
                max_ratio=self._get_option("max_ratio", None),
                strict=self.strict,
            )
        except AsksException as error:
            add_request_context(error, f"{self.method} {self.url}")
            raise

    @property
    def text(self) -> str:
        """The body as text: by the charset of Content-Type, else a byte order mark, else the
        `encoding=` of the request or session. An `encoding` set on the response goes before all.

        Bytes that are none in that encoding become U+FFFD. Raises `UnknownEncoding`, and
        `DecodingError` if the library for the body's content coding is not installed.
        """
        chosen: str | None = getattr(self, "_chosen", None)
        cached = getattr(self, "_text", None)
        if cached is not None and cached[0] == chosen:
            return str(cached[1])
        content = self.content
        if not self._is_identity_encoded() and self._get_option("decompress", True):
            self._check_decompressed()
        charset = chosen or charset_of(self.headers.get("content-type"))
        detect = self._get_option("detect_encoding", False)
        text = decode(content, charset, self._fallback, detect=detect)
        self._text = (chosen, text)
        return text

    def json(self, **kwargs: Any) -> Any:
        """Parse the body as JSON; keyword arguments go to `json.loads`.

        Without arguments it is parsed once and the same object is returned again.

        Raises:
            JsonDecodeError: the body is not JSON; also a `json.JSONDecodeError`.
            DecodingError: the body cannot be decompressed.
        """
        if not kwargs:
            cached = getattr(self, "_json", _UNREAD)
            if cached is not _UNREAD:
                return cached
        loads: Callable[..., Any] | None = self._get_option("json_loads", None)
        try:
            if loads is None and not kwargs:
                found = _parse_json(self._json_source())
            elif loads is None:
                from json import loads as json_loads

                found = json_loads(self._json_source(), **kwargs)
            else:
                found = loads(_in_utf8(self._json_source()), **kwargs)
        except AsksException:
            raise
        except (ValueError, RecursionError) as error:
            from ._response.json_error import not_json

            raise not_json(self, error, self._missing_library()) from error
        if not kwargs:
            self._json: Any = found
        return found

    def _json_source(self) -> bytes | str:
        """JSON is UTF-8, UTF-16 or UTF-32, which can be told (RFC 8259); else what is declared.

        The decoded bytes are not kept: with the objects that they become they would put the next
        tasks' documents out of the processor's cache.
        """
        if "charset" in self.headers.get("content-type", "").lower():
            return self.text
        content: bytes | None = self._content
        return self._decoded() if content is None else content

    def __reduce__(self) -> Any:
        """Pickled without the request's head, which may hold credentials, but for its method."""
        state = (self.reason_phrase, self.method, self.url, self.http_version)
        return (
            _unpickle,
            (
                self.status_code,
                self.headers,
                bytes(self.body),
                state,
                self.history,
                (self._fallback, getattr(self, "_chosen", None)),
                self.is_complete,
            ),
            self.__dict__ or None,
        )

    def iter_lines(self) -> list[str]:
        """The lines of `text`, without their ends: the same as those of `body.lines()`."""
        lines = split_lines(self.text)
        return lines if lines[-1] else lines[:-1]


def _unpickle(
    status: int,
    headers: Headers,
    body: bytes,
    state: tuple[str, str, str, str],
    history: list[Any],
    encodings: tuple[str, str | None],
    complete: bool = True,
) -> Response:
    """A response that was pickled."""
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
    """An answer whose body is read by the caller: `async for chunk in response.body`."""

    __slots__ = ()

    body: StreamBody

    @property
    def decompress_data(self) -> bool:
        """Whether the stream decompresses the body: `body.decompress_data`."""
        return self.body.decompress_data

    @decompress_data.setter
    def decompress_data(self, decompress: bool) -> None:
        self.body.decompress_data = decompress

    def _attach_connection(self, connection: Connection) -> None:
        """Make the body a stream: over the connection, or of what came with the head."""
        whole: Any = self.body
        self.body = StreamBody(
            self,
            None if self.is_complete else connection,
            whole if self.is_complete else b"",
            decompress_data=self._get_option("decompress", True),
        )

    def _copy_without_body(self) -> StreamResponse:
        """Another one that says the same, for the body to know of: so that no circle is closed."""
        return self._copy_head()

    @property
    def content(self) -> bytes:
        """Not for streams: read `body`."""
        raise StreamConsumed("the body of a stream is read with `async for chunk in response.body`")
