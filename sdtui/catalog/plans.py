"""Plans: from a preset or a file, and the command line's flags, to one complete `Plan`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdtui.catalog.checking import check, fields_of
from sdtui.catalog.load import Catalog, merged
from sdtui.catalog.schema import PlanKeys, PlanTable, PresetTable
from sdtui.catalog.toml_files import read_toml
from sdtui.check import BASE
from sdtui.model.errors import UserError, near, nearest
from sdtui.model.plan import Plan
from sdtui.model.precision import MAX_CALLS, MAX_SECONDS

DEFAULT_PRESET = "docs"

FLAGS = {
    "pipelines": "--pipeline",
    "modes": "--mode",
    "environments": "--env",
    "batch_sizes": "--batch-size",
    "slots": "--slot",
    "calls": "--calls",
    "scale": "--scale",
    "weights": "--weights",
    "device": "--device",
    "seed": "--seed",
    "steps": "--steps",
    "size": "--size",
    "guidance": "--guidance",
    "dtype": "--dtype",
    "prompt": "--prompt",
    "cold": "--cold",
    "trace": "--trace",
    "exclusive": "--exclusive",
    "processes": "--processes",
    "tune": "--tune",
    "precision": "--precision",
    "max_calls": "--max-calls",
    "max_seconds": "--max-seconds",
    "vram_limit": "--vram-limit",
    "skip_larger_after_oom": "--skip-larger-after-oom",
    "budget": "--budget",
}
"""The flag of each plan key that has one."""


@dataclass(frozen=True)
class PartialPlan:
    """Some keys of a plan, and where each was written.

    Attributes:
        values: By key of `Plan`.
        origins: By the same keys: the file and key, or the flag, as messages name it.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]

    def replaced_by(self, other: PartialPlan) -> PartialPlan:
        """Returns both together; ``other``'s keys count."""
        return PartialPlan({**self.values, **other.values}, {**self.origins, **other.origins})


def resolve_plan(catalog: Catalog, source: str | None, overrides: Mapping[str, Any], gpu_available: bool) -> Plan:
    """Makes the plan that a person asked for.

    Args:
        catalog: What there is to measure.
        source: Name of a preset, or path of a plan file; ``None`` takes the preset ``docs``, whose values also stand in
            for keys that a preset or plan leaves out.
        overrides: Values of flags by plan key; ``None`` where a flag was not given. Batch sizes may be texts such as
            ``1,4``.
        gpu_available: Whether there is a usable GPU.

    Raises:
        UserError: Something in the plan, preset or flags is wrong, or needs a GPU that is not there.
    """
    if source == "":
        raise UserError("plan: must not be empty; write a preset or a plan file")
    flags = read_flags(overrides)
    device = str(flags.values.get("device", ""))
    gpu = device != "cpu" if device else gpu_available
    asked = preset(catalog, DEFAULT_PRESET, gpu)
    if source is not None and source not in catalog.presets and _is_path(source):
        table = read_plan(Path(source))
        catalog = catalog.with_own(table.mode, table.pipeline, source, Path(source).parent)
        asked = asked.replaced_by(_partial(table, source, Path(source).parent))
    elif source is not None:
        asked = asked.replaced_by(preset(catalog, source, gpu))
    asked = asked.replaced_by(flags)
    _check_names(catalog, asked)
    asked = _with_limits(asked)
    if not gpu_available:
        _check_device(asked, None if source in catalog.presets else source)
    _check_vram_limit(asked)
    _check_tuning(asked)
    plan = _with_definitions(catalog, asked)
    _check_slots(plan, asked.origins)
    return plan


def with_plan(catalog: Catalog, source: str | None) -> Catalog:
    """Returns the catalog with the modes and pipelines of a plan file added; as it is without one.

    Raises:
        UserError: The file, or something in it, is wrong.
    """
    if source is None:
        return catalog
    table = read_plan(Path(source))
    return catalog.with_own(table.mode, table.pipeline, source, Path(source).parent)


def number(text: str | None) -> int | float | str | None:
    """Returns what a person wrote for a flag as a number; a plan's checks refuse what is none."""
    if text is None or re.fullmatch(r"[+-]?\d+", text):
        return None if text is None else int(text)
    try:
        return float(text)
    except ValueError:
        return text


def origin(key: str, source: str | None, overrides: Mapping[str, Any]) -> str:
    """Returns where a person wrote a key of a plan, as messages name it; arguments as of `resolve_plan`."""
    if overrides.get(key) is not None:
        return FLAGS[key]
    if source is None or not _is_path(source):
        return f"preset '{source or DEFAULT_PRESET}': {key}"
    return f"{source}: {key}"


def read_plan(path: Path) -> PlanTable:
    """Reads a plan file; names in it are not looked up yet.

    Raises:
        UserError: It cannot be read, is no TOML, or a key or value is wrong.
    """
    return check(PlanTable, read_toml(path), str(path))


def read_flags(overrides: Mapping[str, Any]) -> PartialPlan:
    """Reads flags; names in them are not looked up yet.

    Args:
        overrides: Values by plan key, as of `resolve_plan`.

    Raises:
        UserError: A value is wrong; the message begins with its flag.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    if "batch_sizes" in given:
        given["batch_sizes"] = _batch_sizes(given["batch_sizes"])
    for key, value in given.items():
        _check_unicode(value, FLAGS[key])
    keys = check(PlanKeys, given, "command line", FLAGS)
    values = {key: getattr(keys, key) for key in given}
    if "weights" in values:
        values["weights"] = _weights(values["weights"], Path(), "--weights")
    return PartialPlan(values, {key: FLAGS[key] for key in values})


def preset(catalog: Catalog, name: str, gpu: bool) -> PartialPlan:
    """Returns a preset's keys.

    Args:
        catalog: That holds the preset.
        name: Of the preset.
        gpu: Whether the preset's choices for a machine with a GPU count, or those for one without.

    Raises:
        UserError: There is no such preset.
    """
    if name not in catalog.presets:
        hint = nearest(name, catalog.presets)
        raise UserError(f"preset '{name}': unknown, and no such plan file; {hint}")
    table: PresetTable = catalog.presets[name]
    where, here = f"preset '{name}'", Path()
    choice = table.gpu if gpu else table.cpu
    keys = _partial(table, where, here)
    return keys.replaced_by(_partial(choice, where, here)) if choice else keys


# -------------------------------------------------------------------------------------------------------- reading


def _is_path(source: str) -> bool:
    return source.endswith(".toml") or "/" in source or Path(source).exists()


def _partial(keys: PlanKeys, where: str, folder: Path) -> PartialPlan:
    values = {key: getattr(keys, key) for key in fields_of(PlanKeys) if getattr(keys, key) is not None}
    if "weights" in values:
        values["weights"] = _weights(values["weights"], folder, f"{where}: weights")
    return PartialPlan(values, {key: f"{where}: {key}" for key in values})


def _check_unicode(value: Any, flag: str) -> None:
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{flag}: {value!a} is not UTF-8") from error


def _batch_sizes(given: Any) -> list[Any]:
    items = [part for item in ([given] if isinstance(given, str) else given) for part in str(item).split(",")]
    return [int(item) if re.fullmatch(r"\s*[+-]?\d+\s*", item) else item for item in items]


def _weights(text: str, folder: Path, where: str) -> str:
    """Returns ``random``, ``published`` or a hub id as it is, and a folder as its absolute path."""
    if text in ("random", "published"):
        return text
    path = folder / Path(text).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if text.startswith(("/", ".", "~")):
        raise UserError(f"{where}: '{text}' is no folder")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text):
        hint = "write 'random', 'published', a folder, or a hub id (owner/name)"
        raise UserError(f"{where}: '{text}' names no weights; {hint}")
    return text


# ------------------------------------------------------------------------------------------------------- checking


def _check_names(catalog: Catalog, asked: PartialPlan) -> None:
    valid: dict[str, Iterable[str]] = {"pipelines": catalog.pipelines, "modes": catalog.modes}
    for key, names in valid.items():
        for name in asked.values[key]:
            if name not in names:
                raise UserError(f"{asked.origins[key]}: unknown name '{name}'; {nearest(name, names)}")
    for key in ("pipelines", "modes", "environments", "batch_sizes", "slots"):
        values = asked.values.get(key, ())
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            raise UserError(f"{asked.origins[key]}: {twice[0]} is there twice, which makes the same cell twice")


def _check_slots(plan: Plan, origins: Mapping[str, str]) -> None:
    product = [str(slot) for slot in plan.product()]
    for slot in plan.slots or ():
        if slot not in product:
            close = near(slot, product)
            hint = f"did you mean '{close}'?" if close else f"write it such as '{product[0]}'"
            lists = "pipelines, modes, environments and batch_sizes"
            raise UserError(f"{origins['slots']}: '{slot}' is outside the plan's {lists}; {hint}")


def _with_limits(asked: PartialPlan) -> PartialPlan:
    """Completes what a precision needs, and refuses limits that limit nothing, or less than the calls to be made."""
    limits = {"max_calls": max(MAX_CALLS, asked.values["calls"]), "max_seconds": MAX_SECONDS}
    if asked.values.get("precision") is not None:
        default = PartialPlan(limits, dict.fromkeys(limits, "default"))
        asked = default.replaced_by(asked)
        calls, most = asked.values["calls"], asked.values["max_calls"]
        if most < calls:
            raise UserError(f"{asked.origins['max_calls']}: {most} is less than the {calls} calls made in any case")
        return asked
    for key in limits:
        if key in asked.values:
            wanted = "--precision 1%" if asked.origins[key] == FLAGS[key] else 'precision = "1%"'
            raise UserError(f"{asked.origins[key]}: limits the calls of a precision, and there is none; add {wanted}")
    return asked


def _check_device(asked: PartialPlan, plan_file: str | None) -> None:
    """Refuses what needs a GPU, where there is none."""
    device, full = asked.values["device"], asked.values["scale"] == "full"
    origins = {key: asked.origins[key] for key in ("device", "scale")}
    left_out = [key for key, origin in origins.items() if origin == f"preset '{DEFAULT_PRESET}': {key}"]
    if plan_file is not None and left_out:
        words = f"leaves out {' and '.join(left_out)}, which {'is' if len(left_out) == 1 else 'are'} then"
        origins |= dict.fromkeys(left_out, f"{plan_file}: {words} the docs preset's")
    if device != "cpu":
        hint = "--scale tiny --device cpu" if full else "--device cpu"
        raise UserError(f"{origins['device']}: '{device}': there is no usable GPU here; try {hint}")
    if full:
        problem = "full scale needs a GPU, and there is no usable one here"
        raise UserError(f"{origins['scale']}: {problem}; try --scale tiny --device cpu")


def _check_vram_limit(asked: PartialPlan) -> None:
    if asked.values.get("vram_limit") is not None and asked.values["device"] == "cpu":
        raise UserError(
            f"{asked.origins['vram_limit']}: limits torch's allocator on a GPU, and the device is cpu; leave it out"
        )


def _check_tuning(asked: PartialPlan) -> None:
    """Refuses to look for the fastest mode where nothing could be told of any."""
    if not asked.values.get("tune"):
        return
    if BASE not in asked.values["modes"]:
        raise UserError(f"{asked.origins['modes']}: tuning needs the mode '{BASE}', which outputs are held against")
    if len(asked.values["modes"]) == 1:
        raise UserError(f"{asked.origins['modes']}: tuning holds modes against each other; name one beside '{BASE}'")
    if asked.values["calls"] < 2:
        raise UserError(f"{asked.origins['calls']}: tuning needs 2 calls at least: the first compiles and warms up")


def _with_definitions(catalog: Catalog, asked: PartialPlan) -> Plan:
    """Makes the plan, the person's own modes and pipelines written into it."""
    modes = {
        name: merged(name, catalog.mode_entries)
        for name in asked.values["modes"]
        if not catalog.mode_entries[name].shipped
    }
    pipelines = {
        name: merged(name, catalog.pipeline_entries)
        for name in asked.values["pipelines"]
        if not catalog.pipeline_entries[name].shipped
    }
    return Plan(**asked.values, mode_definitions=modes, pipeline_definitions=pipelines)
