"""A session without a network: it returns prepared answers and records the requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import curio


class AnswerBody:
    """A body that arrives in chunks of up to 1,000 bytes."""

    def __len__(self) -> int:
        return len(self.content)

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.closed = False
        self.decompress_data = True

    def __aiter__(self) -> AnswerBody:
        return self

    async def __anext__(self) -> bytes:
        chunk, self.content = self.content[:1000], self.content[1000:]
        if not chunk:
            raise StopAsyncIteration
        await curio.sleep(0)
        return chunk

    async def close(self) -> None:
        self.closed = True


class Answer:
    """The attributes of a response that tests read, streamed or not."""

    def __init__(
        self, status_code: int = 200, content: bytes = b"", url: str = "", **headers: str
    ) -> None:
        self.status_code = status_code
        self.content = self.raw = content
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.body = AnswerBody(content)
        self.reason_phrase = "OK"
        self.http_version = "1.1"
        self.url = url

    def __repr__(self) -> str:
        return f"<Answer {self.status_code}>"


class FakeSession:
    """Responds with `answer(url)`: an `Answer`, an exception, or a coroutine of one."""

    def __init__(
        self, answer: Callable[..., Any] | None = None, connections: int = 10, host: str = ""
    ) -> None:
        self.answer = answer or (lambda url: Answer(content=url.encode(), url=url))
        self.connections = connections
        self.asked: list[str] = []
        self.active = 0
        self.max_active = 0
        self.cancelled = 0
        if host:
            self.host = host

    async def request(self, method: str, url: str = "", *, path: str = "", **kwargs: Any) -> Any:
        url = url or path
        self.asked.append(url)
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        try:
            answer = self.answer(url)
            if hasattr(answer, "__await__"):
                answer = await answer
            else:
                await curio.sleep(0)
        except curio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer
