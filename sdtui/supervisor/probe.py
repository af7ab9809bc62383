"""Measures a device's matrix rates in a process of their own, as a cell is measured, while no run has the device."""

from __future__ import annotations

import json
import os
import subprocess
import time

from sdtui import locks, settings
from sdtui.model.codec import decode
from sdtui.model.errors import UserError
from sdtui.model.machine import Interpreter, Machine
from sdtui.model.probe import MatrixRates, Probe
from sdtui.supervisor.launch import device_environ, worker_path

TIMEOUT_S = 120.0
"""Importing torch from a cold disk takes most of it."""


def measure_rates(machine: Machine, interpreter: Interpreter) -> Probe:
    """Measures the machine's GPU, or its CPU where it names no GPU.

    Raises:
        UserError: A run has the device, or the process fails; the message is one line.
    """
    lock = locks.Lock(settings.device_lock(machine.gpu), shared_by_users=True)
    if not lock.acquire("sdtui doctor --probe"):
        holder = locks.query(lock.path).holder or "another process"
        raise UserError(f"{machine.device_name}: in use by {holder}; probe it when that is over")
    try:
        found = _ask(machine, interpreter)
    finally:
        lock.release()
    gpu = machine.gpu
    return Probe(
        device=machine.device_name,
        uuid=gpu.uuid if gpu else None,
        host=machine.host,
        driver=gpu.driver if gpu else None,
        measured_at=time.time(),
        found=found,
    )


def _ask(machine: Machine, interpreter: Interpreter) -> MatrixRates:
    read, write = os.pipe()
    device = "cuda:0" if machine.gpu else "cpu"
    command = [interpreter.python, "-u", "-m", "sdtui.worker.probe", device, str(write), str(os.getpid())]
    with os.fdopen(read, "rb") as result:
        try:
            done = subprocess.run(
                command,
                cwd=worker_path(settings.cache_dir()),
                env=device_environ(os.environ, interpreter, machine.gpu.uuid if machine.gpu else None),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(write,),
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"environment '{interpreter.name}': no probe within {TIMEOUT_S:.0f} s") from error
        except OSError as error:
            raise UserError(f"environment '{interpreter.name}': {interpreter.python}: {error.strerror}") from error
        finally:
            os.close(write)
        answer = result.read()
    try:
        found = decode(MatrixRates, json.loads(answer))
    except ValueError as error:  # a DecodeError is one
        said = done.stderr.decode(errors="replace").strip().splitlines()
        last = said[-1][:200] if said else f"exit status {done.returncode}, no answer"
        raise UserError(f"environment '{interpreter.name}': no probe: {last}") from error
    if not found.rates:
        raise UserError(f"environment '{interpreter.name}': {next(iter(found.failures.values()))}")
    return found
