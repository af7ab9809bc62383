"""The wheel and the sdist hold what sdtui reads, shown by reading it through sdtui from a folder of its own."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from sdtui.environments import MINIMUM

PROJECT = Path(__file__).parents[2]

# -I -S: no working directory, no PYTHONPATH, and no .pth file of an editable install. The dependencies come last.
READ_EVERYTHING = """
import json, pathlib, sys
wheel, dependencies = sys.argv[1:]
sys.path[:0] = [wheel]
sys.path.append(dependencies)

import tomllib
import sdtui.settings
from sdtui.catalog.load import load_catalog

catalog = load_catalog()
themes = pathlib.Path(sdtui.settings.__file__).with_name("themes")
print(json.dumps({
    "origin": sdtui.settings.__file__,
    "themes": sorted(tomllib.loads(p.read_text())["name"] for p in themes.glob("*.toml")),
    "pipelines": sorted(catalog.pipelines),
    "modes": sorted(catalog.modes),
    "presets": sorted(catalog.presets),
}))
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An otherwise empty folder that the wheel was installed into."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    offline = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(folder)]
    subprocess.run([*pip, *offline, *map(str, dist.glob("*.whl"))], check=True)
    return folder


def test_wheel_holds_the_catalog_and_the_themes(installed: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", READ_EVERYTHING, str(installed), sysconfig.get_path("purelib")]
    read = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert Path(read["origin"]).is_relative_to(installed)
    assert read["themes"] == sorted(path.stem for path in (PROJECT / "themes").glob("*.toml"))
    assert len(read["themes"]) >= 2
    for kind in ("pipelines", "modes", "presets"):
        assert read[kind] == sorted(path.stem for path in (PROJECT / "sdtui/catalog" / kind).glob("*.toml"))
        assert read[kind]


def test_wheel_holds_every_file_of_the_package(installed: Path) -> None:
    def files(package: Path) -> set[str]:
        found = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(package)) for path in found}

    themes = {f"themes/{path.name}" for path in (PROJECT / "themes").iterdir()}
    assert files(installed / "sdtui") == files(PROJECT / "sdtui") | themes


def test_every_package_that_is_imported_is_declared() -> None:
    imported: set[str] = set()
    for path in (PROJECT / "sdtui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"sdtui"}
    distributions = packages_distributions()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["images"], *extras["quantization"]]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in declared}
    assert {"torch", "numpy", "textual"} <= foreign
    assert {name for name in foreign if not names & {d.lower() for d in distributions[name]}} == set()


def test_installing_asks_for_the_versions_that_every_environment_needs() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {f"{name}>={version}" for name, version in MINIMUM.items()} <= set(declared)


def test_wheel_carries_types(installed: Path) -> None:
    assert (installed / "sdtui" / "py.typed").exists()


def test_wheel_installs_the_command(installed: Path) -> None:
    (entry_points,) = installed.glob("sdtui-*.dist-info/entry_points.txt")

    assert "sdtui = sdtui.cli.main:main" in entry_points.read_text()


def test_sdist_holds_what_a_build_and_the_tests_need(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {f"themes/{path.name}" for path in (PROJECT / "themes").iterdir()} <= names
    assert {"LICENSE", "Makefile", "constraints.txt", "pyproject.toml", "tests/conftest.py"} <= names


def test_model_runs_on_the_standard_library_alone(tmp_path: Path) -> None:
    package = tmp_path / "sdtui"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model").symlink_to(PROJECT / "sdtui" / "model")
    modules = sorted(path.stem for path in (PROJECT / "sdtui" / "model").glob("*.py"))
    code = "import sys; sys.path.insert(0, sys.argv[1]); " + "; ".join(
        f"import sdtui.model.{name}" for name in modules if name != "__init__"
    )

    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code, str(tmp_path)], check=True)


def test_no_two_test_files_have_one_name() -> None:
    """Of two with one name pytest collects the first that a process imports."""
    names = [path.name for path in Path(__file__).parents[1].rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
