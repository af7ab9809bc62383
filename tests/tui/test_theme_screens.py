"""The matrix in each theme, and without colours."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import RESULTS, until

from sdtui.catalog.load import load_catalog
from sdtui.settings import Settings
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.themes import shipped_folder

RUN = RESULTS / "2026-11-24-h100-docs-batch-1"
NAMES = [path.stem for path in sorted(shipped_folder().glob("*.toml"))]


def dashboard(runs_dir: Path, theme: str | None) -> Dashboard:
    settings = Settings(Path("/none/settings.toml"), theme=theme)
    return Dashboard(Opening(runs_dir, load_catalog(), gpu=True, follow=RUN, settings=settings))


async def show(app: Dashboard, size: tuple[int, int], looks_as, name: str) -> None:
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.run_view and app.machine, "no run was opened")
        await pilot.press("down", "down", "space", "down", "right")
        await pilot.pause()
        looks_as(app, name)


@pytest.mark.parametrize("name", NAMES)
async def test_the_matrix_in_each_theme(tmp_path: Path, looks_as, name: str) -> None:
    await show(dashboard(tmp_path, name), (80, 24), looks_as, f"theme-{name}")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_matrix_without_colours(tmp_path: Path, looks_as, size, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await show(dashboard(tmp_path, None), size, looks_as, f"no-color-{size[0]}")


@pytest.mark.parametrize("theme", NAMES)
async def test_no_color_means_none_whatever_the_theme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    app = dashboard(tmp_path, theme)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.run_view, "no run was opened")
        await pilot.press("space")
        lines = app.screen._compositor.render_strips()
        styles = [style for line in lines for _, style, _ in line if style]
        colours = [colour for style in styles for colour in (style.color, style.bgcolor)]
        assert colours
        assert all(colour is None or colour.is_default for colour in colours)
