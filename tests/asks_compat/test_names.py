"""Every name and every position of the asks API: what can be imported and called, and how.

Facts:  the lists below were read off asks 0.2 (2017), 2.4.12 and 3.0.0.
Not here: what the names do (`test_programs`, and the other files of this folder).
"""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from support.servers import Server

import asks_fast
from asks_fast import errors
from asks_fast.compat import MODULES

EXPORTS = {
    "": """get head post put delete options patch request init Session HSession DSession
        AuthBase PreResponseAuth PostResponseAuth BasicAuth DigestAuth install_as_asks
        auth base_funcs sessions errors cookie_utils http_utils multipart response_objects
        request_object req_structs""",
    "auth": "AuthBase PreResponseAuth PostResponseAuth BasicAuth DigestAuth",
    "base_funcs": "get head post put delete options patch request",
    "cookie_utils": "CookieTracker Cookie parse_cookies",
    "errors": """AsksException TooManyRedirects ConnectivityError BadHttpResponse BadStatus
        RequestTimeout ServerClosedConnectionError""",
    "http_utils": "decompress decompress_one parse_content_encoding",
    "multipart": "MultipartData build_multipart_body",
    "req_structs": "CaseInsensitiveDict",
    "request_object": "Request RequestProcessor",
    "response_objects": "BaseResponse Response StreamResponse StreamBody Cookie",
    "sessions": "BaseSession Session HSession DSession",
}
METHODS = ["get", "head", "post", "put", "delete", "options", "patch"]


def module(name: str) -> types.ModuleType:
    return importlib.import_module(f"asks_fast.{name}" if name else "asks_fast")


@pytest.mark.parametrize("name", EXPORTS)
def test_all_names_of_asks_exist(name: str) -> None:
    """Each name that a module of asks exported can be imported from ours."""
    missing = [export for export in EXPORTS[name].split() if not hasattr(module(name), export)]
    assert missing == []


def test_modules_are_attributes() -> None:
    """As with asks, `import asks_fast` makes `asks_fast.errors`, `asks_fast.auth` and the others
    available.
    """
    lines = [f"assert asks.{name}.__name__ == 'asks_fast.{name}'" for name in MODULES]
    code = "\n".join(["import asks_fast as asks", *lines])
    subprocess.run([sys.executable, "-c", code], check=True)


POSITIONS = {
    asks_fast.HSession: {
        "host": inspect.Parameter.empty,
        "endpoint": None,
        "encoding": "utf-8",
        "persist_cookies": None,
        "connections": 1,
    },
    asks_fast.DSession: {"encoding": "utf-8", "persist_cookies": None, "connections": 20},
    asks_fast.Session: {
        "base_location": "",
        "endpoint": "",
        "headers": None,
        "encoding": "utf-8",
        "persist_cookies": None,
        "ssl_context": None,
        "connections": 1,
    },
}


@pytest.mark.parametrize("kind", POSITIONS, ids=lambda kind: kind.__name__)
def test_session_signatures(kind: type) -> None:
    """The arguments of each session have the order and defaults of asks."""
    parameters = inspect.signature(kind).parameters.values()
    positional = {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    }
    assert positional == POSITIONS[kind]
    assert list(positional) == list(POSITIONS[kind])


def test_session_keyword_arguments() -> None:
    """All three take `headers=` and `ssl_context=`."""
    import ssl

    context = ssl.create_default_context()
    for session in (
        asks_fast.HSession("http://h", headers={"a": "b"}, ssl_context=context),
        asks_fast.DSession(headers={"a": "b"}, ssl_context=context),
        asks_fast.Session(headers={"a": "b"}, ssl_context=context),
    ):
        assert session.headers["A"] == "b"


@pytest.mark.parametrize("method", METHODS)
async def test_methods_of_sessions_and_module(method: str, app_server: Server) -> None:
    """Each method is a function of the package and a method of all sessions."""
    url = f"{app_server.url}/anything"
    one_shot = await getattr(asks_fast, method)(url)
    assert one_shot.method == method.upper()
    async with (
        asks_fast.HSession(app_server.url, "/anything") as homogeneous,
        asks_fast.DSession() as disparate,
        asks_fast.Session() as either,
    ):
        for response in (
            await getattr(homogeneous, method)(),
            await getattr(disparate, method)(url),
            await getattr(either, method)(url),
            await disparate.request(method, url),
        ):
            assert response.method == method.upper()
            assert response.status_code == 200
            assert response.url == url


async def test_url_and_uri(app_server: Server) -> None:
    """The one-shot functions took `uri` as the name of the URL; both names work, one is needed."""
    url = f"{app_server.url}/get"
    assert (await asks_fast.get(uri=url)).status_code == 200
    assert (await asks_fast.get(url=url)).status_code == 200
    assert (await asks_fast.request("GET", uri=url)).status_code == 200
    with pytest.raises(TypeError):
        await asks_fast.get()
    with pytest.raises(TypeError):
        await asks_fast.get(url, uri=url)


def test_error_classes_of_asks() -> None:
    """Old `except` clauses still catch the same errors."""
    for child, parents in {
        errors.TooManyRedirects: (errors.AsksException,),
        errors.BadHttpResponse: (errors.AsksException,),
        errors.BadStatus: (errors.AsksException,),
        errors.ConnectivityError: (errors.AsksException,),
        errors.RequestTimeout: (errors.ConnectivityError, TimeoutError),
        errors.ServerClosedConnectionError: (errors.ConnectivityError, ConnectionError),
    }.items():
        assert issubclass(child, parents[0])
        assert issubclass(child, parents[-1])
    status = errors.BadStatus("gone", "response")  # type: ignore[arg-type]
    assert (str(status), status.response, status.status_code) == ("gone", "response", 500)


def test_all_errors_are_asks_exceptions() -> None:
    """Every error class of ours is an AsksException."""
    assert all(issubclass(getattr(errors, name), errors.AsksException) for name in errors.__all__)


@pytest.mark.parametrize("library", ["asyncio", "curio", "trio"])
def test_init(library: str) -> None:
    """`init` accepts the libraries of asks by name or as a module, and only warns."""
    for given in (library, types.ModuleType(library)):
        with pytest.warns(DeprecationWarning, match="not needed"):
            asks_fast.init(given)


def test_init_refuses_other_libraries() -> None:
    """Another library raises an error that names it."""
    with pytest.raises(ValueError, match="gevent"):
        asks_fast.init("gevent")


LIBRARY = """
import asks
import asks.errors
from asks import Session, BasicAuth
from asks.auth import PreResponseAuth
from asks.errors import RequestTimeout as Late
from asks.response_objects import Response

asks.init("curio")


class Client(Session):
    def __init__(self, where):
        super().__init__(where, "/asks", {"x-library": "yes"}, connections=3)

    async def number(self, n):
        answer = await self.get(path=f"/test/{n}", timeout=60)
        assert isinstance(answer, Response)
        return int(answer.text)


async def slow(where):
    try:
        await asks.get(where + "/slow/5", timeout=0.1)
    except Late as error:
        assert isinstance(error, asks.errors.AsksException)
        return "late"
"""
PROGRAM = """
import sys
import asks_fast
asks_fast.install_as_asks()
import curio, library

async def main():
    async with library.Client(sys.argv[1]) as client:
        print(await client.number(7), await library.slow(sys.argv[1]))

curio.run(main)
import asks
print(asks is asks_fast, asks.sessions is asks_fast.sessions, library.Late is
      asks_fast.errors.RequestTimeout)
"""


def test_a_library_that_imports_asks(app_server: Server, tmp_path: Path) -> None:
    """After `install_as_asks()` a library that knows asks only runs on asks_fast."""
    (tmp_path / "library.py").write_text(LIBRARY)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, app_server.url],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "7 late\nTrue True True\n"
