"""Paths and the settings file."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sdtui import settings
from sdtui.model.errors import UserError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "SDTUI_RUNS_DIR", "SDTUI_LOCKS_DIR"):
        monkeypatch.delenv(name, raising=False)


def _write(text: str | bytes) -> Path:
    path = settings.config_dir() / settings.SETTINGS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_directories_follow_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.config_dir() == tmp_path / "home/.config/sdtui"
    assert settings.cache_dir() == tmp_path / "home/.cache/sdtui"
    assert settings.runs_dir() == tmp_path / "home/.local/share/sdtui/runs"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert settings.config_dir() == tmp_path / "c/sdtui"
    assert settings.runs_dir() == tmp_path / "d/sdtui/runs"
    assert settings.cache_dir() == tmp_path / "home/.cache/sdtui", "a relative XDG path is to be ignored"


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "XDG_CACHE_HOME"])
def test_a_user_without_a_home_is_told_what_to_set(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    ask = {"XDG_CONFIG_HOME": settings.config_dir, "XDG_CACHE_HOME": settings.cache_dir}[variable]
    with pytest.raises(UserError, match=rf"^user 4000000 has no home folder here; set HOME, or {variable}$"):
        ask()
    monkeypatch.setenv(variable, "/somewhere")
    assert ask() == Path("/somewhere/sdtui")


def test_runs_dir_flag_then_variable_then_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write('runs_dir = "~/from-file"')
    assert settings.runs_dir() == tmp_path / "home/from-file"
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(tmp_path / "from-variable"))
    assert settings.runs_dir() == tmp_path / "from-variable"
    assert settings.runs_dir(tmp_path / "from-flag") == tmp_path / "from-flag"
    monkeypatch.setenv("SDTUI_RUNS_DIR", "")
    assert settings.runs_dir() == tmp_path / "home/from-file"


def test_a_relative_runs_dir_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.runs_dir(Path("here")) == tmp_path / "here"


def test_locks_dir_is_shared_by_users_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_LOCKS_DIR", str(tmp_path / "locks"))
    before = os.umask(0o077)
    try:
        path = settings.locks_dir()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o1777
    assert settings.locks_dir() == path


def test_locks_dir_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locks").touch()
    monkeypatch.setenv("SDTUI_LOCKS_DIR", str(tmp_path / "locks"))
    with pytest.raises(UserError, match=r"locks directory .*/locks: .*SDTUI_LOCKS_DIR"):
        settings.locks_dir()


def test_no_file_is_an_empty_one() -> None:
    loaded = settings.load()
    assert loaded == settings.Settings(settings.config_dir() / "settings.toml")


def test_environments_are_read(tmp_path: Path) -> None:
    _write('[environments]\n"torch-2.9" = "~/venvs/a/bin/python"\nnightly = "/opt/nightly/bin/python"\n')
    assert settings.load().environments == {
        "torch-2.9": settings.Environment(tmp_path / "home/venvs/a/bin/python"),
        "nightly": settings.Environment(Path("/opt/nightly/bin/python")),
    }


def test_an_environment_may_have_a_label() -> None:
    _write('[environments]\na = { python = "/a/bin/python" }\n[environments.b]\npython = "/b"\nlabel = " our build "\n')
    assert settings.load().environments == {
        "a": settings.Environment(Path("/a/bin/python")),
        "b": settings.Environment(Path("/b"), "our build"),
    }


def test_the_dashboard_s_keys_are_read() -> None:
    path = _write('[dashboard]\ntheme = "dusk"\nmouse = false\nnotify = false\nimages = "sixel"\n')
    assert settings.load() == settings.Settings(path, theme="dusk", mouse=False, notify=False, images="sixel")


@pytest.mark.parametrize(
    "text", ['[keys]\nrun.start = "f5,ctrl+r"\nquit = "Q"\n', '[keys]\n"run.start" = "f5,ctrl+r"\nquit = "Q"\n']
)
def test_the_keys_of_bindings_are_read_with_and_without_quotes(text: str) -> None:
    _write(text)
    assert settings.load().keys == {"run.start": "f5,ctrl+r", "quit": "Q"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[environment]\na = "/x"', r"environment: unknown key; did you mean 'environments'\?"),
        ('runs_dirs = "/x"', r"runs_dirs: unknown key; did you mean 'runs_dir'\?"),
        ("runs_dir = 3", r"runs_dir: 3 is no text"),
        ('runs_dir = ""', r"runs_dir: must not be empty"),
        ('runs_dir = "here"', r"runs_dir: 'here' is no absolute path; did you mean '.*/here'\?"),
        ("environments = 3", r"environments: 3 is no table"),
        ("[environments]\na = true", r"environments.a: true is no text"),
        ("[environments]\na = {}", r"environments.a.python: is missing"),
        ('[environments]\na = ""', r"environments.a.python: must not be empty"),
        ('[environments.a]\npyhton = "/x"', r"environments.a.pyhton: unknown key; did you mean 'python'\?"),
        ('[environments]\na = { python = "/x", label = " " }', r'environments.a.label: " " is no label: .*'),
        ('[environments]\na = { python = "/x", label = "a\\nb" }', r'environments.a.label: "a\\nb" is no label: .*'),
        ('[environments]\na = "bin/python"', r"environments.a: 'bin/python' is no absolute path; did you mean .*"),
        ('[environments]\na = "~no-such-user/x"', r"environments.a: '~no-such-user/x' names an unknown home folder"),
        ('[environments]\ncurrent = "/x"', r"environments.current: 'current' is the environment that .*"),
        ('[environments]\n"a/b" = "/x"', r"environments.a/b: a name is letters, .*"),
        ("[dashbord]", r"dashbord: unknown key; did you mean 'dashboard'\?"),
        ("[dashboard]\nmuose = true", r"dashboard.muose: unknown key; did you mean 'mouse'\?"),
        ("[dashboard]\nmouse = 1", r"dashboard.mouse: 1 is neither true nor false"),
        ("[dashboard]\ntheme = 3", r"dashboard.theme: 3 is no text"),
        ('[dashboard]\ntheme = ""', r"dashboard.theme: must not be empty"),
        ('[dashboard]\nimages = "sixels"', r"dashboard.images: \"sixels\" is not allowed; did you mean 'sixel'\?"),
        ("dashboard = true", r"dashboard: true is no table"),
        ("[keys]\nrun.start = 5", r"keys.run.start: 5 is no text"),
        ('[keys]\nquit = ["Q"]', r'keys.quit: \["Q"\] is no text'),
        ("keys = 5", r"keys: 5 is no table"),
        ("runs_dir = /x\n", r"not TOML: .*line 1.*"),
        (b'runs_dir = "\xff"', r"not UTF-8: .*"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(text: str | bytes, message: str) -> None:
    path = _write(text)
    with pytest.raises(UserError) as caught:
        settings.load()
    assert re.fullmatch(re.escape(f"{path}: ") + message, str(caught.value)), caught.value


def test_a_folder_in_place_of_the_file() -> None:
    path = settings.config_dir() / settings.SETTINGS
    path.mkdir(parents=True)
    with pytest.raises(UserError, match=r"settings\.toml: is a folder"):
        settings.load()


def test_importing_settings_imports_nothing_heavy() -> None:
    program = "import sys, sdtui.settings; sdtui.settings.runs_dir(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "sdtui.settings" in modules
    assert {"psutil", "pynvml", "rich", "torch"}.isdisjoint(modules)
