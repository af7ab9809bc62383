"""A recorded run, played by a clock that the test sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui import runs
from sdtui.model.events import Log
from sdtui.replaying import LONGEST_WAIT_S, Replay

RECORDED = Path(__file__).parents[1] / "fixtures" / "runs" / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that says a at 100, b at 101.5, c half a second earlier, d a minute after b."""
    made = runs.create(tmp_path, "d", "h", "")
    journal = runs.Journal(made)
    for t, text in ((100.0, "a"), (101.5, "b"), (101.0, "c"), (161.5, "d")):
        journal.append(Log(text), t)
    journal.close()
    return made


def heard(replay: Replay) -> str:
    return "".join(stamped.event.message for stamped in replay.poll() if isinstance(stamped.event, Log))


def test_events_come_as_they_came_and_long_waits_are_cut_short(folder: Path, clock: Clock) -> None:
    replay = Replay(folder, clock=clock)
    assert (heard(replay), replay.now, replay.ended) == ("a", 100.0, False)
    for seconds, said, now in (
        (1.25, "", 101.25),
        (0.25, "bc", 101.5),
        (LONGEST_WAIT_S / 2, "", 131.5),
        (LONGEST_WAIT_S / 4, "", 146.5),
    ):
        clock.now += seconds
        assert (heard(replay), replay.now, replay.ended) == (said, now, False)
    clock.now += LONGEST_WAIT_S / 4
    assert (heard(replay), replay.now, replay.ended) == ("d", 161.5, True)
    clock.now += 60
    assert (heard(replay), replay.now) == ("", 161.5)


def test_it_plays_so_many_times_faster(folder: Path, clock: Clock) -> None:
    replay = Replay(folder, 10, clock)
    assert heard(replay) == "a"
    clock.now += 0.15
    assert (heard(replay), replay.now) == ("bc", 101.5)
    clock.now += LONGEST_WAIT_S * 0.99
    assert heard(replay) == ""
    fast = Replay(folder, 60, clock)
    assert heard(fast) == "a"
    clock.now += 1.5 / 60 + 1
    assert heard(fast) == "bcd"


def test_the_clock_of_the_run_does_not_pass_an_event_that_was_not_polled(folder: Path, clock: Clock) -> None:
    replay = Replay(folder, clock=clock)
    assert replay.now == 0.0
    assert heard(replay) == "a"
    clock.now += 3600
    assert replay.now == 101.5
    assert heard(replay) == "bcd", "whoever comes late hears it all"


def test_a_poll_that_is_left_early_is_gone_on_with(folder: Path, clock: Clock) -> None:
    replay = Replay(folder, clock=clock)
    clock.now += 10
    assert heard(replay) == "a"
    clock.now += 10
    assert next(replay.poll()).event == Log("b")
    assert heard(replay) == "cd"


def test_a_recorded_run_is_played_whole_in_its_order_with_its_times(clock: Clock) -> None:
    replay, played = Replay(RECORDED, 1000, clock), []
    polls = 0
    while not replay.ended:
        played += replay.poll()
        clock.now += 0.01
        polls += 1
    assert played == list(runs.Tail(RECORDED).poll())
    took = played[-1].t - played[0].t
    assert polls == pytest.approx(took / 1000 / 0.01, abs=3)
    assert replay.now == max(stamped.t for stamped in played)


def test_an_empty_run_has_ended(tmp_path: Path, clock: Clock) -> None:
    replay = Replay(runs.create(tmp_path, "d", "h", ""), clock=clock)
    assert not replay.ended
    assert (heard(replay), replay.ended, replay.now) == ("", True, 0.0)
