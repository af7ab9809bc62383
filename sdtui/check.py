"""The output check: is what a mode puts out what ``no-compile`` puts out? The limits are here and nowhere else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sdtui.model.cell import Cell, Dtype, Stage
from sdtui.model.events import CellChecked
from sdtui.model.results import Distance
from sdtui.records import CellRecord, RunRecord

BASE = "no-compile"
"""The mode that every other is held against."""


@dataclass(frozen=True)
class Limits:
    """How far an output may lie from that of ``no-compile``.

    Attributes:
        relative_l2: At most.
        psnr_db: At least.
    """

    relative_l2: float
    psnr_db: float


LIMITS: dict[Dtype, Limits] = {
    "float32": Limits(relative_l2=1e-4, psnr_db=70.0),
    "float16": Limits(relative_l2=5e-3, psnr_db=50.0),
    "bfloat16": Limits(relative_l2=4e-2, psnr_db=38.0),
}
"""By the coarsest dtype that is at work, coarser ones later; docs/methodology.md has the table they are taken from."""

SPREAD = 3.0
"""How much more rounding may do with each stage that is fed with another's images, and where pixels are compared."""


@dataclass(frozen=True)
class Check:
    """What became of one cell's check.

    Attributes:
        reason: Why it failed, or was not checked; empty where it passed.
        against: Id of the cell of ``no-compile``, where the run has one.
        distance: Between the two outputs, where they were compared.
        limits: That the distance is held against.
    """

    verdict: Literal["passed", "failed", "not checked"]
    reason: str = ""
    against: str | None = None
    distance: Distance | None = None
    limits: Limits | None = None


def check_output(run: RunRecord, record: CellRecord) -> Check | None:
    """Judges a cell's output.

    Args:
        run: That the cell is of.
        record: The cell.

    Returns:
        ``None`` for ``no-compile`` itself and for a cell that did not end ok.
    """
    if record.spec.mode.name == BASE or not is_ok(record):
        return None
    base = base_of(run.cells, record.spec)
    if base is None:
        return Check("not checked", f"the run has no {BASE} beside it")
    told = record.checked if record.checked and record.checked.against == base.spec.id else None
    ended = last_ok(base)
    if ended is None and told is None:
        return Check("not checked", f"{BASE} did not end ok", base.spec.id)
    sitting = run.sitting_of(record)
    return _judged(record, ended or base, told, on_gpu=sitting is not None and sitting.started.machine.gpu is not None)


def base_of(cells: Mapping[str, CellRecord], spec: Cell) -> CellRecord | None:
    """Returns the cell of ``no-compile`` whose output a cell's should be: same pipeline, environment and batch size."""
    slot = dataclasses.replace(spec.slot, mode=BASE)
    return next((cell for cell in cells.values() if cell.spec.slot == slot and _same_image(cell.spec, spec)), None)


def is_ok(record: CellRecord) -> bool:
    """Says whether a cell ended ok, and so has an output."""
    return record.finished is not None and record.finished.status == "ok"


def last_ok(record: CellRecord) -> CellRecord | None:
    """Returns the last process of a cell that ended ok, and so has an output; ``None`` where none did."""
    return next((process for process in reversed(record.processes) if is_ok(process)), None)


def limits_for(spec: Cell, base: Cell, on_gpu: bool) -> Limits:
    """Returns the limits for a pair of cells: `LIMITS`, wider where stages feed each other or pixels are compared.

    On a GPU float32's are float16's: torch's convolutions use TF32 there unless told otherwise
    (``torch.backends.cudnn.allow_tf32``), which has float16's digits.
    """
    finest: Dtype = "float16" if on_gpu else "float32"
    limits = LIMITS[max(spec.dtype, base.dtype, finest, key=list(LIMITS).index)]
    spread = SPREAD ** (_links(spec.stages) + _ends_in_pixels(spec.stages))
    return Limits(limits.relative_l2 * spread, round(limits.psnr_db - 20 * math.log10(spread), 1))


def _links(stages: Sequence[Stage]) -> int:
    """Returns how many times an image is handed on before the last stage takes it."""
    links: dict[str, int] = {}
    for stage in stages:
        fed = [links[made.stage] + 1 for made in stage.inputs.values() if made.source == "stage"]
        links[stage.name] = max(fed, default=0)
    return links[stages[-1].name]


def _ends_in_pixels(stages: Sequence[Stage]) -> bool:
    """Says whether the last stage denoises pixels, which it gives as they are: there are no latents to compare."""
    return stages[-1].arguments.get("output_type") == "pt"


def too_far(distance: Distance, limits: Limits) -> str:
    """Says where a distance is beyond the limits; empty where it is within them."""
    found = []
    if distance.relative_l2 > limits.relative_l2:
        found.append(f"relative L2 {distance.relative_l2:.2g} from {BASE}'s latents (at most {limits.relative_l2:.2g})")
    if distance.psnr_db is not None and distance.psnr_db < limits.psnr_db:
        found.append(f"PSNR {distance.psnr_db:.1f} dB to {BASE}'s image (at least {limits.psnr_db:g} dB)")
    return ", ".join(found)


def _same_image(one: Cell, other: Cell) -> bool:
    return all(getattr(one, key) == getattr(other, key) for key in ("scale", "weights", "seed", "prompt", "stages"))


def _judged(record: CellRecord, base: CellRecord, told: CellChecked | None, on_gpu: bool) -> Check:
    against = base.spec.id
    distance = told.distance if told else None
    limits = limits_for(record.spec, base.spec, on_gpu) if distance else None
    found = [_counts(record, base), told.reason if told and told.readable else ""]
    if distance and limits:
        found.append(too_far(distance, limits))
    reason = "; ".join(what for what in found if what)
    if reason:
        return Check("failed", reason, against, distance, limits)
    if distance is None:
        why = told.reason if told else f"its output and {BASE}'s were not both there to compare"
        return Check("not checked", why, against)
    return Check("passed", "", against, distance, limits)


def _counts(record: CellRecord, base: CellRecord) -> str:
    """A step that was left out may change the output by less than rounding does, but it is counted."""
    ours, theirs = ({call.stage: call.forwards for call in cell.calls} for cell in (record, base))
    return "; ".join(
        f"{ours[stage]} denoiser evaluations{f' in {stage}' if len(ours) > 1 else ''}, {BASE} has {count}"
        for stage, count in theirs.items()
        if stage in ours and ours[stage] != count
    )
