"""Programs in ``benchmarks/`` find each other because Python puts a program's folder first; so do these tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
