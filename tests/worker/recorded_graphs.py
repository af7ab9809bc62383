"""What stands for CUDA graphs on a CPU: the operations are recorded, and done again on the same memory.

A CUDA graph's own memory is shared: before a replay anything may lie there. Here it is not a number.
"""

import contextlib

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


def _alias(value):
    """The same memory under a description of its own, which no later in-place change of shape touches."""
    return value.detach() if isinstance(value, torch.Tensor) else value


def _tensors(tree):
    return (leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor))


class _Recording(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations = []
        self.memory = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kept = pytree.tree_map(_alias, (args, kwargs or {}))
        made = func(*args, **(kwargs or {}))
        given = {
            leaf.untyped_storage().data_ptr() for leaf in pytree.tree_leaves(kept) if isinstance(leaf, torch.Tensor)
        }
        for leaf in pytree.tree_leaves(made):
            if isinstance(leaf, torch.Tensor) and leaf.untyped_storage().data_ptr() not in given:
                self.memory.append(_alias(leaf))
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
        for tensor in self._recording.memory:
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)
        for func, args, kwargs, made in self._recording.operations:
            again = func(*args, **kwargs)
            for new, old in zip(pytree.tree_leaves(again), pytree.tree_leaves(made), strict=True):
                if isinstance(new, torch.Tensor) and new.data_ptr() != old.data_ptr():
                    old.copy_(new)
