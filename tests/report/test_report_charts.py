from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from sdtui import runs
from sdtui.model.cell import Mode, Slot
from sdtui.model.errors import UserError
from sdtui.model.events import CellPhase, CellStarted, Step, Telemetry
from sdtui.records import RunRecord
from sdtui.report import charts, charts_canvas, charts_style, tables
from sdtui.report.charts_files import save_with_charts
from sdtui.report.charts_rates import rates
from sdtui.report.charts_samples import thinned
from sdtui.report.charts_speed_up import speed_up_charts, speed_ups
from sdtui.report.charts_steps import stages_of, steps_chart
from sdtui.report.charts_telemetry import bands_of, series_of, telemetry_chart
from sdtui.report.markdown import markdown
from sdtui.report.merge import merge

ROOT = Path(__file__).parents[2]
H100 = ROOT / "tests/fixtures/runs/20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
TINY = ROOT / "tests/fixtures/runs/20261124T231027Z-vm-epyc-fa50b5"


def tables_of(*records: RunRecord) -> tuple[tables.Table, ...]:
    return tables.build(merge(records))


def names(built: charts.Charts) -> list[str]:
    return [chart.name for chart in built]


# --------------------------------------------------------------------------------------------------- what they show


def test_speed_up_is_over_no_compile_of_the_same_torch(tell, cell_spec) -> None:
    told = tell().sit(nightly="2.12.0.dev1")
    for environment, torch, its in (("current", "2.11.0", 20.0), ("nightly", "2.12.0.dev1", 25.0)):
        told.measure(cell_spec(environment=environment), its, torch=torch)
        told.measure(cell_spec(mode="compile", environment=environment), 50.0, torch=torch)
    (table,) = tables_of(told.finish().run)
    assert [(figure.torch, figure.times) for figure in speed_ups(table)] == [
        ("torch 2.11", 2.5),
        ("torch nightly", 2.0),
    ]


def test_speed_up_is_stage_by_stage_and_of_cells_that_ended_ok(docs_run: RunRecord, tell, cell_spec) -> None:
    ours = [figure for table in tables_of(docs_run) for figure in speed_ups(table)]
    assert [(figure.pipeline, figure.mode, round(figure.times, 3)) for figure in ours] == [
        ("SD - txt2img", "compile", round(91.4 / 28.1, 3))
    ]
    stages = tell(name="b").sit().measure(cell_spec("if"), 10.0, 20.0, 30.0)
    stages.measure(cell_spec("if", "compile"), 20.0, 30.0, 15.0)
    (table,) = tables_of(stages.run)
    assert [(figure.stage, round(figure.times, 9)) for figure in speed_ups(table)] == [
        ("stage I", 2.0),
        ("stage II", 1.5),
        ("stage III", 0.5),
    ]


@pytest.mark.parametrize(("sizes", "expected"), [((1, 4, 16), ["-b4-"]), ((1, 16), ["-b1-", "-b16-"])])
def test_speed_up_is_of_batch_size_4_where_there_is_one(tell, cell_spec, sizes, expected) -> None:
    told = tell().sit()
    for size in sizes:
        told.measure(cell_spec(batch_size=size), 10.0).measure(cell_spec(mode="compile", batch_size=size), 20.0)
    made = speed_up_charts(tables_of(told.run), with_page=False)
    assert [chart.name.removeprefix("speed-up") for chart in made] == expected


def test_the_page_s_five_gpus_stand_beside_what_followed_its_protocol(tell, cell_spec) -> None:
    followed, departed = tell().sit(), tell(name="b").sit()
    for mode, its in (("no-compile", 10.0), ("compile", 20.0)):
        followed.measure(cell_spec(mode=mode, batch_size=4), its)
        departed.measure(cell_spec(mode=mode, batch_size=4, work="20202020", variant="20 steps"), its)
    built = tables_of(followed.run, departed.run)
    ours, other = speed_up_charts(built, with_page=True)
    page = [
        "A100 (page) 1.26×",
        "V100 (page) 1.15×",
        "T4 (page) 1.13×",
        "RTX 3090 (page) 1.13×",
        "RTX 4090 (page) 1.21×",
    ]
    assert all(f"SD - txt2img {figure}" in ours.description for figure in page)
    assert "page" not in other.description
    assert "20 steps" in other.subtitle
    assert "page" not in speed_up_charts(built, with_page=False)[0].description


def test_rates_have_a_row_for_each_batch_size_and_stage(docs_run: RunRecord) -> None:
    rows = rates(tables_of(docs_run))
    said = {
        (row.name.group, row.name.label): ({k: round(v, 2) for k, v in row.its.items()}, row.endings) for row in rows
    }
    slow, fast = "torch 2.11 - no compile", "torch 2.11 - compile"
    assert said == {
        ("SD - txt2img", "batch size 1"): ({slow: 28.1, fast: 91.4}, {}),
        ("SD - txt2img", "batch size 4"): ({slow: 0.43}, {fast: "OOM after warmup"}),
        ("SD - img2img", "batch size 1"): ({slow: 27.5}, {fast: "OOM"}),
        ("SD - img2img", "batch size 4"): ({}, {slow: "OOM after 2nd iteration", fast: "timeout"}),
        ("IF", "batch size 1, stage I"): ({slow: 40.0}, {fast: "unsupported"}),
        ("IF", "batch size 1, stage II"): ({slow: 20.5}, {}),
        ("IF", "batch size 1, stage III"): ({slow: 10.25}, {}),
    }


def test_steps_are_of_every_call_with_the_first_apart() -> None:
    (compiled,) = [result for result in merge([runs.read(H100)]) if result.spec.slot.mode == "compile"]
    (stage,) = stages_of(compiled.record, compiled.summary)
    assert (len(stage.first), [len(call) for call in stage.later]) == (50, [50, 50])
    assert stage.median_ms == compiled.summary.stages[0].median_step_ms
    chart = steps_chart(compiled.record, compiled.summary, compiled.spec.id, "steps")
    assert chart is not None
    assert f"median {stage.median_ms:.2f} ms over 2 calls" in chart.description


def test_telemetry_holds_until_the_next_and_breaks_where_it_was_not_available(tell, cell_spec) -> None:
    told, spec = tell().sit(), cell_spec()
    told.queue(spec).tell(CellStarted(spec.id, 1, 1), CellPhase(spec.id, "import"))
    for value in (10, 20, None, 30, "n/a", True):
        told.tell(Telemetry(spec.id, "gpu", {"power_w": value}))
    record = told.tell(Telemetry(spec.id, "gpu", {"energy_j": 1.0})).run.cells[spec.id]
    assert series_of(record, "power_w") == [
        [(2.0, 10.0), (3.0, 10.0), (3.0, 20.0), (4.0, 20.0)],
        [(5.0, 30.0), (6.0, 30.0)],
    ]
    assert series_of(record, "sm_clock_mhz") == []


def test_telemetry_ends_when_it_last_said_anything() -> None:
    record = next(iter(runs.read(H100).cells.values()))
    (piece,) = series_of(record, "vram_used_mib")
    assert piece[-1][0] == record.telemetry[-1][0] - record.started < record.finished_at - record.started


def test_bands_are_the_phases_of_the_tables() -> None:
    for result in merge([runs.read(H100), runs.read(TINY)]):
        bands = bands_of(result.record)
        assert {band.phase: pytest.approx(band.end - band.begin) for band in bands} == result.summary.phase_seconds
        assert [band.end for band in bands[:-1]] == [band.begin for band in bands[1:]]


def test_thinned_keeps_every_extreme() -> None:
    points = [(float(x), float((x * 7919) % 1000)) for x in range(5000)]
    kept = thinned(points, 100)
    assert len(kept) <= 100
    assert kept == sorted(kept)
    assert set(kept) <= set(points)
    assert {min(y for _, y in kept), max(y for _, y in kept)} == {0.0, 999.0}
    assert thinned(points[:100], 100) == points[:100]
    assert thinned([(1.0, float(y)) for y in range(50)], 10) == [(1.0, 0.0), (1.0, 49.0)]


# -------------------------------------------------------------------------------------------------- how they are drawn


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    """Every chart of recorded runs on a GPU and a CPU, the page's GPUs beside."""
    return {chart.name: charts_canvas.svg(chart) for chart in charts.build([runs.read(H100), runs.read(TINY)], "A100")}


def test_every_cell_with_samples_has_its_charts(drawn: dict[str, str]) -> None:
    results = merge([runs.read(H100), runs.read(TINY)])
    expected = {f"telemetry-{result.spec.id}" for result in results}
    expected |= {f"steps-{result.spec.id}" for result in results if result.record.steps}
    assert {name for name in drawn if not name.startswith(("speed-up-", "rates-"))} == expected
    assert {name for name in drawn if name not in expected} == {
        "speed-up-b1",
        "speed-up-b1-tiny-2-calls",
        "rates-nvidia-h100-80gb-hbm3",
        "rates-amd-epyc-tiny-2-calls",
    }


def test_svg_is_xml_that_refers_to_itself_alone(drawn: dict[str, str]) -> None:
    for name, content in drawn.items():
        root = ElementTree.fromstring(content.encode())
        assert root.get("role") == "img", name
        assert root.get("aria-label"), name
        assert root.get("width") == "700", name
        ids = Counter(element.get("id") for element in root.iter() if element.get("id"))
        assert set(ids.values()) <= {1}, name
        links = set(re.findall(r'(?:href="|url\()([^")]*)', content))
        assert links == {f"#{own}" for own in ids}, name
        assert not root.findall(".//{*}metadata"), name


def test_charts_of_a_page_share_no_id(drawn: dict[str, str]) -> None:
    assert set(
        Counter(own for content in drawn.values() for own in re.findall(r' id="([^"]*)"', content)).values()
    ) == {1}


def test_every_colour_has_its_dark_counterpart(drawn: dict[str, str]) -> None:
    for name, content in drawn.items():
        painted = set(re.findall(r"(?:fill|stroke): (#\w+)", re.sub(r"<style>.*?</style>", "", content)))
        assert charts_style.INK in painted or charts_style.MUTED in painted, name
        assert painted <= set(charts_style.DARK), name
    assert len(set(charts_style.DARK.values())) == len(charts_style.DARK)


def test_text_stays_text_in_a_font_of_the_reader_s(drawn: dict[str, str]) -> None:
    content = drawn["speed-up-b1"]
    assert re.search(r"<text [^>]*>SD - txt2img", content)
    assert "DejaVu Sans'" not in content.partition(">")[2].partition("<style>")[2]


def test_the_same_bytes_whatever_a_person_s_matplotlib_is_set_to(drawn: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsvg.fonttype: path\nlines.linewidth: 9\naxes.grid: True\n")
    program = (
        "import sys; from pathlib import Path; from sdtui import runs; from sdtui.report import charts, charts_canvas\n"
        "for chart in charts.build([runs.read(Path(p)) for p in sys.argv[1:]], 'A100').overview:\n"
        "    sys.stdout.write(chart.name + '\\n' + charts_canvas.svg(chart) + '\\0')"
    )
    environment = {
        **os.environ,
        "MATPLOTLIBRC": str(tmp_path),
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C",
    }
    command = [sys.executable, "-c", program, str(TINY), str(H100)]
    out = subprocess.run(command, env=environment, capture_output=True, check=True, cwd=tmp_path).stdout.decode()
    again = dict(part.split("\n", 1) for part in out.split("\0") if part)
    assert len(again) > 2
    assert again == {name: drawn[name] for name in again}


def test_png_is_of_the_size_it_says_and_the_same_twice(tmp_path: Path) -> None:
    chart = charts.build([runs.read(H100)], None).overview[0]
    content = charts_canvas.png(chart)
    assert content == charts_canvas.png(chart)
    (tmp_path / "a.png").write_bytes(content)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] == 1400
        assert image.size[1] > 200
        assert image.info.keys() <= {"dpi"}
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.filterwarnings("error")
def test_text_of_a_person_s_own_is_shown_as_it_is(tell, cell_spec) -> None:
    mode = Mode("mine", "a<b> & $x_1$ \x07\u202e❌")
    slot = Slot("sd-txt2img", "mine", "current", 1)
    told = tell().sit().measure(cell_spec(), 10.0)
    told.measure(dataclasses.replace(cell_spec(), id="mine-1", mode=mode, slot=slot), 20.0)
    speed, of_rates, *_ = charts.build([told.run], None)
    for chart in (speed, of_rates):
        words = "".join(ElementTree.fromstring(charts_canvas.svg(chart).encode()).itertext())
        assert "a<b> & $x_1$ ❌" in words
        assert charts_canvas.png(chart)


# ------------------------------------------------------------------------------------------------- what may be missing


def draw_all(built: Iterable[charts_canvas.Chart]) -> None:
    for chart in built:
        ElementTree.fromstring(charts_canvas.svg(chart).encode())


def test_no_chart_of_nothing(tell, cell_spec) -> None:
    assert names(charts.build([tell().run], None)) == []
    assert names(charts.build([tell(name="b").sit().queue(cell_spec()).run], "A100")) == []


def test_only_failures(tell, cell_spec) -> None:
    told = tell().sit()
    told.measure(cell_spec(), status="failed", phase="load", call=None, reason="no")
    told.measure(cell_spec(mode="compile"), status="oom", phase="compile", call=1, reason="no room")
    built = charts.build([told.finish().run], "A100")
    assert built.overview == ()
    assert {name.partition("-")[0] for name in names(built)} == {"telemetry"}
    draw_all(built)


def test_a_single_cell(tell, cell_spec) -> None:
    built = charts.build([tell().sit().measure(cell_spec(), 10.0).finish().run], "A100")
    assert names(built)[0].startswith("rates-")
    draw_all(built)


def test_every_outcome_of_the_page(docs_run: RunRecord) -> None:
    draw_all(charts.build([docs_run], "A100").overview)


def test_one_call_of_one_step_that_took_no_time(tell, cell_spec) -> None:
    told, spec = tell().sit(), cell_spec()
    told.queue(spec).tell(CellStarted(spec.id, 1, 1), CellPhase(spec.id, "measure", 1))
    told.tell(Step(spec.id, 1, "main", 1, 1, 0.0, 1), Telemetry(spec.id, "gpu", {"power_w": 0}))
    draw_all(charts.build([told.run], None))
    told.tell(Step(spec.id, 2, "main", 1, 1, 0.0, 1), Step(spec.id, 3, "main", 1, 1, 0.0, 1))
    draw_all(charts.build([told.run], None))


def test_telemetry_without_a_number_has_no_chart(tell, cell_spec) -> None:
    told, spec = tell().sit(), cell_spec()
    told.queue(spec).tell(CellStarted(spec.id, 1, 1), Telemetry(spec.id, "gpu", {"power_w": None, "sm_clock_mhz": "?"}))
    assert telemetry_chart(told.run.cells[spec.id], spec.id, "telemetry") is None


def test_slower_than_no_compile(tell, cell_spec) -> None:
    told = tell().sit().measure(cell_spec(), 10.0).measure(cell_spec(mode="compile"), 5.0)
    draw_all(charts.build([told.run], None))


def test_a_cell_on_two_gpus_has_charts_of_its_own_on_each(tell, cpu, cell_spec) -> None:
    records = [tell().sit().measure(cell_spec(), 9.0).run, tell(cpu, name="b").sit("b").measure(cell_spec(), 1.0).run]
    made = names(charts.build(records, None))
    assert len(made) == len(set(made)) == 6


# ----------------------------------------------------------------------------------------------------------- as files


def test_charts_lie_beside_the_markdown_that_shows_them(tiny_run: RunRecord, tmp_path: Path) -> None:
    report = tmp_path / "my report.md"
    save_with_charts([tiny_run], "md", None, None, report)
    shown = re.findall(
        r"^!\[[^\n]*\]\(my%20report-charts/(.*)\.svg\)$", report.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert shown == names(charts.build([tiny_run], None))
    written = {path.name for path in (tmp_path / "my report-charts").iterdir()}
    assert written == {f"{name}.{suffix}" for name in shown for suffix in ("svg", "png")}


def test_markdown_with_charts_says_all_that_it_says_without(docs_run: RunRecord, tmp_path: Path) -> None:
    with_charts = markdown([docs_run], charts=charts.build([docs_run], None))
    kept = re.sub(r"^## Charts.*?(?=^## (?!Charts))", "", with_charts, flags=re.DOTALL | re.MULTILINE)
    assert kept == markdown([docs_run])
    assert kept != with_charts


@pytest.mark.parametrize(
    ("fmt", "output", "message"),
    [
        ("md", None, "--charts: charts are files beside the Markdown; name it with -o F.md"),
        ("md", "/dev/stdout", "--charts: charts are files beside the Markdown; name it with -o F.md"),
        ("html", "r.html", "--charts: --format html has its charts inside; leave --charts out"),
        ("csv", "r.csv", "--charts: csv has no charts; choose --format md with -o F.md, or --format html"),
        ("cvs", "r.md", "--format: unknown format 'cvs'; did you mean 'csv'?"),
        ("md", "/no/such/r.md", "-o /no/such/r.md: no folder '/no/such'"),
    ],
)
def test_charts_need_a_markdown_file(docs_run: RunRecord, fmt, output, message) -> None:
    with pytest.raises(UserError) as error:
        save_with_charts([docs_run], fmt, None, None, Path(output) if output else None)
    assert str(error.value) == message


def test_a_folder_that_cannot_be_made_is_one_line(docs_run: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "r-charts").write_text("in the way")
    with pytest.raises(UserError, match=r"^--charts: cannot write .*r-charts/.*svg: "):
        save_with_charts([docs_run], "md", None, None, tmp_path / "r.md")
    assert not (tmp_path / "r.md").exists()
