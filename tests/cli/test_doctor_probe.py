"""``doctor --probe``, and what becomes of the rates that it measures."""

from __future__ import annotations

import pytest
from commands import Shell

from sdtui import locks, probes, settings
from sdtui.telemetry.machine import describe_machine

PROBE = ("doctor", "--probe", "--device", "cpu", "--env", "fake")
RUN = ("run", "smoke", "--env", "fake", "--pipeline", "sd-txt2img")


def test_it_measures_keeps_and_shows(shell: Shell) -> None:
    shell.play("ok")
    before = shell.call("doctor")
    assert "info     cpu: matrix rate not measured" in before.out
    assert "mend with: sdtui doctor --probe --device cpu" in before.out
    machine = describe_machine(None)
    said = shell.call(*PROBE)
    assert (said.status, said.err) == (0, f"measuring the matrix rates of cpu ({machine.cpu}) …\n")
    assert "ok       cpu: matrix rate float32 0.125 TFLOP/s, measured 20" in said.out
    assert shell.call("doctor").out == said.out
    assert shell.call("doctor", "--probe", "--env", "fake").status == 0, "without a GPU it is the CPU's"


def test_a_run_keeps_the_rates_that_were_known_when_it_started(shell: Shell) -> None:
    shell.play("ok")
    shell.call(*PROBE)
    known = probes.known(describe_machine(None))
    assert known is not None
    assert shell.run(*RUN).status == 0
    assert shell.record().sittings[0].started.probe == known


def test_a_device_that_a_run_has_is_not_probed(shell: Shell) -> None:
    shell.play("ok")
    lock = locks.Lock(settings.device_lock(None), shared_by_users=True)
    assert lock.acquire("run 20261124T230043Z")
    said = shell.call(*PROBE)
    lock.release()
    assert said.status == 1
    assert "problem  cpu: matrix rate not measured: " in said.out
    assert ": in use by run 20261124T230043Z (pid " in said.out
    assert probes.known(describe_machine(None)) is None


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("broken", "no probe: ModuleNotFoundError: No module named 'torch'"),
        ("unsupported", "no such product"),
    ],
)
def test_why_nothing_was_measured_is_said(shell: Shell, part: str, why: str) -> None:
    shell.play(part)
    said = shell.call(*PROBE)
    assert said.status == 1
    assert f"problem  cpu: matrix rate not measured: environment 'fake': {why}\n" in said.out
    assert locks.query(settings.device_lock(None)).held is False


def test_a_damaged_file_ends_a_run_before_anything_is_written(shell: Shell) -> None:
    shell.play("ok")
    path = probes.path_of(describe_machine(None))
    path.parent.mkdir(parents=True)
    path.write_text("{")
    said = shell.call(*RUN)
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        f"sdtui: {path}: no measured matrix rate (it is not JSON); measure it anew with 'sdtui doctor --probe', "
        "or remove the file\n"
    )
    assert not shell.runs_dir.exists()
    assert shell.call("doctor").status == 1
    assert shell.call(*PROBE).status == 0
    assert shell.call(*RUN, "--detach").status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "cpu"), "--device: says what to probe; add --probe, or leave it out"),
        (("--env", "fake"), "--env: says what to probe; add --probe, or leave it out"),
        (("--probe", "--device", "gpu"), "device 'gpu': unknown; choose from cpu, cuda, cuda:0"),
    ],
)
def test_bad_input(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    said = shell.call("doctor", *arguments)
    assert (said.status, said.out, said.err) == (2, "", f"sdtui: {message}\n")


def test_an_unknown_environment(shell: Shell) -> None:
    said = shell.call("doctor", "--probe", "--env", "fak")
    where = settings.config_dir() / settings.SETTINGS
    known = "did you mean 'fake'?"
    assert (said.status, said.err) == (
        2,
        f"sdtui: --env: 'fak' is not registered under [environments] in {where}; {known}\n",
    )
