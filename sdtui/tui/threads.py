"""Threads beside the screens, each awaited by a worker of Textual's."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable

Cancelled = Callable[[], bool]


async def in_thread(function: Callable[[Cancelled], None], lasting: bool) -> None:
    """Runs a function in a thread of its own, and ends when it has; when cancelled, ends at once and tells it so.

    A worker with ``thread=True`` would hold the process until its thread ends, however long that reads or waits.

    Args:
        function: Gets what says whether it is to end.
        lasting: Whether the process ends without it.

    Raises:
        Exception: What the function raises.
    """
    loop, gone = asyncio.get_running_loop(), threading.Event()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        raised = None
        try:
            function(gone.is_set)
        except Exception as error:
            raised = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, raised)

    context = contextvars.copy_context()  # in it Textual finds the app
    threading.Thread(target=context.run, args=(run,), daemon=lasting).start()
    try:
        await done
    finally:
        gone.set()
