"""What the follower says of recorded runs: plain lines to a file, lines that fit on a terminal."""

from __future__ import annotations

import io
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from commands import DOCS, RECORDED, SMOKE, TINY, check_golden
from rich.console import Console

from sdtui import runs
from sdtui.display import Display, duration, lines
from sdtui.follow import Narrator
from sdtui.model.events import CellChecked, CellStarted, Log, Stamped, Telemetry, from_line, to_line
from sdtui.model.results import Distance
from sdtui.model.vram import VramNeed
from sdtui.records import RunRecord

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def narrate(folder: Path, width: int | None = None, encoding: str = "utf-8") -> str:
    """Replays a run; to a file, or where a width is given to a terminal without its live display."""
    written = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace", newline="")
    narrator = Narrator(folder, Console(file=written, width=width or 80, force_terminal=width is not None))
    for stamped in runs.Tail(folder).poll():
        narrator.take(stamped)
    written.flush()
    return written.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [SMOKE, DOCS, TINY])
def test_lines_in_a_file(name: str) -> None:
    said = narrate(RECORDED / name)
    check_golden(f"narration-{name.rsplit('-', 1)[-1]}.txt", said)
    assert "\x1b" not in said


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", [SMOKE, DOCS, TINY])
def test_no_line_wraps_on_a_terminal(name: str, width: int) -> None:
    said = CONTROL.sub("", narrate(RECORDED / name, width)).splitlines()
    assert said
    assert [line for line in said[1:] if len(line) > max(width, 70)] == []  # a cell's id is never cut


def test_an_ending_that_fits_stays_on_its_line() -> None:
    narrow, wide = (CONTROL.sub("", narrate(RECORDED / TINY, width)).splitlines() for width in (80, 120))
    cell = "[2/6] sd-txt2img.compile-channels-last.current.b1.tiny-c0825e80:"
    assert narrow[2:4] == [cell, "      1.59 it/s in 3 min 04 s".ljust(len(narrow[3]))]
    assert f"{cell} 1.59 it/s in 3 min 04 s" in wide


def test_colours_tell_how_cells_ended() -> None:
    said = narrate(RECORDED / TINY, 120)
    assert "\x1b[32m[1/6]" in said
    assert "\x1b[33m[3/6]" in said


@pytest.mark.parametrize(
    ("distance", "said"),
    [(Distance(1e-5, 80.0, 1), ""), (Distance(0.5, 20.0, 99), "differs: relative L2 0.5 from no-compile's latents")],
)
def test_an_output_that_differs_is_told(tmp_path: Path, distance: Distance, said: str) -> None:
    shutil.copytree(RECORDED / DOCS, tmp_path / "run")
    base, compiled = list(runs.read(tmp_path / "run").cells)[:2]
    before = narrate(tmp_path / "run")
    with open(tmp_path / "run" / runs.JOURNAL, "a") as journal:
        journal.write(to_line(Stamped(1.0, CellChecked(compiled, base, distance))))
    added = narrate(tmp_path / "run").removeprefix(before)
    assert added.startswith(f"{compiled}: {said}" if said else "")
    assert len(added.splitlines()) == bool(said)


MESSAGE = "waiting for NVIDIA H100 80GB HBM3: in use by run 20261124T230016Z (pid 7, user u, on h)"


def test_messages_are_whole_in_a_file_and_wrap_between_words_on_a_terminal(tmp_path: Path) -> None:
    written, shown = io.StringIO(), io.StringIO()
    for console in (Console(file=written, width=40), Console(file=shown, width=40, force_terminal=True)):
        narrator = Narrator(tmp_path, console)
        narrator.take(Stamped(1.0, Log(MESSAGE)))
        narrator.say("/" + "x" * 50)
    assert written.getvalue() == f"{MESSAGE}\n/{'x' * 50}\n"
    *lines, path = CONTROL.sub("", shown.getvalue()).splitlines()
    assert " ".join(line.strip() for line in lines) == MESSAGE
    assert max(map(len, lines)) <= 40
    assert path == "/" + "x" * 50, "a path can be copied"


def test_who_joins_late_is_told_where_the_run_stands(tmp_path: Path) -> None:
    lines = (RECORDED / TINY / runs.JOURNAL).read_bytes().splitlines(keepends=True)
    ended = next(number for number, line in enumerate(lines) if b'"kind":"cell.finished"' in line)
    waits = to_line(Stamped(from_line(lines[0]).t + 1, Log(MESSAGE))).encode()
    said = []
    for journal in ([*lines[:7], waits], lines[: ended + 1], lines[: ended + 9]):
        (tmp_path / runs.JOURNAL).write_bytes(b"".join(journal))
        file = io.StringIO()
        narrator = Narrator(tmp_path, Console(file=file))
        narrator.catch_up()
        assert file.getvalue() == "", "what came before is read in silence"
        narrator.say_position()
        said.append(file.getvalue())
    where = f"run {TINY} on AMD EPYC:"
    assert said[0] == f"{where} 0 of 6 cells done\n{MESSAGE}\n"
    assert said[1:] == [f"{where} 1 of 6 cells done\n"] * 2


# ------------------------------------------------------------------------------------------------------ live display


def frames(name: str, width: int, encoding: str = "utf-8") -> list[tuple[str, list[str]]]:
    """Returns the display after each event of a recorded run, with the event's kind."""
    record, gauges, found = RunRecord(RECORDED / name), {}, []
    for stamped in runs.Tail(RECORDED / name).poll():
        record.apply(stamped)
        if isinstance(stamped.event, Telemetry):
            gauges.update(stamped.event.changed)
        rows = lines(record, gauges, stamped.t, width, encoding)
        found.append((stamped.event.KIND, [row.plain for row in rows]))
    return found


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("name", [SMOKE, DOCS, TINY])
def test_the_display_fits_its_width(name: str, width: int) -> None:
    shown = frames(name, width)
    assert {len(rows) for _, rows in shown} == {3}
    assert max(len(row) for _, rows in shown for row in rows) <= width


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", [DOCS, TINY])
def test_the_display_along_a_run(name: str, width: int) -> None:
    shown = frames(name, width)
    sample = [*shown[:: len(shown) // 12], *(frame for frame in shown if frame[0] in ("cell.phase", "cell.finished"))]
    text = "\n".join("\n".join(row.rstrip() for row in rows) + "\n" for _, rows in sample)
    check_golden(f"display-{name.rsplit('-', 1)[-1]}-{width}.txt", text)


def test_the_display_shows_phase_step_rate_gpu_vram_and_the_time_left() -> None:
    steps = [rows for kind, rows in frames(DOCS, 80) if kind == "step"]
    cell, body, run = steps[-1]
    assert cell == "[2/2] sd-txt2img.compile.current.b1-ec29bd21"
    assert re.fullmatch(r"  measure, call 3  ━+╌*  50/50  1\d\d\.\d\d it/s  GPU +\d+%  VRAM +\d+ MiB", body)
    assert re.fullmatch(r"  run  ━+╌+  1/2 cells  1 min 50 s", run)
    assert re.search(r"  0/2 cells  \d+ s  about \d+ s left$", steps[60][2])


def test_the_display_stands_still_while_figures_change() -> None:
    bodies = [rows[1] for kind, rows in frames(DOCS, 80) if kind == "step"]
    starts = {(body[:17], body.index(" it/s")) for body in bodies if " it/s" in body and "call 2" in body}
    assert len({column for start, column in starts if start.startswith("  measure")}) == 1


def test_the_display_of_several_stages_names_the_stage() -> None:
    bodies = [rows[1] for kind, rows in frames(TINY, 80) if kind == "step"]
    for stage in ("I", "II", "III"):
        assert any(body.startswith(f"  warm-up, call 1, {stage}  ") for body in bodies)
    assert any("CPU" in body and "RSS" in body for body in bodies)


def test_the_display_without_utf_8_has_plain_bars() -> None:
    rows = [row for _, found in frames(DOCS, 80, "latin-1") for row in found]
    assert any("##" in row for row in rows)
    assert "".join(rows).isascii()


def test_the_live_display_is_gone_at_the_end() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True)
    record = runs.read(RECORDED / TINY)
    with Display(record, {}, console):
        pass
    assert "6/6 cells" in file.getvalue()
    assert file.getvalue().endswith("\x1b[1A\x1b[2K"), "its lines are erased"


def test_the_display_follows_without_a_thread_that_reads_a_run_while_it_changes(tmp_path: Path) -> None:
    """A thread of rich's own, which renders when it likes, could find the gauges gone halfway through a line."""
    lines = (RECORDED / DOCS / runs.JOURNAL).read_bytes().splitlines(keepends=True)
    journal, file = tmp_path / runs.JOURNAL, io.StringIO()
    journal.write_bytes(b"".join(lines[:10]))
    narrator = Narrator(tmp_path, Console(file=file, width=120, force_terminal=True))
    threads = threading.active_count()
    alive = iter([True, False])

    def grow() -> bool:
        journal.write_bytes(b"".join(lines))
        return next(alive)

    with narrator:
        assert threading.active_count() == threads
        narrator.follow(grow, lambda: False)
        shown = CONTROL.sub("", file.getvalue())
    assert "2/2 cells" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599.9, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def needing(need: VramNeed, width: int | None = None) -> str:
    """Narrates a run up to the start of its first cell, which was said to need so much."""
    file = io.StringIO()
    narrator = Narrator(RECORDED / DOCS, Console(file=file, width=width or 80, force_terminal=width is not None))
    for stamped in runs.Tail(RECORDED / DOCS).poll():
        if isinstance(stamped.event, CellStarted):
            narrator.take(Stamped(stamped.t, replace(stamped.event, need=need)))
            break
        narrator.take(stamped)
    shown = lines(narrator.record, {}, stamped.t + 1, width or 80)
    return file.getvalue() + "\n".join(map(str, shown)) * (width is not None)


def test_what_a_cell_needs_is_a_line_in_a_file_and_in_the_display_of_a_terminal() -> None:
    need = VramNeed(3439.0, 80_500.0, False)
    said = "needs about 3.4 GiB of VRAM, 78.6 GiB free"
    assert re.search(rf"^\[1/\d\] sd-\S+: {said}$", needing(need), re.MULTILINE)
    assert re.search(rf"^  launch  1 s  {said}", needing(need, 120), re.MULTILINE)
    assert needing(need, 120).count(said) == 1


def test_a_cell_that_needs_more_than_there_is_has_a_line_everywhere() -> None:
    need = VramNeed(18_534.0, 16_110.0, False)
    for width in (None, 120):
        assert ": needs about 18.1 GiB of VRAM, 15.7 GiB free: it may run out of memory" in needing(need, width)
