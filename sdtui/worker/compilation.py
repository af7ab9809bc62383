"""Reads what torch.compile did, from the counters that torch keeps of itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch._dynamo import utils

from sdtui.model.events import Compilation
from sdtui.worker.reasons import one_line

_METRICS_KEPT = 4096
_CACHES = {"inductor": "fxgraph_cache", "aot_autograd": "autograd_cache"}
"""Groups of torch's counters, and how those of their caches are called."""


class CompilationMeter:
    """Tells call from call what was compiled since it was last asked.

    torch's counters are no public interface: one that a version lacks reads as not available.
    """

    def __init__(self) -> None:
        set_limit = getattr(utils, "set_compilation_metrics_limit", None)
        if set_limit is not None:
            set_limit(_METRICS_KEPT)
        self._counted = self._counters()
        self._metrics = len(_metrics())

    def take(self) -> Compilation | None:
        """Returns what was compiled since the last time; ``None`` where nothing was."""
        counted, metrics = self._counters(), _metrics()
        since, new = counted - self._counted, metrics[self._metrics :]
        self._counted, self._metrics = counted, len(metrics)
        graphs = since["stats/unique_graphs"]
        if not graphs and not new:
            return None
        hits, misses = _cached(since)
        times = [metric.entire_frame_compile_time_s for metric in new if metric.entire_frame_compile_time_s is not None]
        reasons = [getattr(metric, "recompile_reason", None) for metric in new]
        return Compilation(
            graphs=graphs,
            seconds=sum(times) if times else None,
            recompiles=tuple(one_line(reason) for reason in reasons if reason),
            graph_breaks={
                one_line(key.removeprefix("graph_break/")): count
                for key, count in since.items()
                if key.startswith("graph_break/")
            },
            cache_hits=hits,
            cache_misses=misses,
        )

    def _counters(self) -> Counter[str]:
        return Counter(
            {
                f"{group}/{name}": count
                for group in ("stats", "graph_break", *_CACHES)
                for name, count in utils.counters[group].items()
            }
        )


def _cached(since: Counter[str]) -> tuple[int, int] | tuple[None, None]:
    """Returns how many graphs were found in a cache and how many not; ``None`` where none was asked.

    AOTAutograd's cache may keep compiled code itself: then Inductor's is not asked. Where it only knows which code it
    is, Inductor's counts. A graph that cannot be cached (``bypass``) is compiled.
    """
    for group, cache in _CACHES.items():
        hits, misses, bypasses = (since[f"{group}/{cache}_{state}"] for state in ("hit", "miss", "bypass"))
        if hits or misses or bypasses:
            return hits, misses + bypasses
    return None, None


def _metrics() -> list[Any]:
    get = getattr(utils, "get_compilation_metrics", None)
    return list(get()) if get is not None else []
