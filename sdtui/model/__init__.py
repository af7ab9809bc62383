"""Plans, cells, events and results as frozen dataclasses: standard library only, Python 3.10 and later."""
