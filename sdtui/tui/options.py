"""The options of a plan as a form: what is asked, what was typed, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdtui.catalog.expand import default_dtype
from sdtui.catalog.plans import FLAGS, number, read_flags, resolve_plan
from sdtui.model.errors import UserError
from sdtui.model.plan import Plan
from sdtui.model.sizes import size_text
from sdtui.model.spans import span_text
from sdtui.tui.draft import AXES, Draft, shown_plan
from sdtui.tui.form import Item, Kind, Section

Typed = Mapping[str, str | tuple[str, ...]]
"""What was typed, by key of a plan; names in a tuple where several are ticked. What is empty or missing is the plan's
own."""


@dataclass(frozen=True)
class Field:
    """One option.

    Attributes:
        key: Of a plan.
        label: As the form names it.
        words: What it says.
        choices: The values there are; empty where any text may be typed.
    """

    key: str
    label: str
    words: str
    choices: tuple[str, ...] = ()


GROUPS: Mapping[str, tuple[Field, ...]] = {
    "What is measured": (
        Field("scale", "scale", "tiny has few channels, for CPUs", ("full", "tiny")),
        Field("device", "device", "", ("cpu",)),
        Field("dtype", "dtype", "where the mode has none itself", ("float16", "bfloat16", "float32")),
        Field("weights", "weights", "random, published, path, hub id"),
        Field("batch_sizes", "batch sizes", "images per call"),
        Field("steps", "steps", "of every stage"),
        Field("size", "size", "pixels, width and height"),
        Field("guidance", "guidance", "1 and less leave it out"),
        Field("seed", "seed", "of weights and latents"),
        Field("prompt", "prompt", "the text that is encoded"),
        Field("vram_limit", "VRAM limit", "of torch's allocator, as in 15GiB"),
    ),
    "How often": (
        Field("calls", "calls", "of which the last one counts"),
        Field("precision", "precision", "call on until so sure, as in 1%"),
        Field("max_calls", "max calls", "at most, for the precision"),
        Field("max_seconds", "max seconds", "of measured calls, likewise"),
        Field("processes", "processes", "fresh ones for each cell"),
        Field("budget", "budget", "run what fits, as in 20m"),
        Field("cold", "cold", "empty the compile cache first", ("off", "on")),
        Field("trace", "trace", "one more call, under a profiler", ("off", "on")),
        Field("exclusive", "exclusive", "each cell imports torch itself", ("off", "on")),
        Field("skip_larger_after_oom", "stop at OOM", "leave out larger batches after it", ("off", "on")),
    ),
}
"""Options by heading, in the order in which they are asked."""

FIELDS = {field.key: field for fields in GROUPS.values() for field in fields}
LISTS = ("modes", "environments")
"""Keys whose names are ticked."""

_SWITCHES = ("cold", "trace", "exclusive", "skip_larger_after_oom")
_NUMBERS = ("steps", "size", "guidance", "seed", "calls", "max_calls", "max_seconds", "processes")
_LIMITS = ("max_calls", "max_seconds")
_SWITCH = {"off": False, "on": True}
_UNSET = {
    "steps": "each pipeline's",
    "size": "each pipeline's",
    "guidance": "each pipeline's",
    "prompt": "each pipeline's",
    "precision": "none",
    "max_calls": "none",
    "max_seconds": "none",
    "vram_limit": "none",
    "budget": "none",
}


def typed_of(draft: Draft) -> dict[str, str | tuple[str, ...]]:
    """Returns a draft's options as they were typed."""
    given = draft.overrides
    texts = {key: as_text(key, given[key]) for key in FIELDS if given.get(key) is not None}
    return {**texts, **{key: tuple(given[key]) for key in LISTS if given.get(key) is not None}}


def overrides(typed: Typed) -> dict[str, Any]:
    """Returns what was typed as `Draft.with_options` takes it: ``None`` where nothing was."""
    return {key: _value(key, typed.get(key, "")) for key in (*FIELDS, *LISTS)}


def own_values(draft: Draft, typed: Typed) -> dict[str, Any]:
    """Returns what counts where nothing is typed: texts by key, and tuples of names.

    Presets choose by the device, and a precision has limits: what they say depends on those that are typed.

    Raises:
        UserError: The plan's file can no longer be read.
    """
    begun, given = _begun(draft), overrides(typed)

    def with_typed(*keys: str) -> Plan:
        usable = {key: given[key] for key in keys if _is_usable(key, given[key])}
        return resolve_plan(draft.catalog, draft.source, {"device": begun.device, **usable}, gpu_available=True)

    plan, limited = with_typed("device"), with_typed("device", "calls", "precision")
    shown = shown_plan(draft.catalog, plan, {})
    values = {key: getattr(limited if key in _LIMITS else plan, key) for key in FIELDS}
    return {
        **{key: as_text(key, value) or _UNSET.get(key, "") for key, value in values.items()},
        "dtype": plan.dtype or default_dtype(plan.device),
        "device": begun.device,
        "batch_sizes": as_text("batch_sizes", shown.batch_sizes),
        "modes": shown.modes,
        "environments": plan.environments,
    }


def problems(draft: Draft, typed: Typed) -> dict[str, str]:
    """Returns what is wrong, by key; under an empty key what is wrong with the plan otherwise.

    Values are checked one by one, and then, where none is wrong, together: as those of flags of ``sdtui run`` are.
    """
    given = {key: value for key, value in overrides(typed).items() if value is not None}
    found: dict[str, str] = {}
    for key, value in given.items():
        try:
            read_flags({key: value})
        except UserError as error:
            found.update([_blame(error)])
    if not found:
        try:
            options = {key: value for key, value in given.items() if key not in AXES}
            resolve_plan(draft.catalog, draft.source, options, draft.gpu)
        except UserError as error:
            found.update([_blame(error)])
    return found


def sections(
    draft: Draft,
    typed: Typed,
    own: Mapping[str, Any],
    wrong: Mapping[str, str],
    devices: Mapping[str, str],
    environments: Mapping[str, str],
) -> tuple[tuple[Section, ...], ...]:
    """Returns the form.

    Args:
        draft: Whose options are asked.
        typed: What was typed so far.
        own: As of `own_values`.
        wrong: As of `problems`.
        devices: GPUs by name, with what they are.
        environments: Registered ones by name, with what they are.
    """

    def item(field: Field) -> Item:
        key, given = field.key, str(typed.get(field.key, ""))
        values, words = field.choices, field.words
        if key == "device":
            values = tuple(dict.fromkeys((*devices, own[key], given or own[key], *values)))
            words = devices.get(given or own[key], "")
        kind: Kind = "choice" if values else "text"
        if values and own[key] not in values:
            values = (own[key], *values)
        return Item(key, kind, field.label, own[key], given, values, wrong.get(key, ""), words, is_told=key == "device")

    def ticks(key: str, heading: str, names: Mapping[str, str]) -> Section:
        ticked = typed.get(key, "") or own[key]
        items = tuple(
            Item(key, "tick", name, typed=name if name in ticked else "", words=names[name]) for name in names
        )
        return Section(heading, items, bool(typed.get(key, "")), wrong.get(key, ""))

    modes = {name: mode.description or mode.label for name, mode in draft.catalog.modes.items()}
    known = {**environments, **{name: environments.get(name, "") for name in own["environments"]}}
    fields = tuple(Section(heading, tuple(map(item, group))) for heading, group in GROUPS.items())
    return fields, (ticks("modes", "Modes shown", modes), ticks("environments", "Environments", known))


def as_text(key: str, value: Any) -> str:
    """Writes a value of a plan as one would type it; empty for none."""
    if value is None:
        return ""
    if key in _SWITCHES:
        return "on" if value else "off"
    if key == "vram_limit" and isinstance(value, int):
        return size_text(value)
    if key == "precision" and isinstance(value, float):
        return f"{100 * value:g}%"
    if key == "budget" and isinstance(value, float):
        return span_text(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------------- internals


def _value(key: str, typed: str | tuple[str, ...]) -> Any:
    if isinstance(typed, tuple):
        return list(typed)
    text = typed.strip()
    if not text:
        return None
    if key in _NUMBERS:
        return number(text)
    return _SWITCH.get(text, text) if key in _SWITCHES else text


def _begun(draft: Draft) -> Plan:
    """Returns the plan without options; of one that only options make usable here, as if it were."""
    try:
        return resolve_plan(draft.catalog, draft.source, {}, draft.gpu)
    except UserError:
        return resolve_plan(draft.catalog, draft.source, {}, gpu_available=True)


def _is_usable(key: str, value: Any) -> bool:
    try:
        read_flags({key: value})
    except UserError:
        return False
    return value is not None


def _blame(error: UserError) -> tuple[str, str]:
    """Splits a message into the key that it is about and what it says."""
    message = str(error)
    for key, flag in FLAGS.items():
        if message.startswith(f"{flag}: "):
            return key, message.removeprefix(f"{flag}: ")
    found = re.search(rf"(?:^|: )({'|'.join(FLAGS)}): ", message)
    return (found[1], message[found.end() :]) if found else ("", message)
