"""What commands print, byte for byte, of recorded runs. SDTUI_WRITE_GOLDEN=1 writes the files anew."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from commands import DOCS, RECORDED, SMOKE, TINY, Said, Shell, Terminal, check_golden

from sdtui import runs, settings
from sdtui.report.render import FORMATS

Command = Callable[..., Said]

PINNED = re.search(r"^typer==(.+)$", (Path(__file__).parents[2] / "constraints.txt").read_text(), re.MULTILINE)
with_pinned_typer = pytest.mark.skipif(
    PINNED is None or typer.__version__ != PINNED[1], reason="help is laid out by typer; CI pins its version"
)


COMMANDS = ("run", "tune", "resume", "attach", "replay", "watch", "cancel", "ls", "rm", "show", "report", "compare")
COMMANDS += ("catalog", "script", "doctor", "modes", "modes explain", "env", "env add", "env ls", "env remove")
COMMANDS += ("env check",)


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(RECORDED))


@with_pinned_typer
def test_help(sdtui: Command) -> None:
    said = sdtui("--help")
    assert (said.status, said.err) == (0, "")
    check_golden("help.txt", said.out)


@with_pinned_typer
@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(sdtui: Command, name: str) -> None:
    said = sdtui(*name.split(), "--help")
    assert (said.status, said.err) == (0, "")
    check_golden(f"help-{name.replace(' ', '-')}.txt", said.out)


def test_why_nothing_is_compared_is_said(sdtui: Command) -> None:
    said = sdtui("report", TINY, "--reference", "A100")
    assert said.status == 0
    assert said.err == (
        "sdtui: --reference: AMD EPYC · tiny · 2 calls (batch size: 1) is not compared with the page: "
        "tiny scale measures nothing that the page did\n"
    )
    assert sdtui("report", DOCS, "--reference", "A100").err == ""


@pytest.mark.parametrize(
    "name",
    [
        "fast",
        "fast --pipeline if",
        "compile-channels-last",
        "compile-channels-last --pipeline if",
        "no-compile",
        "bf16",
    ],
)
def test_modes_explain(sdtui: Command, name: str) -> None:
    said = sdtui("modes", "explain", *name.split())
    assert (said.status, said.err) == (0, "")
    check_golden(f"explain-{name.replace(' --pipeline ', '-')}.txt", said.out)


def test_modes_explain_knows_a_mode_of_ones_own(sdtui: Command) -> None:
    folder = settings.config_dir() / "modes"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(
        'extends = "fast"\nsdpa_backends = ["flash"]\noptional = []\ntf32 = true\n[compile.options]\nfreezing = true\n'
    )
    said = sdtui("modes", "explain", "mine", "--pipeline", "if")
    assert said.status == 0
    assert said.out.index("tf32 = true") < said.out.index('sdpa_backends = ["flash"]') < said.out.index("memory_format")
    assert "choose_sdpa(('flash',), DEVICE)  *" in said.out
    assert "compile.options.freezing" in said.out
    assert "torch._inductor.config.freezing = True" in said.out
    assert "torch.compile of each denoiser" in said.out
    assert "options={'layout_optimization': False, 'freezing': True}" in said.out
    assert "the cell ends as unsupported in if stage I, if stage II: it has no VAE" in said.out


def test_modes_explain_knows_a_mode_of_a_plan_file(sdtui: Command, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('modes = ["mine"]\n[mode.mine]\nextends = "bf16"\ntf32 = true\n')
    said = sdtui("modes", "explain", "mine", "--plan", str(plan))
    assert said.status == 0
    assert said.out.index("tf32 = true") < said.out.index('dtype = "bfloat16"')


def test_version(sdtui: Command) -> None:
    assert re.fullmatch(r"sdtui \d+\.\d+\.\d+\S*\n", sdtui("--version").out)


def test_ls(sdtui: Command) -> None:
    said = sdtui("ls")
    assert (said.status, said.err) == (0, "")
    check_golden("ls.txt", said.out)


@pytest.mark.parametrize("columns", [96, 110])
def test_ls_on_a_terminal_says_of_each_run_what_it_measures_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.delenv("COLUMNS")
    shell = Shell(monkeypatch, lambda: Said(0, "", ""))
    terminal = Terminal(shell, columns, "ls")
    assert terminal.ended() == 0
    shown = terminal.shown.replace("\r\n", "\n")
    assert max(map(len, shown.splitlines())) <= columns
    check_golden(f"ls-{columns}.txt", shown)


def test_ls_of_nothing(sdtui: Command, here: Path) -> None:
    said = sdtui("ls", "--runs-dir", "none")
    assert said == Said(0, "", f"{here}/none holds no run; start one with 'sdtui run smoke'\n")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "name", [TINY, "20261124T231", "fa50b5", "fa5", "last", str(RECORDED / TINY), f"{RECORDED / TINY}/"]
)
def test_show_by_every_name_of_a_run(sdtui: Command, name: str) -> None:
    said = sdtui("show", name)
    assert (said.status, said.err) == (0, "")
    check_golden("show.txt", said.out)


def test_show_by_a_folder_s_relative_path(sdtui: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECORDED / TINY)
    check_golden("show.txt", sdtui("show", ".").out)
    monkeypatch.chdir(RECORDED.parent)
    check_golden("show.txt", sdtui("show", f"runs/{TINY}").out)


def test_show_json(sdtui: Command) -> None:
    said = sdtui("show", "last", "--json")
    assert (said.status, said.err) == (0, "")
    check_golden("show.json", said.out)
    assert [cell["status"] for cell in json.loads(said.out)["cells"]].count("unsupported") == 3


@pytest.mark.parametrize("name", [SMOKE, DOCS, TINY])
def test_report_is_the_run_s_own(sdtui: Command, name: str) -> None:
    said = sdtui("report", name)
    assert (said.status, said.err) == (0, "")
    assert said.out == (RECORDED / name / "report.md").read_text()


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_report_in_a_file_has_the_same_bytes(sdtui: Command, here: Path, fmt: str) -> None:
    printed = sdtui("report", "last", DOCS, "--format", fmt)
    saved = sdtui("report", "last", DOCS, "--format", fmt, "-o", "r")
    assert saved == Said(0, "", "")
    assert (here / "r").read_bytes().decode() == printed.out
    assert [path.name for path in here.iterdir()] == ["r"]


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_reports_file_says_its_format(sdtui: Command, here: Path, fmt: str) -> None:
    assert sdtui("report", "last", DOCS, "-o", f"r.{fmt}") == Said(0, "", "")
    assert (here / f"r.{fmt}").read_bytes().decode() == sdtui("report", "last", DOCS, "--format", fmt).out


def test_a_report_follows_a_link_and_replaces_no_device(sdtui: Command, here: Path) -> None:
    expected = (RECORDED / TINY / "report.md").read_text()
    (here / "elsewhere").mkdir()
    (here / "r.md").symlink_to("elsewhere/r.md")
    assert sdtui("report", "last", "-o", "r.md").status == 0
    assert (here / "r.md").is_symlink()
    assert (here / "elsewhere" / "r.md").read_text() == expected
    assert sdtui("report", "last", "-o", "/dev/stdout").out == expected
    assert sdtui("report", "last", "-o", "-") == Said(0, expected, "")
    assert sdtui("report", "last", "-o", "/dev/null") == Said(0, "", "")
    assert Path("/dev/null").is_char_device()


def test_a_report_has_the_same_bytes_in_every_locale(sdtui: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    with open("out", "wb") as file:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding="ascii"))
        assert sdtui("report", "last").status == 0
    assert Path("out").read_text(encoding="utf-8") == (RECORDED / TINY / "report.md").read_text(encoding="utf-8")


def test_the_catalog_begins_with_the_page_s_first_pipeline(sdtui: Command) -> None:
    said = sdtui("catalog")
    assert (said.status, said.err) == (0, "")
    check_golden("catalog-head.txt", "".join(said.out.splitlines(keepends=True)[:12]))
    listed = json.loads(sdtui("catalog", "--json").out)
    assert list(listed) == ["pipelines", "modes", "presets"]
    for part in listed.values():
        assert all(f"\n{name}" in said.out for name in part)


@pytest.mark.parametrize("arguments", [("sd-txt2img.compile",), (f"--run={DOCS}", "sd-txt2img.compile")])
def test_a_script_begins_with_its_cell(sdtui: Command, arguments: tuple[str, ...]) -> None:
    said = sdtui("script", *arguments)
    assert (said.status, said.err) == (0, "")
    first, *_ = said.out.splitlines()
    assert first.startswith('"""sd-txt2img.compile.current.b1-')
    compile(said.out, "script", "exec")


def test_reading_a_run_leaves_it_alone(sdtui: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    copied = tmp_path / "copied"
    shutil.copytree(RECORDED, copied)
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(copied))

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}

    before = content()
    for command in (["ls"], ["show", "last"], ["report", "last"], ["watch", "last"]):
        sdtui(*command)
    assert content() == before
    assert all(not (folder / runs.LOCK).exists() for folder in copied.iterdir())
