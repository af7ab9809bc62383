"""Reads what torch.compile did, from the counters that torch keeps of itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch._dynamo import utils

from sdtui.model.events import Compilation
from sdtui.worker.reasons import one_line

_METRICS_KEPT = 4096


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
        inductor = since["inductor/fxgraph_cache_hit"] + since["inductor/fxgraph_cache_miss"] > 0
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
            cache_hits=since["inductor/fxgraph_cache_hit"] if inductor else None,
            cache_misses=since["inductor/fxgraph_cache_miss"] if inductor else None,
        )

    def _counters(self) -> Counter[str]:
        return Counter(
            {
                f"{group}/{name}": count
                for group in ("stats", "graph_break", "inductor")
                for name, count in utils.counters[group].items()
            }
        )


def _metrics() -> list[Any]:
    get = getattr(utils, "get_compilation_metrics", None)
    return list(get()) if get is not None else []
