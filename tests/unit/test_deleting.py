"""What is deleted of a run, and what is not touched."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from sdtui import deleting, locks, runs
from sdtui.model.errors import UserError

SAMPLE = next((Path(__file__).parents[1] / "fixtures" / "runs").glob("*fa50b5"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with all that sdtui can leave in one, after a kill too."""
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "runs" / SAMPLE.name))
    runs.complete(folder)
    for name in ("lock", ".reserve", ".report.md.17", ".plan.toml.17", "control/cancel", "logs/x.log", "outputs/x.png"):
        (folder / name).touch()
    (folder / ".compile-cache" / "inductor" / "ab").mkdir(parents=True)
    return folder


def refused(folder: Path) -> str:
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError) as caught:
        deleting.delete(folder)
    assert sorted(folder.rglob("*")) == before
    return str(caught.value)


def test_a_run_is_deleted_with_all_that_sdtui_made(run: Path) -> None:
    deleting.delete(run)
    assert list(run.parent.iterdir()) == []


def test_a_new_run_is_deleted(tmp_path: Path) -> None:
    deleting.delete(runs.create(tmp_path, "d", "h", ""))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["report.html", ".report.md.old", ".git/", "report-charts/", "outputs/mine/", ".x.1"])
def test_what_sdtui_did_not_make_is_named_and_kept(run: Path, name: str) -> None:
    if name.endswith("/"):
        (run / name).mkdir()
    else:
        (run / name).touch()
    assert refused(run) == (
        f"run {run.name}: holds {name.rstrip('/')}, which sdtui did not make; move it elsewhere, or delete the folder "
        "by hand"
    )


def test_links_go_and_what_they_point_to_stays(run: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "deep").mkdir(parents=True)
    (there / "deep" / "latents").write_text("precious")
    shutil.rmtree(run / "outputs")
    (run / "outputs").symlink_to(there)
    (run / "logs" / "deep").symlink_to(there / "deep")
    (run / ".compile-cache" / "deep").symlink_to(there / "deep")
    (run / "report.md").unlink()
    (run / "report.md").symlink_to(there / "deep" / "latents")
    deleting.delete(run)
    assert not run.exists()
    assert (there / "deep" / "latents").read_text() == "precious"


def test_a_link_to_a_run_is_not_followed(run: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(run)
    assert refused(link) == f"run link: is a link to {run}; delete the run there"


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").touch()
    assert refused(tmp_path) == f"{tmp_path}: no run there (events.jsonl is missing)"


def test_a_run_that_is_held_is_left_alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = locks.Lock(run / runs.LOCK)
    assert lock.acquire(f"run {run.name}")
    said = refused(run)
    assert said.startswith(f"run {run.name}: is running (held by run {run.name} (pid {os.getpid()}, ")
    assert said.endswith("); end it with 'sdtui cancel fa50b5'")
    monkeypatch.setattr(deleting, "check", lambda _: None)  # it was taken since
    assert "is running" in refused(run)
    lock.release()
    deleting.delete(run)


def test_a_run_that_could_not_be_deleted_whole_can_be_deleted_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as closed:
        closed.setattr(shutil, "rmtree", refuse)
        with pytest.raises(OSError, match="Permission denied"):
            deleting.delete(run)
    assert [each.path for each in runs.list_runs(run.parent)] == [run]
    assert not runs.lock_state(run).held
    deleting.delete(run)
    assert not run.exists()
