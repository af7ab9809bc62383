"""A plan as the TOML that makes it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from sdtui.catalog.toml_files import write_toml
from sdtui.model.plan import Plan
from sdtui.model.sizes import size_text
from sdtui.model.spans import span_text

_KEYS = (
    "pipelines",
    "modes",
    "environments",
    "batch_sizes",
    "slots",
    "calls",
    "scale",
    "weights",
    "device",
    "seed",
    "steps",
    "size",
    "guidance",
    "dtype",
    "prompt",
    "precision",
    "max_calls",
    "max_seconds",
)


def plan_to_toml(plan: Plan, file: str = "plan.toml") -> str:
    """Returns the plan as TOML: complete, always the same bytes, and read back as an equal plan.

    Component configs are written as JSON text, since TOML has no null.

    Args:
        plan: To be written.
        file: Name of the file that will hold it, for the comment that says how to run it.
    """
    table: dict[str, Any] = {key: getattr(plan, key) for key in _KEYS if getattr(plan, key) is not None}
    if plan.vram_limit is not None:
        table["vram_limit"] = size_text(plan.vram_limit)
    table.update({key: True for key in ("cold", "trace", "exclusive", "skip_larger_after_oom") if getattr(plan, key)})
    if plan.processes > 1:
        table["processes"] = plan.processes
    if plan.tune:
        table["tune"] = True
    if plan.budget is not None:
        table["budget"] = span_text(plan.budget)
    if plan.timeouts:
        table["timeouts"] = plan.timeouts
    if plan.mode_definitions:
        table["mode"] = plan.mode_definitions
    if plan.pipeline_definitions:
        table["pipeline"] = {name: _with_json_configs(value) for name, value in plan.pipeline_definitions.items()}
    return f"# Measure this again: sdtui run {shlex.quote(file)}\n" + write_toml(table)


def _with_json_configs(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(pipeline))
    for stage in copy["stages"].values():
        for component in stage["components"].values():
            component["config"] = json.dumps(component["config"], ensure_ascii=False)
    return copy
