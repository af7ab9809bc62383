"""A person's mistake: one line on stderr that names file, key and the nearest valid name, exit 2, nothing written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import DOCS, RECORDED, SMOKE, TINY, Said

from sdtui import environments, settings
from sdtui.model.machine import Gpu, Interpreter
from sdtui.supervisor import prepare
from sdtui.telemetry import nvml
from sdtui.telemetry.devices import Board, choose

Command = Callable[..., Said]

PLANS = {
    "broken.toml": b"pipelines = [\n",
    "latin-1.toml": 'prompt = "é"\n'.encode("latin-1"),
    "bom.toml": b'\xef\xbb\xbfpipelnes = ["sd-txt2img"]\n',
    "key.toml": b'pipelnes = ["sd-txt2img"]\n',
    "type.toml": b'pipelines = "sd-txt2img"\n',
    "text.toml": b'calls = "3"\n',
    "modes.toml": b'[modes.mine]\nextends = "compile"\n',
    "modez.toml": b'modez = ["compile"]\n',
    "half.toml": b'dtype = "half"\n',
    "several.toml": b'pipelines = ["if"]\nweights = "owner/name"\n',
    "leaves-out.toml": b"calls = 3\n",
    "item.toml": b'pipelines = ["sd-txt2img", 2]\n',
    "zero.toml": b"batch_sizes = [1, 0]\n",
    "pipeline.toml": b'pipelines = ["sd-txt2imgs"]\n',
    "mode.toml": b'modes = ["compil"]\n',
    "scale.toml": b'scale = "small"\n',
    "empty.toml": b"modes = []\n",
    "twice.toml": b'modes = ["compile", "no-compile", "compile"]\n',
    "extends.toml": b'modes = ["mine"]\n[mode.mine]\nextends = "compil"\n',
    "option.toml": b'modes = ["mine"]\n[mode.mine]\nmemory_fromat = "channels_last"\n',
    "value.toml": b'modes = ["mine"]\n[mode.mine]\nmemory_format = "channel_last"\n',
    "shipped.toml": b'modes = ["compile"]\n[mode.compile]\nfuse_qkv = true\n',
    "precise.toml": b"precision = 1\n",
    "limits.toml": b"max_seconds = 30.0\n",
    "limit.toml": b"vram_limit = 15\n",
    "environment.toml": b'environments = ["nightly"]\n',
}
PIPELINES = "if, if-cascade, sd-controlnet, sd-img2img, sd-inpaint, sd-txt2img"
SEVERAL = (
    "'owner/name': pipeline 'if' has several stages; write 'published', or a folder that holds one folder for each "
    "(I, II, III)"
)
NO_PIPELINE = (
    "holds no pipeline (model_index.json is missing); write a folder that a diffusers pipeline was saved to, or one "
    "that holds such a folder for each stage"
)
TWICE = "--slot: if.compile.current.b1 is there twice, which makes the same cell twice"
OUTSIDE = (
    "--slot: 'if.no-compile.current.b1' is outside the plan's pipelines, modes, environments and batch_sizes; did you "
    "mean 'if.compile.current.b1'?"
)
NO_SIZE = "is no size of memory; write it such as 15GiB, in GiB, MiB, GB or MB"
PAGE = "A100, V100, T4, RTX 3090, RTX 4090"
NO_GPU = "there is no usable GPU here; try --scale tiny --device cpu"


class Case(NamedTuple):
    arguments: str
    said: str
    status: int = 2


ON_CPU = "--scale tiny --device cpu"
IN_A_PLAN = [
    Case("broken.toml", "broken.toml: not TOML: Invalid value (at end of document)"),
    Case("latin-1.toml", "latin-1.toml: not UTF-8: byte 10 is 0xe9"),
    Case("folder.toml", "folder.toml: is a folder, not a file"),
    Case("folder/", "folder: is a folder, not a file"),
    Case("loop.toml", "loop.toml: cannot be read: Too many levels of symbolic links"),
    Case("/proc/self/mem", "/proc/self/mem: cannot be read: Input/output error"),
    Case("missing.toml", "missing.toml: no such file"),
    Case("missing/plan", "missing/plan: no such file"),
    Case("smok", "preset 'smok': unknown, and no such plan file; did you mean 'smoke'?"),
    Case("xyz", "preset 'xyz': unknown, and no such plan file; choose from: demo, docs, smoke"),
    Case("bom.toml", "bom.toml: pipelnes: unknown key; did you mean 'pipelines'?"),
    Case("key.toml", "key.toml: pipelnes: unknown key; did you mean 'pipelines'?"),
    Case("type.toml", 'type.toml: pipelines: "sd-txt2img" is no list; write ["sd-txt2img"]'),
    Case("modes.toml", "modes.toml: modes: a table is no list; a mode of your own is [mode.mine]"),
    Case("modez.toml", "modez.toml: modez: unknown key; did you mean 'modes'?"),
    Case("half.toml", "half.toml: dtype: \"half\" is not allowed; did you mean 'float16'?"),
    Case("text.toml", 'text.toml: calls: "3" is no whole number'),
    Case("item.toml", "item.toml: pipelines[1]: 2 is no text"),
    Case("zero.toml", "zero.toml: batch_sizes[1]: 0 is too small; the least is 1"),
    Case("pipeline.toml", "pipeline.toml: pipelines: unknown name 'sd-txt2imgs'; did you mean 'sd-txt2img'?"),
    Case("mode.toml", "mode.toml: modes: unknown name 'compil'; did you mean 'compile'?"),
    Case("scale.toml", 'scale.toml: scale: "small" is not allowed; choose from: full, tiny'),
    Case("empty.toml", "empty.toml: modes: must not be empty"),
    Case("twice.toml", "twice.toml: modes: compile is there twice, which makes the same cell twice"),
    Case("extends.toml", "extends.toml: mode.mine: extends: unknown name 'compil'; did you mean 'compile'?"),
    Case("option.toml", "option.toml: mode.mine: memory_fromat: unknown key; did you mean 'memory_format'?"),
    Case(
        "value.toml",
        "value.toml: mode.mine: memory_format: \"channel_last\" is not allowed; did you mean 'channels_last'?",
    ),
    Case("precise.toml", "precise.toml: precision: 1 is no share between 0% and 100%; write it as 1% or 0.01"),
    Case(
        "limits.toml",
        'limits.toml: max_seconds: limits the calls of a precision, and there is none; add precision = "1%"',
    ),
    Case("shipped.toml", "shipped.toml: mode.compile: sdtui ships a 'compile'; choose another name"),
]
IN_A_FLAG = [
    Case("--pipeline sd-txt2imgs", "--pipeline: unknown name 'sd-txt2imgs'; did you mean 'sd-txt2img'?"),
    Case("--pipeline flux", f"--pipeline: unknown name 'flux'; choose from: {PIPELINES}"),
    Case("--mode compil", "--mode: unknown name 'compil'; did you mean 'compile'?"),
    Case("--batch-size 0", "--batch-size: 0 is too small; the least is 1"),
    Case("--batch-size -1", "--batch-size: -1 is too small; the least is 1"),
    Case("--batch-size x", '--batch-size: "x" is no whole number'),
    Case("--batch-size 1,", '--batch-size: "" is no whole number'),
    Case("--batch-size 10000000000", "--batch-size: 10000000000 is too much; the most is 2147483647"),
    Case("--batch-size 1.5", '--batch-size: "1.5" is no whole number'),
    Case("--batch-size 4,1,4", "--batch-size: 4 is there twice, which makes the same cell twice"),
    Case("--batch-size 4 --batch-size 1,4", "--batch-size: 4 is there twice, which makes the same cell twice"),
    Case("--mode compile,fsat", "--mode: unknown name 'fsat'; did you mean 'fast'?"),
    Case("--mode compile --mode compile", "--mode: compile is there twice, which makes the same cell twice"),
    Case("--pipeline if --pipeline if", "--pipeline: if is there twice, which makes the same cell twice"),
    Case("--slot if.compile.current.b1 --slot if.compile.current.b1", TWICE),
    Case("--mode compile --slot if.no-compile.current.b1", OUTSIDE),
    Case("--env current,current", "--env: current is there twice, which makes the same cell twice"),
    Case("--steps 0", "--steps: 0 is too small; the least is 1"),
    Case("--steps -1", "--steps: -1 is too small; the least is 1"),
    Case("--steps x", '--steps: "x" is no whole number'),
    Case("--steps 1.5", "--steps: 1.5 is no whole number"),
    Case("--calls 0", "--calls: 0 is too small; the least is 1"),
    Case("--calls three", '--calls: "three" is no whole number'),
    Case("--processes 0", "--processes: 0 is too small; the least is 1"),
    Case("--processes 1001", "--processes: 1001 is too much; the most is 1000"),
    Case("--processes 100000000", "--processes: 100000000 is too much; the most is 1000"),
    Case("--processes x", '--processes: "x" is no whole number'),
    Case("--precision 1", '--precision: "1" is no share between 0% and 100%; write it as 1% or 0.01'),
    Case("--precision 0%", '--precision: "0%" is no share between 0% and 100%; write it as 1% or 0.01'),
    Case("--precision x", '--precision: "x" is no share between 0% and 100%; write it as 1% or 0.01'),
    Case("--max-calls 9", "--max-calls: limits the calls of a precision, and there is none; add --precision 1%"),
    Case("--max-seconds 9", "--max-seconds: limits the calls of a precision, and there is none; add --precision 1%"),
    Case("--precision 1% --max-calls 5", "--max-calls: 5 is too small; the least is 6"),
    Case("--precision 1% --max-calls x", '--max-calls: "x" is no whole number'),
    Case("--precision 1% --max-seconds 0", "--max-seconds: 0 is too small; the least is 1"),
    Case("--calls 9 --precision 1% --max-calls 8", "--max-calls: 8 is less than the 9 calls made in any case"),
    Case("--vram-limit 15", f'--vram-limit: "15" {NO_SIZE}'),
    Case("--vram-limit 15G", f'--vram-limit: "15G" {NO_SIZE}'),
    Case("limit.toml", f"limit.toml: vram_limit: 15 {NO_SIZE}"),
    Case(
        f"--vram-limit 15GiB {ON_CPU}",
        "--vram-limit: limits torch's allocator on a GPU, and the device is cpu; leave it out",
    ),
    *(
        Case(f"--budget {text}", f'--budget: "{text}" is no span of time; write it as 90s, 20m or 1h30m')
        for text in ("20", "20min", "0s", "-5m", "m", "1m1h")
    ),
    Case("--size 100", "--size: 100 is no multiple of 8; did you mean 96?"),
    Case("--guidance x", '--guidance: "x" is no number'),
    Case("--guidance nan", "--guidance: NaN is no finite number"),
    Case("--guidance -1", "--guidance: -1 is too small; the least is 0"),
    Case("--seed -1", "--seed: -1 is too small; the least is 0"),
    Case("--dtype float17", "--dtype: \"float17\" is not allowed; did you mean 'float16'?"),
    Case("--dtype bf16", "--dtype: \"bf16\" is not allowed; did you mean 'bfloat16'?"),
    Case("--scale small", '--scale: "small" is not allowed; choose from: full, tiny'),
    Case("--weights owner/name --pipeline if", f"--weights: {SEVERAL}"),
    Case("several.toml", f"several.toml: weights: {SEVERAL}"),
    Case("--weights ./folder --pipeline sd-txt2img", f"--weights: '{{here}}/folder' {NO_PIPELINE}"),
    Case("--weights ./none", "--weights: './none' is no folder"),
    Case(
        "--weights none",
        "--weights: 'none' names no weights; write 'random', 'published', a folder, or a hub id (owner/name)",
    ),
    Case("--device gpu", "--device: \"gpu\" is no device; write 'cpu', 'cuda:N' or 'cuda:GPU-…' (a UUID)"),
    Case(
        "--runs-dir file/runs",
        "runs directory {here}/file/runs: Not a directory; choose another with --runs-dir or SDTUI_RUNS_DIR",
    ),
    Case(
        "--runs-dir file",
        "runs directory {here}/file: Not a directory; choose another with --runs-dir or SDTUI_RUNS_DIR",
    ),
    Case(
        "--runs-dir /proc/none",
        "runs directory /proc/none: No such file or directory; choose another with --runs-dir or SDTUI_RUNS_DIR",
    ),
]
WITHOUT_A_GPU = [
    Case("", f"preset 'docs': device: 'cuda:0': {NO_GPU}"),
    Case("docs", f"preset 'docs': device: 'cuda:0': {NO_GPU}"),
    Case(
        "leaves-out.toml",
        f"leaves-out.toml: leaves out device and scale, which are then the docs preset's: 'cuda:0': {NO_GPU}",
    ),
    Case("--device cuda:1", f"--device: 'cuda:1': {NO_GPU}"),
    Case("--device cuda:1 --scale tiny", "--device: 'cuda:1': there is no usable GPU here; try --device cpu"),
    Case(
        "--device cpu",
        "preset 'docs': scale: full scale needs a GPU, and there is no usable one here; try --scale tiny --device cpu",
    ),
    Case(
        "smoke --device cpu --scale full",
        "--scale: full scale needs a GPU, and there is no usable one here; try --scale tiny --device cpu",
    ),
]
OF_RUNS = [
    Case("show none", f"run 'none': no such run in {RECORDED}; choose from: {SMOKE}, {DOCS}, {TINY}"),
    Case("show fa50b6", f"run 'fa50b6': no such run in {RECORDED}; choose from: {SMOKE}, {DOCS}, {TINY}"),
    Case(f"watch {TINY[:-1]}6", f"run '{TINY[:-1]}6': no such run in {RECORDED}; did you mean '{TINY}'?"),
    Case("report last 20261124T2300", f"run '20261124T2300' is ambiguous: {SMOKE}, {DOCS}"),
    Case("cancel 2026", f"run '2026' is ambiguous: {SMOKE}, {DOCS}, {TINY}"),
    Case("resume /none", f"run '/none': no such run in {RECORDED}; choose from: {SMOKE}, {DOCS}, {TINY}"),
    Case(
        "show last --runs-dir none", "runs directory {here}/none: there is no run yet; start one with 'sdtui run smoke'"
    ),
    Case("show x --runs-dir none", "run 'x': runs directory {here}/none holds no run"),
    Case("ls --runs-dir file", "runs directory {here}/file: Not a directory"),
    Case(f"show {RECORDED}", f"{RECORDED}: no run there (events.jsonl is missing)"),
    Case("show folder", "folder: no run there (events.jsonl is missing)"),
    Case("cancel last", f"run {TINY}: is not running; 'sdtui show fa50b5' says how it ended"),
    Case("attach none", f"run 'none': no such run in {RECORDED}; choose from: {SMOKE}, {DOCS}, {TINY}"),
    Case("attach --runs-dir none", "runs directory {here}/none: there is no run yet; start one with 'sdtui run smoke'"),
    Case("replay none", f"run 'none': no such run in {RECORDED}; choose from: {SMOKE}, {DOCS}, {TINY}"),
    Case("replay last --speed 0", "--speed: '0' is no number above 0, such as 10 or 0.5"),
    Case("replay last --speed fast", "--speed: 'fast' is no number above 0, such as 10 or 0.5"),
    Case("--runs-dir none ls", "--runs-dir: is the dashboard's here; write it after 'ls', if that takes it"),
    Case("--no-mouse attach", "--no-mouse: is the dashboard's here; write it after 'attach', if that takes it"),
    Case("resume last --budget 5x", '--budget: "5x" is no span of time; write it as 90s, 20m or 1h30m, or none'),
    Case("resume last --retry oom,", "--retry: must not be empty"),
    Case("resume last --retry faild", "--retry: unknown status 'faild'; did you mean 'failed'?"),
    Case("report last --format md -o r.html", "-o r.html: its name says html, and --format md; leave one out"),
    Case(
        "report last --charts -o r.csv",
        "--charts: csv has no charts; choose --format md with -o F.md, or --format html",
    ),
    Case("report last --format pdf", "--format: unknown format 'pdf'; choose from: csv, html, json, md"),
    Case("report last --reference H100", f"--reference: the docs page has no GPU 'H100'; choose from: {PAGE}"),
    Case(
        "report last --format csv --reference A100",
        "--reference: csv holds raw calls only; choose --format md, html or json",
    ),
    Case("report last -o none/r.md", "-o none/r.md: no folder 'none'"),
    Case("report last -o file/r.md", "-o file/r.md: no folder 'file'"),
    Case("report last -o folder", "-o folder: Is a directory"),
    Case("report last -o .", "-o .: Is a directory"),
    Case(
        "tune sd-txt2img --mode no-compile --scale tiny --device cpu",
        "--mode: tuning holds modes against each other; name one beside 'no-compile'",
    ),
    Case("script sd-txt2img --run last --device cpu", "--device: a run's cell has what the run has; leave it out"),
    Case("modes explain fast --plan none.toml", "none.toml: no such file"),
    Case("modes explain fsat", "MODE: unknown name 'fsat'; did you mean 'fast'?"),
    Case("modes explain fast --pipeline iff", "--pipeline: unknown name 'iff'; did you mean 'if'?"),
    Case(
        "script sd-txt2img.no-compile.b0", "cell 'sd-txt2img.no-compile.b0': batch size 0 is too small; the least is 1"
    ),
]


@pytest.fixture(autouse=True)
def untouched(here: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    for name, content in PLANS.items():
        (here / name).write_bytes(content)
    (here / "file").touch()
    (here / "folder").mkdir()
    (here / "folder.toml").mkdir()
    (here / "loop.toml").symlink_to("loop.toml")
    roots = [here, *(Path(os.environ[name]) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"))]

    def content() -> set[Path]:
        return {path for root in (*roots, RECORDED) for path in root.rglob("*")}

    before = content()
    yield
    assert content() == before, "nothing is written"


def check(said: Said, case: Case, here: Path) -> None:
    assert said == Said(case.status, "", f"sdtui: {case.said.replace('{here}', str(here))}\n")


def by_arguments(case: Case) -> str:
    return case.arguments or "(nothing)"


@pytest.mark.parametrize("case", IN_A_PLAN, ids=by_arguments)
def test_a_mistake_in_a_plan(sdtui: Command, here: Path, case: Case) -> None:
    check(sdtui("run", *ON_CPU.split(), *case.arguments.split()), case, here)


@pytest.mark.parametrize("case", IN_A_FLAG, ids=by_arguments)
def test_a_mistake_in_a_flag(sdtui: Command, here: Path, case: Case) -> None:
    check(sdtui("run", *ON_CPU.split(), *case.arguments.split()), case, here)


@pytest.mark.parametrize("case", WITHOUT_A_GPU, ids=by_arguments)
def test_a_run_that_needs_a_gpu(sdtui: Command, here: Path, case: Case) -> None:
    check(sdtui("run", *case.arguments.split()), case, here)


@pytest.mark.parametrize("case", OF_RUNS, ids=by_arguments)
def test_a_mistake_about_runs(sdtui: Command, here: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(RECORDED))
    monkeypatch.setattr("sdtui.tui.opening._need_terminal", lambda: None)
    check(sdtui(*case.arguments.split()), case, here)


@pytest.mark.parametrize("arguments", [(), ("attach",), ("replay", "last")], ids=" ".join)
def test_the_dashboard_without_a_terminal(sdtui: Command, arguments: tuple[str, ...]) -> None:
    said = "the dashboard needs a terminal; without one, 'sdtui run' measures and 'sdtui watch' follows"
    assert sdtui(*arguments) == Said(2, "", f"sdtui: {said}\n")


def test_an_unreadable_plan(sdtui: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "key.toml":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything
    said = sdtui("run", "key.toml", *ON_CPU.split())
    assert said == Said(2, "", "sdtui: key.toml: cannot be read: Permission denied\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_runs_directory_without_permission(sdtui: Command, here: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    said = sdtui("run", "smoke", "--runs-dir", str(tmp_path / "closed"))
    assert (said.status, said.out) == (2, "")
    assert "Permission denied; choose another with --runs-dir or SDTUI_RUNS_DIR" in said.err


@pytest.mark.parametrize("arguments", [("--env", "nightly"), ("environment.toml",)])
def test_an_unknown_environment(sdtui: Command, arguments: tuple[str, ...]) -> None:
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "sdtui" / "settings.toml"
    said = sdtui("run", *ON_CPU.split(), *arguments)
    expected = (
        f"'nightly' is not registered under [environments] in {file}; choose from: current; "
        "'sdtui env add nightly PYTHON' registers it"
    )
    origin = arguments[0] if len(arguments) > 1 else f"{arguments[0]}: environments"
    assert said == Said(2, "", f"sdtui: {origin}: {expected}\n")


@pytest.mark.parametrize("device", ["cuda:9", "cuda:GPU-2"])
def test_a_cuda_device_that_is_not_there(
    sdtui: Command, here: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    boards = [Board(Gpu("NVIDIA H100", "GPU-1", 0)), Board(Gpu("NVIDIA L4", "GPU-3", 1))]
    for module in (nvml, prepare):
        monkeypatch.setattr(module, "resolve_device", lambda name, _: choose(name, boards, {}))
    said = sdtui("run", "--device", device)
    expected = f"device '{device}': there is no such GPU; choose from cuda:0 (NVIDIA H100), cuda:1 (NVIDIA L4)"
    assert said == Said(2, "", f"sdtui: {expected}\n")


def test_a_locks_directory_that_cannot_be_made(sdtui: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_LOCKS_DIR", "file/locks")
    said = sdtui("run", "smoke")
    expected = f"locks directory {here}/file/locks: Not a directory; choose another with SDTUI_LOCKS_DIR"
    assert said == Said(2, "", f"sdtui: {expected}\n")


def test_a_cache_that_cannot_be_made(sdtui: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "file"))
    expected = f"cache directory {here}/file/sdtui: Not a directory; choose another with XDG_CACHE_HOME"
    assert sdtui("run", "smoke", *ON_CPU.split()) == Said(2, "", f"sdtui: {expected}\n")
    assert not settings.runs_dir().exists()


def test_a_run_is_not_resumed_where_its_gpu_is_not(sdtui: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(RECORDED))
    said = sdtui("resume", SMOKE)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"sdtui: run {SMOKE}: device 'cuda:0': ")
    assert said.err.count("\n") == 1


def test_a_run_is_not_resumed_on_another_machine(sdtui: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(RECORDED))
    monkeypatch.setattr("sdtui.telemetry.machine.cpu_model", lambda _: "Another CPU")
    said = sdtui("resume", TINY)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"sdtui: run {TINY}: device was AMD EPYC, is Another CPU")
    assert said.err.endswith("; resume anyway with --force, or start a new run\n")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("frobnicate", "unknown command 'frobnicate'; try 'sdtui --help'"),
        ("modes explian fast", "unknown command 'explian'; did you mean 'explain'?"),
        ("reprot last", "unknown command 'reprot'; did you mean 'report'?"),
        ("--frob", "unknown option '--frob'; try 'sdtui --help'"),
        ("--versoin", "unknown option '--versoin'; did you mean '--version'?"),
        ("run --frob", "unknown option '--frob'; try 'sdtui run --help'"),
        ("run --stpes 3", "unknown option '--stpes'; did you mean '--steps'?"),
        ("show", "Missing argument 'RUN'; try 'sdtui show --help'"),
        ("report", "Missing argument 'RUN'; try 'sdtui report --help'"),
        ("run --steps", "Option '--steps' requires an argument; try"),
        ("catalog extra", "Got unexpected extra argument"),
        ("run smoke extra", "Got unexpected extra argument"),
    ],
)
def test_a_command_line_that_is_none(sdtui: Command, arguments: str, message: str) -> None:
    said = sdtui(*arguments.split())
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"sdtui: {message}")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("ls", "--runs-dir", ""), "--runs-dir"),
        (("run", "smoke", "--runs-dir", ""), "--runs-dir"),
        (("report", "last", "-o", ""), "-o"),
        (("run", "--weights", ""), "--weights"),
        (("run", ""), "plan"),
        (("show", ""), "run"),
    ],
)
def test_an_empty_name_is_none(sdtui: Command, arguments: tuple[str, ...], flag: str) -> None:
    said = sdtui(*arguments)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"sdtui: {flag}: must not be empty")


@pytest.mark.parametrize(("missing", "said"), [(("torch",), "torch"), (("torch", "diffusers"), "torch and diffusers")])
def test_an_environment_without_what_a_worker_imports(
    sdtui: Command, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], said: str
) -> None:
    packages = {name: None if name in missing else "99" for name in environments.PACKAGES}
    bare = Interpreter("current", "/my env/python", "3.12.1", packages, None)
    monkeypatch.setattr(environments, "describe", lambda *_: bare)
    mend = f"install with: '/my env/python' -m pip install {' '.join(missing)}"
    expected = f"sdtui: environment 'current': {said} not installed; {mend}\n"
    assert sdtui("run", "smoke") == Said(2, "", expected)


def test_a_name_with_a_line_break_stays_on_one_line(sdtui: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(RECORDED))
    said = sdtui("show", "a\nb")
    assert said.status == 2
    assert said.err.count("\n") == 1
