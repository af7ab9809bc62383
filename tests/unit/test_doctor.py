"""Every check of the doctor, fed with facts; and the whole of it over a made-up driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nvml_doubles import Card, FakeNvml

from sdtui import doctor, settings
from sdtui.findings import (
    Finding,
    check_compiler,
    check_driver,
    check_folder,
    check_gpu,
    check_headers,
    check_logind,
    check_packages,
    check_torch,
    check_torchvision,
    check_vram,
)
from sdtui.model.machine import Gpu, Interpreter
from sdtui.telemetry import logind, nvml
from sdtui.telemetry.devices import Board
from sdtui.telemetry.nvml import Nvml

GPU = Gpu("NVIDIA H100", "GPU-1", 0, 81559.0, "580.65", "13.0", "9.0", persistence=True, mig=False, ecc=True)
PACKAGES = {"torch": "2.11.0+cu130", "diffusers": "0.42.1", "transformers": "5.24.0", "accelerate": "1.15.0"}
PYTHON = Interpreter("nightly", "/opt/my env/bin/python", "3.12.4", {**PACKAGES, "xformers": "0.0.33"}, "13.0")
PIP = "'/opt/my env/bin/python' -m pip install"


def _levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def _with(cuda: str | None = "13.0", **packages: str | None) -> Interpreter:
    return replace(PYTHON, cuda=cuda, packages={**PYTHON.packages, **packages})


def _driver(cuda: str, capability: str = "9.0") -> list[Gpu]:
    return [replace(GPU, cuda_driver=cuda, compute_capability=capability)]


# ------------------------------------------------------------------------------------------------- driver and GPUs


def test_no_driver_leaves_tiny() -> None:
    (finding,) = check_driver("Driver Not Loaded", [], {})
    assert (finding.level, finding.mend) == ("warning", "")
    assert "(Driver Not Loaded)" in finding.message
    assert "--scale tiny --device cpu" in finding.message


def test_a_driver_that_was_updated_under_a_running_kernel() -> None:
    (finding,) = check_driver("RM has detected an NVML/RM version mismatch.", [], {})
    assert (finding.level, finding.mend) == ("problem", "sudo reboot")


def test_a_driver_without_a_gpu() -> None:
    assert _levels(check_driver(None, [], {})) == ["warning"]


@pytest.mark.parametrize(
    ("board", "environ", "mend"),
    [
        (Board(GPU), {}, None),
        (Board(GPU), {"CUDA_VISIBLE_DEVICES": "0"}, None),
        (Board(GPU), {"CUDA_VISIBLE_DEVICES": ""}, "unset CUDA_VISIBLE_DEVICES"),
        (Board(replace(GPU, mig=True)), {}, "sudo nvidia-smi mig -cgi 0 -C"),
    ],
)
def test_a_driver_with_gpus(board: Board, environ: dict[str, str], mend: str | None) -> None:
    first, *rest = check_driver(None, [board], environ)
    assert (first.level, first.message) == ("ok", "NVIDIA 580.65, CUDA up to 13.0")
    assert [(finding.level, finding.mend) for finding in rest] == ([("problem", mend)] if mend else [])


def test_the_state_of_a_gpu() -> None:
    (finding,) = check_gpu("cuda:0", GPU)
    assert finding.message == "NVIDIA H100, 81,559 MiB, ECC on, persistence on, MIG off"
    findings = check_gpu("cuda:0", replace(GPU, persistence=False, ecc=None))
    assert findings[0].message == "NVIDIA H100, 81,559 MiB, persistence off, MIG off"
    assert (findings[1].level, findings[1].mend) == ("info", "sudo nvidia-smi -pm 1")


def test_memory() -> None:
    needs = {"sd": 2034.0, "controlnet": 2723.0, "if": 1658.0}
    assert _levels(check_vram("cuda:0", 8000.0, 0, needs)) == ["ok"]
    assert check_vram("cuda:0", None, None, needs) == []
    (tight,) = check_vram("cuda:0", 2000.0, 0, needs)
    assert (tight.level, tight.mend) == ("warning", "")
    assert "sd (2,034 MiB), controlnet (2,723 MiB)" in tight.message
    assert "if" not in tight.message
    taken = check_vram("cuda:0", 2000.0, 2, needs)
    assert _levels(taken) == ["warning", "warning"]
    assert "2 other compute processes are on it" in taken[1].message
    assert all(finding.mend.startswith("nvidia-smi ") for finding in taken)


# ---------------------------------------------------------------------------------------------------- environments


def test_packages_present() -> None:
    (finding,) = check_packages(PYTHON, [])
    assert finding.level == "ok"
    assert "torch 2.11.0+cu130, diffusers 0.42.1, transformers 5.24.0, accelerate 1.15.0" in finding.message


def test_packages_missing() -> None:
    bare = _with(torch=None, accelerate=None, xformers=None)
    problem, info = check_packages(bare, _driver("12.4"))
    assert (problem.level, problem.message) == ("problem", "not installed: torch, accelerate")
    assert problem.mend == f"{PIP} 'torch<2.11' accelerate"
    assert (info.level, "xformers" in info.message) == ("info", True)


def test_cells_run_without_accelerate() -> None:
    info, versions = check_packages(_with(accelerate=None), [])
    assert info.level == "info"
    assert info.message == "not installed: accelerate; real weights take longer to load, and more memory"
    assert versions.level == "ok"


def test_packages_that_are_too_old() -> None:
    old = _with(torch="2.0.1+cu118", diffusers="0.15.1")
    torch, diffusers = check_packages(old, _driver("12.4"))
    assert (torch.level, torch.message) == ("problem", "torch 2.0.1+cu118 is too old, the least is 2.1")
    assert torch.mend == f"{PIP} 'torch>=2.1,<2.11'"
    assert diffusers.mend == f"{PIP} 'diffusers>=0.16'"


@pytest.mark.parametrize(
    ("built", "driver", "mend"),
    [
        ("13.0", "13.0", None),
        ("12.8", "13.0", None),
        ("12.8", "12.2", None),
        ("11.8", "11.4", None),
        ("13.0", "12.9", f"{PIP} --force-reinstall 'torch<2.11'"),
        ("12.1", "11.8", ""),
        ("13.0", "11.8", ""),
        (None, "12.8", f"{PIP} --force-reinstall 'torch<2.11'"),
        (None, "13.0", f"{PIP} --force-reinstall torch"),
    ],
)
def test_torch_against_the_driver(built: str | None, driver: str, mend: str | None) -> None:
    (finding,) = check_torch(_with(cuda=built), _driver(driver))
    assert finding.level == ("ok" if mend is None else "problem")
    assert finding.mend == (mend or "")
    if mend == "":
        assert finding.message.endswith("update the driver, it is too old for torch")


def test_torch_is_mended_together_with_torchvision() -> None:
    (finding,) = check_torch(_with(torchvision="0.26.0"), _driver("12.8"))
    assert finding.mend == f"{PIP} --force-reinstall 'torch<2.11' torchvision"


def test_a_gpu_that_cuda_13_dropped() -> None:
    assert _levels(check_torch(_with(), _driver("13.0", "7.5"))) == ["ok"]
    assert _levels(check_torch(_with("12.6"), _driver("13.0", "7.0"))) == ["ok"]
    (finding,) = check_torch(_with(), _driver("13.0", "7.0"))
    assert (finding.level, finding.mend) == ("problem", f"{PIP} --force-reinstall 'torch<2.8'")


def test_torch_without_a_gpu_or_without_torch() -> None:
    assert check_torch(_with(None), []) == []
    assert check_torch(_with(None, torch=None), _driver("13.0")) == []


@pytest.mark.parametrize(
    ("torch", "wanted", "fits"),
    [
        ("2.11.0+cu130", "2.11.0", True),
        ("2.12.0.dev20260301+cu130", "2.12.0.dev20260301", True),
        ("2.11.0", None, True),
        (None, "2.11.0", True),
        ("2.11.0+cu130", "2.10.0", False),
        ("2.12.0.dev20260301+cu130", "2.12.0.dev20260302", False),
    ],
)
def test_torchvision(torch: str | None, wanted: str | None, fits: bool) -> None:
    findings = check_torchvision(_with(torch=torch, torchvision="0.25.0"), wanted)
    assert _levels(findings) == ([] if fits else ["problem"])
    if not fits and torch:
        assert findings[0].mend == f"{PIP} --upgrade torch=={torch.partition('+')[0]} torchvision"


def test_headers() -> None:
    assert check_headers(PYTHON, True, "apt-get") == []
    (finding,) = check_headers(PYTHON, False, "apt-get")
    assert (finding.level, finding.mend) == ("warning", "sudo apt-get install python3.12-dev")
    assert check_headers(PYTHON, False, "")[0].mend == ""


# ----------------------------------------------------------------------------------------------------------- host


def test_compiler() -> None:
    assert check_compiler("/usr/bin/gcc", "dnf") == [Finding("ok", "compiler", "/usr/bin/gcc")]
    (finding,) = check_compiler(None, "dnf")
    assert (finding.level, finding.mend) == ("warning", "sudo dnf install gcc gcc-c++")


@pytest.mark.parametrize(
    ("free_mib", "writable", "level"),
    [(5000.0, True, "ok"), (1000.0, True, "warning"), (99.0, True, "problem"), (5000.0, False, "problem")],
)
def test_folders(free_mib: float, writable: bool, level: str) -> None:
    (runs,) = check_folder("runs directory", Path("/r"), free_mib, writable)
    (cache,) = check_folder("compile cache", Path("/c"), free_mib, writable)
    assert runs.level == cache.level == level
    if level != "ok":
        assert "SDTUI_RUNS_DIR" in runs.message
        assert "TORCHINDUCTOR_CACHE_DIR" in cache.message


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({}, False),
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, False),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses = yes\n"}, True),
        ({"usr/lib/systemd/logind.conf": "[Login]\nKillUserProcesses=1\n"}, True),
        (
            {
                "etc/systemd/logind.conf": "[Login]\nKillUserProcesses=no\n",
                "usr/lib/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n",
            },
            False,
        ),
        (
            {
                "etc/systemd/logind.conf": "KillUserProcesses=no",
                "usr/lib/systemd/logind.conf.d/50-kill.conf": "[Login]\nKillUserProcesses=yes\n",
            },
            True,
        ),
        (
            {
                "etc/systemd/logind.conf.d/50-kill.conf": "[Login]\nKillUserProcesses=no\n",
                "usr/lib/systemd/logind.conf.d/50-kill.conf": "[Login]\nKillUserProcesses=yes\n",
            },
            False,
        ),
        ({"etc/systemd/logind.conf": "KillUserProcesses=yes\nKillExcludeUsers=root ada"}, False),
        ({"etc/systemd/logind.conf": "KillUserProcesses=yes\nKillOnlyUsers=bob"}, False),
        ({"etc/systemd/logind.conf": "KillUserProcesses=yes\nKillOnlyUsers=bob ada"}, True),
    ],
)
def test_logind(tmp_path: Path, files: dict[str, str], kills: bool) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert logind.kills_user_processes(tmp_path, "ada") is kills
    assert not logind.kills_user_processes(tmp_path, "root"), "excluded unless KillExcludeUsers says otherwise"


def test_logind_of_a_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    (tmp_path / "etc/systemd").mkdir(parents=True)
    (tmp_path / "etc/systemd/logind.conf").write_text("KillUserProcesses=yes\nKillOnlyUsers=4000000")
    assert logind.kills_user_processes(tmp_path)


def test_logind_mend_leaves_the_session() -> None:
    assert check_logind(False) == []
    (finding,) = check_logind(True)
    assert "loginctl enable-linger" in finding.mend
    assert "systemd-run --user --scope" in finding.mend


def test_render_wraps_between_words_but_leaves_commands_whole() -> None:
    text = doctor.render([Finding("warning", "driver", "one two three four", "sudo a b c d e f g h i j k l")], 30)
    assert text == ("warning  driver: one two three\n         four\n         mend with: sudo a b c d e f g h i j k l\n")


def test_render() -> None:
    text = doctor.render([Finding("ok", "compiler", "/usr/bin/gcc"), Finding("problem", "a b", "is gone", "get it")])
    assert text == "ok       compiler: /usr/bin/gcc\nproblem  a b: is gone\n         mend with: get it\n"


# ---------------------------------------------------------------------------------------------------- all together


@pytest.fixture
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def _on(monkeypatch: pytest.MonkeyPatch, *cards: Card) -> None:
    monkeypatch.setattr(nvml, "connect", lambda: Nvml(FakeNvml(*cards)))


@pytest.mark.usefixtures("_machine")
def test_a_busy_gpu_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(monkeypatch, Card(used_mib=80_000, processes={7: None}), Card(uuid="GPU-2"))
    findings = doctor.diagnose([], tmp_path / "runs")
    by_subject: dict[str, list[Finding]] = {}
    for finding in findings:
        by_subject.setdefault(finding.subject, []).append(finding)
    assert _levels(by_subject["cuda:0"]) == ["ok", "warning", "warning", "info"]
    assert "1,559 MiB of memory free, less than the fp16 weights alone of" in by_subject["cuda:0"][1].message
    assert "sd-txt2img (2,034 MiB)" in by_subject["cuda:0"][1].message
    assert _levels(by_subject["cuda:1"]) == ["ok", "ok", "info"]
    assert by_subject["cuda:1"][2].mend == "sdtui doctor --probe --device cuda:1"
    assert _levels(by_subject["runs directory"]) == ["ok"]
    assert not (tmp_path / "runs").exists(), "a diagnosis writes nothing"


@pytest.mark.usefixtures("_machine")
def test_the_compile_caches_and_their_size_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(monkeypatch)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    kept = settings.cache_dir() / "compile" / "current" / "inductor"
    kept.mkdir(parents=True)
    (kept / "kernel").write_bytes(bytes(3 << 20))
    (finding,) = (each for each in doctor.diagnose([], tmp_path / "runs") if each.subject == "compile cache")
    assert finding.message.startswith(f"{settings.cache_dir()}/compile, 3 MiB in it, ")


@pytest.mark.usefixtures("_machine")
def test_a_runs_directory_under_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(monkeypatch)
    (tmp_path / "file").touch()
    findings = doctor.diagnose([], tmp_path / "file/runs")
    assert [finding.level for finding in findings if finding.subject == "runs directory"] == ["problem"]


@pytest.mark.usefixtures("_machine")
def test_every_registered_environment_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(monkeypatch)
    file = settings.config_dir() / settings.SETTINGS
    file.parent.mkdir(parents=True)
    file.write_text(f'[environments]\ngone = "{tmp_path}/gone"\n')
    findings = doctor.diagnose_here(tmp_path / "runs")
    environments: dict[str, Any] = {finding.subject: finding for finding in reversed(findings)}
    assert environments["environment current"].level == "ok"
    gone = environments["environment gone"]
    assert (gone.level, gone.message) == ("problem", f"{tmp_path}/gone: No such file or directory")


@pytest.mark.usefixtures("_machine")
def test_what_is_wrong_in_a_person_s_files_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(monkeypatch, Card())
    file = settings.config_dir() / settings.SETTINGS
    (file.parent / "modes").mkdir(parents=True)
    file.write_text("environment = 1")
    (file.parent / "modes" / "mine.toml").write_text("fuse = true")
    findings = {finding.subject: finding for finding in reversed(doctor.diagnose_here(tmp_path / "runs"))}
    assert findings["settings"].level == findings["catalog"].level == "problem"
    assert findings["settings"].message == f"{file}: environment: unknown key; did you mean 'environments'?"
    assert "mine.toml" in findings["catalog"].message
    assert findings["environment current"].level == "ok", "it goes on"
    assert findings["runs directory"].level == "ok"
