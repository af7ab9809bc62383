"""Registered environments: added to the settings file and removed from it, all else in it left as a person wrote it."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdtui import environments, runs
from sdtui.catalog.toml_files import read_text
from sdtui.model.errors import UserError, nearest
from sdtui.model.machine import Interpreter
from sdtui.settings import CURRENT, Environment, Settings, name_problem

_TABLE = "environments"


def add(settings: Settings, name: str, python: str, label: str | None = None) -> Interpreter:
    """Registers an interpreter, once it was found to work as far as that can be said without importing its torch.

    Args:
        settings: As they are.
        name: To be registered under.
        python: Its executable or the folder of its environment, as a person wrote it, or a command's name.
        label: What columns are to call it; ``None`` leaves what was said before.

    Returns:
        What was found.

    Raises:
        UserError: The name is no name or taken, the interpreter does not work or lacks what every worker imports, or
            the file cannot be written; nothing was.
    """
    if problem := name_problem(name):
        raise UserError(f"environment '{name}': {problem}")
    found = environments.describe(name, _path(name, python))
    environments.refuse_unusable([found])
    before = settings.environments.get(name)
    if before is not None and Path(found.python) not in environments.candidates(before.python):
        raise UserError(
            f"environment '{name}': is {before.python} in {settings.source}; choose another name, or free this one "
            f"with 'sdtui env remove {name}'"
        )
    kept = label or (before.label if before else None)
    if before is None or kept != before.label:
        _edit(settings.source, lambda table: table.update({name: _value(table.get(name), found.python, kept)}))
    return replace(found, label=kept)


def remove(settings: Settings, name: str) -> Environment:
    """Takes an environment out of the settings; its own files stay.

    Returns:
        What was registered.

    Raises:
        UserError: It is not registered, or the file cannot be written.
    """
    if name == CURRENT:
        raise UserError(f"environment '{CURRENT}': is the one that sdtui runs in, and is not registered")
    if name not in settings.environments:
        raise UserError(
            f"environment '{name}': is not registered in {settings.source}; {nearest(name, settings.environments)}"
        )
    _edit(settings.source, lambda table: table.pop(name))
    return settings.environments[name]


def _path(name: str, python: str) -> Path:
    """Returns the absolute path of what a person wrote, links in it kept: a venv's Python is one."""
    if not python:
        raise UserError(f"environment '{name}': the path must not be empty")
    found = None if os.sep in python or os.path.lexists(python) else shutil.which(python)
    try:
        return Path(found or python).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"environment '{name}': '{python}' names an unknown home folder") from error


def _value(before: Any, python: str, label: str | None) -> Any:
    """Returns what is written of an environment; a path that a person wrote stays as it is."""
    written = before.get("python") if isinstance(before, Mapping) else before
    return {"python": written or python, "label": label} if label else python


# ------------------------------------------------------------------------------------------------------- the file


def _edit(source: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the file's table of environments; refuses where anything else would change with it."""
    text = read_text(source) if os.path.lexists(source) else ""
    wanted = tomllib.loads(text)
    change(wanted.setdefault(_TABLE, {}))
    new = _edited(text, wanted[_TABLE])
    if new is None or tomllib.loads(new) != wanted:
        raise UserError(f"{source}: is written in a way that sdtui does not edit; change [{_TABLE}] in it by hand")
    real = source.resolve()  # it may be a link to where a person keeps such files
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        runs.write_atomically(real, new)
    except OSError as error:
        raise UserError(f"{source}: cannot be written: {error.strerror}") from error


def _edited(text: str, environments: Mapping[str, Any]) -> str | None:
    """Returns the file's text with this table of environments; ``None`` where tomlkit fails."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        table: Any = document.setdefault(_TABLE, tomlkit.table())
        for name in [name for name in table if name not in environments]:
            del table[name]
        for name, value in environments.items():
            if isinstance(value, Mapping) and isinstance(table.get(name), Mapping):
                table[name].update({key: item for key, item in value.items() if table[name].get(key) != item})
            elif table.get(name) != value:
                table[name] = _inline(value) if isinstance(value, Mapping) else value
        return tomlkit.dumps(document)
    except TOMLKitError:
        return None


def _inline(value: Mapping[str, Any]) -> Any:
    import tomlkit

    table = tomlkit.inline_table()
    table.update(value)
    return table
