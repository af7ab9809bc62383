"""The table of keys, and what a person may make of it."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import combinations
from pathlib import Path
from pkgutil import iter_modules

import pytest
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from sdtui.model.errors import UserError
from sdtui.settings import Settings, load
from sdtui.tui import keys
from sdtui.tui import screens as folder
from sdtui.tui.active_keys import _GROUPS
from sdtui.tui.app import Dashboard
from sdtui.tui.keys import KEYS, SCREENS, bindings, checked_keymap

SOURCE = Path("/settings.toml")
DOCUMENT = Path(__file__).parents[2] / "docs" / "dashboard.md"


def chosen(**remapped: str) -> dict[str, str]:
    return checked_keymap(Settings(SOURCE, keys={name.replace("_", "."): key for name, key in remapped.items()}))


def message(remapped: dict[str, str]) -> str:
    with pytest.raises(UserError) as caught:
        checked_keymap(Settings(SOURCE, keys=remapped))
    return str(caught.value)


def test_the_defaults_are_keys_and_do_not_clash() -> None:
    defaults = {each.id: each.key for each in KEYS}
    assert checked_keymap(Settings(SOURCE, keys=defaults)) == defaults
    assert checked_keymap(Settings(SOURCE)) == {}


def test_an_id_has_one_key_and_is_no_table_of_another() -> None:
    for one, other in combinations(KEYS, 2):
        assert one.id != other.id or (one.key == other.key and not set(one.where) & set(other.where))
        assert not other.id.startswith(f"{one.id}."), "in TOML a key cannot be text and table"


@pytest.mark.parametrize("where", ["everywhere", *SCREENS])
def test_every_binding_has_an_id_and_words(where: keys.Where) -> None:
    made = bindings(where)
    assert made
    assert all(binding.id and binding.description and binding.action for binding in made)


def test_a_choice_is_taken() -> None:
    assert chosen(run_start="f5, ctrl+r", filter="?,ctrl+slash", help="f1") == {
        "run.start": "f5,ctrl+r",
        "filter": "?,ctrl+slash",
        "help": "f1",
    }


def test_two_may_change_places() -> None:
    assert chosen(run_start="s", run_skip="r") == {"run.start": "s", "run.skip": "r"}


@pytest.mark.parametrize(
    ("remapped", "words"),
    [
        ({"run.strat": "f5"}, "keys.run.strat: unknown key; did you mean 'run.start'?"),
        (
            {"quit": ""},
            "keys.quit: must not be empty; a key is one such as 'x', 'f5' or 'ctrl+r', and the comma is 'comma'",
        ),
        ({"quit": "spce"}, "keys.quit: 'spce' is no key; did you mean 'space'?"),
        ({"quit": "pizza"}, "keys.quit: 'pizza' is no key; a key is one such as 'f5' or 'ctrl+r'"),
        ({"quit": "control+x"}, "keys.quit: 'control+x' is no key: nothing is called 'control+'; did you mean 'ctrl'?"),
        ({"quit": "shift+ctrl+a"}, "keys.quit: 'shift+ctrl+a' never arrives as such; write 'ctrl+shift+a'"),
        ({"quit": "ctrl+A"}, "keys.quit: 'ctrl+A' never arrives as such; write 'ctrl+shift+a'"),
        ({"quit": "shift+z"}, "keys.quit: 'shift+z' never arrives as such; write 'Z'"),
        ({"quit": "Ctrl+X"}, "keys.quit: 'Ctrl+X' never arrives as such; write 'ctrl+shift+x'"),
        ({"quit": "ctrl+?"}, "keys.quit: 'ctrl+?' never arrives as such; write 'ctrl+question_mark'"),
        ({"quit": "ctrl+q"}, "keys.quit: 'ctrl+q' always leaves"),
        ({"run.start": "s"}, "keys.run.start: 's' is also run.skip on the home screen; give that another key too"),
        (
            {"quit": "s"},
            "keys.quit: 's' is also run.skip on the home screen, swap on the comparison screen, "
            "cell.stage on the cell screen; give each of them another key too",
        ),
        ({"help": "/"}, "keys.help: 'slash' is also filter on the home screen; give that another key too"),
        ({"help": "ctrl+m"}, "keys.help: 'enter' is also cell.open on the home screen, run.open on the runs screen"),
    ],
)
def test_a_mistake_names_file_and_key(remapped: dict[str, str], words: str) -> None:
    assert message(remapped).startswith(f"{SOURCE}: {words}")


def test_all_mistakes_are_told_at_once() -> None:
    text = message({"run.strat": "f5", "quit": "", "run.skip": "x"})
    assert text.count(str(SOURCE)) == 1
    assert "\n" not in text
    assert all(f"keys.{name}: " in text for name in ("run.strat", "quit", "run.skip"))


@pytest.mark.parametrize("where", SCREENS)
def test_every_action_is_there(where: keys.Where) -> None:
    """A screen binds its part of the table, and can do all of it; lists that look alike may share one."""
    wanted = {(each.id, each.action) for each in KEYS if where in each.where}
    owners = [owner for owner in screens() if {(b.id, b.action) for b in owner.BINDINGS} == wanted]
    assert owners
    for owner in owners:
        for _, action in wanted:
            name = action.split("(")[0]
            doer = Dashboard if name.startswith("app.") else owner
            assert hasattr(doer, "action_" + name.removeprefix("app.")), f"{owner.__name__} cannot {action}"


def test_what_counts_everywhere_is_the_app_s() -> None:
    for each in KEYS:
        assert "everywhere" not in each.where or hasattr(Dashboard, f"action_{each.action}")


@pytest.mark.parametrize("where", [each for each in SCREENS if each not in keys.DIALOGS])
def test_the_footer_has_room_in_80_columns(where: keys.Where) -> None:
    app = App[None]()
    shown = [binding for owner in (where, "everywhere") for binding in bindings(owner) if binding.show]
    first = [next(iter(Binding.make_bindings([binding]))) for binding in shown]
    words = " ".join(f"{app.get_key_display(binding)} {binding.description}" for binding in first)
    assert len(words.replace("⏎", "enter")) <= 80, words


def test_every_id_has_a_group_in_the_help() -> None:
    words = {word for group in _GROUPS.values() for word in group}
    assert {each.id.split(".")[0] for each in KEYS} <= words


def test_the_document_lists_them_as_they_are() -> None:
    rows = re.findall(r"^\| `([a-z.-]+)` \| (`.*`) \| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    written = {name: (keys, words) for name, keys, words in rows}
    for each in KEYS:
        keys, words = written[each.id]
        bound = Binding.make_bindings([(",".join(re.findall("`(.*?)`", keys)), "")])
        assert [binding.key for binding in bound] == each.key.split(",")
        assert each.words in words


def test_the_document_s_example_is_taken(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(\[keys\].*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "settings.toml").write_text(example)
    assert set(checked_keymap(load(tmp_path / "settings.toml"))) == {"run.start", "move.left", "batch.next"}


def screens() -> list[type[Screen[object]]]:
    modules = [import_module(f"{folder.__name__}.{found.name}") for found in iter_modules(folder.__path__)]
    classes = [each for module in modules for each in vars(module).values() if isinstance(each, type)]
    return [each for each in classes if issubclass(each, Screen) and "BINDINGS" in vars(each)]
