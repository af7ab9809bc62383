"""When a process may fork workers."""

from pathlib import Path

import pytest

from sdtui.worker import forkserver


def test_a_process_that_has_a_gpus_driver_open_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA context needs the driver's file; a child of its holder cannot use the GPU."""
    monkeypatch.setattr(forkserver, "_DRIVERS", (str(tmp_path / "nvidia-uvm"),))
    assert forkserver._cannot_fork() == ""
    with (tmp_path / "nvidia-uvm").open("w"):
        assert "begins to use the GPU when it is imported" in forkserver._cannot_fork()
    assert forkserver._cannot_fork() == ""
