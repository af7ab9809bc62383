"""The catalog in memory: shipped entries and a person's own, checked and with `extends` resolved."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdtui.catalog.checking import check
from sdtui.catalog.schema import ModeTable, PipelineTable, PresetTable, StageTable
from sdtui.catalog.toml_files import Whole, merge, read_text, read_toml
from sdtui.model.cell import CompileOptions, Mode
from sdtui.model.errors import UserError, nearest

_SHIPPED = Path(__file__).parent
CONFIGS = _SHIPPED / "configs"
_EXTENDS = {"extends": str}
"""A key of modes and pipelines that is gone once they are merged with what they extend."""
_DENOISERS = ("unet", "transformer")
"""Components that run at every step of whatever pipeline has them."""
_NO_NETWORKS = ("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "Extractor")
"""What the names of component classes end with that have no weights."""
_SAID_ELSEWHERE = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "num_images_per_prompt": "the batch size",
    "generator": "seed",
    "return_dict": "sdtui, which reads what is returned",
}
"""Call arguments that no pipeline says, and what does."""


@dataclass(frozen=True)
class Entry:
    """A pipeline or mode as written, component configs read.

    Attributes:
        where: File, and the table in it, for messages.
        shipped: With sdtui, not the person's own.
    """

    table: Mapping[str, Any]
    where: str
    shipped: bool


@dataclass(frozen=True)
class Catalog:
    """What can be measured, by name.

    Attributes:
        counts: Pipeline to stage to ``components`` (parameters by name) and ``flops_per_step``; shipped pipelines.
        pipeline_entries: What ``pipelines`` was made from.
        mode_entries: What ``modes`` was made from.
    """

    pipelines: Mapping[str, PipelineTable]
    modes: Mapping[str, Mode]
    presets: Mapping[str, PresetTable]
    counts: Mapping[str, Mapping[str, Any]]
    pipeline_entries: Mapping[str, Entry]
    mode_entries: Mapping[str, Entry]

    def with_own(
        self,
        modes: Mapping[str, Mapping[str, Any]],
        pipelines: Mapping[str, Mapping[str, Any]],
        where: str,
        folder: Path,
    ) -> Catalog:
        """Returns the catalog with a person's own entries added.

        Args:
            modes: Tables by name.
            pipelines: Tables by name.
            where: The file that holds them.
            folder: That config paths are relative to.

        Raises:
            UserError: An entry is wrong, or has the name of a shipped one.
        """
        mode_entries = dict(self.mode_entries)
        for name, table in modes.items():
            mode_entries[name] = _own(name, table, f"{where}: mode.{name}", self.mode_entries)
        pipeline_entries = dict(self.pipeline_entries)
        for name, table in pipelines.items():
            entry = _own(name, table, f"{where}: pipeline.{name}", self.pipeline_entries)
            pipeline_entries[name] = _with_configs(entry, folder)
        return dataclasses.replace(
            self,
            mode_entries=mode_entries,
            pipeline_entries=pipeline_entries,
            modes={**self.modes, **{name: _mode(name, mode_entries) for name in modes}},
            pipelines={**self.pipelines, **{name: _pipeline(name, pipeline_entries) for name in pipelines}},
        )


def load_catalog(config_dir: Path | None = None) -> Catalog:
    """Reads the shipped catalog and the person's own entries.

    Args:
        config_dir: Holds the person's ``modes/*.toml``, ``pipelines/*.toml`` and ``presets/*.toml``, where there are
            any.

    Raises:
        UserError: An entry of the person's own is wrong.
    """
    presets = _read_presets(_SHIPPED / "presets")
    docs = presets["docs"]
    modes = _in_order(_read_entries(_SHIPPED / "modes", shipped=True), docs.modes or ())
    pipelines = _in_order(_read_entries(_SHIPPED / "pipelines", shipped=True), docs.pipelines or ())
    if config_dir is not None:
        modes |= _read_own(config_dir / "modes", modes)
        pipelines |= _read_own(config_dir / "pipelines", pipelines)
        own = _read_presets(config_dir / "presets")
        for name in own:
            check_own_name(name, str(config_dir / "presets" / f"{name}.toml"), name in presets)
        presets |= own
    return Catalog(
        pipelines={name: _pipeline(name, pipelines) for name in pipelines},
        modes={name: _mode(name, modes) for name in modes},
        presets=presets,
        counts=json.loads((_SHIPPED / "counts.json").read_text(encoding="utf-8")),
        pipeline_entries=pipelines,
        mode_entries=modes,
    )


def check_own_name(name: str, where: str, shipped: bool) -> None:
    """Refuses what is no name for an entry of a person's own.

    Args:
        name: Of the entry.
        where: Begins the message.
        shipped: Whether sdtui ships one of that name.

    Raises:
        UserError: It is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{where}: '{name}' is no name; use letters, digits, '-' and '_'")
    if shipped:
        raise UserError(f"{where}: sdtui ships a '{name}'; choose another name")


def merged(name: str, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Returns an entry's table with all that it extends merged in.

    Raises:
        UserError: It extends an unknown entry, or itself.
    """
    return _merged(name, entries, ())


# -------------------------------------------------------------------------------------------------------- reading


def _read_entries(folder: Path, shipped: bool) -> dict[str, Entry]:
    entries = {}
    for path in sorted(folder.glob("*.toml")):
        entries[path.stem] = _with_configs(Entry(read_toml(path), str(path), shipped), path.parent)
    return entries


def _in_order(entries: Mapping[str, Entry], first: tuple[str, ...]) -> dict[str, Entry]:
    """Puts the page's entries first, in its order."""
    return {name: entries[name] for name in (*first, *(name for name in entries if name not in first))}


def _read_own(folder: Path, shipped: Mapping[str, Entry]) -> dict[str, Entry]:
    entries = _read_entries(folder, shipped=False)
    for name, entry in entries.items():
        _own(name, entry.table, entry.where, shipped)
    return entries


def _read_presets(folder: Path) -> dict[str, PresetTable]:
    return {path.stem: check(PresetTable, read_toml(path), str(path)) for path in sorted(folder.glob("*.toml"))}


def _own(name: str, table: Mapping[str, Any], where: str, others: Mapping[str, Entry]) -> Entry:
    check_own_name(name, where, name in others and others[name].shipped)
    return Entry(table, where, shipped=False)


def _with_configs(entry: Entry, folder: Path) -> Entry:
    """Replaces every component's config path by the file's content."""
    table = json.loads(json.dumps(entry.table, default=str))
    for key, config in _configs(table):
        if isinstance(config["config"], str):
            config["config"] = _config(config["config"], f"{entry.where}: {key}.config", folder)
    return dataclasses.replace(entry, table=table)


def _configs(table: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for stage, content in _tables(table.get("stages")).items():
        for name, component in _tables(content.get("components")).items():
            if "config" in component:
                found.append((f"stages.{stage}.components.{name}", component))
    return found


def _tables(value: Any) -> dict[str, dict[str, Any]]:
    """Returns the sub-tables of ``value``; what is no table is left for the schema to refuse."""
    return {key: item for key, item in value.items() if isinstance(item, dict)} if isinstance(value, dict) else {}


def _config(text: str, where: str, folder: Path) -> Whole:
    if text.lstrip().startswith("{"):
        return _parse(text, where)
    for path in (folder / text, CONFIGS / text):
        if path.is_file():
            return _parse(read_text(path), f"{where}: {path}")
    shipped = [str(path.relative_to(CONFIGS)) for path in CONFIGS.glob("*/*.json")]
    raise UserError(f"{where}: '{text}' is no file; {nearest(text, shipped)}")


def _parse(text: str, where: str) -> Whole:
    try:
        return Whole(json.loads(text))
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: no JSON object: {error}") from error


# ------------------------------------------------------------------------------------------------------- building


def _merged(name: str, entries: Mapping[str, Entry], seen: tuple[str, ...]) -> dict[str, Any]:
    entry = entries[name]
    table = dict(entry.table)
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str) or base not in entries:
        others = [other for other in entries if other != name]
        raise UserError(f"{entry.where}: extends: unknown name '{base}'; {nearest(str(base), others)}")
    if base == name or base in seen:
        raise UserError(f"{entry.where}: extends: {' → '.join((*seen, name, base))} goes round in a circle")
    inherited = _merged(base, entries, (*seen, name))
    own = {key: value for key, value in inherited.items() if key not in ("label", "description", "notes")}
    return merge(_without_rivals(own, table), table)


def _without_rivals(inherited: dict[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is inherited without the mode of torch.compile where a table has options of it, and the reverse."""
    named, known = table.get("compile"), inherited.get("compile")
    if not (isinstance(named, dict) and isinstance(known, dict)) or {"mode", "options"} <= {*named}:
        return inherited
    rivals = {"mode": "options", "options": "mode"}
    dropped = [rivals[key] for key in named if key in rivals]
    return {**inherited, "compile": {key: value for key, value in known.items() if key not in dropped}}


def _mode(name: str, entries: Mapping[str, Entry]) -> Mode:
    checked = check(ModeTable, merged(name, entries), entries[name].where, also=_EXTENDS)
    if checked.compile and checked.compile.mode and checked.compile.options:
        raise UserError(
            f"{entries[name].where}: compile.options: torch.compile takes them or compile.mode; leave one out"
        )
    values = dict(vars(checked))
    values["label"] = checked.label or name.replace("-", " ")
    values["compile"] = CompileOptions(**vars(checked.compile)) if checked.compile else None
    return Mode(name=name, **values)


def _pipeline(name: str, entries: Mapping[str, Entry]) -> PipelineTable:
    where = entries[name].where
    table = merged(name, entries)
    table.setdefault("label", name)
    pipeline = check(PipelineTable, table, where, also=_EXTENDS)
    _known(pipeline.batched_stages, pipeline.stages, f"{where}: batched_stages")
    earlier: list[str] = []
    for stage_name, stage in pipeline.stages.items():
        at = f"{where}: stages.{stage_name}"
        for key, made in stage.inputs.items():
            if made.source == "stage":
                _known([made.stage], earlier, f"{at}.inputs.{key}.stage")
            elif made.source == "embeddings":
                _given(bool(made.shape), f"{at}.inputs.{key}.shape")
            else:
                _given(made.width is not None and made.height is not None, f"{at}.inputs.{key}.width")
        _check_denoisers(stage, f"{at}.denoisers")
        _check_arguments(stage, f"{at}.arguments")
        _check_strength(stage, at)
        if stage.tiny:
            _known(stage.tiny.components, stage.components, f"{at}.tiny.components")
            _known(stage.tiny.inputs, stage.inputs, f"{at}.tiny.inputs")
        earlier.append(stage_name)
    return pipeline


def _check_denoisers(stage: StageTable, where: str) -> None:
    _known(stage.denoisers, stage.components, where)
    for name in stage.denoisers:
        if stage.denoisers.count(name) > 1:
            raise UserError(f"{where}: {name} is there twice")
        if stage.components[name].class_name.endswith(_NO_NETWORKS):
            raise UserError(f"{where}: {name} is a {stage.components[name].class_name}, which is no network")
    for name in _DENOISERS:
        if name in stage.components and name not in stage.denoisers:
            raise UserError(f"{where}: leaves out '{name}', which runs at every step")


def _check_arguments(stage: StageTable, where: str) -> None:
    """Refuses what is said elsewhere, and outputs that are neither images nor pixels of a pipeline without a VAE."""
    own = {
        **_SAID_ELSEWHERE,
        **dict.fromkeys(("width", "height"), "the stage's width and height, with takes_size"),
        "prompt": "the pipeline's prompt, with takes_prompt",
        **dict.fromkeys(stage.inputs, "the stage's inputs"),
    }
    for name in stage.arguments:
        if name in own:
            raise UserError(f"{where}.{name}: leave it out; what decides it is {own[name]}")
    kind = stage.arguments.get("output_type", "pil")
    kinds = ("pil",) if "vae" in stage.components else ("pil", "pt")
    if kind not in kinds:
        can_be = " or ".join(f"'{each}'" for each in kinds)
        raise UserError(f"{where}.output_type: must be {can_be}, as sdtui keeps and compares outputs")


def _check_strength(stage: StageTable, where: str) -> None:
    """Refuses a ``strength`` that the default steps cannot take: diffusers runs that share of the steps, rounded down.

    Source: ``get_timesteps`` of diffusers' image-to-image and inpainting pipelines.
    """
    strength = stage.arguments.get("strength", 1.0)
    key = f"{where}.arguments.strength"
    if not isinstance(strength, (int, float)) or isinstance(strength, bool) or not 0 < strength <= 1:
        raise UserError(f"{key}: {json.dumps(strength)} is no number over 0 and up to 1")
    for steps, at in ((stage.steps, "steps"), *([(stage.tiny.steps, "tiny steps")] if stage.tiny else [])):
        if int(steps * strength) < 1:
            raise UserError(f"{key}: {strength} of {steps} {at} is less than one step")


def _known(names: Any, valid: Any, where: str) -> None:
    for name in names:
        if name not in valid:
            raise UserError(f"{where}: unknown name '{name}'; {nearest(name, valid)}")


def _given(given: bool, where: str) -> None:
    if not given:
        raise UserError(f"{where}: is missing")
