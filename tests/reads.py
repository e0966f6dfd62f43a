"""A watch on reads that would make the host wait for a GPU. It also works on a machine without a GPU."""

import traceback
from contextlib import ExitStack
from typing import Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# operations with a result of which the host must know value or size, and methods that bring a tensor to the host
OPERATIONS = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default,
    aten._unique2.default, aten.unique_dim.default, aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor, aten.repeat_interleave.self_Tensor,
}  # fmt: skip
METHODS = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}
INDEXING = {Tensor.__getitem__, Tensor.__setitem__}  # by a mask


class _Operations(TorchDispatchMode):
    def __init__(self, note) -> None:
        super().__init__()
        self.note = note

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in OPERATIONS:
            self.note()
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __init__(self, note) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in METHODS or (func in INDEXING and any(_is_mask(leaf) for leaf in tree_leaves(args[1]))):
            self.note()
        return func(*args, **(kwargs or {}))


class Reads:
    """Places where the host reads a tensor between `start` and `stop`. Adam's own counters are always on the CPU."""

    def __init__(self) -> None:
        self.stacks: list[list[str]] = []
        self._on = ExitStack()

    def start(self) -> Self:
        """Starts the watch."""
        self._on.enter_context(_Operations(self._note))
        self._on.enter_context(_Methods(self._note))
        return self

    def stop(self) -> None:
        """Ends the watch."""
        self._on.close()

    def _note(self) -> None:
        stack = [f"{f.filename}:{f.lineno}" for f in traceback.extract_stack()]
        if not any("torch/optim" in name or "torch\\optim" in name for name in stack):
            self.stacks.append(stack[-8:])


def _is_mask(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.dtype == torch.bool
