"""Environments written into the settings file and taken out of it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sdtui import environments, registry, settings
from sdtui.model.errors import UserError
from sdtui.model.machine import Interpreter
from sdtui.settings import Environment

PACKAGES = {"torch": "2.13.0", "diffusers": "0.42.1", "transformers": "5.24.0"}
MINE = """\
# my settings
runs_dir = "/big/runs"  # the large disk

[environments]  # built by the nightly job
nightly = "~/nightly/bin/python"  # of the week
older = '/older/bin/python'
# the end

[dashboard]
mouse = false
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file, not yet written, on a machine where every interpreter works."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(environments, "describe", lambda name, path: Interpreter(name, str(path), "3.12.1", PACKAGES))
    return settings.config_dir() / settings.SETTINGS


@pytest.fixture
def write(file: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


def add(name: str, python: str, label: str | None = None) -> Interpreter:
    return registry.add(settings.load(), name, python, label)


def test_the_first_one_makes_the_file(file: Path) -> None:
    found = add("newer", "/opt/newer/bin/python")
    assert (found.python, found.label) == ("/opt/newer/bin/python", None)
    assert file.read_text() == '[environments]\nnewer = "/opt/newer/bin/python"\n'
    assert settings.load().environments == {"newer": Environment(Path("/opt/newer/bin/python"))}


def test_everything_else_stays_as_it_was(write: Callable[[str], Path]) -> None:
    file = write(MINE)
    add("torch-2.9", "/b/bin/python", "our build")
    line = '"torch-2.9" = {python = "/b/bin/python", label = "our build"}\n'
    assert file.read_text() == MINE.replace("# the end\n", f"# the end\n{line}")
    assert registry.remove(settings.load(), "torch-2.9") == Environment(Path("/b/bin/python"), "our build")
    assert file.read_text() == MINE


def test_a_label_is_given_to_a_path_that_was_written_by_hand(write: Callable[[str], Path], tmp_path: Path) -> None:
    file = write(MINE)
    add("nightly", str(tmp_path / "home/nightly/bin/python"), "ours")
    written = 'nightly = {python = "~/nightly/bin/python", label = "ours"}  # of the week'
    assert file.read_text() == MINE.replace('nightly = "~/nightly/bin/python"  # of the week', written)


@pytest.mark.parametrize(
    "text",
    [
        'environments.a = "/a"\nruns_dir = "/r"\n',
        'environments = { a = "/a" }\n[keys]\nquit = "Q"\n',
        '[environments.a]\npython = "/a"  # mine\nlabel = "A"\n[keys]\nquit = "Q"\n',
        '[keys]\nquit = "Q"\n',
        'runs_dir = "/r"\r\n[environments]\r\na = "/a"\r\n',
        "",
    ],
)
def test_every_way_to_write_the_table(write: Callable[[str], Path], text: str) -> None:
    file = write(text)
    before = settings.load()
    add("b", "/b", "B")
    after = settings.load()
    assert after.environments == {**before.environments, "b": Environment(Path("/b"), "B")}
    assert (after.runs_dir, after.keys) == (before.runs_dir, before.keys)
    assert ("# mine" in file.read_text()) == ("# mine" in text)
    registry.remove(after, "b")
    assert settings.load() == before


def test_a_label_changes_and_stays(write: Callable[[str], Path]) -> None:
    write('[environments.a]\npython = "/a"  # mine\nlabel = "A"\n')
    assert add("a", "/a").label == "A"
    assert add("a", "/a", "B").label == "B"
    assert settings.load().environments == {"a": Environment(Path("/a"), "B")}


def test_the_same_environment_again_writes_nothing(write: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    text = f'environments = {{ a = "{folder}" }}\n'
    file = write(text)
    file.chmod(0o400)
    inode = file.stat().st_ino
    add("a", str(folder / "bin/python"))
    assert (file.read_text(), file.stat().st_ino) == (text, inode)


def test_a_taken_name_is_refused(write: Callable[[str], Path]) -> None:
    file = write(MINE)
    with pytest.raises(UserError) as caught:
        add("nightly", "/other/bin/python")
    assert str(caught.value).startswith("environment 'nightly': is ")
    assert str(caught.value).endswith("choose another name, or free this one with 'sdtui env remove nightly'")
    assert file.read_text() == MINE


@pytest.mark.parametrize(
    ("name", "python", "said"),
    [
        ("current", "/a", "'current' is the environment that sdtui runs in; choose another name"),
        ("a b", "/a", "a name is letters, digits and . _ + -, such as 'torch-nightly'"),
        ("a", "", "the path must not be empty"),
        ("a", "~no-such-user/x", "'~no-such-user/x' names an unknown home folder"),
    ],
)
def test_what_cannot_be_added(file: Path, name: str, python: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        add(name, python)
    assert str(caught.value) == f"environment '{name}': {said}"
    assert not file.parent.exists()


@pytest.mark.parametrize(
    ("python", "registered"),
    [
        ("env/python", "{here}/env/python"),
        ("~/v/bin/python", "{home}/v/bin/python"),
        ("python9", "{here}/python9"),
    ],
)
def test_a_path_becomes_absolute(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str, registered: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert add("a", python).python == registered.format(here=tmp_path, home=tmp_path / "home")


def test_a_command_s_name_is_found_as_a_shell_finds_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python9").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert add("a", "python9").python == str(tmp_path / "python9")


def test_an_interpreter_without_torch_is_not_registered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "torch", None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^environment 'a': torch not installed; install with: /a -m pip install "):
        add("a", "/a")
    assert not file.parent.exists()


@pytest.mark.parametrize(("name", "said"), [("nigthly", "did you mean 'nightly'"), ("current", "runs in")])
def test_what_cannot_be_removed(write: Callable[[str], Path], name: str, said: str) -> None:
    file = write(MINE)
    with pytest.raises(UserError, match=f"^environment '{name}': is .*{said}"):
        registry.remove(settings.load(), name)
    assert file.read_text() == MINE


def test_links_and_permissions_stay(write: Callable[[str], Path], tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.toml"
    kept.write_text(MINE)
    kept.chmod(0o600)
    file = write("")
    file.unlink()
    file.symlink_to(kept)
    add("b", "/b")
    assert file.is_symlink()
    assert 'b = "/b"' in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".*")), "nothing temporary stays"


def test_what_tomlkit_would_write_otherwise_is_left_alone(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(MINE)
    monkeypatch.setattr(registry, "_edited", lambda text, table: text.replace("false", "true"))
    with pytest.raises(UserError, match=r"settings\.toml: is written in a way that sdtui does not edit; change \["):
        add("b", "/b")
    assert file.read_text() == MINE


def test_a_folder_that_cannot_be_written(file: Path) -> None:
    file.parent.parent.mkdir(parents=True)
    file.parent.write_text("no folder")
    with pytest.raises(UserError, match=r"settings\.toml: cannot be written: "):
        add("b", "/b")
