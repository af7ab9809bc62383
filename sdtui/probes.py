"""Measured matrix rates, kept per device: one small file for each GPU, by its UUID, and one for a host's CPU."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sdtui import runs, settings
from sdtui.model.codec import DecodeError, decode, encode
from sdtui.model.errors import UserError
from sdtui.model.machine import Machine
from sdtui.model.probe import MatrixRates, Probe

COMMAND = "sdtui doctor --probe"
"""What measures the rates of every device that is there."""


def path_of(machine: Machine) -> Path:
    """Returns the file of a machine's GPU, or of its CPU where it names no GPU; it need not exist."""
    name = machine.gpu.uuid if machine.gpu else f"cpu-{machine.host}"
    return settings.cache_dir() / "probes" / f"{name.replace(os.sep, '_')}.json"


def known(machine: Machine) -> Probe | None:
    """Returns what was last measured on the machine's device; ``None`` where nothing was.

    Raises:
        UserError: The file is no probe, holds a rate that none can be, or is one of another device.
    """
    path = path_of(machine)
    mend = f"measure it anew with '{COMMAND}', or remove the file"
    try:
        probe = decode(Probe, json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # a DecodeError is a ValueError
        what = str(error) if isinstance(error, DecodeError) else "it is not JSON"
        raise UserError(f"{path}: no measured matrix rate ({what}); {mend}") from error
    for rate in probe.found.rates:
        if rate.tflops <= 0:
            raise UserError(f"{path}: no measured matrix rate ({rate.precision}: {rate.tflops:g} TFLOP/s); {mend}")
    if (probe.device, probe.uuid) != (machine.device_name, machine.gpu.uuid if machine.gpu else None):
        raise UserError(f"{path}: measured on another device ({probe.device}, {probe.uuid or 'a CPU'}); {mend}")
    return probe


def keep(probe: Probe, machine: Machine) -> None:
    """Keeps a probe in place of an earlier one of the same device.

    Raises:
        OSError: It cannot be written.
    """
    path = path_of(machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write_atomically(path, json.dumps(encode(probe), indent=1) + "\n")


def rates_text(found: MatrixRates) -> str:
    """Writes the rates on one line: ``float16 25.31, float32 4.1 TFLOP/s``."""
    each = (f"{rate.precision} {rate.tflops:.4g}" for rate in found.rates)
    return f"{', '.join(each)} TFLOP/s" if found.rates else "none"
