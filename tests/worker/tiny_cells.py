"""Tiny cells, measured in this process."""

from pathlib import Path

import pytest
import torch

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Mode
from sdtui.model.events import Event
from sdtui.model.job import Job
from sdtui.worker import measure, options
from sdtui.worker.build import build
from sdtui.worker.timing import PipelineTimer

CATALOG = load_catalog()
SD, CONTROLNET, IF = ("sd-txt2img", 0), ("sd-controlnet", 0), ("if", 0)
UPSCALER = ("if", 2)
"""Pipelines, each with the number of a stage."""


def cell_of(pipeline="sd-txt2img", mode="no-compile", batch_size=1, **overrides):
    """A cell of the catalog at tiny scale: one call of two steps unless said otherwise."""
    matrix = {"pipelines": [pipeline], "modes": [mode], "batch_sizes": [batch_size]}
    keys = matrix | {"scale": "tiny", "device": "cpu", "calls": 1, "steps": 2} | overrides
    (cell,) = expand(resolve_plan(CATALOG, None, keys, gpu_available=False), CATALOG)
    return cell


def pipe_of(cell, stage=0):
    return build(cell.stages[stage], cell.seed, "cpu", getattr(torch, cell.dtype))


def applied(place, **wishes):
    """The pipeline of a stage in a mode with these options."""
    pipeline, stage = place
    cell = cell_of(pipeline)
    pipe = pipe_of(cell, stage)
    options.apply(Mode("mine", "mine", **wishes), cell.stages[stage], pipe)
    return pipe


def refused(place, **wishes):
    """Why it cannot have them."""
    with pytest.raises(options.UnsupportedError) as caught:
        applied(place, **wishes)
    return str(caught.value)


def relative_l2(values, reference):
    return float((values.float() - reference).norm() / reference.norm())


class Recorder:
    """Takes events in the emitter's place."""

    def __init__(self):
        self.events: list[Event] = []
        self.flushes = 0

    def emit(self, *events):
        self.events.extend(events)

    def flush(self):
        self.flushes += 1


class Measured:
    """What a cell said, and the images of every call by stage."""

    def __init__(self, cell, outputs: Path, monkeypatch):
        self.cell, self.outputs = cell, outputs
        self.images: dict[str, list] = {}
        recorder, time = Recorder(), PipelineTimer.time
        names = iter(stage.name for _ in range(cell.calls) for stage in cell.stages)

        def recording(timer, call, on_steps):
            result = time(timer, call, on_steps)
            self.images.setdefault(next(names), []).append(result[0].images)
            return result

        with monkeypatch.context() as patch:
            patch.setattr(PipelineTimer, "time", recording)
            measure.measure(Job(cell, "cpu", str(outputs)), recorder)
        self.events = recorder.events
        self.end = recorder.events[-1]

    def of(self, kind, **fields):
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in fields.items())
        ]
