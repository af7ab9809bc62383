"""Where sdtui keeps things, and the settings file that a person writes."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from sdtui.catalog.checking import Limits, Text, check
from sdtui.catalog.toml_files import read_toml
from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu

SETTINGS = "settings.toml"
CURRENT = "current"
"""The environment that sdtui itself runs in."""
LOCKS_DIR = "SDTUI_LOCKS_DIR"
"""The variable that moves the per-GPU locks."""

Images = Literal["half-block", "kitty", "sixel"]
"""How the dashboard draws images: in characters, or by one of the protocols of terminals that can."""

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Environment:
    """An interpreter that a person registered.

    Attributes:
        python: Its executable, or the folder of its environment.
        label: What the tables' columns call it; ``None`` lets its torch say so.
    """

    python: Path
    label: str | None = None


@dataclass(frozen=True)
class Settings:
    """What a person set.

    Attributes:
        source: The file, whether or not it exists.
        environments: By name; ``current`` is not among them.
        runs_dir: Where runs live; ``None`` keeps the default.
        theme: Name of the dashboard's theme, unchecked; ``None`` lets the terminal decide.
        mouse: Whether the dashboard takes the mouse.
        notify: Whether it rings and shows a desktop notification when a run ends.
        images: How it draws them.
        keys: Keys by the id of what they do, both unchecked: see `sdtui.tui.keys`.
    """

    source: Path
    environments: Mapping[str, Environment] = field(default_factory=dict)
    runs_dir: Path | None = None
    theme: str | None = None
    mouse: bool = True
    notify: bool = True
    images: Images = "half-block"
    keys: Mapping[str, str] = field(default_factory=dict)


# ---------------------------------------------------------------------------------------------------------- paths


def config_dir() -> Path:
    """Returns where settings, and a person's own modes, pipelines and themes, live; it need not exist."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def cache_dir() -> Path:
    """Returns where what can be made again lives; it need not exist."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def runs_dir(flag: Path | None = None, settings: Settings | None = None) -> Path:
    """Returns where runs live; it need not exist.

    Args:
        flag: ``--runs-dir``. Without it ``SDTUI_RUNS_DIR`` counts, then the settings file, then
            ``$XDG_DATA_HOME/sdtui/runs``.
        settings: As they were read; ``None`` reads them where they count.

    Raises:
        UserError: The settings file was needed and is wrong.
    """
    if flag is not None:
        return flag.absolute()
    if named := os.environ.get("SDTUI_RUNS_DIR"):
        return Path(named).absolute()
    return (settings or load()).runs_dir or _xdg("XDG_DATA_HOME", ".local/share") / "runs"


def locks_dir() -> Path:
    """Returns the directory of the per-GPU locks, which all users of the machine share; makes it if missing.

    Raises:
        UserError: It cannot be made, or is no directory.
    """
    path = Path(os.environ.get(LOCKS_DIR) or "/tmp/sdtui-locks").absolute()  # TMPDIR may be one user's own
    shared = 0o1777  # as /tmp itself: everyone may add a lock, nobody may remove another's
    try:
        path.mkdir(parents=True, exist_ok=True)
        status = path.lstat()
        if status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) != shared:
            path.chmod(shared)
    except OSError as error:
        raise UserError(f"locks directory {path}: {error.strerror}; choose another with {LOCKS_DIR}") from error
    return path


def device_lock(gpu: Gpu | None) -> Path:
    """Returns the file that whoever measures on a GPU locks; without a GPU, that of the CPU.

    Raises:
        UserError: As `locks_dir`.
    """
    return locks_dir() / f"{gpu.uuid if gpu else 'cpu'}.lock"


def _xdg(variable: str, default: str) -> Path:
    base = os.environ.get(variable, "")
    root = Path(base) if base.startswith("/") else _home(variable) / default  # the standard says: ignore relative ones
    return root / "sdtui"


def _home(variable: str) -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # a container may run as a user that it does not know
        raise UserError(f"user {os.getuid()} has no home folder here; set HOME, or {variable}") from error


# --------------------------------------------------------------------------------------------------- environments


def name_problem(name: str) -> str | None:
    """Says what is wrong with an environment's name; ``None`` where nothing is."""
    if name == CURRENT:
        return f"'{CURRENT}' is the environment that sdtui runs in; choose another name"
    if not _ENVIRONMENT_NAME.fullmatch(name):
        return "a name is letters, digits and . _ + -, such as 'torch-nightly'"
    return None


def environment_label(text: str) -> str:
    """Returns an environment's label without the space around it.

    Raises:
        ValueError: It is empty, or cannot stand in one line.
    """
    label = text.strip()
    if not label or not label.isprintable():
        raise ValueError("is no label: write one line, such as 'torch 2.13, our build'")
    return label


# ------------------------------------------------------------------------------------------------------- the file


def _as_table(value: Any) -> Any:
    """Takes an environment that was written as its path alone."""
    if isinstance(value, str):
        return {"python": value}
    if not isinstance(value, Mapping):
        raise ValueError("is no text")
    return value


@dataclass(frozen=True, kw_only=True)
class _EnvironmentTable:
    """An environment as it is written."""

    python: Text
    label: Annotated[str, Limits(after=environment_label)] | None = None


@dataclass(frozen=True, kw_only=True)
class _DashboardTable:
    """The dashboard's settings as they are written."""

    theme: Text | None = None
    mouse: bool = True
    notify: bool = True
    images: Images = "half-block"


@dataclass(frozen=True, kw_only=True)
class _SettingsTable:
    """The settings file."""

    runs_dir: Text | None = None
    environments: dict[str, Annotated[_EnvironmentTable, Limits(before=_as_table)]] = field(default_factory=dict)
    dashboard: _DashboardTable = field(default_factory=_DashboardTable)
    keys: dict[str, Any] = field(default_factory=dict)


def load(path: Path | None = None) -> Settings:
    """Reads the settings file; a missing one is an empty one.

    Args:
        path: ``None`` reads ``settings.toml`` of `config_dir`.

    Raises:
        UserError: The file cannot be read, is not TOML, or holds a key or value that is wrong.
    """
    source = path or config_dir() / SETTINGS
    if not os.path.exists(source):
        return Settings(source)
    content = read_toml(source)
    checked = check(_SettingsTable, content, str(source))
    environments = {name: _environment(source, name, table) for name, table in checked.environments.items()}
    runs = checked.runs_dir
    return Settings(
        source,
        environments,
        _absolute(source, "runs_dir", runs) if runs else None,
        keys=dict(_flat(source, "keys", checked.keys)),
        **vars(checked.dashboard),
    )


def _flat(source: Path, key: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields ids and keys: TOML reads ``run.start = "f5"`` as a table in a table."""
    for name, value in table.items():
        inner = f"{key}.{name}"
        if isinstance(value, Mapping):
            yield from _flat(source, inner, value)
        elif isinstance(value, str):
            yield inner.removeprefix("keys."), value
        else:
            raise UserError(f"{source}: {inner}: {json.dumps(value, default=str)} is no text")


def _environment(source: Path, name: str, table: _EnvironmentTable) -> Environment:
    key = f"environments.{name}"
    if problem := name_problem(name):
        raise UserError(f"{source}: {key}: {problem}")
    return Environment(_absolute(source, key, table.python), table.label)


def _absolute(source: Path, key: str, text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{source}: {key}: '{text}' names an unknown home folder") from error
    if not path.is_absolute():
        raise UserError(f"{source}: {key}: '{text}' is no absolute path; did you mean '{path.absolute()}'?")
    return path
