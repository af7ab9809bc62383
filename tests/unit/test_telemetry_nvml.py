"""NVML through a made-up driver, and through the recording of one."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from nvml_doubles import FUNCTION_NOT_FOUND, GPU_IS_LOST, MIB, NO_PERMISSION, NOT_SUPPORTED, Card, FakeNvml, ReplayNvml

from sdtui.model.errors import UserError
from sdtui.supervisor.sampling import Sampling
from sdtui.telemetry import nvml
from sdtui.telemetry.nvml import Nvml, NvmlReader

ROOT = Path(__file__).parents[2]
REAL_RECORDING = ROOT / "tests/fixtures/nvml-h100.json"
WORKER = 4711
FIELDS = {
    "gpu_utilisation_percent",
    "memory_utilisation_percent",
    "vram_used_mib",
    "worker_vram_mib",
    "power_w",
    "energy_j",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "clock_event_reasons",
    "compute_processes",
    "other_processes",
}


def _reader(card: Card, **options: Any) -> NvmlReader:
    reader = Nvml(FakeNvml(card, **options)).reader(card.uuid)
    reader.remember_processes()
    return reader


# ----------------------------------------------------------------------------------------------------- describing


def test_gpus_are_described() -> None:
    gpu = Nvml(FakeNvml(Card())).boards()[0].gpu
    assert (gpu.name, gpu.index, gpu.memory_mib) == ("NVIDIA H100 80GB HBM3", 0, 81559)
    assert (gpu.driver, gpu.cuda_driver, gpu.compute_capability) == ("580.65.06", "13.0", "9.0")
    assert (gpu.pci_bus_id, gpu.power_limit_w) == ("00000000:19:00.0", 700.0)
    assert (gpu.max_sm_clock_mhz, gpu.max_memory_clock_mhz) == (1980, 2619)
    assert (gpu.persistence, gpu.mig, gpu.ecc) == (True, False, True)


def test_what_a_card_does_not_say_is_none_and_the_rest_stays() -> None:
    refused = ("EnforcedPowerLimit", "EccMode", "MigMode", "PersistenceMode", "PciInfo", "CudaComputeCapability")
    card = Card(errors={f"nvmlDeviceGet{name}": NOT_SUPPORTED for name in refused})
    gpu = Nvml(FakeNvml(card)).boards()[0].gpu
    assert (gpu.power_limit_w, gpu.ecc, gpu.mig, gpu.persistence) == (None, None, None, None)
    assert (gpu.pci_bus_id, gpu.compute_capability) == (None, None)
    assert (gpu.memory_mib, gpu.max_sm_clock_mhz) == (81559, 1980)


def test_mig_instances_belong_to_their_board() -> None:
    parts = [Card(uuid="MIG-1", name="NVIDIA A100 MIG 1g.5gb"), Card(uuid="MIG-2", name="NVIDIA A100 MIG 2g.10gb")]
    boards = Nvml(FakeNvml(Card(uuid="GPU-0"), Card(uuid="GPU-1", instances=parts))).boards()
    assert [device.uuid for board in boards for device in board.devices] == ["GPU-0", "MIG-1", "MIG-2"]
    assert [board.gpu.mig for board in boards] == [False, True]


def test_resolve_device_asks_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Nvml(FakeNvml(Card(uuid="GPU-0"), Card(uuid="GPU-1")))
    monkeypatch.setattr(nvml, "connect", lambda: fake)
    choice = nvml.resolve_device("cuda:0", {"CUDA_VISIBLE_DEVICES": "1"})
    assert (choice.uuid, choice.gpu and choice.gpu.index) == ("GPU-1", 1)


def test_a_gpu_that_vanished_before_sampling() -> None:
    with pytest.raises(UserError, match="'cuda:GPU-gone': NVML does not find"):
        Nvml(FakeNvml(Card())).reader("GPU-gone")


# ------------------------------------------------------------------------------------------------------- sampling


def test_a_sample_is_complete_and_in_its_units() -> None:
    sample = _reader(Card(gpu_percent=97, used_mib=2048, power_mw=612_345, energy_mj=9_876_543)).sample({WORKER})
    assert set(sample) == FIELDS
    assert (sample["gpu_utilisation_percent"], sample["memory_utilisation_percent"]) == (97, 7)
    assert (sample["vram_used_mib"], sample["power_w"], sample["energy_j"]) == (2048, 612.345, 9876.543)
    assert (sample["sm_clock_mhz"], sample["memory_clock_mhz"], sample["temperature_c"]) == (345, 2619, 34)


@pytest.mark.parametrize(
    ("function", "fields"),
    [
        ("nvmlDeviceGetUtilizationRates", {"gpu_utilisation_percent", "memory_utilisation_percent"}),
        ("nvmlDeviceGetPowerUsage", {"power_w"}),
        ("nvmlDeviceGetTotalEnergyConsumption", {"energy_j"}),
        ("nvmlDeviceGetClockInfo", {"sm_clock_mhz", "memory_clock_mhz"}),
        ("nvmlDeviceGetTemperature", {"temperature_c"}),
    ],
)
@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION])
def test_a_failing_query_takes_no_other_with_it(function: str, fields: set[str], code: int) -> None:
    card = Card(processes={})
    reader = _reader(card)
    card.processes = {WORKER: 900 * MIB}
    card.errors = {function: code}
    sample = reader.sample({WORKER})
    assert {name for name, value in sample.items() if value is None} == fields


def test_older_drivers_are_asked_by_the_older_names() -> None:
    old = {"nvmlDeviceGetMemoryInfo_v2": FUNCTION_NOT_FOUND, "nvmlDeviceGetComputeRunningProcesses_v3": 13}
    missing = ("nvmlDeviceGetCurrentClocksEventReasons",)
    sample = _reader(Card(used_mib=1000, reasons=4, errors=old), missing=missing).sample({WORKER})
    assert sample["vram_used_mib"] == 1300, "version 1 counts what the driver reserves"
    assert sample["clock_event_reasons"] == ["sw_power_cap"]
    assert sample["compute_processes"] == 0


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0x0, []),
        (0x1, ["gpu_idle"]),
        (0x4 | 0x20, ["sw_power_cap", "sw_thermal_slowdown"]),
        (0x8 | 0x40 | 0x80, ["hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"]),
        (0x2 | 0x1000, ["applications_clocks_setting", "unknown_0x1000"]),
    ],
)
def test_clock_event_reasons_by_name(bits: int, names: list[str]) -> None:
    assert _reader(Card(reasons=bits)).sample(set())["clock_event_reasons"] == names


def test_clock_event_reason_names_agree_with_nvml() -> None:
    pynvml = pytest.importorskip("pynvml")
    for bit, name in nvml.CLOCK_EVENT_REASONS.items():
        camel = "".join(part.capitalize() for part in name.split("_"))
        assert getattr(pynvml, f"nvmlClocksEventReason{camel}") == bit


def test_a_lost_gpu_reads_as_nothing_and_says_so_once() -> None:
    card = Card()
    reader = _reader(card)
    assert reader.take_trouble() is None
    card.errors = {"*": GPU_IS_LOST}
    assert set(reader.sample({WORKER}).values()) == {None}
    assert reader.take_trouble() == "GPU is lost"
    assert reader.take_trouble() is None


# ------------------------------------------------------------------------------------------------------ processes


def _counts(before: dict[int, int | None], *then: dict[int, int | None]) -> list[tuple[Any, Any, Any]]:
    card = Card(processes=before)
    reader = _reader(card)
    counts = []
    for processes in then:
        card.processes = processes
        sample = reader.sample({WORKER})
        counts.append((sample["compute_processes"], sample["other_processes"], sample["worker_vram_mib"]))
    return counts


def test_alone_on_the_gpu() -> None:
    assert _counts({}, {}, {WORKER: 512 * MIB}, {WORKER: 600 * MIB}) == [(0, None, None), (1, 0, 512), (1, 0, 600)]


def test_memory_of_the_workers_children_is_its_own() -> None:
    script = "import subprocess, sys; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True)"
    worker = subprocess.Popen([sys.executable, "-c", f"{script}; sys.stdin.read()"], stdin=-1, stdout=-1)
    assert worker.stdout is not None
    child = int(worker.stdout.readline())
    try:
        card = Card(processes={})
        sampler = Sampling(Nvml(FakeNvml(card)), card.uuid).of_worker(worker.pid)
        card.processes = {worker.pid: 512 * MIB, child: 256 * MIB}
        sample = sampler.take(0.0)
    finally:
        os.kill(child, signal.SIGKILL)
        worker.communicate()
    assert (sample["worker_vram_mib"], sample["other_processes"]) == (768, 0)


def test_a_process_from_before_is_another() -> None:
    assert _counts({7: MIB}, {7: MIB}, {7: MIB, WORKER: MIB}, {WORKER: MIB}) == [(1, 1, None), (2, 1, 1), (1, 0, 1)]


def test_a_process_that_came_later_counts_once_the_worker_is_known() -> None:
    assert _counts({}, {8: MIB}, {8: MIB, WORKER: MIB}, {8: MIB}) == [(1, None, None), (2, 1, 1), (1, 1, None)]


def test_a_number_of_another_pid_namespace_is_not_contention() -> None:
    assert _counts({}, {990_001: MIB}) == [(1, None, None)], "this may well be the worker itself"
    assert _counts({990_000: MIB}, {990_000: MIB, 990_001: MIB}) == [(2, 1, None)]


def test_another_namespace_may_hold_the_worker_s_number() -> None:
    assert _counts({WORKER: 5 * MIB}, {WORKER: 5 * MIB, 990_001: MIB}) == [(2, 1, None)]


def test_memory_of_a_process_that_nvml_does_not_tell() -> None:
    assert _counts({}, {WORKER: None}) == [(1, 0, None)]


def test_a_list_that_nvml_refuses() -> None:
    refused = {f"nvmlDeviceGetComputeRunningProcesses_v{version}": NO_PERMISSION for version in (2, 3)}
    sample = _reader(Card(errors=refused)).sample({WORKER})
    assert (sample["compute_processes"], sample["other_processes"], sample["worker_vram_mib"]) == (None, None, None)


def test_a_new_worker_starts_from_a_new_list() -> None:
    card = Card()
    reader = _reader(card)
    card.processes = {WORKER: MIB}
    assert reader.sample({WORKER})["other_processes"] == 0
    card.processes = {}
    reader.remember_processes()
    card.processes = {990_002: MIB}
    assert reader.sample({WORKER + 1})["other_processes"] is None


# ---------------------------------------------------------------------------------------- recording and replaying


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    path = ROOT / "benchmarks/record_nvml.py"
    spec = importlib.util.spec_from_file_location("record_nvml", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def _replayed(recording: ReplayNvml) -> list[dict[str, Any]]:
    replay = Nvml(recording)
    replay.boards()
    reader = replay.reader(recording.recording["uuid"])
    reader.remember_processes()
    return [reader.sample(set(sample["worker_pids"])) for sample in recording.recording["samples"]]


def test_a_recording_replays_to_the_same_samples(recorder: ModuleType, tmp_path: Path) -> None:
    card = Card(processes={7: None}, errors={"nvmlDeviceGetTemperature": NOT_SUPPORTED}, reasons=4 | 1)
    recorded = recorder.record(FakeNvml(card), device=0, seconds=0.06, hz=1000, load=False)
    path = tmp_path / "recording.json"
    path.write_text(recorder.to_json(recorded))
    replay = ReplayNvml(path)
    samples = _replayed(replay)
    assert len(samples) == 60
    assert samples[-1] == _reader(card).sample(set())
    assert samples[-1]["temperature_c"] is None
    assert replay.left() == 0, "the reader no longer makes the calls that were recorded"


def test_a_real_card_is_described() -> None:
    gpu = Nvml(ReplayNvml(REAL_RECORDING)).boards()[0].gpu
    assert (gpu.name, gpu.driver, gpu.cuda_driver) == ("NVIDIA H100 80GB HBM3", "580.159.04", "13.0")
    assert (gpu.memory_mib, gpu.compute_capability, gpu.power_limit_w) == (81559, "9.0", 700)
    assert (gpu.pci_bus_id, gpu.max_sm_clock_mhz) == ("00000000:00:06.0", 1980)
    assert (gpu.persistence, gpu.mig, gpu.ecc) == (True, False, True)


def test_a_real_card_idle_and_under_load() -> None:
    replay = ReplayNvml(REAL_RECORDING)
    samples = _replayed(replay)
    recorded = replay.recording["samples"]
    loaded = [s for s, r in zip(samples, recorded, strict=True) if r["worker_pids"]]
    idle = [s for s, r in zip(samples, recorded, strict=True) if not r["worker_pids"]][:5]
    assert replay.left() == 0
    assert max(s["gpu_utilisation_percent"] for s in loaded) > 90 > max(s["gpu_utilisation_percent"] for s in idle)
    assert max(s["power_w"] for s in loaded) > 2 * max(s["power_w"] for s in idle)
    assert max(s["vram_used_mib"] for s in loaded) > max(s["vram_used_mib"] for s in idle) + 256
    energy = [s["energy_j"] for s in samples]
    assert energy == sorted(energy)
    joules = loaded[-1]["energy_j"] - loaded[0]["energy_j"]
    span = [r["t"] for r in recorded if r["worker_pids"]]
    mean_w = sum(s["power_w"] for s in loaded) / len(loaded)
    assert joules / (span[-1] - span[0]) == pytest.approx(mean_w, rel=0.25), "counter and power in the same units"
    assert {tuple(s["clock_event_reasons"]) for s in idle} == {("gpu_idle",)}
    assert loaded[-1]["clock_event_reasons"] == ["sw_power_cap"]
    assert loaded[-1]["sm_clock_mhz"] < max(s["sm_clock_mhz"] for s in loaded) == 1980
    assert idle[0]["temperature_c"] == 35 < loaded[-1]["temperature_c"]
    assert [s["other_processes"] for s in (idle[0], loaded[0], loaded[-1])] == [None, None, 0]
    assert loaded[-1]["worker_vram_mib"] == 1232 < loaded[-1]["vram_used_mib"]
