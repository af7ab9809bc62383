"""What threads and widgets post. Facts are past tense; wishes end in Requested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from textual.message import Message
from textual.strip import Strip

if TYPE_CHECKING:
    from sdtui.model.machine import Interpreter, Machine
    from sdtui.report.compare import RunComparison
    from sdtui.tui.cell_reading import CellReading
    from sdtui.tui.comparing import OtherRun, Ratio
    from sdtui.tui.offers import Offer
    from sdtui.tui.run_list import RunLine
    from sdtui.tui.snapshot import CellView, RunView


class RunChanged(Message):
    """The followed run has moved on; a later one replaces one that waits."""

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view

    def can_replace(self, message: Message) -> bool:
        """Whether this one makes the other needless."""
        return isinstance(message, RunChanged)


class RunLaunched(Message):
    """A supervisor holds a new or resumed run; ``is_shown_whole`` where the matrix is to show all that it measures.

    ``left_out`` says by name why modes are not tried out, where it looks for the fastest.
    """

    def __init__(self, folder: Path, is_shown_whole: bool = False, left_out: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.is_shown_whole = is_shown_whole
        self.left_out = left_out or {}


class LaunchRefused(Message):
    """A run could not be started."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class MachineSeen(Message):
    """The machine, its device and the environments were looked up; ``problem`` says what is wrong with them."""

    def __init__(self, machine: Machine | None, environments: tuple[Interpreter, ...], problem: str = "") -> None:
        super().__init__()
        self.machine = machine
        self.environments = environments
        self.problem = problem


class ChoicesFound(Message):
    """Devices and environments that there are, by name, with what each is; ``problem`` says what is wrong with them."""

    def __init__(self, devices: Mapping[str, str], environments: Mapping[str, str], problem: str = "") -> None:
        super().__init__()
        self.devices = devices
        self.environments = environments
        self.problem = problem


class PlanWritten(Message):
    """A plan lies in this file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


class PlanRefused(Message):
    """A plan could not be written; ``taken`` where a file would have been replaced."""

    def __init__(self, reason: str, taken: bool = False) -> None:
        super().__init__()
        self.reason = reason
        self.taken = taken


class PlansFound(Message):
    """The working directory holds plan files."""

    def __init__(self, offers: tuple[Offer, ...]) -> None:
        super().__init__()
        self.offers = offers


class ResultsFound(Message):
    """Earlier runs hold results of cells."""

    def __init__(self, views: tuple[CellView, ...]) -> None:
        super().__init__()
        self.views = views


class ReportWritten(Message):
    """An export lies in this file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


class ReportRefused(Message):
    """An export could not be made."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class TablesReady(Message):
    """The tables of a report, as Markdown, are there to be copied."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.markdown = markdown


class RunsListed(Message):
    """The runs of the directory, newest first, as they are now."""

    def __init__(self, lines: tuple[RunLine, ...]) -> None:
        super().__init__()
        self.lines = lines

    def can_replace(self, message: Message) -> bool:
        """Whether this one makes the other needless."""
        return isinstance(message, RunsListed)


class LiveRunsFound(Message):
    """Supervisors hold these runs, newest first."""

    def __init__(self, lines: tuple[RunLine, ...]) -> None:
        super().__init__()
        self.lines = lines


class RunDeleted(Message):
    """A run is gone."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


class Told(Message):
    """What was asked for in a thread was done, or why it was not."""

    def __init__(self, text: str, severity: Literal["information", "warning", "error"] = "information") -> None:
        super().__init__()
        self.text = text
        self.severity = severity


class ReportRead(Message):
    """A run's report was written for the screen, as Markdown."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.markdown = markdown


class PageLaidOut(Message):
    """A document is there line by line."""

    def __init__(self, lines: tuple[Strip, ...]) -> None:
        super().__init__()
        self.lines = lines


class RunsCompared(Message):
    """Two runs were compared."""

    def __init__(self, comparison: RunComparison) -> None:
        super().__init__()
        self.comparison = comparison


class RatiosFound(Message):
    """Cells were compared with those of another run; ``problem`` says why that one could not be read."""

    def __init__(self, against: OtherRun, ratios: Mapping[str, Ratio], problem: str = "") -> None:
        super().__init__()
        self.against = against
        self.ratios = ratios
        self.problem = problem


class CellRead(Message):
    """A cell was read from its run's folder."""

    def __init__(self, cell: CellReading) -> None:
        super().__init__()
        self.cell = cell
