"""Record what sessions did as an HTTP Archive (HAR 1.2): `on_event=HarRecorder()`.

Rules:  an entry is one exchange: a redirect, a retry and the answer to a challenge have entries of
        their own. Requests are shown as they were sent. Secrets are masked, by the same rules as in
        recordings of the test kit. Bodies are left out unless asked for, and long ones always.
        The number of entries is bounded; the oldest are dropped first.
Implemented elsewhere: events and their times (`_config/events`), masking (`testing/masking`).
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64encode
from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from .._annotations import JsonObject
from .._version import __version__
from ..errors import AsksException
from ..testing.masking import Mask

if TYPE_CHECKING:
    from .._annotations import Unchecked
    from .._config.events import Event

__all__ = ["HarRecorder"]


_MAX_OPEN = 1024  # exchanges under way whose events are awaited
_TEXT_TYPES = ("json", "xml", "javascript", "urlencoded")
_NOT_APPLICABLE = -1

# event → the phase of HAR that it ends
_PHASES = {
    "connection_acquired": "blocked",
    "resolved": "dns",
    "connected": "connect",
    "tunnel_established": "connect",
    "tls": "ssl",
}


class HarRecorder:
    """Records exchanges: the `on_event=` of sessions or requests.

    Args:
        bodies: whether to record bodies. Secrets in forms, JSON, XML and multipart are masked.
        max_body: longer bodies, in bytes, are left out; the comment of the entry says so.
        max_entries: the most entries that are kept.
        secrets: strings that are masked wherever they appear.
        secret_names: names of header fields, parameters and members whose values are masked, in
            addition to those that are known as sensitive.

    Example:
        recorder = HarRecorder()
        async with HSession("https://api.example", on_event=recorder) as session:
            await session.get("/items")
        recorder.save("session.har")
    """

    def __init__(
        self,
        *,
        bodies: bool = False,
        max_body: int = 65536,
        max_entries: int = 10_000,
        secrets: Iterable[str] = (),
        secret_names: Iterable[str] = (),
    ) -> None:
        self._bodies = bodies
        self._max_body = max_body
        self._mask = Mask(secrets, secret_names)
        self._entries: deque[_Entry] = deque(maxlen=max_entries)
        # Exchanges under way, by the identity of their responses, which the entries keep alive.
        self._open: OrderedDict[int, _Entry] = OrderedDict()

    def __repr__(self) -> str:
        return f"<HarRecorder {len(self)} entries>"

    def __len__(self) -> int:
        return len(self._entries)

    def __call__(self, event: Event) -> None:
        """Record an event."""
        response: Unchecked = event.response
        if response is None:
            return
        if event.name == "connection_acquired":  # the first event of an exchange
            entry = _Entry(self, event, response)
            self._entries.append(entry)
            self._open[id(response)] = entry
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)[1].response = None
            return
        if id(response) not in self._open:
            return
        entry = self._open[id(response)]
        entry.marks.append((event.name, event.at))
        if event.name == "head":
            entry.add_request(self, response)
            entry.add_head(self, response)
        elif event.name == "body":
            entry.add_body(self, response, event.data["size"])
        elif event.name == "failed":
            entry.add_failure(self, response, event.data["error"])
        options = event.request.options
        is_stream = options.stream or options.callback is not None
        if event.name in ("body", "failed") or (event.name == "head" and is_stream):
            entry.add_times(response)
            entry.response = None
            del self._open[id(response)]

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()
        self._open.clear()

    def to_dict(self) -> JsonObject:
        """Return the archive as the dict that HAR describes."""
        return {
            "log": {
                "version": "1.2",
                "creator": {"name": "asks_fast", "version": __version__},
                "entries": [entry.to_dict() for entry in list(self._entries)],
            }
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the archive to a file, replacing it at once.

        Raises:
            OSError: the file cannot be written.
        """
        target = os.fspath(path)
        part = f"{target}.part"
        try:
            with open(part, "w", encoding="utf-8") as file:
                json.dump(self.to_dict(), file, ensure_ascii=False, indent=1)
            os.replace(part, target)
        except BaseException:
            if os.path.exists(part):
                os.unlink(part)
            raise

    # -- parts of an entry

    def _shown_headers(self, pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
        texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
        return [(name, value) for name, value in self._mask.fields(texts)]

    def _shown_body(self, data: bytes, content_type: str) -> JsonObject:
        """The text of a body, in base64 if it is not text; empty if it is left out."""
        if not self._bodies:
            return {}
        if len(data) > self._max_body:
            return {"comment": f"{len(data)} bytes, more than max_body={self._max_body}"}
        masked = self._mask.body(data, content_type)
        kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith("text/") or kind.endswith(_TEXT_TYPES):
            try:
                return {"text": masked.decode("utf-8")}
            except UnicodeDecodeError:
                pass
        if not masked:
            return {"text": ""}
        return {"text": b64encode(masked).decode("ascii"), "encoding": "base64"}


class _Entry:
    """One exchange."""

    def __init__(self, recorder: HarRecorder, event: Event, response: Unchecked) -> None:
        self.response = response  # of the exchange under way; None when it is over
        self.started = event.started
        self.wall_clock = time.time() - time.monotonic() + event.started
        self.marks = [(event.name, event.at)]
        self.request: JsonObject = {
            "method": event.request.method,
            "url": recorder._mask.url(str(event.request.url)),
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [],
            "queryString": [],
            "headersSize": -1,
            "bodySize": -1,
        }
        self.answer: JsonObject = {
            "status": 0,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [],
            "content": {"size": 0, "mimeType": ""},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        }
        self.times: tuple[float, float, float] = (0.0, 0.0, 0.0)  # sent, first byte, completed
        self.peer: str | None = None
        self.comment: str | None = None

    def add_request(self, recorder: HarRecorder, response: Unchecked) -> None:
        """Add the request as it was sent."""
        head, _, body = (response.request_head or b"").partition(b"\r\n\r\n")
        pairs = [
            (name, value.strip())
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        ]
        headers = recorder._shown_headers(pairs)
        request = self.request
        request["headers"] = [{"name": name, "value": value} for name, value in headers]
        request["cookies"] = _masked_cookies(pairs)
        query = urlsplit(request["url"]).query
        request["queryString"] = [
            {"name": name, "value": value} for name, value in parse_qsl(query, True)
        ]
        request["headersSize"] = len(head) + 4 if head else -1
        fields = {name.lower(): value for name, value in headers}
        length = fields.get("content-length", "0" if "transfer-encoding" not in fields else "")
        request["bodySize"] = int(length) if length.isdigit() else -1
        if request["bodySize"]:
            kind = fields.get("content-type", "")
            data: JsonObject = {"mimeType": kind, "params": [], "text": ""}
            if len(body) == request["bodySize"]:  # a small body, which is sent with the head
                shown = recorder._shown_body(body, kind)
                data["text"] = shown.get("text", "")
                comment = shown.get("comment") or shown.get("encoding")
                if comment:
                    data["comment"] = comment
            elif recorder._bodies:
                data["comment"] = "a long or streamed body is left out"
            request["postData"] = data

    def add_head(self, recorder: HarRecorder, response: Unchecked) -> None:
        """Add the head of the response."""
        pairs = response.headers.raw
        headers = recorder._shown_headers(pairs)
        fields = {name.lower(): value for name, value in headers}
        answer = self.answer
        answer["status"] = response.status_code
        answer["statusText"] = response.reason_phrase
        answer["httpVersion"] = f"HTTP/{response.http_version}"
        answer["headers"] = [{"name": name, "value": value} for name, value in headers]
        answer["cookies"] = [
            _cookie(value) for name, value in headers if name.lower() == "set-cookie"
        ]
        answer["content"]["mimeType"] = fields.get("content-type", "")
        answer["redirectURL"] = fields.get("location", "")
        if isinstance(response.peer, tuple):
            self.peer = str(response.peer[0])

    def add_body(self, recorder: HarRecorder, response: Unchecked, size: int) -> None:
        """Add the body of the response, of `size` bytes as received."""
        answer = self.answer
        answer["bodySize"] = answer["content"]["size"] = size
        if not recorder._bodies:
            return
        try:
            data = response.content
        except AsksException as error:
            answer["content"]["comment"] = recorder._mask.text(str(error))
            return
        content = answer["content"]
        content["size"] = len(data)
        if len(data) > size:
            content["compression"] = len(data) - size
        content |= recorder._shown_body(data, content["mimeType"])

    def add_failure(self, recorder: HarRecorder, response: Unchecked, error: BaseException) -> None:
        """Add the error that ended the exchange."""
        if not self.request["headers"]:
            self.add_request(recorder, response)
        text = str(error) if isinstance(error, AsksException) else ""
        self.comment = recorder._mask.text(f"{type(error).__name__}: {text}".rstrip(": "))

    def add_times(self, response: Unchecked) -> None:
        """Add the times of a response whose exchange is over."""
        self.times = (response.sent_at, response.first_byte_at, response.completed_at)

    def to_dict(self) -> JsonObject:
        """Return the entry as HAR describes it."""
        if self.response is not None:  # under way, or a body that was not read
            self.add_times(self.response)
        timings = self._timings()
        entry: JsonObject = {
            "startedDateTime": datetime.fromtimestamp(self.wall_clock, timezone.utc).isoformat(),
            "time": sum(
                seconds for name, seconds in timings.items() if name != "ssl" and seconds > 0
            ),
            "request": self.request,
            "response": self.answer,
            "cache": {},
            "timings": timings,
        }
        if self.peer is not None:
            entry["serverIPAddress"] = self.peer
        if self.comment is not None:
            entry["comment"] = self.comment
        return entry

    def _timings(self) -> dict[str, float]:
        """Milliseconds of each phase; -1 for one that did not take place."""
        found: dict[str, float] = {}
        last = self.started
        for name, at in self.marks:
            phase = _PHASES.get(name)
            if phase is not None:
                found[phase] = found.get(phase, 0.0) + at - last
                last = at
        sent, first_byte, completed = self.times
        sent = max(last, sent)
        first_byte = max(sent, first_byte)
        if "ssl" in found:  # HAR counts it as a part of `connect`
            found["connect"] = found.get("connect", 0.0) + found["ssl"]
        milliseconds: dict[str, float] = {
            name: round(found[name] * 1000, 3) if name in found else _NOT_APPLICABLE
            for name in ("blocked", "dns", "connect", "ssl")
        }
        milliseconds["send"] = round((sent - last) * 1000, 3)
        milliseconds["wait"] = round((first_byte - sent) * 1000, 3)
        milliseconds["receive"] = round(max(completed - first_byte, 0.0) * 1000, 3)
        return milliseconds


def _masked_cookies(pairs: Iterable[tuple[bytes, bytes]]) -> list[JsonObject]:
    """The cookies of a request, with their names only."""
    return [
        {"name": part.partition("=")[0].strip(), "value": "***"}
        for name, value in pairs
        if name.lower() == b"cookie"
        for part in value.decode("latin-1").split(";")
    ]


def _cookie(value: str) -> JsonObject:
    """A cookie of a response, whose value is masked."""
    pair, *attributes = value.split(";")
    name, _, text = pair.partition("=")
    cookie: JsonObject = {"name": name.strip(), "value": text.strip()}
    for attribute in attributes:
        key, _, given = attribute.partition("=")
        key = key.strip().lower()
        if key in ("path", "domain"):
            cookie[key] = given.strip()
        elif key in ("secure", "httponly"):
            cookie["httpOnly" if key == "httponly" else "secure"] = True
    return cookie
