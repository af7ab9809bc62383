"""``sdtui rm``: asks, deletes what was named, and nothing that is wrong or live."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import DOCS, ONE, RECORDED, SMOKE, TINY, Said, Shell, Terminal

Command = Callable[..., Said]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Copies of the recorded runs; gives which are still there."""
    copied = tmp_path / "runs"
    shutil.copytree(RECORDED, copied, ignore=shutil.ignore_patterns("*.md"))
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(copied))
    return lambda: sorted(path.name for path in copied.iterdir())


def test_runs_are_deleted_without_a_question(sdtui: Command, kept: Callable[[], list[str]]) -> None:
    assert sdtui("rm", "--yes", "e6c54d", "last", TINY) == Said(
        0, "", f"run {SMOKE}: deleted\nrun {TINY}: deleted\n"
    ), "what is named twice is deleted once"
    assert kept() == [DOCS]


def test_nothing_is_deleted_where_one_of_them_is_wrong(sdtui: Command, kept: Callable[[], list[str]]) -> None:
    said = sdtui("rm", "--yes", "last", "fa50b6")
    assert (said.status, said.out) == (2, "")
    assert "run 'fa50b6': no such run" in said.err
    assert kept() == [SMOKE, DOCS, TINY]


def test_without_a_terminal_it_does_not_guess(sdtui: Command, kept: Callable[[], list[str]]) -> None:
    expected = "sdtui: rm: asks before it deletes, and there is no terminal to ask on; add --yes\n"
    assert sdtui("rm", "last") == Said(2, "", expected)
    assert kept() == [SMOKE, DOCS, TINY]


@pytest.mark.parametrize(
    ("keys", "status", "left"),
    [
        (b"y\n", 0, [SMOKE]),
        (b"n\n", 1, [SMOKE, DOCS, TINY]),
        (b"\n", 1, [SMOKE, DOCS, TINY]),
        (b"\x03", 130, [SMOKE, DOCS, TINY]),
    ],
    ids=["yes", "no", "return", "interrupt"],
)
def test_at_a_terminal_it_asks(
    shell: Shell, kept: Callable[[], list[str]], keys: bytes, status: int, left: list[str]
) -> None:
    terminal = Terminal(shell, 120, "rm", "last", DOCS)
    terminal.await_text("delete these 2 runs? [y/N]: ")
    assert f"{DOCS}  ok           2 ok" in terminal.shown
    terminal.type(keys)
    assert terminal.ended() == status, terminal.shown
    assert kept() == left


def test_a_run_that_goes_on_is_not_deleted(shell: Shell) -> None:
    shell.play("hang")
    assert shell.run(*ONE, "--detach").status == 0
    said = shell.call("rm", "--yes", "last")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"sdtui: run {shell.folder().name}: is running (held by ")
    assert shell.call("cancel", "last").status == 0
    shell.await_end()
    assert shell.call("rm", "--yes", "last").status == 0
    assert list(shell.runs_dir.iterdir()) == []
