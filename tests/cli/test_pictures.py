"""The report as a page, and with charts beside it, as a person asks for them."""

from __future__ import annotations

from pathlib import Path

from commands import RECORDED, SMOKE, Said

RUN = str(RECORDED / SMOKE)


def test_the_page_is_the_same_on_stdout_and_in_a_file(sdtui, here: Path) -> None:
    said = sdtui("report", RUN, "--format", "html")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("<!doctype html>\n")
    assert sdtui("report", RUN, "--format", "html", "-o", "r.html") == Said(0, "", "")
    assert (here / "r.html").read_text(encoding="utf-8") == said.out


def test_charts_lie_beside_the_markdown(sdtui, here: Path) -> None:
    said = sdtui("report", RUN, "--charts", "-o", "r.md")
    assert (said.status, said.out, said.err) == (0, "", "")
    names = sorted(path.name for path in (here / "r-charts").iterdir())
    assert len(names) == 6
    assert all(
        f"](r-charts/{name})" in (here / "r.md").read_text(encoding="utf-8") for name in names if name[-3:] == "svg"
    )


def test_charts_without_a_file_are_refused(sdtui) -> None:
    said = sdtui("report", RUN, "--charts")
    assert (said.status, said.out) == (2, "")
    assert said.err == "sdtui: --charts: charts are files beside the Markdown; name it with -o F.md\n"
