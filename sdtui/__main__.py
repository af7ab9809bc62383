"""``python -m sdtui`` is the ``sdtui`` command."""

from __future__ import annotations

from sdtui.cli.main import main

if __name__ == "__main__":
    main()
