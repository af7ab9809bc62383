"""Images in half blocks and in shades."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn import Drawn, text_of
from PIL import Image

from sdtui.tui import pixels
from sdtui.tui.widgets.picture import Picture

RED, BLUE, BLACK, WHITE = (255, 0, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """The left half red, the right half white above blue."""
    image = Image.new("RGB", (40, 40), RED)
    image.paste(WHITE, (20, 0, 40, 20))
    image.paste(BLUE, (20, 20, 40, 40))
    image.save(tmp_path / "flag.png")
    return tmp_path / "flag.png"


def test_an_image_keeps_its_proportions(flag: Path) -> None:
    assert pixels.read_pixels(flag, 2, 2) == ((RED, WHITE), (RED, BLUE))
    wide = pixels.read_pixels(flag, 100, 10)
    assert (len(wide), len(wide[0])) == (10, 10)


def test_near_colours_become_one_of_256() -> None:
    assert pixels.in_256_colours((((2, 100, 250), (0, 90, 255)),)) == (((0, 95, 255), (0, 95, 255)),)


def test_the_brighter_the_denser() -> None:
    assert pixels.shaded(((BLACK, WHITE, BLACK), (BLACK, WHITE, WHITE))) == [" █▒"]
    assert pixels.shaded(((WHITE,),), pixels.ASCII_SHADES) == ["@"]


async def shown(picture: Picture, path: Path, size: tuple[int, int] = (8, 2)) -> list[str]:
    app = Drawn(picture)
    async with app.run_test(size=size) as pilot:
        picture.show(path)
        await app.workers.wait_for_complete()
        await pilot.pause()
        return text_of(picture)


async def test_each_cell_holds_two_pixels_and_equal_ones_are_one_segment(
    flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    picture = Picture()
    assert await shown(picture, flag) == ["  ▀▀▀▀  "] * 2
    upper, lower = (
        [(segment.text, segment.style) for segment in strip if "▀" in segment.text] for strip in picture._strips
    )
    assert [text for text, _ in upper] == ["▀▀", "▀▀"]
    assert upper[1][1].color.triplet == WHITE
    assert lower[1][1].bgcolor.triplet == BLUE


async def test_without_colour_it_is_shaded(flag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert await shown(Picture(), flag) == ["  ░░██  ", "  ░░    "]


async def test_a_dumb_terminal_gets_ascii(flag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "".join(await shown(Picture(), flag)).isascii()


async def test_another_size_is_another_picture(flag: Path) -> None:
    picture = Picture()
    app = Drawn(picture)
    async with app.run_test(size=(8, 2)) as pilot:
        picture.show(flag)
        await pilot.resize_terminal(20, 4)
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert text_of(picture) == ["      ▀▀▀▀▀▀▀▀      "] * 4


async def test_what_is_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "none.png").write_text("not a picture")
    assert "none.png" in (await shown(Picture(), tmp_path / "none.png", (60, 2)))[0]
