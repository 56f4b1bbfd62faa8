"""`BaseResponse`: what a response with its body in memory and a streamed one have in common.

Facts:  most programs read only the status and the body. Nothing else is parsed before it is used.
Rules:  the compiled base class sets everything that was received (`src_pyx/hotpath/response.pyx`);
        this class adds what is derived from it.
Implemented elsewhere: the body (`response_objects`).
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from types import ModuleType
from typing import TYPE_CHECKING

from .._hotpath import BaseHttpResponse, Headers
from ..errors import BadStatus, DecodingError, printable
from .charset import TextDecoder
from .header_values import charset_of, filename_from, parse_links
from .status_codes import REDIRECT_STATUSES
from .stream import StreamBody

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._annotations import AnyArgument, Unchecked
    from .._config.options import RequestOptions
    from .._config.peer_certificate import PeerCertificate
    from .._config.timings import Timings
    from .._request.prepared_request import PreparedRequest
    from ..cookie_utils import Cookie
    from .json_lines import JsonLines
    from .server_sent_events import EventStream

__all__ = ["BaseResponse", "content_decoder"]

_content_decoder: ModuleType | None = None


def content_decoder() -> Unchecked:
    """Return the module that removes content codings, imported for the first body that has one."""
    global _content_decoder
    if _content_decoder is None:
        from . import content_decoder

        _content_decoder = content_decoder
    return _content_decoder


class BaseResponse(BaseHttpResponse):
    """The base class of `Response` and `StreamResponse`.

    Attributes can be assigned to, and new ones can be added. To make a response for a test, pass
    the arguments of asks:
    `Response(encoding, http_version, status_code, reason_phrase, headers, body, method, url)`.

    Attributes:
        status_code: the status, such as 200.
        reason_phrase: the text after the status; may be empty.
        headers: the header fields, a multidict with case-insensitive names.
        body: the body as received, still compressed; a `StreamBody` with `stream=True`.
        history: the responses before this one: redirects and challenges.
        method: the method of the request.
        url: the URL of the request, after redirects.
        http_version: "1.1" or "1.0".
        trailers: the trailer fields of a chunked body.
        interim: the informational responses (1xx), as pairs (status, headers); None without any.
        peer: address of the server.
        reused: whether the connection had served an earlier request.
        response_head: the head as received.
        framed_body: a chunked body as received; None without `keep_framing=True`, empty if its
            framing is larger than twice `max_body` plus 64 KiB.
    """

    __slots__ = (
        "__dict__",  # for attributes of the program
        "__weakref__",
        "_cookies",
        "_marks",
        "_request",
    )

    history: list[BaseResponse]
    _marks: list[
        tuple[str, float]
    ]  # the steps of the exchange; set with `timings=True` or a listener

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_code} {printable(self.reason_phrase, 80)}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if isinstance(self.body, StreamBody):
            await self.body.close()

    @property
    def request(self) -> PreparedRequest:
        """The request that was sent: method, url, headers, body."""
        try:
            return self._request
        except AttributeError:
            from .._request.prepared_request import from_head

            # A request sent from a template exists only as bytes.
            self._request: PreparedRequest = from_head(self.request_head or b"", self.url)
            return self._request

    @request.setter
    def request(self, request: PreparedRequest) -> None:
        self._request = request

    @property
    def from_cache(self) -> bool:
        """Whether the body is that of a stored response, of `cache=` of the session."""
        return bool(self.__dict__.get("_from_cache"))

    @from_cache.setter
    def from_cache(self, from_cache: bool) -> None:
        self._from_cache = from_cache

    @property
    def revalidated(self) -> bool:
        """Whether the server confirmed by a 304 that the stored response is current."""
        return bool(self.__dict__.get("_revalidated"))

    @revalidated.setter
    def revalidated(self, revalidated: bool) -> None:
        self._revalidated = revalidated

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def encoding(self) -> str:
        """The encoding of `text`.

        The value assigned here, else the charset of Content-Type, else `encoding=` of the request
        or session, else UTF-8.
        """
        return self._charset or self._fallback

    @encoding.setter
    def encoding(self, encoding: str | None) -> None:
        self._chosen = encoding

    @property
    def _charset(self) -> str | None:
        """The assigned encoding, else that of Content-Type, else None."""
        return self._chosen or charset_of(self.headers.get("content-type"))

    @property
    def _fallback(self) -> str:
        return self._encoding or "utf-8"

    @property
    def elapsed(self) -> timedelta:
        """The time from the start of sending until the body was read; of a stream, the head."""
        return timedelta(seconds=self.elapsed_seconds)

    @property
    def timings(self) -> Timings | None:
        """The duration of each phase of the exchange; None without `timings=True`.

        For a stream, `body` and `total` are set when its last byte has been read.
        """
        marks = getattr(self, "_marks", None)
        if marks is None:
            return None
        from .._config.timings import Timings

        return Timings.from_marks(marks, self)

    @property
    def peer_certificate(self) -> PeerCertificate | None:
        """The certificate of the server; None without TLS."""
        return getattr(self.peer, "certificate", None)

    @property
    def tls_version(self) -> str | None:
        """The version of TLS that was agreed on, such as `"TLSv1.3"`; None without TLS."""
        return getattr(self.peer, "tls_version", None)

    @property
    def tls_cipher(self) -> str | None:
        """The cipher that was agreed on, by its name in OpenSSL; None without TLS."""
        return getattr(self.peer, "tls_cipher", None)

    @property
    def cookies(self) -> list[Cookie]:
        """The cookies that this response sets."""
        try:
            return self._cookies
        except AttributeError:
            self._cookies: list[Cookie] = []
        if "set-cookie" in self.headers:
            from ..cookie_utils import parse_set_cookie
            from ..urls import parse_url

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
        """The links of the Link fields, by relation, or by URL without one (RFC 8288)."""
        return parse_links(self.headers.get("link", ""))

    @property
    def filename(self) -> str | None:
        """The file name from Content-Disposition or the URL, safe to create; None without one."""
        return filename_from(self.headers.get("content-disposition"), self.url)

    @property
    def early_hints(self) -> list[Headers]:
        """The header fields of the 103 responses that preceded this one (RFC 8297)."""
        return [fields for status, fields in self.interim or () if status == 103]

    @property
    def is_redirect(self) -> bool:
        """Whether the response is a redirect with a Location."""
        return self.status_code in REDIRECT_STATUSES and "location" in self.headers

    @property
    def next_request(self) -> PreparedRequest | None:
        """The request that follows this redirect, for `session.send`; None if this is no redirect.

        It has `follow_redirects=False`. Credentials for this origin are not sent to another one.

        Raises:
            InvalidURL: the Location is not a valid HTTP URL.
            UnreplayableBody: the body must be sent again and cannot be replayed.
        """
        if not self.is_redirect:
            return None
        from .._request.redirect import next_request

        raw = self.headers.raw
        location = next(value for name, value in raw if name.lower() == b"location")
        return next_request(self.request, self.status_code, location)

    def raise_for_status(self) -> None:
        """Raise an error for a status of 400 or more.

        Raises:
            BadStatus: the status is 4xx or 5xx.
        """
        if self.status_code < 400:
            return
        side = "Client" if self.status_code < 500 else "Server"
        reason = printable(self.reason_phrase, 80) or _standard_reason(self.status_code)
        raise BadStatus(
            f"{self.status_code} {side} Error: {reason} for url: {self.url}",
            self,
            self.status_code,
        )

    def _set_options(self, options: RequestOptions, encoding: str) -> None:
        """Set the options of the request that concern reading the body."""
        self._options = options
        self.strict = options.strict
        self._encoding = options.encoding or encoding
        self.keeps_framing = options.keep_framing

    def _get_option(self, name: str, default: AnyArgument) -> AnyArgument:
        options = self._options
        return default if options is None else getattr(options, name)

    def content_codings(self) -> list[str]:
        """The values of the Content-Encoding fields, in order."""
        return self.headers.getlist("content-encoding")

    def _missing_library(self) -> str | None:
        """The package to install for a content coding that could not be removed, or None."""
        codings = self.headers.get("content-encoding")
        return content_decoder().missing_library(codings) if codings else None

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
        from .server_sent_events import EventStream

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
        from .json_lines import JsonLines

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


def _standard_reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.upper()
    except ValueError:
        return ""
