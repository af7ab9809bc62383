"""What the terminal is told when the followed run ends: a bell and a desktop notification."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import DOCS, TINY, dashboard, notices, opened, settle
from moments import read_view
from textual.drivers.headless_driver import HeadlessDriver

from sdtui.tui.app import Dashboard
from sdtui.tui.heading import ended_words
from sdtui.tui.messages import RunChanged
from sdtui.tui.snapshot import RunView
from sdtui.tui.terminal import announcement


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the app writes to the terminal beside its screens."""
    monkeypatch.delenv("TMUX", raising=False)
    written: list[str] = []
    monkeypatch.setattr(HeadlessDriver, "write", lambda _, data: written.append(data))
    return written


def rings(told: list[str]) -> list[str]:
    return [data for data in told if data.startswith("\a")]


async def end(app: Dashboard, *views: RunView) -> None:
    """Shows a run, then views of it as they would come from its folder."""
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        for view in views:
            app.post_message(RunChanged(view))
            await settle(app, pilot)


async def test_the_end_of_a_followed_run_rings_once_and_says_how_it_went(told: list[str]) -> None:
    ended = read_view(TINY)
    app = dashboard(TINY)
    await end(app, replace(ended, state="running"), ended, ended)

    assert rings(told) == [announcement(ended_words(ended))]
    assert notices(app) == [ended_words(ended)]
    assert "run fa50b5 on AMD EPYC is incomplete: " in ended_words(ended)


async def test_a_run_that_had_ended_before_it_was_opened_is_no_news(told: list[str]) -> None:
    app = dashboard(DOCS)
    await end(app, read_view(DOCS))

    assert not rings(told)
    assert not notices(app)


async def test_where_it_is_off_the_screen_alone_says_it(told: list[str]) -> None:
    ended = read_view(DOCS)
    app = dashboard(DOCS, notify=False)
    await end(app, replace(ended, state="running"), ended)

    assert not rings(told)
    assert notices(app) == [ended_words(ended)]


async def test_a_replay_ends_on_the_screen_alone(told: list[str]) -> None:
    ended = read_view(DOCS)
    app = dashboard(DOCS)
    app.opening = replace(app.opening, replay_speed=10.0)
    await end(app, replace(ended, state="running"), ended)

    assert not rings(told)
    assert ended_words(ended) in notices(app)


def test_both_commands_are_sent_without_control_characters() -> None:
    said = announcement("a\x1b]0;x\x07\n\x9cb\u202e", {"TERM": "xterm-256color"})

    assert said == "\a\x1b]9;sdtui: a ]0;x b\a\x1b]777;notify;sdtui;a ]0;x b\a"


def test_tmux_hands_the_commands_on_and_rings_itself() -> None:
    said = announcement("done", {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"})

    assert said == (
        "\a"
        "\x1bPtmux;\x1b\x1b]9;sdtui: done\a\x1b\\"
        "\x1bPtmux;\x1b\x1b]777;notify;sdtui;done\a\x1b\\"
    )  # fmt: skip


@pytest.mark.parametrize("term", ["dumb", "linux"])
def test_terminals_that_would_print_commands_are_rung_alone(term: str) -> None:
    assert announcement("done", {"TERM": term}) == "\a"
