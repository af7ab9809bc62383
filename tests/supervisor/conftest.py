"""A lab per test, or one per module where many tests look at one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from supervised import Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    made = Lab(tmp_path, monkeypatch)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as environ:
        made = Lab(tmp_path_factory.mktemp("lab"), environ)
        yield made
        made.close()
