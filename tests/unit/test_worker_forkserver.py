"""When a process may fork workers."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from sdtui.worker import forkserver

DRIVER = """
static int initialised = 0;
int cuInit(unsigned flags) { initialised = 1; return 0; }
int cuDeviceGetCount(int *count) { if (!initialised) return 3; *count = 1; return 0; }
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that answers as CUDA's driver does (CUDA driver API: 3 is CUDA_ERROR_NOT_INITIALIZED)."""
    source, library = tmp_path / "driver.c", tmp_path / "libcuda-of-this-test.so"
    source.write_text(DRIVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setattr(forkserver, "_DRIVER", str(library))
    return library


def test_a_process_without_the_driver_may() -> None:
    assert not forkserver._gpu_in_use()


def test_a_process_that_has_initialised_cuda_may_not(driver: Path) -> None:
    """A child of its own looks, so that the library is loaded in no other test."""
    code = (
        "import ctypes, sys\n"
        "from sdtui.worker import forkserver\n"
        "forkserver._DRIVER = sys.argv[1]\n"
        "found = [forkserver._gpu_in_use()]\n"
        "loaded = ctypes.CDLL(sys.argv[1])\n"
        "found.append(forkserver._gpu_in_use())\n"
        "loaded.cuInit(0)\n"
        "found.append(forkserver._gpu_in_use())\n"
        "print(found)"
    )
    done = subprocess.run([sys.executable, "-c", code, driver], capture_output=True, text=True, check=True)
    assert done.stdout == "[False, False, True]\n"


def test_the_import_that_begins_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([False, True])
    monkeypatch.setattr(forkserver, "_gpu_in_use", lambda: next(seen))
    monkeypatch.setattr(forkserver.importlib, "import_module", lambda name: sys.modules[__name__])
    named = forkserver._import(["json.Harmless", "json.Eager", "json.Never"])
    assert named == "importing json.Eager begins to use the GPU"


def test_a_package_that_is_hidden_is_found_again_by_who_imports_it_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As diffusers asks for torchao: what `importlib.util.find_spec` says when it is imported decides."""
    (tmp_path / "eager_package.py").write_text("")
    (tmp_path / "asking_package.py").write_text(
        "import importlib.util\n"
        "there = importlib.util.find_spec('eager_package') is not None\n"
        "try:\n    import eager_package\nexcept ImportError:\n    raised = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("eager_package", "asking_package"):  # whose being absent is what monkeypatch brings back
        monkeypatch.setitem(sys.modules, name, sys)
        del sys.modules[name]
    import_module = importlib.import_module
    monkeypatch.setattr(
        forkserver.importlib, "import_module", lambda name: import_module("json" if "." in name else name)
    )
    assert forkserver._import(["asking_package.Class"], "eager_package") == ""
    asking = sys.modules["asking_package"]
    assert (asking.there, asking.raised) == (False, True)  # type: ignore[attr-defined]
    assert import_module("eager_package")
    assert forkserver._import(["asking_package.Class"], "eager_package") == "", "what was imported before stays"
    assert "eager_package" in sys.modules
