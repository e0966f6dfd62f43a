"""BatchNorm folded into convolutions: the same network in eval mode with fewer passes over its maps."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from cudfkd.base.precision import at_least_float32
from cudfkd.models.watch import hooked


def folded(network: nn.Module, probe: Float[Tensor, "batch channels size size"]) -> nn.Module:
    """A copy of a network in eval mode whose BatchNorm layers are part of the convolutions that they follow.

    With stored statistics BatchNorm is y = a x + b, which the weights and bias of the convolution can do. Folded is a
    layer that takes what a convolution made and nothing else does. The network itself is returned where there is none,
    where the copy gives other logits, and where the network has hooks, which want to see its own layers.

    Arguments:
        network: in eval mode; its weights and statistics must not change afterwards.
        probe: a batch that it takes, not constant.
    """
    try:
        pairs = [] if hooked(network) else _pairs(network, probe)
        if not pairs:
            return network
        copy = deepcopy(network)
        for convolution, norm in pairs:
            one, other = copy.get_submodule(convolution), copy.get_submodule(norm)
            assert isinstance(one, nn.Conv2d)
            assert isinstance(other, nn.BatchNorm2d)
            copy.set_submodule(convolution, fuse_conv_bn_eval(one, other))
            copy.set_submodule(norm, nn.Identity())
        return copy if _agree(network, copy, probe) else network
    except (RuntimeError, TypeError, AttributeError, NotImplementedError):  # what cannot be looked into or copied
        return network


class _Uses(TorchFunctionMode):
    """Counts how often tensors become part of others. They are kept, so that no identity comes twice."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[str, Tensor]] = {}
        self.times: Counter[int] = Counter()

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:  # noqa: ARG002
        result = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            self.times.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if id(leaf) in self.made)
        return result


@torch.no_grad()
def _pairs(network: nn.Module, probe: Tensor) -> list[tuple[str, str]]:
    """Names of convolutions and of the BatchNorm layers that alone take their output."""
    uses, taken, handles = _Uses(), [], []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            note = lambda _, __, y, name=name: uses.made.update({id(y): (name, y)})  # noqa: E731
            handles.append(module.register_forward_hook(note))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            note = lambda _, x, name=name: taken.extend((id(y), name) for y in x if id(y) in uses.made)  # noqa: E731
            handles.append(module.register_forward_pre_hook(note))
    try:
        with uses:
            network(probe)
    finally:
        for handle in handles:
            handle.remove()
    found = [(uses.made[made][0], norm) for made, norm in taken if uses.times[made] == 1]
    called = Counter(name for pair in found for name in pair)
    return [pair for pair in found if all(called[name] == 1 for name in pair)]


@torch.no_grad()
def _agree(network: nn.Module, copy: nn.Module, probe: Tensor) -> bool:
    """Whether both give the same logits, up to the rounding of the copy's weights."""
    try:  # in float64, as a GPU rounds float32 to TF32 in convolutions, which hides what is looked for
        expected, found = (deepcopy(one).double()(probe.double()) for one in (network, copy))
    except (RuntimeError, TypeError):  # a device without float64, or a network that makes float32 numbers of its own
        expected, found = (at_least_float32(one(probe)) for one in (network, copy))
    rounding = 1e4 * torch.finfo(torch.promote_types(probe.dtype, torch.float32)).eps
    return bool((found - expected).abs().max() <= rounding * (1 + expected.abs().max()))
