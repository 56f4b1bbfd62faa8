"""Attributes of other libraries: the error names what asks_fast has instead."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest
from support.script_steps import SERVING
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import DSession, HSession, Response, Session, StreamResponse, sync
from asks_fast._config.other_libraries import MODULE, SESSION, STREAM, WHOLE


def named(hint: str) -> str:
    """The attribute of ours that a hint names first."""
    return (
        hint.removeprefix("use ")
        .removeprefix("not ")
        .split()[0]
        .split("(")[0]
        .split(".")[0]
        .rstrip(",;:")
    )


async def test_responses(peer: MakePeer) -> None:
    """Each hint of a response names an attribute that exists; `hasattr` stays False."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        whole: Any = await session.get()
        streamed: Any = await session.get(stream=True)
        for response, hints in ((whole, WHOLE), (streamed, STREAM)):
            for name, hint in hints.items():
                assert not hasattr(response, name)
                assert not hasattr(type(response), name)
                with pytest.raises(AttributeError, match=re.escape(f"attribute {name!r}; {hint}")):
                    getattr(response, name)
                if hint.startswith("use ") and named(hint) != "json":
                    assert named(hint) in dir(response)
        await streamed.body.close()
    assert pickle.loads(pickle.dumps(whole)).status_code == copy.copy(whole).status_code == 200


@pytest.mark.parametrize("module", [asks_fast, sync])
def test_sessions(module: Any) -> None:
    """Sessions have hints too; a class of the user's may define the names."""
    for session in (module.HSession("http://h"), module.DSession(), module.Session()):
        for name, hint in SESSION.items():
            assert not hasattr(session, name)
            with pytest.raises(AttributeError, match=re.escape(f"attribute {name!r}; {hint}")):
                getattr(session, name)

    class Mine(module.HSession):  # type: ignore[misc]
        def stream(self) -> int:
            return 1

    mine = Mine("http://h")
    mine.hooks = 2
    assert (mine.stream(), mine.hooks) == (1, 2)


def test_package() -> None:
    """Names of other libraries in the package."""
    for name, hint in MODULE.items():
        assert not hasattr(asks_fast, name)
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; use "):
            getattr(asks_fast, name)
        assert hasattr(asks_fast, named(hint)) or "arguments" in hint


@pytest.mark.parametrize("kind", [Response, StreamResponse, HSession, DSession, Session])
def test_no_attribute_is_hidden(kind: type) -> None:
    """No hint has the name of an attribute that exists."""
    for hints in (WHOLE, STREAM, SESSION):
        for name in hints:
            owners = [one for one in kind.__mro__ if name in vars(one)]
            assert len(owners) <= 1, (kind, name)
