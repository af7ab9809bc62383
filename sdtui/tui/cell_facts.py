"""What a cell has come to, in words: its figures, flags, check and reference figures, and its calls one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sdtui.model.events import CallFinished
from sdtui.model.results import PHASES, StageSummary
from sdtui.model.sizes import allocator_limited
from sdtui.report import precision, processes, text
from sdtui.report.detail import ending
from sdtui.report.merge import Result
from sdtui.tui.detail import page_figures
from sdtui.tui.meters import MIB_PER_GIB

_GAP = " · "


@dataclass(frozen=True)
class Fact:
    """One line of the figures.

    Attributes:
        label: What it is about.
        words: It; empty where there is nothing to say.
        warning: Whether it makes the figures less sure.
    """

    label: str
    words: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """Aligned columns of text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def facts_of(result: Result) -> tuple[Fact, ...]:
    """Returns what is known of a cell, the most important first."""
    found = [
        Fact("ended", _ended(result), result.status not in ("ok", None)),
        Fact("measured on", _where(result)),
        Fact("work", _work(result)),
        *_speed(result),
        *_steps(result),
        *_images(result),
        *_resources(result),
        *(Fact("processes", words) for words in processes.said(result)),
        *(Fact("precision", precision.said(reached)) for _, reached in precision.reached(result)),
        *_check(result),
        *(Fact("flag", str(flag), warning=True) for flag in result.flags),
        Fact("docs page", page_figures(result.spec, result.torch)),
        Fact("run", str(result.run.path)),
    ]
    return tuple(fact for fact in found if fact.words)


def _ended(result: Result) -> str:
    return ending(result) + (f": {' '.join(result.reason.split())}" if result.reason else "")


def _where(result: Result) -> str:
    return _GAP.join([result.device, f"torch {result.torch or text.NOT_AVAILABLE}", result.spec.slot.environment])


def _work(result: Result) -> str:
    spec = result.spec
    stages = " / ".join(f"{stage.steps} steps of {stage.width}×{stage.height}" for stage in spec.stages)
    scale = "tiny scale" if spec.scale == "tiny" else ""
    words = [stages, f"{spec.calls} calls", spec.dtype, f"{spec.weights} weights"]
    return _GAP.join(filter(None, [*words, allocator_limited(spec.vram_limit_bytes), scale]))


# ------------------------------------------------------------------------------------------------------- figures


def _each(stages: Sequence[StageSummary], write: Callable[[StageSummary], str]) -> str:
    """Joins what is written of each stage as the tables do; empty without stages."""
    return " / ".join(write(stage) for stage in stages)


def _named(result: Result, label: str, stage: str) -> str:
    return label if len(result.spec.stages) == 1 else f"{label}, {stage}"


def _speed(result: Result) -> Iterator[Fact]:
    stages = result.summary.stages
    if not stages:
        return
    host = _each(stages, lambda stage: text.rate(stage.host_loop_its))
    yield Fact("speed", f"{text.rates(result.its)} it/s{_GAP}{host} by the host's clock")
    if any(stage.loop_its_interval for stage in stages):
        yield Fact("95 % interval", f"{_each(stages, _interval)} it/s")
    yield Fact("first call", f"{_each(stages, lambda stage: f'{stage.first_call_s:.2f}')} s")


def _interval(stage: StageSummary) -> str:
    known = stage.loop_its_interval
    return f"{text.rate(known.low)} to {text.rate(known.high)}" if known else text.NONE


def _steps(result: Result) -> Iterator[Fact]:
    for stage in result.summary.stages:
        steps = stage.step_ms
        if steps is None:
            continue
        known = steps.median_interval_ms
        sure = f" (95 % interval {known.low:.2f} to {known.high:.2f})" if known else ""
        words = [f"{steps.median_ms:.2f} ms{sure}", f"p5 {steps.p5_ms:.2f}", f"p95 {steps.p95_ms:.2f}"]
        words += [f"p99 {steps.p99_ms:.2f}", f"MAD {steps.mad_ms:.2f}", f"{steps.count:,} steps"]
        yield Fact(_named(result, "median step", stage.stage), _GAP.join(words))
    for achieved in result.roofline:
        of_rate = "" if achieved.share is None else f", {100 * achieved.share:.0f} % of the measured matrix rate"
        words_of_rate = f"{text.significant(achieved.tflops, 3)} TFLOP/s in the median step{of_rate}"
        yield Fact(_named(result, "achieved", achieved.stage), words_of_rate)


def _images(result: Result) -> Iterator[Fact]:
    summary = result.summary
    if summary.images_per_second and summary.seconds_per_image:
        yield Fact("images", f"{summary.images_per_second:.3f}/s{_GAP}{summary.seconds_per_image:.3f} s each")
    size = result.spec.slot.batch_size
    for stage in summary.stages:
        parts = (("text", stage.text_encoding_ms), ("denoising", stage.denoising_ms), ("VAE", stage.vae_ms))
        words = [f"{name} {ms / size:.1f} ms" for name, ms in (*parts, ("other", stage.other_ms))]
        yield Fact(_named(result, "an image", stage.stage), _GAP.join(words))
    known = [f"{phase} {seconds:.1f} s" for phase in PHASES if (seconds := summary.phase_seconds.get(phase))]
    yield Fact("phases", _GAP.join(known))


def _resources(result: Result) -> Iterator[Fact]:
    summary, energy = result.summary, result.energy
    if summary.peak_rss_mib is not None:
        yield Fact("memory", f"peak {_gib(summary.peak_rss_mib)} resident")
    if summary.cpu_percent is not None:
        yield Fact("CPU", f"{summary.cpu_percent:.0f} % (100 is one core)")
    if summary.peak_vram_mib is not None:
        yield Fact("memory", f"peak {_gib(summary.peak_vram_mib)} of the device{_allocator(result)}")
    used = summary.gpu_utilisation_percent
    words = [] if used is None else [f"{used:.0f} % utilised"]
    words += [] if result.sm_clock_mhz is None else [f"SM clock {result.sm_clock_mhz:.0f} MHz (median)"]
    if energy:
        words += [f"{energy.mean_power_w:.0f} W", f"{energy.joules_per_image:.1f} J per image"]
    yield Fact("GPU", _GAP.join(words))


def _allocator(result: Result) -> str:
    stages = [stage for stage in result.summary.stages if stage.peak_allocated_mib is not None]
    if not stages:
        return ""
    allocated = _each(stages, lambda stage: text.number((stage.peak_allocated_mib or 0) / MIB_PER_GIB))
    reserved = _each(stages, lambda stage: text.number((stage.peak_reserved_mib or 0) / MIB_PER_GIB))
    return f"{_GAP}torch allocated {allocated}, reserved {reserved} GiB"


def _gib(mib: float) -> str:
    return f"{mib / MIB_PER_GIB:.1f} GiB"


def _check(result: Result) -> Iterator[Fact]:
    told = result.check
    if told is None:
        return
    words = [told.verdict + (f": {told.reason}" if told.reason else "")]
    if told.distance:
        limits = told.limits
        most = f" (at most {limits.relative_l2:.2g})" if limits else ""
        least = f" (at least {limits.psnr_db:g})" if limits else ""
        psnr = "equal images" if told.distance.psnr_db is None else f"PSNR {told.distance.psnr_db:.1f} dB{least}"
        words += [f"relative L2 {told.distance.relative_l2:.2g}{most}", psnr]
    yield Fact("output check", _GAP.join(words), told.verdict == "failed")


# --------------------------------------------------------------------------------------------------------- calls


def calls_of(result: Result) -> Table:
    """Returns every finished call of every stage and process."""
    several, staged = len(result.processes) > 1, len(result.spec.stages) > 1
    header = [*(["process"] if several else []), "call", *(["stage"] if staged else []), "it/s", "median ms"]
    header += ["wall s", "text ms", "denoising", "VAE", "other", "peak GiB"]
    rows = []
    for process in result.processes:
        medians = {
            (stage.stage, call.call): call.step_ms.median_ms
            for stage in process.summary.stages
            for call in stage.calls
            if call.step_ms
        }
        for call in process.record.calls:
            name = [*([str(process.record.process)] if several else []), str(call.call)]
            row = [*name, *([call.stage] if staged else []), *_call(call, medians.get((call.stage, call.call)))]
            rows.append(tuple(row))
    return Table(tuple(header), tuple(rows))


def _call(call: CallFinished, median_ms: float | None) -> list[str]:
    its = 1000 * call.steps / call.loop_ms if call.loop_ms > 0 else 0.0
    parts = (call.text_encoding_ms, call.denoising_ms, call.vae_ms, call.other_ms)
    peak = None if call.peak_allocated_mib is None else call.peak_allocated_mib / MIB_PER_GIB
    split = [text.number(part) for part in parts]
    return [text.rate(its), text.number(median_ms, 2), f"{call.wall_ms / 1000:.2f}", *split, text.number(peak)]


def compilations_of(result: Result) -> tuple[Fact, ...]:
    """Returns what was compiled in which call, and every cause of a recompile or graph break."""
    found = []
    for process in result.processes:
        for call in process.record.calls:
            told = call.compilation
            if told is None:
                continue
            where = _named(result, f"call {call.call}", call.stage)
            seconds = "" if told.seconds is None else f" in {told.seconds:.1f} s"
            warmth = told.warmth(process.record.compile_cache)
            cache = f", Inductor's cache {warmth}" if warmth else ""
            found.append(
                Fact(where, f"compiled {told.graphs} {'graph' if told.graphs == 1 else 'graphs'}{seconds}{cache}")
            )
            found += [Fact(where, f"recompiled: {reason}", warning=True) for reason in told.recompiles]
            found += [Fact(where, f"graph break ({n}×): {why}", warning=True) for why, n in told.graph_breaks.items()]
    return tuple(found)
