"""Times one pipeline from within: its denoising steps, and where a call's time goes.

The pipeline's own ``progress_bar`` is replaced by one that marks device time at the start of step 1 and at each update:
N steps give N intervals, whichever callback the pipeline has. Marks are read when the device has reached them, inside a
later update or after the call; nothing waits for the device while the loop runs. Reading and reporting cost more than
marking, so an update does them at most ten times a second, for all steps since.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from sdtui.worker.clock import Clock

REPORT_EVERY_S = 0.1
"""Steps shorter than this are reported several at a time."""


class StepTime(NamedTuple):
    """One interval of the denoising loop.

    Attributes:
        step: Counted from 1.
        steps: How many the call will have.
        ms: Milliseconds.
        forwards: Denoiser evaluations in the interval.
    """

    step: int
    steps: int
    ms: float
    forwards: int


OnSteps = Callable[[Sequence[StepTime]], object]
"""Is told of intervals, in order, once the device has completed them."""


@dataclass(frozen=True)
class Timing:
    """One call, timed. Milliseconds by device marks except ``host_loop_ms`` and ``wall_ms`` (host clock)."""

    steps: int
    forwards: int
    loop_ms: float
    host_loop_ms: float
    wall_ms: float
    text_encoding_ms: float
    denoising_ms: float
    vae_ms: float
    other_ms: float


class _Interval(NamedTuple):
    """A step whose end the device may not have reached."""

    start: Any
    end: Any
    forwards: int


@dataclass
class _Loop:
    """The denoising loop of the present call, as far as it has come."""

    total: int = 0
    steps: int = 0
    forwards: int = 0
    forwards_before: int = 0
    forwards_in_steps: int = 0
    ms: float = 0.0
    host_start: float = 0.0
    host_ms: float = 0.0
    last: Any = None
    pending: deque[_Interval] = field(default_factory=deque)


class StepBar:
    """What the pipeline takes for its progress bar: a context manager with ``update``, or an iterable."""

    def __init__(self, timer: PipelineTimer, total: int, iterable: Sequence[Any] | None) -> None:
        self._timer = timer
        self._total = total
        self._iterable = iterable

    def __enter__(self) -> StepBar:
        self._timer.begin_loop(self._total)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.end_loop()

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self._iterable or ():
                yield item
                self.update()

    def update(self, n: int = 1) -> None:
        """Ends the present step; ``n`` counts as tqdm's does."""
        for _ in range(n):
            self._timer.end_step()

    def set_postfix(self, *_: object, **__: object) -> None:
        """Shows nothing."""


class PipelineTimer:
    """Times the calls of one pipeline object, which it instruments once."""

    def __init__(self, pipe: Any, denoiser: str, clock: Clock) -> None:
        """Instruments ``pipe``.

        Args:
            pipe: A diffusers pipeline, in its mode (compiled or not).
            denoiser: The attribute whose calls are counted, such as ``unet``.
            clock: Of the pipeline's device.
        """
        self._clock = clock
        self._on_steps: OnSteps | None = None
        self._make_context: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
        self._context: AbstractContextManager[Any] = contextlib.nullcontext()
        self.final_latents: torch.Tensor | None = None
        self._loop = _Loop()
        self._report_due = 0.0
        self._spans: dict[str, list[tuple[Any, Any]]] = {}
        pipe.progress_bar = self._progress_bar
        if hasattr(pipe, "encode_prompt"):
            pipe.encode_prompt = self._spanned("text", pipe.encode_prompt)
        vae = getattr(pipe, "vae", None)
        if vae is not None:
            vae.encode = self._spanned("vae", vae.encode)
            vae.decode = self._spanned("vae", self._keeping_latents(vae.decode))
        getattr(pipe, denoiser).register_forward_pre_hook(self._count_forward)

    def time(self, call: Callable[[], Any], on_steps: OnSteps) -> tuple[Any, Timing]:
        """Makes one call of the pipeline.

        Args:
            call: Calls the pipeline.
            on_steps: Is told of every step, in order, of several at a time where they are fast.

        Returns:
            What ``call`` returned, and its timing. A pipeline that never opened its bar has zero steps.
        """
        self._reset()
        self._on_steps = on_steps
        self._clock.wait()
        self._clock.restart()
        host_start = time.perf_counter()
        start = self._clock.mark()
        result = call()
        end = self._clock.mark()
        self._clock.wait()
        wall_ms = (time.perf_counter() - host_start) * 1e3
        self._report(len(self._loop.pending))
        return result, self._timing(self._clock.between_ms(start, end), wall_ms)

    @contextlib.contextmanager
    def around_loop(self, make: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
        """Enters a context of ``make`` around every denoising loop while this one is open."""
        self._make_context = make
        try:
            yield
        finally:
            self._make_context = contextlib.nullcontext

    def begin_loop(self, total: int) -> None:
        """Marks the start of step 1."""
        self._context = self._make_context()
        self._context.__enter__()
        loop = self._loop
        loop.total += total
        loop.host_start = time.perf_counter()
        loop.last = self._clock.mark()
        loop.forwards_before = loop.forwards

    def end_step(self) -> None:
        """Marks the end of a step and, when it is time, reports those that the device has completed."""
        loop = self._loop
        mark = self._clock.mark()
        loop.pending.append(_Interval(loop.last, mark, loop.forwards - loop.forwards_before))
        loop.last = mark
        loop.forwards_before = loop.forwards
        now = time.monotonic()
        if now < self._report_due:
            return
        self._report_due = now + REPORT_EVERY_S
        self._report(sum(1 for _ in itertools.takewhile(lambda i: self._clock.reached(i.end), loop.pending)))

    def end_loop(self) -> None:
        """Takes the host's time of the loop, as tqdm does when it closes."""
        self._loop.host_ms += (time.perf_counter() - self._loop.host_start) * 1e3
        self._context.__exit__(None, None, None)

    def _reset(self) -> None:
        self._spans = {"text": [], "vae": []}
        self._loop = _Loop()

    def _report(self, count: int) -> None:
        """Reads the oldest ``count`` intervals, which the device has completed, and tells of them."""
        loop, completed = self._loop, []
        for _ in range(count):
            interval = loop.pending.popleft()
            ms = self._clock.between_ms(interval.start, interval.end)
            loop.steps += 1
            loop.ms += ms
            loop.forwards_in_steps += interval.forwards
            completed.append(StepTime(loop.steps, loop.total, ms, interval.forwards))
        if completed and self._on_steps is not None:
            self._on_steps(completed)

    def _timing(self, device_ms: float, wall_ms: float) -> Timing:
        loop = self._loop
        spent = {
            name: sum(self._clock.between_ms(start, end) for start, end in spans) for name, spans in self._spans.items()
        }
        return Timing(
            steps=loop.steps,
            forwards=loop.forwards_in_steps,
            loop_ms=loop.ms,
            host_loop_ms=loop.host_ms,
            wall_ms=wall_ms,
            text_encoding_ms=spent["text"],
            denoising_ms=loop.ms,
            vae_ms=spent["vae"],
            other_ms=device_ms - loop.ms - spent["text"] - spent["vae"],
        )

    def _progress_bar(self, iterable: Sequence[Any] | None = None, total: int | None = None) -> StepBar:
        if total is None:
            total = len(iterable) if iterable is not None else 0
        return StepBar(self, total, iterable)

    def _count_forward(self, *_: object) -> None:
        self._loop.forwards += 1

    def _spanned(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = self._clock.mark()
            result = function(*args, **kwargs)
            self._spans[name].append((start, self._clock.mark()))
            return result

        return timed

    def _keeping_latents(self, decode: Callable[..., Any]) -> Callable[..., Any]:
        def kept(latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.final_latents = latents
            return decode(latents, *args, **kwargs)

        return kept
