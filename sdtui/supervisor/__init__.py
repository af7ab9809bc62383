"""The supervising side: one detached process per run, which owns the run's folder. No torch, no textual."""
