"""``python -m sdtui.supervisor RUNDIR``, detached, one per run: runs the folder's plan.

Options are ``--retry STATUS,…``, ``--force``, ``--budget TIME`` and ``--on-finish CMD``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sdtui import runs
from sdtui.model.errors import UserError
from sdtui.supervisor.on_finish import OnFinish
from sdtui.supervisor.prepare import prepare
from sdtui.supervisor.run import Supervisor


def main() -> int:
    """Runs what the folder's plan has left to run."""
    parser = argparse.ArgumentParser(prog="sdtui.supervisor")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--retry", default="")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--budget", metavar="TIME")
    parser.add_argument("--on-finish", metavar="CMD")
    arguments = parser.parse_args()
    on_finish = OnFinish(arguments.on_finish, Path.cwd()) if arguments.on_finish else None
    folder = arguments.folder.resolve()
    os.chdir("/")
    try:
        sitting = prepare(folder / runs.PLAN, frozenset(filter(None, arguments.retry.split(","))), arguments.budget)
    except UserError as error:
        print(error, flush=True)
        return 2
    return Supervisor(folder, sitting, arguments.force, on_finish).run()


if __name__ == "__main__":
    sys.exit(main())
