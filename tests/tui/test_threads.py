"""Threads beside the screens: what they raise is seen, and the process need not wait for them."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from sdtui.tui.threads import in_thread

VARIABLE = contextvars.ContextVar("VARIABLE", default=0)


async def test_ends_when_the_function_has() -> None:
    seen: list[object] = []
    VARIABLE.set(3)
    await in_thread(lambda cancelled: seen.extend((VARIABLE.get(), cancelled(), threading.get_ident())), lasting=True)
    assert seen[:2] == [3, False]
    assert seen[2] != threading.get_ident()


async def test_raises_what_the_function_raises() -> None:
    def fail(cancelled: object) -> None:
        raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        await in_thread(fail, lasting=True)


async def test_ends_at_once_when_it_is_cancelled_and_says_so() -> None:
    began, told, ended = threading.Event(), threading.Event(), threading.Event()

    def work(cancelled: object) -> None:
        began.set()
        told.wait(30)
        assert cancelled()  # type: ignore[operator]
        ended.set()

    task = asyncio.create_task(in_thread(work, lasting=True))
    await asyncio.to_thread(began.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    told.set()
    assert await asyncio.to_thread(ended.wait, 30)


@pytest.mark.parametrize(("lasting", "printed"), [(True, ""), (False, "done\n")])
def test_the_process_waits_for_what_must_be_finished_alone(lasting: bool, printed: str) -> None:
    code = f"""
import asyncio, threading, time
from sdtui.tui.threads import in_thread

async def main():
    began = threading.Event()
    def work(cancelled):
        began.set()
        while not cancelled(): time.sleep(0.01)
        for _ in range(100 if {lasting} else 1): time.sleep(0.1)
        print("done")
    task = asyncio.create_task(in_thread(work, lasting={lasting}))
    await asyncio.to_thread(began.wait)
    task.cancel()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=8, check=True)
    assert (done.stdout, done.stderr) == (printed, "")
