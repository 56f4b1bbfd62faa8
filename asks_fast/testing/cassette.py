"""Real exchanges recorded to a file, and replayed from it without a socket.

    with Cassette("tests/cassettes/items.json"):
        ...            # the first run talks to the servers, all later ones to the file

Facts:  the file is JSON, made to be read and committed: texts as text, other bodies in base64,
        bodies stored decompressed so that what is secret in them can be found. A body that cannot
        be decompressed, or grows beyond `max_decompressed`, is stored as it came.
Rules:  secrets never reach the file: credential fields, cookie values, secret query and form and
        JSON members, and every string given as `secrets=`, wherever it stands. Names are
        secret by their parts, and what is below a secret name is masked whole. Each recorded
        exchange answers once, the first that fits; one that was not recorded is an error.
Not here: streaming at the pace of the recording; a body is whole when it is replayed.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from .._response.content_decoder import DEFAULT_MAX_SIZE, decode_body
from ..errors import AsksException, DecodingError, ResponseTooLarge
from .interception import Forward, Intercepting, fill, seen
from .masking import Mask
from .messages import Answer, SeenRequest

__all__ = ["Cassette", "NotRecorded"]

MODES = ("once", "replay", "record")


class NotRecorded(AsksException, LookupError):
    """A request was made that the recording does not hold (any more)."""


class Cassette(Intercepting):
    """A context manager that records or replays.

    Args:
        path: the file; its directory is made when recording.
        mode: `"once"` records if there is no file and replays otherwise; `"replay"` never uses
            the wire; `"record"` writes the file anew.
        secrets: strings to be masked wherever they appear.
        secret_names: names of fields, query and form and JSON members whose values are masked,
            beyond the usual ones (`sensitive.is_sensitive`).
        match_body: whether a request must have the recorded body to get the recorded answer.

    Raises:
        ValueError: an unknown mode.
        FileNotFoundError: `"replay"` without a file, on entering.
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
        """What is recorded: a list of `{"request": …, "response": …}`."""
        self._match_body = match_body
        self._mask = Mask(secrets, secret_names)
        self._replays = False
        self._left: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        doing = "replaying" if self._replays else "recording"
        return f"<Cassette {str(self.path)!r} {doing}, {len(self.exchanges)} exchanges>"

    def __enter__(self) -> Cassette:
        self._replays = self.mode == "replay" or (self.mode == "once" and self.path.exists())
        self.exchanges = []
        if self._replays:
            self.exchanges = json.loads(self.path.read_text("utf-8"))["exchanges"]
        self._left = list(self.exchanges)
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

    async def exchange(self, request: Any, response: Any, forward: Forward, deadline: Any) -> None:
        """What a session calls in place of a real exchange."""
        what = await seen(request) if _can_be_read_twice(request) else await _without_body(request)
        masked = self._masked_request(what)
        if self._replays:
            fill(request, response, self._recorded(masked))
            return
        await forward()
        given = await _taken_down(response)
        self.exchanges.append({"request": masked, "response": self._masked_answer(given)})

    # -- replaying

    def _recorded(self, request: dict[str, Any]) -> Answer:
        for index, exchange in enumerate(self._left):
            if self._fits(exchange["request"], request):
                del self._left[index]
                return _answer_of(exchange["response"])
        same = sum(self._fits(exchange["request"], request) for exchange in self.exchanges)
        why = f"it was recorded {same} times, and asked for once more" if same else "not recorded"
        raise NotRecorded(f"{request['method']} {request['url']}: {why} ({self.path})")

    def _fits(self, recorded: dict[str, Any], asked: dict[str, Any]) -> bool:
        names = ("method", "url", "body") if self._match_body else ("method", "url")
        return all(recorded[name] == asked[name] for name in names)

    # -- recording

    def _masked_request(self, request: SeenRequest) -> dict[str, Any]:
        mask = self._mask
        codings = request.headers.getlist("content-encoding")
        body, is_plain = _decoded(request.body, codings, DEFAULT_MAX_SIZE)
        gone = {"content-encoding"} if is_plain else set()
        raw = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
        ]
        fields = [pair for pair in raw if pair[0].lower() not in gone]
        return {
            "method": request.method,
            "url": mask.url(request.url),
            "headers": mask.fields(fields),
            "body": _written(mask.body(body, request.header("content-type"))),
        }

    def _masked_answer(self, given: Answer) -> dict[str, Any]:
        kind = next((v for name, v in given.headers if name.lower() == "content-type"), None)
        return {
            "status": given.status,
            "reason": self._mask.text(given.phrase),
            "headers": self._mask.fields(given.headers),
            "body": _written(self._mask.body(given.body, kind)),
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


async def _without_body(request: Any) -> SeenRequest:
    body, request.body = request.body, None
    try:
        return await seen(request)
    finally:
        request.body = body


async def _taken_down(response: Any) -> Answer:
    """The answer as it is recorded: whole, decompressed, without the fields of its transfer."""
    from .._response.stream import StreamBody

    body = response.body
    if isinstance(body, StreamBody):
        decompress, body.decompress_data = body.decompress_data, False
        data = await body.read()
        response.body = StreamBody(response, None, data, decompress_data=decompress)
    else:
        data = bytes(body)
    gone = {"transfer-encoding", "connection", "keep-alive", "content-length"}
    limit = response._get_option("max_decompressed", DEFAULT_MAX_SIZE)
    data, is_plain = _decoded(data, response.headers.getlist("content-encoding"), limit)
    if is_plain:
        gone.add("content-encoding")
    headers = [(name.decode("latin-1"), value.decode("utf-8", "replace"))
               for name, value in response.headers.raw]  # fmt: skip
    kept = [(name, value) for name, value in headers if name.lower() not in gone]
    return Answer(response.status_code, kept, data, response.reason_phrase)


def _decoded(data: bytes, codings: list[str], limit: int | None) -> tuple[bytes, bool]:
    """Take the content codings off, within the limit; False if the data stays as it came.

    A body that cannot be decoded, or only beyond the limit, fails in the same way when replayed.
    """
    try:
        return decode_body(data, codings, max_size=limit), True
    except (DecodingError, ResponseTooLarge):
        return data, False


def _written(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _answer_of(recorded: dict[str, Any]) -> Answer:
    body = recorded["body"]
    data = body["text"].encode() if "text" in body else base64.b64decode(body["base64"])
    headers = [(name, value) for name, value in recorded["headers"]]
    return Answer(recorded["status"], headers, data, recorded["reason"])
