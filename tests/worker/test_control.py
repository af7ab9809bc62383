"""A worker that asks the supervisor whether there is another call to make."""

import os

import pytest
from tiny_cells import Recorder, cell_of

from sdtui.model.events import CallFinished, CellFinished, CellPhase
from sdtui.model.job import ENOUGH, MORE, Job
from sdtui.worker import measure
from sdtui.worker.control import Control


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


class Answering(Recorder):
    """Answers, as a supervisor does, once it has a call's last event: a worker that asked before would wait forever."""

    def __init__(self, descriptor, answers):
        super().__init__()
        self._descriptor, self._answers = descriptor, iter(answers)

    def flush(self):
        super().flush()
        calls = [event.call for event in self.events if isinstance(event, CallFinished)]
        if calls and calls[-1] >= 2 and (answer := next(self._answers, None)):
            os.write(self._descriptor, answer)


def test_a_real_cell_is_called_on_until_it_is_enough(tmp_path, pipe):
    read, write = pipe
    recorder = Answering(write, [MORE, MORE, ENOUGH])
    measure.measure(Job(cell_of(calls=2), "cpu", str(tmp_path), control=read), recorder)
    assert [event.call for event in recorder.events if isinstance(event, CallFinished)] == [1, 2, 3, 4]
    phases = [(event.phase, event.call) for event in recorder.events if isinstance(event, CellPhase)]
    assert phases == [("warm-up", 1), ("measure", 2)]
    end = recorder.events[-1]
    assert isinstance(end, CellFinished)
    assert (end.status, end.call) == ("ok", 4)


def test_an_answer_ends_the_wait(pipe):
    read, write = pipe
    control = Control(read)
    os.write(write, MORE)
    assert control.more()
    os.write(write, ENOUGH)
    assert not control.more()
    assert not os.get_inheritable(read)


def test_nobody_to_ask_wants_no_more():
    assert not Control(None).more()
    read, write = os.pipe()
    os.close(write)
    assert not Control(read).more()
    os.close(read)
