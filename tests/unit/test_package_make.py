"""Which torch ``make`` installs, with nvidia-smi played by a script."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CURRENT = "torch==2.13.0"
CUDA_12 = "torch==2.10.0"
SYSTEM_PYTHON = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
TOOLS = "/usr/bin:/bin"


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _make_torch(
    folder: Path, nvidia_smi: str | None, cuda: bool = False, python: str = SYSTEM_PYTHON, torch: str = ""
) -> tuple[int, str]:
    """Returns the exit status and output of ``make torch`` where ``python3`` has a torch with or without CUDA."""
    if nvidia_smi is not None:
        _script(folder / "nvidia-smi", nvidia_smi)
    elif shutil.which("nvidia-smi", path=TOOLS):
        pytest.skip("this machine has an NVIDIA driver")
    (folder / "torch.py").write_text(f"class cuda:\n    is_available = staticmethod(lambda: {cuda})\n")
    _script(folder / "python3", f'exec "{python}" "$@"')
    environment = {"PATH": f"{folder}:{TOOLS}", "PYTHONPATH": str(folder), "TORCH": torch}
    command = ["make", "-s", "-C", str(PROJECT), "torch"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip() or done.stderr


@pytest.mark.parametrize(
    ("driver", "expected"),
    [("595.12", CURRENT), ("580.65.06", CURRENT), ("579.99", CUDA_12), ("525.60.13", CUDA_12)],
)
def test_takes_a_torch_that_the_driver_can_run(tmp_path: Path, driver: str, expected: str) -> None:
    assert _make_torch(tmp_path, f"echo {driver}; echo {driver}") == (0, expected)


def test_says_that_the_driver_is_too_old(tmp_path: Path) -> None:
    status, output = _make_torch(tmp_path, "echo 470.82.01")

    assert status != 0
    assert "driver 470 is too old" in output


def test_keeps_a_torch_of_the_system_that_works(tmp_path: Path) -> None:
    assert _make_torch(tmp_path, "echo 550.54.15", cuda=True) == (0, "system")


def test_does_not_keep_a_torch_that_the_new_environment_would_not_see(tmp_path: Path) -> None:
    venv.create(tmp_path / "other", symlinks=True)
    python = str(tmp_path / "other" / "bin" / "python3")

    assert _make_torch(tmp_path, "echo 550.54.15", cuda=True, python=python) == (0, CUDA_12)


def test_without_a_driver_a_torch_of_the_system_is_not_kept(tmp_path: Path) -> None:
    assert _make_torch(tmp_path, None, cuda=True) == (0, CURRENT)


def test_a_driver_that_does_not_answer_is_none(tmp_path: Path) -> None:
    failing = "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9"

    assert _make_torch(tmp_path, failing) == (0, CURRENT)


@pytest.mark.parametrize("nvidia_smi", [None, "echo 550.54.15", "echo 470.82.01"])
def test_torch_chosen_by_hand_wins(tmp_path: Path, nvidia_smi: str | None) -> None:
    assert _make_torch(tmp_path, nvidia_smi, torch="torch==2.9.1") == (0, "torch==2.9.1")
