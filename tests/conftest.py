"""What every test stands on: no test reads or writes the settings, runs and locks of whoever runs it, or asks a hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports torch: on a busy machine of few cores, threads that spin while they wait for one another
# slow tiny models down by up to a hundred times.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _isolate(environment: pytest.MonkeyPatch, folder: Path) -> None:
    for variable, name in (
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_DATA_HOME", "data"),
        ("SDTUI_LOCKS_DIR", "locks"),
    ):
        environment.setenv(variable, str(folder / name))
    for variable in ("SDTUI_RUNS_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        environment.delenv(variable, raising=False)
    for variable in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        environment.setenv(variable, "1")


@pytest.fixture(scope="session", autouse=True)
def _isolated_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For fixtures of a session or module, which start before the one below."""
    with pytest.MonkeyPatch.context() as environment:
        _isolate(environment, tmp_path_factory.mktemp("session"))
        yield


@pytest.fixture(autouse=True)
def _isolated_test(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    _isolate(monkeypatch, tmp_path_factory.mktemp("home"))
