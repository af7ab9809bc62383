"""Puts the steps of a pipeline's denoising loop into CUDA graphs, one per step. Needs torch alone.

The pipeline's own loop goes on running, and its own code is what is captured: from the first denoiser that a step calls
to the end of its scheduler's step, with the guidance in between. What a step reads from outside (latents, embeddings,
masks, a ControlNet's image, noise) is copied into tensors that stay where they are; what it computes with on the host
(timesteps, the coefficients of the scheduler, guidance) is part of the graph. Other tensors of the device that the
loop itself reads between the two cannot be followed, and are refused. Calls that differ in nothing but tensors, images,
texts and generators replay the same graphs; a call with other arguments is captured anew, and so is one after a call
that was interrupted.

In a replay the denoisers return what they returned in the capture, which is stale: only what the scheduler's step
returns counts, and that is the graph's.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch.utils import _pytree as pytree

from sdtui.worker.conditioning import Conditioning
from sdtui.worker.function_modes import Draw, Drawing, Made, draw_anew
from sdtui.worker.graphs import Graph

State = Literal["warm-up", "capture", "replay"]


@dataclass
class _Step:
    """A captured step.

    Attributes:
        returned: What each denoiser returned, in the order of their calls.
        read: Of each call, and of the scheduler's step last, the tensors that the graph reads of its arguments, by
            their place among these.
        result: What the scheduler's step returned.
        state: The scheduler's attributes after the step, such as its own count of steps.
    """

    graph: Graph
    returned: list[Any] = field(default_factory=list)
    read: list[dict[int, torch.Tensor]] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    result: Any = None
    state: dict[str, Any] = field(default_factory=dict)


class StepGraphs:
    """A pipeline whose steps are replayed; called as the pipeline is, with keyword arguments."""

    def __init__(
        self,
        pipe: Any,
        denoisers: Sequence[str],
        new_graph: Callable[[], Graph],
        conditionings: Mapping[str, Conditioning] | None = None,
    ) -> None:
        """Instruments the pipeline; its denoisers may be compiled, but not with CUDA graphs of their own.

        Args:
            pipe: A diffusers pipeline whose loop calls its denoisers, then its scheduler's ``step``, once per step.
            denoisers: The attributes that hold them.
            new_graph: Makes a graph, such as `CudaGraphs`.
            conditionings: Of those denoisers that are given beforehand what no step changes.
        """
        self._pipe = pipe
        self._new_graph = new_graph
        self._state: State = "warm-up"
        self._key: Any = None
        self._steps: list[_Step] = []
        self._number = 0
        self._calls = 0
        self._made = Made()
        self._static: dict[tuple[int, int, int], torch.Tensor] = {}
        self._copied: dict[int, tuple[torch.Tensor, int | None]] = {}
        self._timesteps: dict[tuple[Any, ...], torch.Tensor] = {}
        self._results: dict[int, torch.Tensor] = {}
        self._times: list[torch.Tensor] = []
        self._places: dict[Callable[..., Any], int] = {}
        for name in denoisers:
            denoiser = getattr(pipe, name)
            conditioning = (conditionings or {}).get(name)
            denoiser.forward = self._around_denoiser(denoiser.forward, conditioning)
        pipe.scheduler.step = self._around_step(pipe.scheduler.step)
        pipe.scheduler.set_timesteps = _on_the_host(pipe.scheduler.set_timesteps)

    def __call__(self, **arguments: Any) -> Any:
        """Calls the pipeline.

        Raises:
            RuntimeError: A step does what cannot be captured, such as wait for the device.
        """
        key = _key(arguments)
        try:
            if key != self._key:
                self._forget()
                self._warm_up(arguments)
                self._state = "capture"
            self._begin_call()
            with _collecting_nothing() if self._state == "capture" else contextlib.nullcontext():
                result = self._pipe(**arguments)
        except BaseException:
            self._abandon()
            raise
        interrupted = getattr(self._pipe, "interrupt", False)
        self._key, self._state = None if interrupted else key, "replay"
        self._copied.clear()
        return self._kept(result)

    def _kept(self, returned: Any) -> Any:
        """Returns an output with copies of what lies in the graphs' memory, which the next call overwrites."""
        theirs = {result.untyped_storage().data_ptr() for result in self._results.values()}

        def own(leaf: torch.Tensor) -> torch.Tensor:
            return leaf.clone() if leaf.untyped_storage().data_ptr() in theirs else leaf

        if not isinstance(returned, MutableMapping):
            return pytree.tree_map_only(torch.Tensor, own, returned)
        for name, value in list(returned.items()):
            returned[name] = pytree.tree_map_only(torch.Tensor, own, value)
        return returned

    def _abandon(self) -> None:
        """Ends what a step that failed had begun: its capture, and the look at what it makes."""
        self._made.off()
        self._made.clear()
        if self._state == "capture" and self._steps and self._steps[-1].result is None:
            with contextlib.suppress(RuntimeError):  # what went wrong has ended it, perhaps
                self._steps[-1].graph.end()
        self._forget()

    def _forget(self) -> None:
        self._key = None
        kept = self._steps, self._static, self._copied, self._timesteps, self._results, self._times, self._places
        for each in kept:
            each.clear()

    def _warm_up(self, arguments: Mapping[str, Any]) -> None:
        """Makes the call once without graphs: it compiles what is to be compiled, and shows what steps read."""
        self._state = "warm-up"
        self._begin_call()
        bar, before = self._pipe.progress_bar, [each.get_state() for each in _generators(arguments)]
        self._pipe.progress_bar = _NoBar
        device = self._pipe.device
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                self._pipe(**arguments)
        finally:
            self._pipe.progress_bar = bar
        for generator, state in zip(_generators(arguments), before, strict=True):
            generator.set_state(state)

    def _begin_call(self) -> None:
        self._number = self._calls = 0
        self._copied.clear()

    # ------------------------------------------------------------------------------------------------- denoisers

    def _around_denoiser(self, forward: Callable[..., Any], conditioning: Conditioning | None) -> Callable[..., Any]:
        @functools.wraps(forward)
        def denoise(*args: Any, **kwargs: Any) -> Any:
            place, self._calls = self._calls, self._calls + 1
            self._made.off()
            args, kwargs = self._off_the_host((args, kwargs))
            if conditioning and self._places.setdefault(forward, place) != place:
                raise RuntimeError("precompute gives a denoiser one prompt, and a step calls this one more than once")
            if self._state == "replay":
                step = self._steps[self._number]
                self._feed_again(step.read[place], (args, kwargs))
                if conditioning and not self._number:
                    conditioning.prepare(torch.stack(self._times), args, kwargs)
                return step.returned[place]
            fed_args, fed_kwargs = self._with_timesteps(self._enter(place, (args, kwargs)))
            if conditioning:
                self._condition(conditioning, fed_args, fed_kwargs)
            returned = forward(*fed_args, **fed_kwargs)
            self._made.add(returned)
            self._made.on()
            if self._state == "capture":
                self._steps[-1].returned.append(returned)
            return returned

        return denoise

    def _condition(self, conditioning: Conditioning, args: Any, kwargs: Any) -> None:
        """Gives what belongs to the present step, of those that the warm-up saw."""
        if self._state == "warm-up":
            conditioning.prepare(self._times[-1][None], args, kwargs)
            conditioning.at(0)
            return
        if len(self._steps) == 1:
            with self._steps[-1].graph.outside():
                conditioning.prepare(torch.stack(self._times), args, kwargs)
        conditioning.at(len(self._steps) - 1)

    def _enter(self, place: int, arguments: Any, step: int = -1) -> Any:
        """Feeds the arguments of a call that is not replayed; the first of a step begins it."""
        if self._state == "capture" and place:
            with self._steps[-1].graph.outside():
                fed, read = self._feed(place, arguments, step)
        else:
            fed, read = self._feed(place, arguments, step)
        if self._state == "capture":
            if not place:
                self._steps.append(_Step(self._new_graph()))
                self._steps[-1].graph.begin()
            self._steps[-1].read.append(read)
        return fed

    def _off_the_host(self, arguments: Any) -> Any:
        """Puts timesteps of a batch, which the pipeline has on the host, where the other arguments are."""
        leaves = [leaf for leaf in pytree.tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]
        device = next((leaf.device for leaf in leaves if leaf.device.type != "cpu"), None)
        if device is None or not any(leaf.device.type == "cpu" and leaf.dim() for leaf in leaves):
            return arguments

        def put(leaf: torch.Tensor) -> torch.Tensor:
            return self._on_the_device(leaf, device) if leaf.device.type == "cpu" and leaf.dim() else leaf

        return pytree.tree_map_only(torch.Tensor, put, arguments)

    def _with_timesteps(self, arguments: Any) -> Any:
        """Puts a timestep, which the pipeline has on the host, where the denoisers compute; graphs hold it."""
        leaves = [leaf for leaf in pytree.tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]
        device = next(leaf.device for leaf in leaves if not _is_scalar(leaf))
        if self._state == "warm-up" and self._calls == 1:
            self._times += [self._on_the_device(leaf, device) for leaf in leaves if _is_scalar(leaf)]
        return pytree.tree_map_only(
            torch.Tensor, lambda leaf: self._on_the_device(leaf, device) if _is_scalar(leaf) else leaf, arguments
        )

    # ------------------------------------------------------------------------------------------------- scheduler

    def _around_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def stepped(*args: Any, **kwargs: Any) -> Any:
            place, self._calls = self._calls, 0
            if self._state == "replay":
                captured = self._steps[self._number]
                self._feed_again(captured.read[place], (args, kwargs))
                self._number += 1
                draw_anew(captured.draws, _generators(kwargs))
                captured.graph.replay()
                vars(self._pipe.scheduler).update(captured.state)
                return captured.result
            self._made.off()
            fed_args, fed_kwargs = self._enter(place, (args, kwargs), self._number)
            self._number += 1
            self._made.clear()
            if self._state == "warm-up":
                return step(*fed_args, **fed_kwargs)
            return self._captured(step, fed_args, fed_kwargs)

        return stepped

    def _captured(self, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Captures the scheduler's step, ends the graph and replays it: a capture computes nothing."""
        captured, generators = self._steps[-1], _generators(kwargs)
        with Drawing(captured.graph, generators) as drawing:
            captured.result = step(*args, **kwargs)
        captured.graph.end()
        if _forms(captured.returned) == _forms(self._steps[0].returned):
            captured.returned = self._steps[0].returned  # all that a replay asks of them; the rest is memory held
        captured.state = dict(vars(self._pipe.scheduler))
        captured.draws = drawing.draws
        draw_anew(captured.draws, generators)
        captured.graph.replay()
        leaves = pytree.tree_leaves(_plain(captured.result))
        self._results |= {id(leaf): leaf for leaf in leaves if isinstance(leaf, torch.Tensor)}
        return captured.result

    # -------------------------------------------------------------------------------------------------- what is read

    def _feed(self, place: int, arguments: Any, step: int) -> tuple[Any, dict[int, torch.Tensor]]:
        """Copies what comes from outside to where a graph can read it.

        A scheduler may keep what it is given for later steps: its tensors are its step's own.

        Returns:
            The arguments with the tensors that it reads, and these by their place among the arguments.
        """
        leaves, spec = pytree.tree_flatten(arguments)
        read = {}
        for index, leaf in enumerate(leaves):
            if isinstance(leaf, torch.Tensor) and leaf not in self._made and not _is_scalar(leaf):
                leaves[index] = read[index] = self._to_be_read((step, place, index), leaf)
                self._put(leaf, read[index])
        return pytree.tree_unflatten(leaves, spec), read

    def _feed_again(self, read: Mapping[int, torch.Tensor], arguments: Any) -> None:
        """Copies what comes from outside to where a captured step reads it."""
        leaves = pytree.tree_leaves(arguments)
        for index, into in read.items():
            self._put(leaves[index], into)

    def _to_be_read(self, where: tuple[int, int, int], leaf: torch.Tensor) -> torch.Tensor:
        """Returns what a step reads in place of ``leaf``: itself where an earlier step's graph makes it."""
        if id(leaf) in self._results:
            return leaf
        if where not in self._static:
            self._static[where] = torch.empty_like(leaf)
        return self._static[where]

    def _put(self, leaf: torch.Tensor, into: torch.Tensor) -> None:
        """Copies a tensor, once while it does not change; replays change what they make and do not say so."""
        if leaf is into:
            return
        if leaf.shape != into.shape:
            raise RuntimeError(
                f"a step is given a tensor of shape {tuple(leaf.shape)} where its graph reads {tuple(into.shape)}: "
                "a callback that changes shapes needs a mode without step_graphs"
            )
        copied, version = self._copied.get(id(into), (None, None))
        unchanged = copied is leaf and not leaf.is_inference() and version == leaf._version
        if unchanged and not {id(leaf), id(into)} & self._results.keys():
            return
        into.copy_(leaf)
        self._copied[id(into)] = (leaf, None if leaf.is_inference() else leaf._version)

    def _on_the_device(self, timestep: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Returns what a denoiser computes with; made once, before a capture, which cannot wait for a copy."""
        key = (*timestep.flatten().tolist(), timestep.shape, timestep.dtype)
        if key not in self._timesteps:
            self._timesteps[key] = timestep.to(device)
        return self._timesteps[key]


def _is_scalar(tensor: torch.Tensor) -> bool:
    """Says of a tensor among arguments whether it is a timestep, which the pipeline takes from the host."""
    return tensor.device.type == "cpu" and not tensor.dim()


def _plain(result: Any) -> Any:
    """Returns a scheduler's output as what pytree knows."""
    return dict(result) if isinstance(result, Mapping) else result


def _on_the_host(set_timesteps: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps timesteps in the host's memory: to look at one on the device is to wait for it."""

    @functools.wraps(set_timesteps)
    def on_the_host(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(set_timesteps).bind(*args, **kwargs)
        bound.arguments["device"] = "cpu"
        return set_timesteps(*bound.args, **bound.kwargs)

    return on_the_host


def _generators(arguments: Mapping[str, Any]) -> list[torch.Generator]:
    given = arguments.get("generator")
    return [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]


def _key(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Returns what decides the host's side of a call: tensors by shape, images by size, all else by value."""
    return sorted(
        (name, pytree.tree_map(functools.partial(_outline, name), value)) for name, value in arguments.items()
    )


def _outline(name: str, value: Any) -> Any:
    if isinstance(value, str) and "prompt" in name:  # all texts are encoded to one shape
        return str
    if isinstance(value, torch.Generator):
        return value.device
    if hasattr(value, "tolist"):  # a tensor, or an array or a number of numpy's
        kind = (tuple(value.shape), value.dtype, getattr(value, "device", None))
        return kind if len(value.shape) > 1 else value.tolist()
    size = getattr(value, "size", None)
    return size if isinstance(size, tuple) else value


def _forms(outputs: Sequence[Any]) -> Any:
    """Returns how denoisers' outputs are built, and what of: shapes and dtypes."""
    leaves, spec = pytree.tree_flatten([_plain(each) for each in outputs])
    return spec, [(leaf.shape, leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]


class _NoBar:
    """Shows nothing and times nothing."""

    def __init__(self, iterable: Any = None, total: int | None = None) -> None:  # noqa: ARG002
        self._iterable = iterable

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        """Has nothing to end."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable)

    def update(self, n: int = 1) -> None:
        """Counts nothing."""


@contextlib.contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Keeps the collector from freeing another graph's memory in the middle of a capture."""
    gc.collect()
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
