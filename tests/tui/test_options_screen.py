"""The options of a plan: what is asked, what is wrong with what was typed, and what taking it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drawn import text_of
from textual.pilot import Pilot
from textual.widgets import Input

from sdtui.catalog.load import load_catalog
from sdtui.model.plan import Plan
from sdtui.tui import bridge
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.draft import Draft, make_draft
from sdtui.tui.messages import ChoicesFound
from sdtui.tui.options import FIELDS, LISTS, overrides, own_values, problems, typed_of
from sdtui.tui.screens.home import Home
from sdtui.tui.screens.options import Options

CATALOG = load_catalog()


@pytest.fixture
def docs() -> Draft:
    return make_draft(CATALOG, "docs", {}, gpu=True)


@pytest.fixture
def dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """On a machine with two GPUs and one registered environment."""
    found = ChoicesFound(
        {"cuda:0": "NVIDIA A100", "cuda:1": "NVIDIA H100"}, {"current": "here", "nightly": "/n/python"}
    )
    monkeypatch.setattr(bridge, "find_choices", lambda post, cancelled: post(found))
    return Dashboard(Opening(tmp_path, CATALOG, gpu=True))


async def _open(dashboard: Dashboard, pilot: Pilot[Any], *keys: str) -> Options:
    await dashboard.workers.wait_for_complete()
    await pilot.press("o")
    await dashboard.workers.wait_for_complete()
    await pilot.press(*keys)
    assert isinstance(dashboard.screen, Options)
    return dashboard.screen


async def _go(screen: Options, pilot: Pilot[Any], label: str) -> None:
    screen.form.go_to([item.label for item in screen.form.items].index(label))
    await pilot.pause()


# ------------------------------------------------------------------------------------------------------------ pure


def test_every_option_of_a_plan_is_asked_but_for_what_the_matrix_and_files_say() -> None:
    elsewhere = {"pipelines", "slots", "tune", "timeouts", "mode_definitions", "pipeline_definitions"}

    assert {*FIELDS, *LISTS} == set(Plan.__dataclass_fields__) - elsewhere


def test_what_was_typed_is_read_as_flags_are(docs: Draft) -> None:
    typed = {"steps": " 20 ", "guidance": "7.5", "precision": "1%", "cold": "on", "trace": "", "modes": ("bf16",)}
    draft = docs.with_options(overrides(typed))

    assert (draft.plan.steps, draft.plan.guidance, draft.plan.precision) == (20, 7.5, 0.01)
    assert (draft.plan.cold, draft.plan.trace, draft.plan.max_calls) == (True, False, 50)
    assert [column.mode for column in draft.columns] == ["bf16"]
    assert typed_of(draft) == {"steps": "20", "guidance": "7.5", "precision": "1%", "cold": "on", "modes": ("bf16",)}


def test_each_wrong_value_is_named_with_its_key(docs: Draft) -> None:
    found = problems(docs, {"steps": "0", "size": "13", "seed": "x", "dtype": "bfloat16", "modes": ()})

    assert found == {
        "steps": "0 is too small; the least is 1",
        "size": "13 is no multiple of 8; did you mean 16?",
        "seed": '"x" is no whole number',
    } | {"modes": "must not be empty"}


def test_values_that_do_not_go_together_are_named_once_each_is_right(docs: Draft) -> None:
    assert "limits the calls of a precision" in problems(docs, {"max_calls": "30"})["max_calls"]
    assert problems(docs, {"max_calls": "30", "precision": "1%"}) == {}


def test_a_device_that_is_not_there_is_named_at_the_device() -> None:
    demo = make_draft(CATALOG, "demo", {}, gpu=False)

    assert "there is no usable GPU here" in problems(demo, {"device": "cuda:0"})["device"]
    assert "full scale needs a GPU" in problems(demo, {"scale": "full"})["scale"]


def test_a_presets_own_values_follow_the_device() -> None:
    demo = make_draft(CATALOG, "demo", {}, gpu=True)

    assert [own_values(demo, {"device": device})["scale"] for device in ("", "cpu", "x")] == ["full", "tiny", "full"]
    assert own_values(demo, {"device": "cpu"})["dtype"] == "float32"
    assert own_values(demo, {"precision": "1%"})["max_calls"] == "50"


def test_a_typed_value_is_not_the_plans_own() -> None:
    demo = make_draft(CATALOG, "demo", {}, gpu=True)
    own = own_values(demo, {"calls": "100", "precision": "1%"})
    assert (own["calls"], own["precision"], own["max_calls"]) == ("3", "none", "100")


def test_options_that_do_not_fit_a_pipeline_leave_the_others(docs: Draft) -> None:
    draft = docs.with_options({"size": 768})

    assert "fixed size" in draft.unfit["if"]
    assert {slot.pipeline for slot in draft.selected} == {"sd-txt2img", "sd-img2img", "sd-inpaint", "sd-controlnet"}


def test_a_selection_stays_where_it_still_exists(docs: Draft) -> None:
    draft = docs.with_selection_of([slot for slot in docs.cells if slot.pipeline == "sd-txt2img"])
    fewer = draft.with_options({"modes": ["compile", "bf16"], "batch_sizes": "4, 2"})

    assert fewer.batch_sizes == (2, 4)
    assert [str(slot) for slot in fewer.chosen] == ["sd-txt2img.compile.current.b4"]


# ---------------------------------------------------------------------------------------------------------- screen


async def test_options_are_typed_and_taken(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await _open(dashboard, pilot, "down", "down", "down", "down", "tab", "2", "0")
        await pilot.press("enter")
        await pilot.pause()

        assert isinstance(dashboard.screen, Home)
        assert dashboard.draft.overrides == {"steps": 20}
        assert {cell.stages[0].steps for cell in dashboard.draft.cells.values()} == {20}


async def test_a_wrong_value_is_said_beside_it_and_nothing_is_lost(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _open(dashboard, pilot)
        await _go(screen, pilot, "steps")
        await pilot.press("0", "down", "6", "4")
        await _go(screen, pilot, "trace")
        await pilot.press("enter")
        await pilot.pause()

        assert dashboard.screen is screen
        assert screen.form.item.label == "steps"
        assert screen.query_one(Input).value == "0"
        assert [item.typed for item in screen.form.items if item.key == "size"] == ["64"]
        drawn = [screen.query_one("#drawn").render_line(y).text for y in range(9)]
        assert any(line.startswith("✗ steps") and "0 is too small; the least is 1" in line for line in drawn)
        assert [note.message for note in dashboard._notifications] == ["1 value is wrong"]

        await pilot.press("backspace", "5", "enter")
        await pilot.pause()
        assert dashboard.draft.overrides == {"steps": 5, "size": 64}


async def test_devices_and_environments_are_those_found(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _open(dashboard, pilot, "down", "right")
        assert screen.form.item.values == ("cuda:0", "cuda:1", "cpu")
        assert (screen.form.item.typed, screen.form.item.note[0]) == ("cuda:1", "NVIDIA H100, instead of cuda:0")

        await _go(screen, pilot, "nightly")
        await pilot.press("space", "enter")
        await pilot.pause()
        assert dashboard.draft.overrides == {"device": "cuda:1", "environments": ["current", "nightly"]}
        assert len(dashboard.draft.columns) == 4


async def test_the_plans_own_value_is_no_change(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _open(dashboard, pilot, "right", "left")
        await _go(screen, pilot, "calls")
        await pilot.press("3")
        await _go(screen, pilot, "bf16")
        await pilot.press("space", "space", "enter")
        await pilot.pause()

        assert dashboard.draft.overrides == {}


async def test_reset_and_escape(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        dashboard.take_draft(dashboard.draft.with_options({"steps": 5, "modes": ["bf16"]}))
        screen = await _open(dashboard, pilot)
        await pilot.press("right", "escape")
        assert dashboard.draft.overrides == {"steps": 5, "modes": ["bf16"]}

        screen = await _open(dashboard, pilot)
        await _go(screen, pilot, "steps")
        await pilot.press("ctrl+r", "enter")
        await pilot.pause()
        assert dashboard.draft.overrides == {}


async def test_the_mouse_chooses_ticks_and_goes_to_a_text(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(160, 48)) as pilot:
        screen = await _open(dashboard, pilot)
        places = dict(
            zip(
                [item.label for item in screen.form.items],
                screen.form.laid_out(screen.query_one("#drawn").content_size.width)[1],
                strict=True,
            )
        )
        for label, x in (("dtype", 26), ("xformers", 4), ("prompt", 20)):
            assert await pilot.click("#drawn", offset=(places[label].x + x, places[label].y))
        await pilot.press("f", "o", "x", "enter")
        await pilot.pause()

        assert dashboard.draft.overrides == {
            "dtype": "bfloat16",
            "modes": ["no-compile", "compile", "xformers"],
            "prompt": "fox",
        }


async def test_a_plan_file_that_is_gone_is_one_toast(dashboard: Dashboard, tmp_path: Path) -> None:
    plan = tmp_path / "mine.toml"
    plan.write_text("steps = 5")
    async with dashboard.run_test(size=(80, 24)) as pilot:
        dashboard.take(str(plan))
        plan.unlink()
        await pilot.press("o")

        assert isinstance(dashboard.screen, Home)
        assert [note.message for note in dashboard._notifications][-1] == f"{plan}: no such file"


async def test_on_a_narrow_screen_problems_are_said_whole_and_hints_are_cut(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(60, 16)) as pilot:
        screen = await _open(dashboard, pilot)
        await _go(screen, pilot, "size")
        await pilot.press("1", "3")
        drawn = text_of(screen.query_one("#drawn"))

        weights = next(line for line in drawn if "weights" in line)
        assert weights.rstrip().endswith("…")
        first = next(index for index, line in enumerate(drawn) if line.startswith("✗ size"))
        said = " ".join(line[44:].strip() for line in drawn[first : first + 4])
        assert said.startswith("13 is no multiple of 8; did you mean 16?")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)])
async def test_options_look_as_recorded(dashboard: Dashboard, looks_as, size: tuple[int, int]) -> None:
    async with dashboard.run_test(size=size) as pilot:
        screen = await _open(dashboard, pilot, "down", "right")
        await _go(screen, pilot, "size")
        await pilot.press("1", "3")
        await pilot.pause()

        looks_as(dashboard, f"options-{size[0]}")
