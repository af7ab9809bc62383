"""A mode as the TOML that makes it again, and where a person's own modes are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdtui.catalog.load import Catalog, check_own_name
from sdtui.catalog.toml_files import write_toml
from sdtui.model.cell import CompileOptions, Mode
from sdtui.model.errors import UserError


def mode_to_toml(mode: Mode, comments: Sequence[str] = ()) -> str:
    """Returns the mode's options as TOML: complete, those at their default left out.

    Args:
        mode: Its name is not written.
        comments: Lines that come first.
    """
    table = {key: value for key, value in _given(mode).items() if key != "name" and (key != "label" or value)}
    if mode.compile is not None:
        table["compile"] = {"backend": mode.compile.backend, **_given(mode.compile)}
    return "".join(f"# {line}\n" for line in comments) + write_toml(table)


def new_mode_file(name: str, catalog: Catalog, config_dir: Path, where: str) -> Path:
    """Returns the file that will hold a new mode of the person's own.

    Args:
        name: Of the mode.
        catalog: With what the person has.
        config_dir: Whose folder ``modes`` holds them.
        where: Begins the message.

    Raises:
        UserError: It is no name, or there is such a mode.
    """
    entry = catalog.mode_entries.get(name)
    check_own_name(name, where, entry is not None and entry.shipped)
    if entry is not None:
        raise UserError(f"{where}: there is a mode '{name}' already: {entry.where}; choose another name, or remove it")
    return config_dir / "modes" / f"{name}.toml"


def _given(value: Mode | CompileOptions) -> dict[str, Any]:
    """Returns the fields that are not at their default."""
    return {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != _default(field)
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
