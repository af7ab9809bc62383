from __future__ import annotations

import dataclasses
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from sdtui import runs
from sdtui.report import charts
from sdtui.report.html import html_report
from sdtui.report.html_body import body
from sdtui.report.markdown import markdown
from sdtui.report.merge import merge
from sdtui.report.render import render

RUNS = Path(__file__).parents[1] / "fixtures" / "runs"
RECORDED = (RUNS / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239", RUNS / "20261124T231027Z-vm-epyc-fa50b5")
VOID = {"meta", "br", "hr", "wbr", "img", "link", "input"}


class Page(HTMLParser):
    """Reads a page, and fails where an element is not closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data) -> None:
        self.texts.append((tuple(self.open), data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, within: str = "main") -> str:
        return "".join(data for path, data in self.texts if within in path)


@pytest.fixture(scope="module")
def recorded() -> str:
    return html_report([runs.read(folder) for folder in RECORDED], "A100")


@pytest.fixture(scope="module")
def page(recorded: str) -> Page:
    return Page(recorded)


def test_needs_nothing_but_itself(page: Page, recorded: str) -> None:
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href"):
                assert str(value).startswith("#"), (tag, name, value)
    assert set(re.findall(r"url\((.)", recorded)) == {"#"}
    assert "@import" not in recorded
    policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_link_leads_somewhere_and_no_place_is_twice(page: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    links = {str(attributes.get("href") or attributes.get("xlink:href") or "#")[1:] for _, attributes in page.elements}
    assert links - {""} <= set(ids)
    assert "charts" in links


def test_has_every_cell_and_every_chart(page: Page) -> None:
    records = [runs.read(folder) for folder in RECORDED]
    built = charts.build(records, "A100")
    assert len(page.all("figure")) == len(page.all("svg")) == len(list(built)) > 10
    assert [svg["aria-label"] for svg in page.all("svg")] == [chart.description for chart in built]
    headings = [data for path, data in page.texts if path[-1:] == ("h3",)]
    linked = [data for path, data in page.texts if "a" in path and "td" not in path]
    for result in merge(records):
        assert result.spec.id in headings
        assert result.spec.id in page.text("tbody")
    assert "no-compile." in linked


def test_says_what_the_markdown_says(page: Page) -> None:
    source = markdown([runs.read(folder) for folder in RECORDED], "A100")
    assert len(page.all("table")) == len(re.findall(r"^\| --- \|", source, re.MULTILINE)) > 10
    told = re.sub(r"\s+", "", page.text())
    for line in source.splitlines():
        if line.startswith("- "):
            words = re.sub(r"\\(?=\W|_)|`|\s+", "", line[2:])
            assert words in told, line


def test_sections_are_headed_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    (heading,) = [data for path, data in page.texts if path[-1:] == ("h1",)]
    assert heading == "sdtui report"


def test_tables_say_what_each_header_heads(page: Page) -> None:
    assert {header["scope"] for header in page.all("th")} == {"col", "row", "rowgroup"}
    spans = sum(int(header.get("rowspan") or 1) for header in page.all("th") if header["scope"] != "col")
    assert spans == len(page.all("tr")) - len(page.all("thead"))
    assert any(cell.get("class") == "n" for cell in page.all("td"))


def test_footnotes_stand_below_the_tables_and_link_both_ways(recorded: str) -> None:
    assert recorded.index('class="footnotes"') < recorded.index('<h2 id="charts">')
    for number in re.findall(r'<a href="#fn(\d+)"', recorded):
        assert f'<li id="fn{number}"' in recorded
        assert f'href="#fnref{number}"' in recorded
    source = markdown([runs.read(folder) for folder in RECORDED], "A100")
    notes = re.findall(r"^\[\^\d+\]: ", source, re.MULTILINE)
    assert len(re.findall(r'<li id="fn', recorded)) == len(notes) > 1
    assert set(re.findall(r">\[([^\]]*)\]</a></sup>", recorded)) == {str(n + 1) for n in range(len(notes))}


def test_what_a_person_or_a_library_wrote_is_text(tell, cell_spec) -> None:
    evil = '<script>alert(1)</script> "quoted" [x](javascript:alert(1)) ![y](http://example.org/z.png) &amp; http://example.org'
    spec = dataclasses.replace(cell_spec(), pipeline_label="<b>SD</b>")
    told = tell(torch="<i>2</i>").sit().measure(spec, status="failed", phase="load", call=None, reason=evil)
    (told.run.path / "plan.toml").write_text("# </code></pre><script>\n")
    page = Page(render([told.warn(evil).finish().run], "html"))
    assert not {"script", "img", "b", "i"} & {tag for tag, _ in page.elements}
    assert all(str(link["href"]).startswith("#") for link in page.all("a"))
    assert evil in page.text()
    assert "<b>SD</b>" in page.text("tbody")


def test_markup_in_the_markdown_is_text() -> None:
    assert body("<script>1</script>\n\na <b>c</b>\n", {}) == (
        "<p>&lt;script&gt;1&lt;/script&gt;</p>\n<p>a &lt;b&gt;c&lt;/b&gt;</p>\n"
    )


def test_is_light_and_dark(recorded: str) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", recorded, re.DOTALL)
    assert ":root{--surface:#ffffff;--ink:#1f2328;" in style
    assert "@media screen and (prefers-color-scheme:dark){:root{--surface:#14171c;--ink:#e8eaed;" in style
    assert '[style*="fill: #0072b2"]{fill:#4fb0f0!important}' in style
    assert set(re.findall(r"var\(--(\w+)\)", style)) <= set(re.findall(r"--(\w+):", style))


def test_the_same_bytes_twice_and_in_any_order(tell, cpu, cell_spec) -> None:
    one = tell().sit().measure(cell_spec(), 9.0).finish().run
    two = tell(cpu, name="b", t=1_795_600_000.0).sit("b").measure(cell_spec(), 1.0).finish().run
    assert html_report([one, two]) == html_report([two, one, two])


def test_of_nothing_and_of_failures(tell, cell_spec) -> None:
    assert "There is no cell to report." in Page(render([tell().run], "html")).text()
    told = tell(name="b").sit().measure(cell_spec(), status="timeout", phase="load", call=None, reason="silent")
    assert "timeout" in Page(render([told.run], "html")).text("table")
