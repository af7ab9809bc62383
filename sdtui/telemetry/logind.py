"""Whether systemd-logind ends a user's processes at logout."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

# logind.conf(5): the first file of that name counts; drop-ins of all folders, sorted by name, override it.
_FOLDERS = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd")
_TRUE = ("1", "yes", "y", "true", "t", "on")


def kills_user_processes(root: Path = Path("/"), user: str | None = None) -> bool:
    """Says whether ``KillUserProcesses`` is on for a user.

    Args:
        root: Where ``etc`` and ``usr`` are.
        user: ``None`` is this process's.
    """
    settings: dict[str, str] = {}
    for file in _files(root):
        settings.update(_read(file))
    if settings.get("KillUserProcesses", "no").lower() not in _TRUE:
        return False
    name = user or _user()
    if name in settings.get("KillExcludeUsers", "root").split():
        return False
    only = settings.get("KillOnlyUsers", "").split()
    return not only or name in only


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that it does not know
        return str(os.getuid())


def _files(root: Path) -> list[Path]:
    main = [root / folder / "logind.conf" for folder in _FOLDERS if (root / folder / "logind.conf").is_file()]
    drop_ins: dict[str, Path] = {}
    for folder in _FOLDERS:
        for path in (root / folder / "logind.conf.d").glob("*.conf"):
            drop_ins.setdefault(path.name, path)
    return [*main[:1], *(drop_ins[name] for name in sorted(drop_ins))]


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and line.lstrip()[0] not in "#;")
    return {key.strip(): value.strip() for key, _, value in pairs}
