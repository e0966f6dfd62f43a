"""What a loop's kernels move, and the least time that this leaves it.

A kernel that multiplies matrices or convolves is bound by operations or by bytes, any other by bytes. With the ceilings
of a device this gives the least time of a step whose kernels run one after the other and cost nothing to start.
"""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

UNWRITTEN = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")


class Traffic(TorchDispatchMode):
    """Counts kernels and their bytes: of "products", whose operations torch counts, and of "others". Views are none.

    Bytes are those of every tensor that goes in and comes out or is changed (by an optimizer's step, say), each counted
    as often as a kernel takes it, as if nothing stayed in a cache.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds = {kind: {"kernels": 0, "bytes": 0} for kind in ("products", "others")}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:  # noqa: ARG002
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        made = _tensors(result) or _changed(func, args, kwargs)
        if made and not func.is_view and func.overloadpacket.__name__ not in UNWRITTEN:
            kind = self.kinds["products" if func.overloadpacket in flop_registry else "others"]
            kind["kernels"] += 1
            kind["bytes"] += sum(_bytes(tensor) for tensor in (*_tensors((args, kwargs)), *made))
        return result


def floor(moved: dict[str, dict[str, float]], operations: float, per_second: float, bytes_per_second: float) -> float:
    """The least seconds for what is moved and for the operations of its products, given the ceilings of both."""
    products = max(operations / per_second, moved["products"]["bytes"] / bytes_per_second)
    return products + moved["others"]["bytes"] / bytes_per_second


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _changed(func: Any, args: tuple, kwargs: dict) -> list[Tensor]:
    """What a kernel that returns nothing writes to."""
    given = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    written = (a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write)
    return _tensors([given.get(name) for name in written])


def _bytes(tensor: Tensor) -> int:
    """Of memory that is really there: an expanded tensor has less than its shape says."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())
