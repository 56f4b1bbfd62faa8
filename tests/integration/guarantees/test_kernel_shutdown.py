"""Requests while a kernel shuts down: curio cancels the tasks that are left when `main` returns.

Facts:  a task that is spawned after the shutdown began, and is not over at its end, makes curio's
        kernel fail with an AssertionError, which replaces the error of the program.
Rules:  the programs run as processes on both kernels, for what they write to stderr counts.
Not here: the documented programs of asks (tests/asks_compat/test_documented.py).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from typing import Any

import curio
import pytest
from support.kernels import make_compiled_kernel, make_curio_kernel
from support.script_steps import SERVING, expect, stall
from support.scripted_server import MakePeer
from support.servers import Server

import asks_fast
from asks_fast._shutdown import is_shutting_down
from asks_fast.errors import ReadTimeout

RUN_CALLS = ["curio.run(main)", "asks_fast.run(main)"]
KERNELS = [make_curio_kernel, make_compiled_kernel]
HEAD = """
import signal
import sys
import curio
import asks_fast

url = sys.argv[1]
named = url.replace("127.0.0.1", "localhost")
"""


def run(program: str, run_call: str, url: str) -> tuple[int, str, str]:
    """Exit status, stdout and the last line of stderr, which has only the traceback of the
    program's error.
    """
    source = HEAD + textwrap.dedent(program) + run_call
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", source, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr.count("Traceback") <= (done.returncode != 0), done.stderr
    assert "AssertionError" not in done.stderr
    return done.returncode, done.stdout, done.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize("run_call", RUN_CALLS)
def test_first_request_in_a_finally(run_call: str, app_server: Server) -> None:
    """The first request of a session works in a task that is cancelled."""
    program = """
        async def worker(session, number):
            try:
                await curio.sleep(1000)
            finally:
                print((await session.get(f"{url}/asks/test/{number}")).text)

        async def main():
            session = asks_fast.DSession(connections=1)
            for number in range(3):
                await curio.spawn(worker, session, number)
            await curio.sleep(0)

        """
    assert run(program, run_call, app_server.url) == (0, "2\n1\n0\n", "")


@pytest.mark.parametrize("run_call", RUN_CALLS)
def test_the_error_of_the_program_propagates(run_call: str, app_server: Server) -> None:
    """The program's error is not replaced by an error of the shutdown."""
    program = """
        session = asks_fast.DSession(connections=3)

        async def worker():
            try:
                await session.get(url)
            finally:
                await asks_fast.get(named)

        async def main():
            for _ in range(10):
                await curio.spawn(worker)
            raise LookupError("of the program")

        """
    code, out, last = run(program, run_call, app_server.url)
    assert (code, out, last) == (1, "", "LookupError: of the program")


@pytest.mark.parametrize("run_call", RUN_CALLS)
def test_ctrl_c(run_call: str, app_server: Server) -> None:
    """KeyboardInterrupt ends the program, and requests in `finally:` blocks work."""
    program = """
        async def worker():
            try:
                await curio.sleep(1000)
            finally:
                print((await asks_fast.get(f"{named}/asks/test/1")).text)

        async def main():
            await curio.spawn(worker)
            await curio.sleep(0)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                await curio.sleep(1000)
            finally:
                print((await asks_fast.get(f"{url}/asks/test/2")).text)

        """
    code, out, last = run(program, run_call, app_server.url)
    assert (code, out, last) == (-signal.SIGINT, "1\n2\n", "KeyboardInterrupt")


@pytest.mark.parametrize("run_call", RUN_CALLS)
def test_everything_that_starts_tasks(run_call: str, app_server: Server) -> None:
    """A look-up, a stream, a bulk run, a retry and a warm-up work; a bare `map` is cancelled."""
    program = """
        async def bare(session):
            async for _ in session.map([f"{url}/get"]):
                break

        async def worker():
            try:
                await curio.sleep(1000)
            finally:
                async with asks_fast.DSession(connections=2) as session:
                    r = await session.get(f"{named}/bytes/100000", stream=True)
                    print(len(await r.body.read()))
                    async with session.map([f"{url}/get"] * 5, concurrency=2) as results:
                        print(len([result async for result in results]))
                    print(len(await session.gather([f"{named}/get"] * 5)))
                    flaky = f"{url}/flaky/{key}/1"
                    print((await session.get(flaky, retries=asks_fast.Retry(2))).status_code)
                    try:
                        await bare(session)
                    except curio.TaskCancelled as error:
                        print(error)
                async with asks_fast.HSession(url, connections=2) as session:
                    print(await session.warm_up())
                r = await asks_fast.get(url, timeout=5, callback=len)
                print(r.status_code)

        async def main():
            await curio.spawn(worker)
            await curio.sleep(0)

        """
    program = f"key = {run_call.partition('.')[0]!r}\n" + textwrap.dedent(program)
    code, out, last = run(program, run_call, app_server.url)
    expected = ["100000", "5", "5", "200", "the kernel is shutting down", "2", "200"]
    assert (code, out.splitlines(), last) == (0, expected, "")


@pytest.mark.parametrize("run_call", RUN_CALLS)
def test_requests_interrupted_at_each_stage(run_call: str, app_server: Server) -> None:
    """Tasks that resolve, connect, wait in the queue, read or run a `map` end without output."""
    program = """
        async def mapping(session):
            async for result in session.map([f"{named}/slow/1000"] * 20, concurrency=5):
                raise AssertionError(result)

        async def main():
            session = asks_fast.DSession(connections=2)
            for turns in range(8):
                for _ in range(3):
                    await curio.spawn(session.get, f"{named}/slow/1000")
                    await curio.spawn(asks_fast.get, f"{named}/slow/1000")
                await curio.spawn(mapping, session)
                for _ in range(turns):
                    await curio.sleep(0)

        """
    assert run(program, run_call, app_server.url) == (0, "", "")


@pytest.mark.parametrize("make_kernel", KERNELS)
def test_time_limits_hold_during_a_shutdown(make_kernel: Any, peer: MakePeer) -> None:
    """`read_timeout` ends requests to a silent server, also those waiting in the queue."""
    silent = peer([expect(), stall()], backlog=16)
    errors: list[BaseException] = []

    async def worker(session: asks_fast.DSession) -> None:
        async with curio.disable_cancellation():
            await curio.sleep(0)
            try:
                await session.get(silent.url, read_timeout=0.05)
            except ReadTimeout as error:
                errors.append(error)

    async def main() -> None:
        session = asks_fast.DSession(connections=1)
        for _ in range(3):
            await curio.spawn(worker, session, daemon=True)

    with make_kernel() as kernel:
        kernel.run(main)
    assert len(errors) == 3


@pytest.mark.parametrize("make_kernel", KERNELS)
def test_a_cancelled_look_up_is_repeated(make_kernel: Any, peer: MakePeer) -> None:
    """A shutdown that cancels a look-up does not fail the requests that wait for it."""
    server = peer(SERVING)
    lookups: list[str] = []
    texts: list[str] = []

    async def resolver(host: str) -> list[str]:
        lookups.append(host)
        if len(lookups) == 1:
            await curio.sleep(1000)
        return ["127.0.0.1"]

    async def worker(session: asks_fast.DSession) -> None:
        async with curio.disable_cancellation():
            response = await session.get(f"http://a.test:{server.port}")
            texts.append(response.text)

    async def main() -> None:
        session = asks_fast.DSession(resolver=resolver, headers={"Connection": "close"})
        for _ in range(2):
            await curio.spawn(worker, session, daemon=True)
        while not lookups:
            await curio.sleep(0)

    with make_kernel() as kernel:
        kernel.run(main)
    assert texts == ["ok", "ok"]


@pytest.mark.parametrize("make_kernel", KERNELS)
def test_is_shutting_down(make_kernel: Any) -> None:
    """True only while the kernel cancels its tasks for good; it may run several times before."""
    seen: list[bool] = []

    async def look(kernel: Any) -> None:
        seen.append(is_shutting_down(kernel))

    async def look_when_cancelled(kernel: Any) -> None:
        try:
            await curio.sleep(1000)
        finally:
            await look(kernel)

    async def main(kernel: Any) -> None:
        await look(kernel)
        task = await curio.spawn(look_when_cancelled, kernel)
        await curio.sleep(0)
        await task.cancel()
        await curio.spawn(look_when_cancelled, kernel, daemon=True)
        await curio.sleep(0)

    with make_kernel() as kernel:
        kernel.run(main, kernel)
        kernel.run(look, kernel)
        assert seen == [False, False, False]
    assert seen == [False, False, False, True]


class TestWaitForTasks:
    """`asks_fast.run(main, wait_for_tasks=True)`."""

    def test_waits_for_tasks_of_tasks_and_not_for_daemons(self) -> None:
        """It returns what `main` returned when only daemons are left."""
        done: list[str] = []

        async def child() -> None:
            await curio.sleep(0.01)
            done.append("child")

        async def parent() -> None:
            await curio.spawn(child)
            done.append("parent")

        async def main() -> int:
            await curio.spawn(curio.sleep, 1000, daemon=True)
            await curio.spawn(parent)
            return 42

        assert asks_fast.run(main, wait_for_tasks=True) == 42
        assert done == ["parent", "child"]

    def test_a_crash_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """A crash of one task does not end the others."""
        done: list[int] = []

        async def crash() -> None:
            raise LookupError("of a task")

        async def work() -> None:
            await curio.sleep(0.01)
            done.append(1)

        async def main() -> None:
            await curio.spawn(crash)
            await curio.spawn(work)

        asks_fast.run(main, wait_for_tasks=True)
        assert done == [1]
        assert [record.getMessage().split(":")[0] for record in caplog.records] == ["Task Crash"]

    def test_an_error_of_main_cancels_the_rest(self) -> None:
        """An error of `main` propagates at once and cancels the other tasks."""

        async def main() -> None:
            await curio.spawn(curio.sleep, 1000)
            raise LookupError("of main")

        with pytest.raises(LookupError):
            asks_fast.run(main, wait_for_tasks=True)

    def test_ctrl_c_ends_all(self, app_server: Server) -> None:
        """Ctrl-C while the tasks are awaited ends all of them."""
        program = """
            async def worker():
                try:
                    await curio.sleep(1000)
                finally:
                    print("cancelled")

            async def main():
                await curio.spawn(worker)
                await curio.sleep(0)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                signal.signal(signal.SIGALRM, signal.default_int_handler)

            """
        call = "asks_fast.run(main, wait_for_tasks=True)"
        code, out, last = run(program, call, app_server.url)
        assert (code, out, last) == (-signal.SIGINT, "cancelled\n", "KeyboardInterrupt")
