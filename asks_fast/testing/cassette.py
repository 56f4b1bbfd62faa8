"""Record real exchanges to a file and replay them without a socket.

    with Cassette("tests/cassettes/items.json"):
        ...            # the first run uses the servers, all later ones the file

The file is JSON, meant to be read and committed. Text is stored as text, other bodies in base64.
Bodies are stored decompressed, so that secrets in them can be found. A body that cannot be
decompressed, or exceeds `max_decompressed`, is stored as it was received.

Secrets are masked before the file is written: credentials in header fields, cookie values, query
and form parameters and JSON members with sensitive names, and every string given as `secrets=`.
Below a sensitive name everything is masked. Each recorded exchange is replayed once, the first
match; a request that was not recorded is an error. A replayed body arrives at once.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._response.content_decoder import DEFAULT_MAX_SIZE, decode_body
from ..errors import AsksException, DecodingError, ResponseTooLarge
from .interception import BaseInterceptor, make_response, to_recorded_request
from .masking import Mask
from .messages import MockResponse, RecordedRequest

if TYPE_CHECKING:
    from .._client.middleware import CallNext
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse

__all__ = ["Cassette", "NotRecorded"]

MODES = ("once", "replay", "record")


class NotRecorded(AsksException, LookupError):
    """A request was made that the recording does not contain, or no longer contains."""


class Cassette(BaseInterceptor):
    """A context manager that records or replays exchanges.

    Args:
        path: the file. Its directory is created when recording.
        mode: `"once"` records if the file does not exist and replays otherwise; `"replay"` never
            uses the network; `"record"` replaces the file.
        secrets: strings that are masked wherever they appear.
        secret_names: further sensitive names of header fields, query and form parameters and JSON
            members.
        match_body: whether a request must have the body of the recorded one.

    Raises:
        ValueError: the mode is unknown.
        FileNotFoundError: on entering, if the mode is `"replay"` and the file does not exist.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: str = "once",
        secrets: Iterable[str] = (),
        secret_names: Iterable[str] = (),
        match_body: bool = True,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        self.path = Path(path)
        self.mode = mode
        self.exchanges: list[dict[str, Any]] = []
        """The recorded exchanges: a list of `{"request": …, "response": …}`."""
        self._match_body = match_body
        self._mask = Mask(secrets, secret_names)
        self._replays = False
        self._unused: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        doing = "replaying" if self._replays else "recording"
        return f"<Cassette {str(self.path)!r} {doing}, {len(self.exchanges)} exchanges>"

    def __enter__(self) -> Cassette:
        self._replays = self.mode == "replay" or (self.mode == "once" and self.path.exists())
        self.exchanges = []
        if self._replays:
            self.exchanges = json.loads(self.path.read_text("utf-8"))["exchanges"]
        self._unused = list(self.exchanges)
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if not self._replays:
            self._write()

    async def __call__(self, request: PreparedRequest, call_next: CallNext) -> BaseResponse:
        """Called by a session instead of a real exchange."""
        recorded = (
            await to_recorded_request(request)
            if _can_be_read_twice(request)
            else await _without_body(request)
        )
        masked = self._masked_request(recorded)
        if self._replays:
            return make_response(request, self._replay(masked))
        response = await call_next(request)
        received = await _to_mock_response(response)
        self.exchanges.append({"request": masked, "response": self._masked_response(received)})
        return response

    # -- replaying

    def _replay(self, request: dict[str, Any]) -> MockResponse:
        for index, exchange in enumerate(self._unused):
            if self._matches(exchange["request"], request):
                del self._unused[index]
                return _from_json(exchange["response"])
        same = sum(self._matches(exchange["request"], request) for exchange in self.exchanges)
        why = f"it was recorded {same} times and is requested once more" if same else "not recorded"
        raise NotRecorded(f"{request['method']} {request['url']}: {why} ({self.path})")

    def _matches(self, recorded: dict[str, Any], request: dict[str, Any]) -> bool:
        names = ("method", "url", "body") if self._match_body else ("method", "url")
        return all(recorded[name] == request[name] for name in names)

    # -- recording

    def _masked_request(self, request: RecordedRequest) -> dict[str, Any]:
        mask = self._mask
        codings = request.headers.getlist("content-encoding")
        body, is_plain = _decoded(request.body, codings, DEFAULT_MAX_SIZE)
        removed = {"content-encoding"} if is_plain else set()
        raw = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
        ]
        fields = [pair for pair in raw if pair[0].lower() not in removed]
        return {
            "method": request.method,
            "url": mask.url(request.url),
            "headers": mask.fields(fields),
            "body": _to_json(mask.body(body, request.header("content-type"))),
        }

    def _masked_response(self, received: MockResponse) -> dict[str, Any]:
        kind = next((v for name, v in received.headers if name.lower() == "content-type"), None)
        return {
            "status": received.status,
            "reason": self._mask.text(received.phrase),
            "headers": self._mask.fields(received.headers),
            "body": _to_json(self._mask.body(received.body, kind)),
        }

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": 1, "exchanges": self.exchanges}, indent=1, ensure_ascii=False)
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(text + "\n", "utf-8")
        part.replace(self.path)


def _can_be_read_twice(request: Any) -> bool:
    body = request.body
    return body is None or body.buffered is not None or body.is_replayable


async def _without_body(request: Any) -> RecordedRequest:
    body, request.body = request.body, None
    try:
        return await to_recorded_request(request)
    finally:
        request.body = body


async def _to_mock_response(response: Any) -> MockResponse:
    """Return the response as it is recorded: whole, decompressed, without connection fields."""
    from .._response.stream import StreamBody

    body = response.body
    if isinstance(body, StreamBody):
        decompress, body.decompress_data = body.decompress_data, False
        data = await body.read()
        response.body = StreamBody(response, None, data)
        response.body.decompress_data = decompress
    else:
        data = bytes(body)
    removed = {"transfer-encoding", "connection", "keep-alive", "content-length"}
    limit = response._get_option("max_decompressed", DEFAULT_MAX_SIZE)
    data, is_plain = _decoded(data, response.headers.getlist("content-encoding"), limit)
    if is_plain:
        removed.add("content-encoding")
    headers = [(name.decode("latin-1"), value.decode("utf-8", "replace"))
               for name, value in response.headers.raw]  # fmt: skip
    fields = [(name, value) for name, value in headers if name.lower() not in removed]
    return MockResponse(response.status_code, fields, data, response.reason_phrase)


def _decoded(data: bytes, codings: list[str], limit: int | None) -> tuple[bytes, bool]:
    """Decode the content codings. Returns the data, and False if it is unchanged.

    A body that is invalid or exceeds the limit stays encoded, so its replay fails in the same way.
    """
    try:
        return decode_body(data, codings, max_size=limit), True
    except (DecodingError, ResponseTooLarge):
        return data, False


def _to_json(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _from_json(recorded: dict[str, Any]) -> MockResponse:
    body = recorded["body"]
    data = body["text"].encode() if "text" in body else base64.b64decode(body["base64"])
    headers = [(name, value) for name, value in recorded["headers"]]
    return MockResponse(recorded["status"], headers, data, recorded["reason"])
