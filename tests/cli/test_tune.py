"""The search for the fastest mode, as a person starts it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Said, Shell, until

from sdtui import runs, settings
from sdtui.catalog.load import load_catalog

Command = Callable[..., Said]

ON_CPU = ("--scale", "tiny", "--device", "cpu")
FAKE = ("tune", "sd-txt2img", *ON_CPU, "--env", "fake", "--mode", "bf16")


def test_the_fastest_mode_is_named_and_kept(shell: Shell) -> None:
    config = settings.config_dir()
    arguments = ("--mode", "vanilla-attention", "--processes", "1", "--save", "best", "--calls", "2")
    said = shell.run("tune", "sd-txt2img", *ON_CPU, *arguments)
    assert said.status == 0, said.err
    assert said.out == "", "it was kept instead"
    kept = config / "modes" / "best.toml"
    assert said.err.splitlines()[-1] == f"kept as mode 'best' in {kept}"
    best = next(line for line in said.err.splitlines() if line.startswith("fastest within the output check: "))
    name = best.removeprefix("fastest within the output check: ").split(",")[0]
    catalog = load_catalog(config)
    fastest, mine = catalog.modes[name], catalog.modes["best"]
    differing = ("name", "label", "description")
    assert {k: v for k, v in vars(mine).items() if k not in differing} == {
        k: v for k, v in vars(fastest).items() if k not in differing
    }
    assert kept.read_text().startswith(f"# {best}\n")
    assert f"- {best}\n" in (shell.folder() / "report.md").read_text()

    watched = shell.run("watch", "last")
    assert watched.status == 0
    assert watched.out == kept.read_text(), "whoever comes later gets it too"

    assert f"\n{best}\n" in shell.run("show", "last").out

    refused = shell.run("tune", "sd-txt2img", *ON_CPU, "--save", "best")
    expected = f"--save: there is a mode 'best' already: {kept}; choose another name, or remove it"
    assert refused == Said(2, "", f"sdtui: {expected}\n")


def test_an_output_that_cannot_be_checked_names_no_mode_but_no_compile(shell: Shell) -> None:
    shell.play("ok")
    said = shell.run(*FAKE)
    assert said.status == 0, said.err
    assert "fastest within the output check: no-compile\n" in said.err
    assert "output not checked: its output and no-compile's were not both there to compare" in said.err
    assert [cell.process for cell in shell.record().cells.values()] == [1, 1], "neither is measured further"
    device = shell.record().sittings[0].started.machine.device_name
    what = f"the fastest of 2 modes tried for sd-txt2img, batch size 1, on {device}"
    assert said.out.splitlines()[-1] == f'description = "As no-compile, {what}"'


def test_where_no_mode_was_measured_none_is_named(shell: Shell) -> None:
    shell.play("unsupported")
    said = shell.run(*FAKE, "--save", "best")
    assert (said.status, said.out) == (1, "")
    assert "no mode can be named: none was measured\n" in said.err
    assert "| unsupported: no such attention here |" in said.err
    assert not (settings.config_dir() / "modes").exists()


def test_a_mode_that_cannot_be_kept_is_printed(shell: Shell) -> None:
    shell.play("ok")
    (settings.config_dir() / "modes").parent.mkdir(parents=True, exist_ok=True)
    (settings.config_dir() / "modes").write_text("no folder")
    said = shell.run(*FAKE, "--save", "best")
    assert said.status == 1
    assert said.err.endswith("/modes: File exists: the mode is not kept, but printed\n")
    assert said.out.startswith("# fastest within the output check: no-compile\n")


def test_too_few_steps_are_named_as_the_reason(shell: Shell) -> None:
    said = shell.run(
        "tune", "sd-txt2img", *ON_CPU, "--mode", "channels-last", "--steps", "1", "--calls", "2", "--processes", "1"
    )
    assert said.status == 1
    expected = "no mode can be named: too few steps were timed to compare the modes; ask for more --calls or --steps\n"
    assert said.err.endswith(expected)


def test_modes_that_are_not_tried_out_are_named(shell: Shell) -> None:
    shell.play("ok")
    said = shell.run("tune", "sd-txt2img", *ON_CPU, "--env", "fake", "--budget", "1s")
    told = [line for line in said.err.splitlines() if line.startswith("not tried out: ")]
    assert told == said.err.splitlines()[: len(told)]
    assert {line.split(": ", 2)[1]: line.split(": ", 2)[2] for line in told} == {
        "fast": "step_graphs needs a CUDA device",
        "xformers": "xformers is not installed in environment 'fake'",
        "vanilla-attention": "its attention, written out, is the slowest",
        "fp8": "its output differs by more than float16 rounds; name it with --mode",
        "int8": "its output differs by more than float16 rounds; name it with --mode",
    }
    assert said.status == 1
    assert "no mode can be named: none was measured\n" in said.err
    assert "| compile | – | – | – | – | – | – | – | 0 | did not fit into the budget of 1s: " in said.err
    assert "run what is left with 'sdtui resume" in said.err


def test_a_run_may_look_for_the_fastest_mode_too(shell: Shell) -> None:
    shell.play("ok")
    said = shell.run(
        "run", *FAKE[2:], "--mode", "no-compile", "--pipeline", "sd-txt2img", "--batch-size", "1", "--tune"
    )
    assert said.status == 0, said.err
    assert "fastest within the output check: no-compile\n" in said.err
    assert "tune = true\n" in (shell.folder() / "plan.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("sd-txt2im", "pipeline 'sd-txt2im': unknown; did you mean 'sd-txt2img'?"),
        ("sd-txt2img --mode compil", "--mode: unknown name 'compil'; did you mean 'compile'?"),
        ("sd-txt2img --batch-size 1,4", "--batch-size: the fastest mode is looked for at one of them; name one"),
        (
            "sd-txt2img --batch-size 1 --batch-size 4",
            "--batch-size: the fastest mode is looked for at one of them; name one",
        ),
        ("sd-txt2img --batch-size 0", "--batch-size: 0 is too small; the least is 1"),
        ("sd-txt2img --calls 1", "--calls: tuning needs 2 calls at least: the first compiles and warms up"),
        ("sd-txt2img --processes 0", "--processes: 0 is too small; the least is 1"),
        ("sd-txt2img --budget 1", '--budget: "1" is no span of time; write it as 90s, 20m or 1h30m'),
        ("sd-txt2img --save compile", "--save: sdtui ships a 'compile'; choose another name"),
        ("sd-txt2img --save a/b", "--save: 'a/b' is no name; use letters, digits, '-' and '_'"),
        (
            "sd-txt2img --save best --detach",
            "--save: keeps a mode at the run's end, which --detach does not wait for; leave one of them out",
        ),
    ],
)
def test_a_mistake(sdtui: Command, arguments: str, expected: str) -> None:
    assert sdtui("tune", *ON_CPU, *arguments.split()) == Said(2, "", f"sdtui: {expected}\n")
    assert not settings.runs_dir().exists()


def test_a_name_that_is_wrong_is_told_before_a_gpu_that_is_missing(sdtui: Command) -> None:
    expected = "--mode: unknown name 'compil'; did you mean 'compile'?"
    assert sdtui("tune", "sd-txt2img", "--mode", "compil") == Said(2, "", f"sdtui: {expected}\n")
    expected = "pipeline 'sd-txt2im': unknown; did you mean 'sd-txt2img'?"
    assert sdtui("tune", "sd-txt2im") == Said(2, "", f"sdtui: {expected}\n")


def test_a_plan_that_tunes_needs_no_compile(sdtui: Command, here: Path) -> None:
    (here / "plan.toml").write_text('modes = ["compile"]\ntune = true\n')
    expected = "plan.toml: modes: tuning needs the mode 'no-compile', which outputs are held against"
    assert sdtui("run", "plan.toml", *ON_CPU) == Said(2, "", f"sdtui: {expected}\n")


def test_an_environment_that_is_not_registered(sdtui: Command) -> None:
    said = sdtui("tune", "sd-txt2img", *ON_CPU, "--env", "nightly")
    assert said.status == 2
    assert said.err.startswith("sdtui: --env: 'nightly' is not registered under [environments]")


def interrupted_after_no_compile(shell: Shell, *arguments: str) -> Said:
    """Interrupts a search in its second cell."""
    shell.play("hang-beside")
    process = shell.start(*FAKE, *arguments)
    shell.await_step()
    folder = shell.folder()
    until(lambda: [e for e in runs.read(folder).cells.values() if e.spec.slot.mode == "bf16" and e.steps], "no step")
    process.send_signal(signal.SIGINT)
    return shell.ended(process)


def test_what_was_cancelled_is_not_kept(shell: Shell) -> None:
    said = interrupted_after_no_compile(shell, "--save", "best")
    assert said.status == 130
    assert "no mode is kept as 'best': the run was cancelled\n" in said.err
    assert "no mode can be named: nothing but no-compile was measured\n" in said.err
    assert said.out == ""
    assert not (settings.config_dir() / "modes").exists()


def test_what_is_left_of_a_rung_is_said_when_it_is_resumed(shell: Shell) -> None:
    interrupted_after_no_compile(shell)
    shell.play("ok")
    heading, order = shell.run("resume", "last").err.splitlines()[1:3]
    assert heading.startswith("1 cell in rung 1 of 3 to run, ")
    assert order.strip() == "batch size 1: sd-txt2img (bf16)", "no-compile comes in a later rung, if at all"
