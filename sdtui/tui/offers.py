"""What a person can begin with: presets of the catalog, and plan files in a folder."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdtui.catalog.checking import fields_of
from sdtui.catalog.expand import expand
from sdtui.catalog.load import Catalog
from sdtui.catalog.plans import DEFAULT_PRESET, resolve_plan
from sdtui.catalog.schema import PlanTable
from sdtui.model.errors import UserError
from sdtui.model.plan import Plan

MOST_FILES = 100
"""Plan files of a folder that are looked at, by name."""

_MOST_NAMES = 3
_TOLD = ("steps", "size", "guidance", "dtype", "precision")
"""Options of a plan file that are told where it has them."""


@dataclass(frozen=True)
class Offer:
    """A preset or a plan file.

    Attributes:
        source: Name of the preset, or path of the file.
        description: What it is for, or what it measures.
        cells: How many it has; 0 where it cannot be used.
        problem: Why it cannot be used here; empty where it can.
    """

    source: str
    description: str
    cells: int = 0
    problem: str = ""


def presets(catalog: Catalog, gpu: bool) -> tuple[Offer, ...]:
    """Returns the catalog's presets, ``docs`` first.

    Args:
        catalog: That holds them.
        gpu: Whether there is a usable GPU.
    """
    names = sorted(catalog.presets, key=lambda name: name != DEFAULT_PRESET)
    return tuple(_offer(catalog, name, catalog.presets[name].description, gpu) for name in names)


def plan_files(folder: Path, catalog: Catalog, gpu: bool) -> Iterator[Offer]:
    """Yields the plan files of a folder: those whose TOML has a key of a plan, or seems to where it is broken.

    Args:
        folder: Its ``*.toml`` are looked at, not those of folders in it.
        catalog: What there is to measure.
        gpu: Whether there is a usable GPU.
    """
    for path in sorted(folder.glob("*.toml"))[:MOST_FILES]:
        if _is_plan(path):
            yield _offer(catalog, str(path), "", gpu)


def _is_plan(path: Path) -> bool:
    keys = fields_of(PlanTable).keys()
    try:
        text = path.read_bytes().decode("utf-8", errors="replace").removeprefix("\ufeff")
        return bool(keys & tomllib.loads(text).keys())
    except OSError:  # whatever it is, it is no plan
        return False
    except tomllib.TOMLDecodeError:
        return re.search(rf"^\s*({'|'.join(keys)})\s*=", text, re.MULTILINE) is not None


def _offer(catalog: Catalog, source: str, description: str, gpu: bool) -> Offer:
    try:
        plan = resolve_plan(catalog, source, {}, gpu)
        cells = len(expand(plan, catalog))
    except UserError as error:
        problem = str(error).removeprefix(f"{source}: ").removeprefix(f"preset '{source}': ")
        return Offer(source, description, problem=problem)
    return Offer(source, description or _words(plan), cells)


def _words(plan: Plan) -> str:
    sizes = ", ".join(map(str, plan.batch_sizes))
    words = [f"{_named(plan.pipelines, 'pipelines')} × {_named(plan.modes, 'modes')}", f"batch size {sizes}"]
    words += [f"{plan.scale} scale", plan.device]
    words += [f"{key} {value}" for key in _TOLD if (value := getattr(plan, key)) is not None]
    return ", ".join(words)


def _named(names: Sequence[str], kind: str) -> str:
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} {kind}"
