"""Following a run from its folder, without a screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.message import Message

from sdtui.tui import bridge
from sdtui.tui.messages import RunChanged

H100 = next((Path(__file__).parents[1] / "fixtures" / "runs").glob("*-6c1239"))


def views(folder: Path) -> list[RunChanged]:
    posted: list[Message] = []
    bridge.follow(folder, posted.append, lambda: False)
    return [message for message in posted if isinstance(message, RunChanged)]


def test_a_run_that_has_ended_is_shown_once() -> None:
    (shown,) = views(H100)
    assert (shown.view.state, shown.view.message, shown.view.done) == ("ok", "", 2)


def test_what_takes_long_to_read_is_shown_meanwhile_and_nothing_in_it_as_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "_READING_S", 0.0)
    *reading, last = [message.view for message in views(H100)]
    assert len(reading) > 100
    assert all(view.live is None and view.remaining_s is None for view in reading)
    assert reading[0].message == "reading its journal, 1 %"
    assert reading[-1].message in ("reading its journal, 100 %", "")
    assert [view.done for view in reading] == sorted(view.done for view in reading)
    assert last.message == ""


def test_reading_ends_when_it_is_no_longer_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "_READING_S", 0.0)
    posted: list[Message] = []
    bridge.follow(H100, posted.append, lambda: len(posted) > 3)
    assert len(posted) == 4
