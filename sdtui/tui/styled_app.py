"""What the app has of the person: the theme, the keys with their help, and ASCII where there is no Unicode."""

from __future__ import annotations

import os
from collections.abc import Sequence

from textual.app import App
from textual.binding import Binding
from textual.filter import LineFilter

from sdtui.settings import Settings
from sdtui.tui.active_keys import active_keys, grouped
from sdtui.tui.hang_up import LastingDriver
from sdtui.tui.keys import KEYS, checked_keymap
from sdtui.tui.plain import Plain
from sdtui.tui.screens.help import Help
from sdtui.tui.screens.theme_list import ThemeList
from sdtui.tui.terminal import draws_unicode
from sdtui.tui.themes import find_themes, variable_defaults


class StyledApp(App[None]):
    """An app in the person's theme and with the person's keys.

    Making it raises `UserError` where a key in the settings is wrong.

    Attributes:
        settings: What the person set.
        theme_problems: What is wrong with themes, a line each.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            driver_class=LastingDriver, ansi_color="NO_COLOR" in os.environ or None
        )  # native colours are removed, others made grey
        self.settings = settings
        self._set_themes()
        self._keys = checked_keymap(settings)
        self.set_keymap(self._keys)
        self.animation_level = "none"
        self._plain = Plain(enabled=not draws_unicode())

    def _set_themes(self) -> None:
        found = find_themes(self.settings, os.environ)
        textual_s = set(self.available_themes)
        for theme in found.themes:
            self.register_theme(theme)
        self.theme = found.chosen
        for name in textual_s.difference(theme.name for theme in found.themes):
            self.unregister_theme(name)
        self.theme_problems = found.problems

    def refresh_css(self, animate: bool = True) -> None:
        """Applies the stylesheets anew; before there is a screen it is the first time, and once is enough."""
        if self.screen_stack:
            super().refresh_css(animate)
        else:
            self.stylesheet.set_variables(self.get_css_variables())
            self.stylesheet.update(self, animate=animate)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Returns our own variables for themes that leave them out."""
        return variable_defaults(self.current_theme)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Returns what changes each line that is drawn: without Unicode, to ASCII."""
        return [*super().get_line_filters(), *([self._plain] if self._plain.enabled else [])]

    def action_themes(self) -> None:
        """Offers the themes."""
        self.push_screen(ThemeList(), self.take_theme)

    def take_theme(self, name: str | None) -> None:
        """Takes a theme, and says how to keep it; ``None`` leaves things as they are."""
        if name is None:
            return
        self.theme = name
        if self.no_color:
            self.notify("NO_COLOR is set: no theme has colours", timeout=5)
        elif name != self.settings.theme:
            words = f'to keep it, write into {self.settings.source}\n[dashboard]\ntheme = "{name}"'
            self.notify(words, title=f"theme {name}", markup=False)

    def action_help(self) -> None:
        """Lists the keys of the screen in use."""
        rows = active_keys(self.screen.active_bindings, self.get_key_display)
        self.push_screen(Help(grouped(rows), self.settings.source))

    def get_key_display(self, binding: Binding) -> str:
        """Returns a key as it is written on a keyboard, in ASCII where the terminal has no more."""
        shown = super().get_key_display(binding)
        return binding.key if shown == "⏎" or not (shown.isascii() or draws_unicode()) else shown

    def key_of(self, name: str) -> str:
        """Returns the first key of an id of `sdtui.tui.keys`, as it is written on a keyboard."""
        default = next(key.key for key in KEYS if key.id == name)
        first, *_ = Binding.make_bindings([(self._keys.get(name, default), "")])
        return self.get_key_display(first)
