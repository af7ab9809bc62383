"""The Markdown report as HTML: pictures inlined, tables that say what their headers head, headings to jump to."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from sdtui.report.charts import CELLS_HEADING

_NUMERIC = re.compile(r"[–❌]?|[\d.,]+(s|×| s| ms)?((, | / | to |×)[\d.,–]+(s|×)?)*|OOM.*|failed|timeout|not available")
"""What a column of figures holds."""


def body(markdown: str, pictures: Mapping[str, str]) -> str:
    """Returns the page's content.

    Args:
        markdown: The report. Markup in it is shown, never taken as HTML.
        pictures: The ``<svg>`` element of each image in it, by its URL.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").use(footnote_plugin, inline=False)
    parser.add_render_rule("footnote_caption", _footnote_caption)
    tokens = parser.parse(markdown)
    tokens = _with_footnotes_in_place(tokens)
    tokens = _with_figures(tokens, pictures)
    _name_headings(tokens)
    tokens = _with_whole_tables(tokens)
    _link_cells(tokens)
    return str(parser.renderer.render(_with_contents(tokens), parser.options, {}))


def _footnote_caption(_renderer: RendererProtocol, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Writes the same mark wherever the same footnote is meant."""
    return f"[{int(tokens[index].meta['id']) + 1}]"


def _with_footnotes_in_place(tokens: Sequence[Token]) -> list[Token]:
    """Moves the footnotes from the end of the page to the end of the section that refers to them last."""
    kinds = [token.type for token in tokens]
    if "footnote_block_open" not in kinds:
        return list(tokens)
    begin, end = kinds.index("footnote_block_open"), kinds.index("footnote_block_close") + 1
    referring = [i for i, token in enumerate(tokens[:begin]) if any(c.type == "footnote_ref" for c in _children(token))]
    place = next((i for i in range(max(referring), begin) if _opens(tokens[i], "h2")), begin)
    return [*tokens[:place], *tokens[begin:end], *tokens[place:begin], *tokens[end:]]


def _with_figures(tokens: Sequence[Token], pictures: Mapping[str, str]) -> list[Token]:
    """Puts a figure for each paragraph that is an image."""
    kept: list[Token] = []
    for token in tokens:
        images = [child for child in _children(token) if child.type == "image"]
        if images and len(_children(token)) == 1:
            kept[-1] = _markup(f"<figure>\n{pictures[str(images[0].attrs['src'])]}\n</figure>\n")
        elif token.type == "paragraph_close" and kept[-1].type == "html_block":
            continue
        else:
            kept.append(token)
    return kept


def _name_headings(tokens: Sequence[Token]) -> None:
    taken: dict[str, int] = {}
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            name = re.sub(r"[^a-z0-9]+", "-", _text(content).lower()).strip("-") or "section"
            taken[name] = taken.get(name, 0) + 1
            token.attrSet("id", name if taken[name] == 1 else f"{name}-{taken[name]}")


def _link_cells(tokens: Sequence[Token]) -> None:
    """Makes each cell's id in a device's tables a link to its charts."""
    places = {(group, cell): heading.attrs["id"] for group, cell, heading in _cell_headings(tokens)}
    group = ""
    for before, token in pairwise(tokens):
        if _opens(before, "h2"):
            group = _text(token).partition(": ")[2]
        elif before.type == "td_open" and (group, _text(token)) in places:
            place = places[group, _text(token)]
            token.children = [
                Token("link_open", "a", 1, attrs={"href": f"#{place}"}),
                Token("html_inline", "", 0, content=_breakable(_text(token))),
                Token("link_close", "a", -1),
            ]


def _breakable(cell: str) -> str:
    """Writes a cell's id so that lines break after its dots alone."""
    return "<wbr>".join(f"<span>{html.escape(part)}</span>" for part in re.split(r"(?<=\.)(?=[^.])", cell))


def _cell_headings(tokens: Sequence[Token]) -> Iterator[tuple[str, str, Token]]:
    group = None
    for heading, content in pairwise(tokens):
        if _opens(heading, "h2"):
            words = _text(content)
            group = words.removeprefix(CELLS_HEADING) if words.startswith(CELLS_HEADING) else None
        elif _opens(heading, "h3") and group is not None:
            yield group, _text(content), heading


def _with_whole_tables(tokens: Sequence[Token]) -> list[Token]:
    """Lets wide tables scroll, says what each header heads, and sets figures to the right."""
    kept: list[Token] = []
    heading = ""
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _text(tokens[i + 1])
        if token.type == "table_open":
            table = tokens[i : next(j for j in range(i, len(tokens)) if tokens[j].type == "table_close")]
            _dress(table)
            noted = any(child.type == "footnote_ref" for part in table for child in _children(part))
            classes = "table noted" if noted else "table"
            label = html.escape(heading)
            kept.append(_markup(f'<div class="{classes}" role="region" tabindex="0" aria-label="{label}">\n'))
        kept.append(token)
        if token.type == "table_close":
            kept.append(_markup("</div>\n"))
    return kept


def _dress(table: Sequence[Token]) -> None:
    """Works on the columns of one table: what heads it, then its cells, each an opening, content and closing token."""
    columns: dict[int, list[Sequence[Token]]] = {}
    column = 0
    for i, token in enumerate(table):
        if token.type == "tr_open":
            column = 0
        elif token.type in ("th_open", "td_open"):
            columns.setdefault(column, []).append(table[i : i + 3])
            column += 1
    for number, (head, *cells) in columns.items():
        head[0].attrSet("scope", "col")
        if number == 0:
            _head_rows(cells)
        elif all(_NUMERIC.fullmatch(_text(content)) for _, content, _ in cells):
            for opening, *_ in (head, *cells):
                opening.attrSet("class", "n")


def _head_rows(cells: Sequence[Sequence[Token]]) -> None:
    """Makes a table's first column its rows' headers; one that repeats heads its rows together."""
    for _, group in groupby(cells, key=lambda cell: _text(cell[1])):
        (opening, _, closing), *repeated = group
        opening.tag = closing.tag = "th"
        opening.attrSet("scope", "rowgroup" if repeated else "row")
        if repeated:
            opening.attrSet("rowspan", str(1 + len(repeated)))
        for again, content, end in repeated:
            again.hidden = end.hidden = True
            content.children = []


def _with_contents(tokens: Sequence[Token]) -> list[Token]:
    """Puts links to the sections before the first of them."""
    headings = [(i, token) for i, token in enumerate(tokens) if _opens(token, "h2")]
    if not headings:
        return list(tokens)
    links = "".join(
        f'<li><a href="#{token.attrs["id"]}">{html.escape(_text(tokens[i + 1]))}</a></li>\n' for i, token in headings
    )
    first = headings[0][0]
    return [*tokens[:first], _markup(f'<nav aria-label="Contents">\n<ul>\n{links}</ul>\n</nav>\n'), *tokens[first:]]


def _opens(token: Token, tag: str) -> bool:
    return token.type == "heading_open" and token.tag == tag


def _children(token: Token) -> list[Token]:
    return token.children or []


def _text(token: Token) -> str:
    """Returns what an inline token reads, footnote marks left out."""
    return "".join(child.content for child in _children(token) if child.type not in ("footnote_ref", "image"))


def _markup(content: str) -> Token:
    return Token("html_block", "", 0, content=content)
