"""Images in pixels: kitty's protocol and sixel, where the settings ask for one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from drawn import Drawn
from PIL import Image
from pty_session import ROOT, PtySession
from recorded import DOCS, FIXTURES
from textual_image.widget import SixelImage, TGPImage

from sdtui.model.errors import UserError
from sdtui.settings import Images, Settings
from sdtui.tui.protocols import image_widget
from sdtui.tui.widgets.graphic import Graphic

CELL = "sd-txt2img.no-compile.current.b1-d5453d27"
TRUECOLOR = {"TERM": "xterm-kitty", "COLORTERM": "truecolor"}


def chosen(images: Images, environ: Mapping[str, str] = TRUECOLOR) -> object:
    return image_widget(Settings(Path("settings.toml"), images=images), environ)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is one."""
    monkeypatch.setattr(os, "isatty", lambda _: True)


@pytest.mark.usefixtures("terminal")
def test_the_settings_choose_the_widget() -> None:
    assert chosen("kitty") is TGPImage
    assert chosen("sixel") is SixelImage
    assert chosen("half-block") is None


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    "environ",
    [
        {**TRUECOLOR, "NO_COLOR": "1"},
        {**TRUECOLOR, "TMUX": "/tmp/tmux"},
        {**TRUECOLOR, "LC_ALL": "C"},
        {"TERM": "xterm-256color"},
    ],
)
def test_characters_draw_where_kitty_cannot(environ: dict[str, str]) -> None:
    assert chosen("kitty", environ) is None


def test_characters_draw_where_standard_output_is_a_file() -> None:
    assert chosen("kitty") is None
    assert chosen("sixel") is SixelImage
    assert chosen("sixel", {**TRUECOLOR, "NO_COLOR": "1"}) is None


def test_the_terminal_is_left_as_it_was() -> None:
    stdout, environ = sys.__stdout__, dict(os.environ)
    chosen("sixel")
    assert sys.__stdout__ is stdout
    assert dict(os.environ) == environ


def test_without_the_package_the_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_image.widget", None)
    with pytest.raises(UserError, match=r"^settings.toml: dashboard.images: .* pip install 'sdtui\[images\]'$"):
        chosen("kitty")
    assert chosen("half-block") is None


def settings_file(folder: Path, images: str) -> Path:
    (folder / "sdtui").mkdir()
    (folder / "sdtui" / "settings.toml").write_text(f'[dashboard]\nimages = "{images}"\n')
    return folder


def test_without_the_package_the_dashboard_does_not_open(tmp_path: Path) -> None:
    (tmp_path / "textual_image.py").write_text("")
    paths = f"{tmp_path}:{ROOT}"
    session = PtySession(XDG_CONFIG_HOME=str(settings_file(tmp_path, "kitty")), PYTHONPATH=paths, size=(300, 24))
    try:
        session.wait_for("pip install 'sdtui[images]'")
        assert session.process.wait(20) == 2
        assert session.output.count(b"\n") == 1
    finally:
        session.close()


@pytest.mark.parametrize(("images", "begin"), [("kitty", "\x1b_G"), ("sixel", "\x1bP")])
@pytest.mark.parametrize("size", [(80, 24), (0, 0)])
def test_a_terminal_is_sent_the_image(tmp_path: Path, images: str, begin: str, size: tuple[int, int]) -> None:
    folder = tmp_path / "runs" / DOCS
    shutil.copytree(FIXTURES / DOCS, folder)
    (folder / "outputs").mkdir(exist_ok=True)
    Image.linear_gradient("L").save(folder / "outputs" / f"{CELL}.png")
    variables = {**TRUECOLOR, "XDG_CONFIG_HOME": str(settings_file(tmp_path, images))}
    session = PtySession("attach", DOCS, SDTUI_RUNS_DIR=str(folder.parent), size=size, **variables)
    try:
        session.wait_for("2/2 cells")
        session.press("\r")
        session.wait_for("[figures]")
        assert begin.encode() not in session.output
        session.press("hh")
        session.wait_for(begin)
        session.press("q")
        session.wait_for("\x1b[?1049l")
        assert session.process.wait(10) == 0
    finally:
        session.close()


@pytest.mark.parametrize("widget", [TGPImage, SixelImage])
async def test_it_is_as_large_as_there_is_room_and_read_once(tmp_path: Path, widget) -> None:
    path = tmp_path / "image.png"
    Image.linear_gradient("L").save(path)
    graphic = Graphic(widget)
    app = Drawn(graphic)
    async with app.run_test(size=(40, 10)) as pilot:

        async def show() -> None:
            graphic.show(path)
            await app.workers.wait_for_complete()
            await pilot.pause()

        await show()
        assert tuple(graphic.drawn.region) == (10, 0, 20, 10)
        image = graphic.drawn.image
        await pilot.resize_terminal(60, 40)
        await pilot.pause()
        assert tuple(graphic.drawn.region) == (0, 5, 60, 30)
        await show()
        assert graphic.drawn.image is image
        path.write_text("not a picture")
        await show()
        assert graphic.drawn.image is None
        assert "image.png" in graphic.render()
