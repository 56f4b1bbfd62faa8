from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, final

from typing_extensions import Self, disjoint_base

_R = TypeVar("_R", bound=BaseHttpResponse)

@final
class Trap:
    def __new__(cls, trap: tuple[Any, ...]) -> Trap: ...
    def __await__(self) -> Iterator[Any]: ...
    def __iter__(self) -> Trap: ...
    def __next__(self) -> tuple[Any, ...]: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any: ...
    def close(self) -> None: ...

@final
class FileHandle:
    has_stable_fd: bool
    fd: int
    def __new__(cls, fd: int) -> FileHandle: ...
    def fileno(self) -> int: ...

@final
class Headers:
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __new__(cls, fields: list[bytes] | None = None) -> Headers: ...
    @staticmethod
    def from_pairs(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> Headers: ...
    @property
    def raw(self) -> list[tuple[bytes, bytes]]: ...
    def getlist(self, name: str) -> list[str]: ...
    def get_list(self, name: str) -> list[str]: ...
    def _raw_values(self, name: str) -> list[bytes]: ...
    def __getitem__(self, name: str, /) -> Any: ...
    def get(self, name: str, default: Any = None) -> Any: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def keys(self) -> list[str]: ...
    def items(self) -> list[tuple[str, Any]]: ...
    def values(self) -> list[Any]: ...
    def copy(self) -> Headers: ...

def check_method(method: str | bytes) -> bytes: ...
def encode_headers(pairs: Iterable[tuple[Any, Any]]) -> bytes: ...
def encode_head(method: bytes, target: bytes, fields: bytes) -> bytes: ...

_GivenFields = (
    Headers | Mapping[str, str | list[str]] | Iterable[tuple[str | bytes, str | bytes | list[str]]]
)

@disjoint_base
class BaseHttpResponse:
    status_code: int
    trailers: Headers | None
    interim: list[tuple[int, Headers]] | None
    body: Any
    _content: bytes | None
    _text: tuple[str | None, str] | None
    _chosen: str | None
    _decompress: bool | None
    _options: Any
    _encoding: str | None
    history: Any
    peer: Any
    attempts: int
    reused: bool
    is_truncated: bool
    strict: bool
    url: str
    timed: bool
    keeps_framing: bool
    @property
    def response_head(self) -> bytes | None: ...
    @property
    def framed_body(self) -> bytearray | None: ...
    method: str
    def __init__(
        self,
        encoding: str | None = None,
        http_version: str | bytes | None = None,
        status_code: int | None = None,
        reason_phrase: str | bytes | None = None,
        headers: _GivenFields | None = None,
        body: Any = None,
        method: str | None = None,
        url: str | None = None,
    ) -> None: ...
    def _is_identity_encoded(self) -> bool: ...
    def _plain_json(self) -> str | None: ...
    @property
    def headers(self) -> Headers: ...
    @headers.setter
    def headers(self, headers: _GivenFields | None) -> None: ...
    @property
    def reason_phrase(self) -> str: ...
    @reason_phrase.setter
    def reason_phrase(self, reason: str | bytes | None) -> None: ...
    @property
    def http_version(self) -> str: ...
    @http_version.setter
    def http_version(self, version: str | bytes) -> None: ...
    @property
    def request_head(self) -> bytes | None: ...
    @property
    def elapsed_seconds(self) -> float: ...
    @property
    def time_to_head(self) -> float: ...
    @property
    def head_received_at(self) -> float: ...
    @property
    def completed_at(self) -> float: ...
    @property
    def sent_at(self) -> float: ...
    @property
    def first_byte_at(self) -> float: ...
    @property
    def is_complete(self) -> bool: ...
    def _copy_head(self: _R) -> _R: ...
    def _set_from_parts(
        self,
        status_code: int,
        headers: Headers,
        body: Any = b"",
        *,
        reason: bytes | None = None,
        sent_head: bytes | None = None,
        origin: str | None = None,
        minor: int = 1,
        complete: bool = True,
    ) -> None: ...

@final
class Limits:
    head: int
    fields: int
    interim: int
    def __init__(
        self,
        *,
        head: int = 65536,
        fields: int = 256,
        interim: int = 16,
    ) -> None: ...

@final
class Connection:
    fd: int
    tls: Any
    state: int
    request_count: int
    read_timeout: float
    write_timeout: float
    peer: Any
    def __new__(cls, pool: Pool, origin: OriginPool, sock: Any) -> Connection: ...
    def fileno(self) -> int: ...
    def exchange(
        self,
        head: bytes,
        response: _R,
        *,
        body: Any = None,
        stream: bool = False,
        is_head_request: bool = False,
        max_body: int = -1,
        expect_seconds: float = 0.0,
        close_after: bool = False,
        followup_statuses: Container[int] | None = None,
        strict: bool = False,
    ) -> Coroutine[Any, Any, _R]: ...
    async def read_piece(self) -> bytes: ...
    def apply_body_limit(self) -> None: ...
    async def aclose(self) -> None: ...
    async def release(self) -> None: ...
    def close_nowait(self, response: BaseHttpResponse | None = None) -> None: ...

@final
class Waiter:
    def __await__(self) -> Waiter: ...
    def __iter__(self) -> Waiter: ...
    def __next__(self) -> tuple[Any, ...]: ...
    def send(self, result: Any) -> Any: ...
    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any: ...
    def close(self) -> None: ...
    def __call__(self) -> None: ...
    def __bool__(self) -> bool: ...
    @property
    def wake(self) -> Awaitable[None]: ...
    def __len__(self) -> int: ...

@final
class OriginPool:
    route: Any
    name: str
    open: int
    pool: Pool
    def __new__(cls, pool: Pool, route: Any, name: str) -> OriginPool: ...

@disjoint_base
class BaseEvent:
    def __init__(
        self,
        name: str,
        at: float,
        request: Any,
        data: dict[str, Any],
        response: Any = None,
        started: float = 0.0,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def request(self) -> Any: ...
    @property
    def data(self) -> dict[str, Any]: ...
    @property
    def response(self) -> Any: ...
    @property
    def started(self) -> float: ...

@disjoint_base
class BaseEventEmitter:
    def __init__(
        self,
        request: Any,
        callback: Callable[[Any], object] | None,
        timings: bool,
        make_request: Callable[[Any], Any] | None = None,
        response: Any = None,
    ) -> None: ...
    @property
    def request(self) -> Any: ...
    def __call__(self, name: str, *, at: float = 0.0, **data: Any) -> None: ...
    def on_step(self, name: str, at: float) -> None: ...

@final
class ExchangeOptions:
    origin: OriginPool
    connect_socket: Any
    followup_statuses: Container[int] | None
    observe_response: Callable[[Any], object] | None
    response_class: type[BaseHttpResponse] | None
    response_options: Any
    encoding: str | None
    is_head_request: bool
    is_idempotent: bool
    retry_stale: bool
    has_retry_policy: bool
    stores_cookies: bool
    max_redirects: int
    close_after: bool
    stream: bool
    strict: bool
    keeps_framing: bool
    max_body: int
    pool_timeout: float
    read_timeout: float
    write_timeout: float
    expect_seconds: float
    def __new__(
        cls,
        origin: OriginPool,
        *,
        connect_socket: Callable[..., Awaitable[tuple[Any, Any]]] | None = None,
        followup_statuses: Container[int] | None = None,
        observe_response: Callable[[Any], object] | None = None,
        response_class: type[BaseHttpResponse] | None = None,
        response_options: Any = None,
        encoding: str | None = None,
        is_head_request: bool = False,
        is_idempotent: bool = False,
        retry_stale: bool = True,
        has_retry_policy: bool = False,
        stores_cookies: bool = False,
        max_redirects: int = 0,
        close_after: bool = False,
        stream: bool = False,
        strict: bool = False,
        keeps_framing: bool = False,
        max_body: int = -1,
        pool_timeout: float = 0.0,
        read_timeout: float = -1.0,
        write_timeout: float = -1.0,
        expect_seconds: float = 0.0,
    ) -> ExchangeOptions: ...

@final
class Exchange:
    options: ExchangeOptions
    connection: Connection | None
    force_new_connection: bool
    emitter: BaseEventEmitter | None
    error: Any
    history: list[BaseHttpResponse] | None
    def __init__(
        self,
        options: ExchangeOptions,
        head: bytes,
        response: BaseHttpResponse,
        body: Any = None,
    ) -> None: ...
    @property
    def response(self) -> BaseHttpResponse: ...
    @property
    def target(self) -> str: ...
    @property
    def time_left(self) -> float | None: ...
    @property
    def elapsed(self) -> float: ...
    def set_time_limit(self, timeout: float, time_left: float) -> None: ...
    def follow(self, location: str) -> Exchange | None: ...
    def attach_stream(self) -> None: ...
    def abort(self) -> None: ...

@disjoint_base
class BaseStreamBody:
    _connection: Connection | None
    _received: bytes | None
    _ended: bool
    timeout: float | None
    _decompress: bool | None
    _recorder: Any
    _on_close: Any
    _lease: Any
    def __init__(
        self,
        response: BaseHttpResponse,
        connection: Connection | None = None,
        received: bytes = b"",
    ) -> None: ...
    @property
    def _response(self) -> Any: ...
    @property
    def _response_ref(self) -> Callable[[], Any]: ...
    @property
    def _raw_bytes(self) -> int: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Coroutine[Any, Any, bytes]: ...
    async def _receive(self) -> bytes: ...
    def __del__(self) -> None: ...

@final
class Pool:
    limit: int
    limit_per_origin: int
    open: int
    closed: bool
    idle_timeout: float
    read_timeout: float
    write_timeout: float
    max_requests: int
    max_age: float
    wake_monitor: Callable[[], None] | None
    kernel: Any
    thread: int
    limits: Limits
    created: int
    reused_count: int
    evictions: int
    def __new__(
        cls,
        limit: int,
        *,
        limit_per_origin: int = 0,
        limits: Limits | None = None,
        buffer: int = 65536,
    ) -> Pool: ...
    def origin(self, route: Any, name: str) -> OriginPool: ...
    def get_idle(self, origin: OriginPool) -> Connection | None: ...
    async def acquire(
        self,
        origin: OriginPool,
        pool_timeout: float | None = None,
        force_new_connection: bool = False,
    ) -> Connection | None: ...
    def add_connection(self, origin: OriginPool, sock: Any, peer: Any = None) -> Connection: ...
    def connect(
        self,
        origin: OriginPool,
        connect_socket: Callable[[OriginPool], Awaitable[tuple[Any, Any]]],
    ) -> Coroutine[Any, Any, Connection]: ...
    def run(self, exchange: Exchange) -> Coroutine[Any, Any, BaseHttpResponse]: ...
    async def cancel_reservation(self, origin: OriginPool) -> None: ...
    def cancel_reservation_nowait(self, origin: OriginPool) -> None: ...
    def close_nowait(self, connection: Connection) -> None: ...
    async def wake_pending(self) -> None: ...
    def check_deadlines(self) -> float | None: ...
    def close(self) -> list[Waiter]: ...
    def stats(self) -> dict[str, int]: ...

def append_path(base: str, path: str) -> str | None: ...

@disjoint_base
class BaseCookie:
    __dict__: dict[str, Any]
    effective_domain: str
    scope_path: str
    host_only: bool
    expires_at: float | None
    creation_index: int
    last_used: int
    def _set(self, public: dict[str, Any], scope_path: str, expires_at: float | None) -> None: ...
    def __getstate__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: tuple[Any, ...]) -> None: ...

@final
class Candidates:
    @property
    def first_expiry(self) -> float: ...
    def __init__(
        self, cookies: Mapping[str, list[Any]], domains: tuple[str, ...], secure: bool
    ) -> None: ...
    def is_current(self, cookies: Mapping[str, list[Any]]) -> bool: ...
    def matching(self, path: str) -> list[Any]: ...
    def value_for(self, path: str, use: int) -> str | bytes | None: ...

def find_replaced(cookies: list[Any], cookie: BaseCookie) -> int: ...
def sending_order(cookie: BaseCookie) -> tuple[int, int]: ...
def path_matches(request_path: str, cookie_path: str) -> bool: ...
def octets(text: str) -> int: ...
def field_value(text: str) -> str | bytes: ...
def encode_plain_pairs(pairs: dict[Any, Any]) -> bytes | None: ...
def split_options(options: dict[str, Any]) -> dict[str, Any]: ...
def template_key(method: str, origin: str, options: dict[str, Any]) -> tuple[Any, ...] | None: ...

@final
class RequestTemplate:
    options: ExchangeOptions
    header_names: frozenset[str]
    final_lines: bytes
    allows_body: bool
    timeout: float
    cookie_jar: Any
    def __new__(
        cls,
        options: ExchangeOptions,
        method: bytes,
        target: bytes,
        header_lines: bytes,
        header_names: frozenset[str],
        encoder: Any,
        *,
        allows_body: bool,
        final_lines: bytes = b"",
        authority: bytes = b"",
        timeout: float = 0.0,
        emitter: BaseEventEmitter,
        params: Any = None,
        cookies: Any = None,
        cookie_jar: Any = None,
        auth_state: tuple[dict[str, Any], dict[str, Any]] | None = None,
        sign_request: Callable[[str], bytes | None] | None = None,
    ) -> RequestTemplate: ...

@disjoint_base
class TemplateCache:
    _templates: dict[tuple[Any, ...], RequestTemplate]
    _headers: Any
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def _clear_templates(self) -> None: ...
    def _set_template(self, key: tuple[Any, ...], template: RequestTemplate) -> None: ...
    def _send(self, method: Any, url: Any, options: dict[str, Any]) -> Any: ...
    def _make(self, method: Any, url: Any, options: dict[str, Any]) -> Any: ...

async def read_remaining(exchange: Exchange, max_bytes: int = -1) -> None: ...
def read_response(
    pieces: Iterable[bytes],
    *,
    limits: Limits | None = None,
    is_head_request: bool = False,
    max_body: int = -1,
    closed: bool = False,
    strict: bool = False,
) -> tuple[int, int, Headers | None, bytes, Headers | None, bool, bool]: ...
