"""Events as JSON lines."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sdtui.model.codec import DecodeError
from sdtui.model.events import (
    KINDS,
    SCHEMA_VERSION,
    CellFinished,
    CellPhase,
    Compilation,
    CompileCache,
    Log,
    Stamped,
    from_line,
    to_line,
)

RECORDED = sorted((Path(__file__).parents[1] / "fixtures" / "runs").glob("*/events.jsonl"))
LINES = [line for path in RECORDED for line in path.read_text().splitlines(keepends=True)]


def without_news(value: object, old: object) -> object:
    """Returns a JSON value without the keys that an older one at the same place has not."""
    if isinstance(value, dict) and isinstance(old, dict):
        return {key: without_news(item, old[key]) for key, item in value.items() if key in old}
    if isinstance(value, list) and isinstance(old, list) and len(value) == len(old):
        return [without_news(item, before) for item, before in zip(value, old, strict=True)]
    return value


def test_recorded_events_are_written_again_as_they_were_besides_newer_keys() -> None:
    assert len(LINES) > 500
    for line in LINES:
        again = without_news(json.loads(to_line(from_line(line))), json.loads(line))
        assert json.dumps(again, ensure_ascii=False, separators=(",", ":")) + "\n" == line


def test_the_recordings_hold_every_kind_but_those_that_came_later() -> None:
    later = {"log", "cell.checked", "run.forecast", "rung.finished"}
    assert {json.loads(line)["kind"] for line in LINES} >= set(KINDS) - later


def test_kinds_are_those_of_the_design() -> None:
    of_the_run = {"run.started", "run.forecast", "rung.finished", "run.finished", "log", "telemetry"}
    of_cells = {"cell.queued", "cell.started", "cell.phase", "step", "call.finished", "cell.finished", "cell.checked"}
    assert set(KINDS) == of_the_run | of_cells
    assert all(kind == cls.KIND for kind, cls in KINDS.items())


def test_a_line_says_version_time_kind_and_cell() -> None:
    line = to_line(Stamped(1700000000.1234567, CellPhase("a.b-1", "measure", 2)))
    assert line == (
        '{"v":1,"t":1700000000.123457,"kind":"cell.phase","cell":"a.b-1","phase":"measure","call":2,"versions":null}\n'
    )
    assert from_line(line) == Stamped(1700000000.123457, CellPhase("a.b-1", "measure", 2))


def test_a_line_is_one_line_of_unicode_whatever_it_says() -> None:
    told = Log("two\nlines \u2028 “quoted” \udcff \x00")
    line = to_line(Stamped(1.0, told))
    assert line.count("\n") == 1
    assert "“quoted”" in line
    read = from_line(line.encode()).event
    assert read == dataclasses.replace(told, message=told.message.replace("\udcff", "?"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "not JSON"),
        ("nonsense", "not JSON"),
        ('{"v":1,"t":1.0,"kind":"log","mess', "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
        ("3", "not an object"),
        ("{}", "schema version None, this sdtui reads 1"),
        ('{"v":2,"t":1.0,"kind":"log","message":"x"}', "schema version 2, this sdtui reads 1"),
        ('{"v":1,"t":1.0,"kind":"gossip"}', "unknown kind 'gossip'"),
        ('{"v":1,"t":1.0,"kind":["log"]}', "unknown kind"),
        ('{"v":1,"kind":"log","message":"x"}', "'t' is no time"),
        ('{"v":1,"t":true,"kind":"log","message":"x"}', "'t' is no time"),
        ('{"v":1,"t":NaN,"kind":"log","message":"x"}', "'t': nan is no finite number"),
        ('{"v":1,"t":1e999,"kind":"log","message":"x"}', "'t': inf is no finite number"),
        ('{"v":1,"t":1.0,"kind":"log"}', "Log: 'message' is missing"),
        ('{"v":1,"t":1.0,"kind":"log","message":"x","level":"shout"}', "Log.level: 'shout' is none of"),
    ],
)
def test_what_is_no_event_is_refused(line: str | bytes, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        from_line(line)
    assert said in str(caught.value)


def test_an_event_of_a_later_minor_schema_still_reads() -> None:
    line = json.loads(to_line(Stamped(1.0, CellFinished("c", "ok", "measure"))))
    assert line["v"] == SCHEMA_VERSION
    assert from_line(json.dumps({**line, "mood": "good"})).event == CellFinished("c", "ok", "measure")


EMPTY, HOLDING = CompileCache("/c", empty=True), CompileCache("/c", empty=False)


@pytest.mark.parametrize(
    ("hits", "misses", "found", "warmth"),
    [
        (0, 3, EMPTY, "cold"),
        (1, 2, EMPTY, "partly warm"),
        (None, None, EMPTY, "cold"),
        (0, 3, HOLDING, "partly warm"),
        (2, 1, HOLDING, "partly warm"),
        (3, 0, HOLDING, "warm"),
        (None, None, HOLDING, None),
        (0, 3, None, "cold"),
        (2, 1, None, "partly warm"),
        (3, 0, None, "warm"),
        (None, None, None, None),
    ],
)
def test_how_warm_compiling_was(
    hits: int | None, misses: int | None, found: CompileCache | None, warmth: str | None
) -> None:
    assert Compilation(1, cache_hits=hits, cache_misses=misses).warmth(found) == warmth
