"""What a worker counts, against what its denoisers really do: every evaluation of a call is counted as it runs."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from tiny_cells import Recorder, cell_of
from torch.utils.flop_counter import FlopCounterMode

from sdtui.model.events import CallFinished, CellFinished, Log
from sdtui.model.job import Job
from sdtui.worker import measure, options
from sdtui.worker.flops import Evaluations


class Truth:
    """Counts what is computed in the denoisers, in every call of every stage, before a mode is applied."""

    def __init__(self, monkeypatch):
        self.flops: dict[str, int] = {}
        apply = options.apply

        def watching(mode, stage, pipe):
            for name in stage.denoisers:
                self._watch(stage.name, getattr(pipe, name))
            return apply(mode, stage, pipe)

        monkeypatch.setattr(options, "apply", watching)

    def _watch(self, stage, module):
        forward = module.forward

        def counting(*args, **kwargs):
            with FlopCounterMode(display=False) as counter:
                result = forward(*args, **kwargs)
            self.flops[stage] = self.flops.get(stage, 0) + counter.get_total_flops()
            return result

        module.forward = counting


def run(cell, tmp_path):
    recorder = Recorder()
    measure.measure(Job(cell, "cpu", str(tmp_path)), recorder)
    return recorder.events


def counted(cell, tmp_path):
    """The operations of one evaluation by stage, and the evaluations of the cell's one call."""
    events = run(cell, tmp_path)
    assert events[-1].status == "ok", events[-1].reason
    return events[-1].flops, {e.stage: e.forwards for e in events if isinstance(e, CallFinished)}


def vanilla(pipeline, **overrides):
    """A cell whose attention is plain matrix products: torch counts none of its fused attention on a CPU."""
    return cell_of(pipeline, mode="vanilla-attention", **overrides)


def with_scheduler(cell, class_name):
    (stage,) = cell.stages
    parts = [
        dataclasses.replace(part, class_name=class_name, config={"num_train_timesteps": 1000})
        if part.name == "scheduler"
        else part
        for part in stage.components
    ]
    return dataclasses.replace(cell, stages=(dataclasses.replace(stage, components=tuple(parts)),))


@pytest.mark.parametrize(
    ("cell", "evaluations"),
    [
        (vanilla("sd-txt2img", steps=3), {"main": 4}),
        (vanilla("sd-txt2img", guidance=1, size=192, batch_size=2), {"main": 3}),
        (vanilla("sd-img2img", steps=5), {"main": 5}),
        (vanilla("sd-controlnet", batch_size=3), {"main": 3}),
        (vanilla("if"), {"I": 2, "II": 2, "III": 2}),
        (with_scheduler(vanilla("sd-txt2img", steps=3), "HeunDiscreteScheduler"), {"main": 5}),
    ],
    ids=["PNDM evaluates once more", "no guidance, 192 px", "strength 0.8 of 5 steps", "ControlNet", "IF", "Heun"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers.*")
def test_evaluations_together_are_what_was_computed(monkeypatch, tmp_path, cell, evaluations):
    truth = Truth(monkeypatch)
    flops, forwards = counted(cell, tmp_path)
    assert forwards == evaluations
    assert {stage: each * forwards[stage] for stage, each in flops.items()} == truth.flops
    assert all(each > 1e6 for each in flops.values())


def test_a_mode_changes_how_and_not_what(tmp_path):
    cell = cell_of()
    fused = dataclasses.replace(cell, mode=dataclasses.replace(cell.mode, fuse_qkv=True))
    assert counted(fused, tmp_path)[0] == counted(cell, tmp_path)[0]


class Model(torch.nn.Module):
    """As much of a diffusers model as is looked at."""

    def __init__(self, width):
        super().__init__()
        self.config = {"width": width}
        self.layer = torch.nn.Linear(width, 3)

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def forward(self, sample, scales):
        return self.layer(sample) * scales["a"][0]


def test_a_compiled_denoiser_is_counted_as_it_was_written():
    pipe = SimpleNamespace(unet=torch.compile(Model(5), backend="eager", fullgraph=True))
    seen = Evaluations(pipe, ("unet",))
    for batch in (4, 8):
        pipe.unet(torch.ones(batch, 5, dtype=torch.float32), scales={"a": [torch.ones(1), None]})
    assert seen.flops() == 2 * 4 * 5 * 3


def test_a_count_that_fails_costs_the_cell_nothing(monkeypatch, tmp_path):
    def fail(_):
        raise NotImplementedError("no meta kernel\nfor this")

    monkeypatch.setattr(Evaluations, "flops", fail)
    cell = cell_of()
    *_, log, end = run(cell, tmp_path)
    assert log == Log("operations not counted: NotImplementedError: no meta kernel for this", "warning", cell.id)
    assert end == CellFinished(cell.id, "ok", "warm-up", 1)


def test_nothing_stays_hooked_after_the_first_evaluation():
    pipe = SimpleNamespace(unet=Model(5))
    Evaluations(pipe, ("unet",))
    assert len(pipe.unet._forward_pre_hooks) == 1
    pipe.unet(torch.ones(1, 5), scales={"a": (1.0,)})
    assert not pipe.unet._forward_pre_hooks
