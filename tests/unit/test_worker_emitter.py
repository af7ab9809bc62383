"""The worker's events: never a wait while a call runs, everything in order in the end."""

import fcntl
import os
import threading

import pytest

from sdtui.model.events import Step, from_line
from sdtui.worker.emitter import Emitter


def step(number):
    return Step("cell", 1, "main", number, 10_000, 1.5, 1)


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def read_all(reader):
    with open(reader, "rb") as lines:
        return [from_line(line).event.step for line in lines]


def test_an_event_is_sent_at_once_where_there_is_room(pipe):
    reader, writer = pipe
    Emitter(writer).emit(step(1))
    assert from_line(os.read(reader, 65536)).event == step(1)


def test_events_that_come_together_are_sent_together(pipe, monkeypatch):
    reader, writer = pipe
    written = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: written.append(len(data)) or write(descriptor, data))
    Emitter(writer).emit(step(1), step(2), step(3))
    assert len(written) == 1
    assert [from_line(line).event for line in os.read(reader, 65536).splitlines()] == [step(1), step(2), step(3)]


def test_a_full_pipe_never_blocks_and_flush_delivers_everything_in_order(pipe):
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    emitter = Emitter(writer)
    for number in range(2000):  # some 190 kB into 4 kB: a blocking write would hang here, and the test time out
        emitter.emit(step(number))
    received = []
    drain = threading.Thread(target=lambda: received.extend(read_all(reader)))
    drain.start()
    emitter.flush()
    os.close(writer)
    drain.join(30)
    assert received == list(range(2000))


def test_flush_waits_for_the_reader(pipe):
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    emitter = Emitter(writer)
    for number in range(200):
        emitter.emit(step(number))
    flushed = threading.Event()
    flushing = threading.Thread(target=lambda: (emitter.flush(), flushed.set()))
    flushing.start()
    assert not flushed.is_set()
    text = b""
    while text.count(b"\n") < 200:
        text += os.read(reader, 4096)
    assert flushed.wait(30)
    assert [from_line(line).event.step for line in text.splitlines()] == list(range(200))


def test_later_events_come_after_kept_ones(pipe):
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    emitter, text, sent = Emitter(writer), b"", 100
    for number in range(sent):
        emitter.emit(step(number))
    while text.count(b"\n") < 101:
        text += os.read(reader, 4096)
        emitter.emit(step(sent))  # takes what was kept along, now that there is room
        sent += 1
    numbers = [from_line(line).event.step for line in text.split(b"\n")[:-1]]
    assert numbers == list(range(len(numbers)))


def test_children_of_the_worker_do_not_hold_the_pipe(pipe):
    _, writer = pipe
    os.set_inheritable(writer, True)
    Emitter(writer)
    assert not os.get_inheritable(writer)


def test_times_are_the_events_own(pipe, monkeypatch):
    reader, writer = pipe
    monkeypatch.setattr("sdtui.worker.emitter.time.time", lambda: 1234.5)
    Emitter(writer).emit(step(1))
    assert from_line(os.read(reader, 65536)).t == 1234.5


def test_a_reader_that_is_gone_is_an_error_not_a_hang(pipe):
    reader, writer = pipe
    emitter = Emitter(writer)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        emitter.emit(step(1))
