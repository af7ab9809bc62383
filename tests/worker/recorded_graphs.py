"""What stands for CUDA graphs on a CPU: the operations are recorded, and done again on the same memory."""

import contextlib

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


def _alias(value):
    """The same memory under a description of its own, which no later in-place change of shape touches."""
    return value.detach() if isinstance(value, torch.Tensor) else value


class _Recording(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kept = pytree.tree_map(_alias, (args, kwargs or {}))
        made = func(*args, **(kwargs or {}))
        if "empty" not in str(func):  # to be filled by others
            self.operations.append((func, *kept, pytree.tree_map(_alias, made)))
        return made


class RecordedGraph:
    """Within a capture the operations are done as well, on what is there: their results count for nothing."""

    made = 0

    def __init__(self):
        type(self).made += 1
        self._recording = _Recording()

    def begin(self):
        self._recording.__enter__()

    def end(self):
        self._recording.__exit__(None, None, None)

    @contextlib.contextmanager
    def outside(self):
        self._recording.__exit__(None, None, None)
        try:
            yield
        finally:
            self._recording.__enter__()

    def replay(self):
        for func, args, kwargs, made in self._recording.operations:
            again = func(*args, **kwargs)
            for new, old in zip(pytree.tree_leaves(again), pytree.tree_leaves(made), strict=True):
                if isinstance(new, torch.Tensor) and new.data_ptr() != old.data_ptr():
                    old.copy_(new)
