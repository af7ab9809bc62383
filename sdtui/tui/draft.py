"""The plan that a person composes on the matrix: what there is to choose from, what is chosen, and the options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sdtui.catalog.expand import expand
from sdtui.catalog.load import Catalog
from sdtui.catalog.plans import DEFAULT_PRESET, read_flags, resolve_plan
from sdtui.model.cell import Cell, Slot
from sdtui.model.errors import UserError
from sdtui.model.plan import Plan
from sdtui.runs import PLAN

AXES = ("pipelines", "modes", "environments", "batch_sizes", "slots")
"""The keys of a plan that choose its cells, which is what the matrix is for; all others are options."""
SHOWN = ("modes", "environments", "batch_sizes")
"""Those of them that say what the matrix shows."""


@dataclass(frozen=True)
class Column:
    """A mode in an environment."""

    mode: str
    environment: str


@dataclass(frozen=True)
class Draft:
    """What the matrix shows, and what of it is chosen.

    Attributes:
        source: The preset or plan file that it began with.
        overrides: Options by key of a plan, as flags of ``sdtui run`` would give them; of `SHOWN`, what is shown.
        plan: Both resolved; its lists are the source's, neither what is shown nor what is chosen.
        pipelines: Rows: every pipeline of the catalog.
        columns: Modes shown, then environments within each.
        batch_sizes: In ascending order.
        cells: By slot, of every row, column and batch size that the options fit.
        unfit: By pipeline, why it cannot be measured with these options.
        selected: Slots to measure.
    """

    catalog: Catalog
    source: str
    overrides: Mapping[str, Any]
    gpu: bool
    plan: Plan
    pipelines: tuple[str, ...]
    columns: tuple[Column, ...]
    batch_sizes: tuple[int, ...]
    cells: Mapping[Slot, Cell]
    unfit: Mapping[str, str] = field(default_factory=dict)
    selected: frozenset[Slot] = frozenset()

    def slot(self, pipeline: str, column: Column, batch_size: int) -> Slot:
        """Returns a place of the matrix."""
        return Slot(pipeline, column.mode, column.environment, batch_size)

    @property
    def modes(self) -> tuple[str, ...]:
        """Those that are shown."""
        return tuple(dict.fromkeys(column.mode for column in self.columns))

    @property
    def environments(self) -> tuple[str, ...]:
        """Those that are shown."""
        return tuple(dict.fromkeys(column.environment for column in self.columns))

    @property
    def chosen(self) -> tuple[Slot, ...]:
        """The selected slots in the order in which they will run."""
        return tuple(slot for slot in self.cells if slot in self.selected)

    @property
    def planned(self) -> tuple[Slot, ...]:
        """The slots that the plan itself chooses; of a list that the options say, all of it."""
        asked: dict[str, Any] = {key: getattr(self, key) for key in SHOWN if key in self.overrides}
        plan = replace(self.plan, slots=None, **asked) if asked else self.plan
        return tuple(slot for slot in plan.chosen() if slot in self.cells)

    @property
    def name(self) -> str:
        """What the plan is called: a preset's name, a file's, or that of a run or other folder whose plan it is."""
        path = Path(self.source)
        run = re.fullmatch(r"\d{8}T\d{6}Z-.*-([0-9a-f]{6})", path.parent.name)
        folder = f"run {run[1]}" if run else path.parent.name
        return (folder if path.name == PLAN else "") or path.name

    def toggled(self, slots: Iterable[Slot]) -> Draft:
        """Returns the draft with these slots chosen, or, where all of them are, not chosen."""
        wanted = frozenset(slot for slot in slots if slot in self.cells)
        selected = self.selected - wanted if wanted <= self.selected else self.selected | wanted
        return replace(self, selected=selected)

    def with_options(self, overrides: Mapping[str, Any]) -> Draft:
        """Returns the draft with other options; what is chosen stays chosen where it still exists.

        Args:
            overrides: By key of a plan; ``None`` takes the preset's again.

        Raises:
            UserError: An option is wrong.
        """
        merged = {key: value for key, value in {**self.overrides, **overrides}.items() if value is not None}
        made = make_draft(self.catalog, self.source, merged, self.gpu)
        return replace(made, selected=frozenset(slot for slot in self.selected if slot in made.cells))

    def with_selection_of(self, slots: Iterable[Slot]) -> Draft:
        """Returns the draft with exactly these slots chosen; those that it has not are left out."""
        return replace(self, selected=frozenset(slot for slot in slots if slot in self.cells))

    def to_run(self, slots: Iterable[Slot]) -> dict[str, Any]:
        """Returns the flags with which ``sdtui run`` measures these slots of it, by key of a plan."""
        asked = frozenset(slots)
        wanted = [slot for slot in self.cells if slot in asked]
        lists: dict[str, Any] = {  # in the order in which they are shown
            "pipelines": [name for name in self.pipelines if any(slot.pipeline == name for slot in wanted)],
            "modes": [name for name in self.modes if any(slot.mode == name for slot in wanted)],
            "environments": [name for name in self.environments if any(slot.environment == name for slot in wanted)],
            "batch_sizes": [size for size in self.batch_sizes if any(slot.batch_size == size for slot in wanted)],
        }
        product = len(lists["pipelines"]) * len(lists["modes"]) * len(lists["environments"]) * len(lists["batch_sizes"])
        fewer = len(wanted) < product or self.plan.slots  # which the source would choose otherwise
        slots_key = {"slots": [str(slot) for slot in wanted]} if fewer else {}
        whole = {"tune": False} if self.plan.tune else {}  # what is chosen is measured, however fast it is
        return {**self.overrides, **lists, **slots_key, **whole}

    def to_tune(self, slot: Slot) -> dict[str, Any]:
        """Returns the flags with which the fastest mode is looked for in a slot's place, by key of a plan."""
        options = {key: value for key, value in self.overrides.items() if key not in AXES}
        return {**options, "batch_sizes": [slot.batch_size], "environments": [slot.environment]}


def make_draft(catalog: Catalog, source: str, overrides: Mapping[str, Any], gpu: bool) -> Draft:
    """Makes a draft of a preset or plan file, its cells selected.

    Args:
        catalog: What there is to measure.
        source: Name of a preset, or path of a plan file.
        overrides: By key of a plan; lists of modes, environments and batch sizes are what is shown.
        gpu: Whether there is a usable GPU.

    Raises:
        UserError: Something in them is wrong.
    """
    plan = resolve_plan(catalog, source, {key: value for key, value in overrides.items() if key not in AXES}, gpu)
    catalog = catalog.with_own(plan.mode_definitions, plan.pipeline_definitions, source, Path())
    shown = shown_plan(catalog, plan, overrides)
    cells, unfit = _expand_each(shown, catalog)
    draft = Draft(
        catalog=catalog,
        source=source,
        overrides=dict(overrides),
        gpu=gpu,
        plan=plan,
        pipelines=tuple(catalog.pipelines),
        columns=tuple(Column(mode, environment) for mode in shown.modes for environment in shown.environments),
        batch_sizes=shown.batch_sizes,
        cells=cells,
        unfit=unfit,
    )
    return draft.with_selection_of(plan.chosen())


def shown_plan(catalog: Catalog, plan: Plan, overrides: Mapping[str, Any]) -> Plan:
    """Returns the plan with the lists that are shown: those that were asked for, else its own and the page's.

    Raises:
        UserError: A list that was asked for is wrong.
    """
    page = catalog.presets[DEFAULT_PRESET]
    asked = read_flags({key: overrides.get(key) for key in SHOWN}).values
    modes = asked.get("modes") or dict.fromkeys((*(page.modes or ()), *plan.modes))
    batch_sizes = asked.get("batch_sizes") or (*plan.batch_sizes, *(page.batch_sizes or ()))
    return replace(
        plan,
        modes=tuple(modes),
        environments=asked.get("environments") or plan.environments,
        batch_sizes=tuple(sorted(set(batch_sizes))),
        slots=None,
    )


def _expand_each(plan: Plan, catalog: Catalog) -> tuple[dict[Slot, Cell], dict[str, str]]:
    """Expands pipeline by pipeline, so that one that the options do not fit takes no other with it."""
    cells: dict[Slot, Cell] = {}
    unfit: dict[str, str] = {}
    for pipeline in catalog.pipelines:
        try:
            found = expand(replace(plan, pipelines=(pipeline,)), catalog)
        except UserError as error:
            unfit[pipeline] = str(error)
        else:
            cells.update((cell.slot, cell.without_configs()) for cell in found)
    return cells, unfit
