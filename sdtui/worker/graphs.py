"""CUDA graphs, captured piece by piece. Needs torch alone."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

import torch


class Graph(Protocol):
    """What is captured once and replayed, on the same memory."""

    def begin(self) -> None:
        """Captures what this thread has the device do from now on, instead of doing it."""

    def end(self) -> None:
        """Ends the capture."""

    def outside(self) -> contextlib.AbstractContextManager[Any]:
        """Returns a context within which the device does things meanwhile, uncaptured."""

    def replay(self) -> None:
        """Does it all again."""


class CudaGraphs:
    """Makes CUDA graphs that are replayed in the order in which they are captured: they share their memory.

    What a graph allocates while it is captured may be memory that it, or one before it, has used already and will write
    to in each replay: what is filled between replays has to be allocated outside.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._stream = torch.cuda.Stream()
        self._there: weakref.WeakSet[CudaGraph] = weakref.WeakSet()

    def __call__(self) -> CudaGraph:
        """Makes one more. With the last graph of a pool the pool ends: the next begins another."""
        if not self._there:
            self._pool = torch.cuda.graph_pool_handle()
        graph = CudaGraph(self._pool, self._stream)
        self._there.add(graph)
        return graph


class CudaGraph:
    """A CUDA graph that is captured on a stream beside the current one."""

    def __init__(self, pool: Any, stream: torch.cuda.Stream) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._pool = pool
        self._stream = stream
        self._current = torch.cuda.current_stream()

    def begin(self) -> None:
        """Begins, on the stream beside, once the current one has got so far."""
        self._current = torch.cuda.current_stream()
        self._stream.wait_stream(self._current)
        torch.cuda.set_stream(self._stream)
        self._graph.capture_begin(pool=self._pool, capture_error_mode="relaxed")

    def end(self) -> None:
        """Ends, and goes back to the stream that was current."""
        try:
            self._graph.capture_end()
        finally:
            torch.cuda.set_stream(self._current)

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Goes back to that stream for a while."""
        with torch.cuda.stream(self._current):
            yield

    def replay(self) -> None:
        """Launches it on the current stream."""
        self._graph.replay()
