from collections.abc import Callable, Coroutine
from selectors import SelectorKey
from typing import Any, Protocol, final

from typing_extensions import disjoint_base

HAS_EPOLL: bool
__test__: dict[str, str]

async def awaited(awaitable: Any) -> Any: ...

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

@disjoint_base
class TaskCore:
    id: int
    parentid: int | None
    coro: Any
    daemon: bool
    cycles: int
    state: str
    future: Any
    sleep: float | None
    timeout: float | None
    cancelled: bool | None
    terminated: bool
    cancel_pending: BaseException | None
    allow_cancel: bool
    taskgroup: Any
    joined: bool
    name: str
    joining: Any
    cancel_func: Callable[[], Any] | None
    _final_result: Any
    _final_exc: BaseException | None
    _trap_result: Any
    _deadlines: list[float | None]
    _run_coro: Any
    _send: Any
    _throw: Any
    _last_io: tuple[Any, int] | None
    def __init__(self, coro: Any, parent: Any = None) -> None: ...
    def __del__(self) -> None: ...
    def _leave_wait(self) -> None: ...

@disjoint_base
class Poller: ...

@final
class Watch: ...

@final
class Timers: ...

@final
class Epoll(Poller):
    def fileno(self) -> int: ...
    def close(self) -> None: ...
    def get_map(self) -> dict[int, SelectorKey]: ...
    def get_key(self, fileobj: int | _HasFileno) -> SelectorKey: ...

@final
class Selector(Poller):
    def __init__(self, selector: Any) -> None: ...

@final
class TrapHandler:
    @property
    def name(self) -> str: ...
    def __call__(self, *args: Any) -> None: ...

@final
class Waker:
    def __call__(self, future: Any) -> None: ...

@final
class Runtime:
    @property
    def bell_heard(self) -> Any: ...
    def __init__(
        self,
        kernel: Any,
        task_class: Callable[[Any, Any], TaskCore],
        kernel_task: Callable[[Runtime], Coroutine[Any, Any, None]],
    ) -> None: ...
    def __call__(self, coro: Coroutine[Any, Any, Any] | None) -> Any: ...
    def deliver_wakes(self) -> None: ...
