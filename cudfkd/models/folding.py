"""Folding of BatchNorm into convolutions: the network in eval mode with fewer passes over its feature maps."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize, skip_init
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from cudfkd.base.precision import at_least_float32
from cudfkd.models.watch import hooked


def folded(network: nn.Module, probe: Float[Tensor, "batch channels size size"]) -> nn.Module:
    """Copies a network in eval mode and makes its BatchNorm layers part of the convolutions before them.

    With stored statistics, BatchNorm multiplies and adds one number a channel, so the weights and bias of the
    convolution can include it. A layer is folded if it takes the output of a convolution and no further operation takes
    this output.

    The network itself is returned if it has no such layer, or if the copy gives different logits. The same holds for a
    network with hooks, because hooks must see the network's own layers.

    Arguments:
        network: network in eval mode; its weights and statistics must not change afterwards.
        probe: batch of images that the network takes, not constant.
    """
    try:
        pairs = [] if hooked(network) else _pairs(network, probe)
        if not pairs:
            return network
        copy = deepcopy(network)
        for convolution, norm in pairs:
            conv_layer, norm_layer = copy.get_submodule(convolution), copy.get_submodule(norm)
            assert isinstance(conv_layer, nn.Conv2d)
            assert isinstance(norm_layer, nn.BatchNorm2d)
            copy.set_submodule(convolution, fuse_conv_bn_eval(_plain(conv_layer), norm_layer))
            copy.set_submodule(norm, nn.Identity())
        return copy if _agree(network, copy, probe) else network
    except Exception:  # noqa: BLE001, a foreign network may refuse in any way to be hooked, copied or changed
        return network


@torch.no_grad()
def _plain(layer: nn.Conv2d) -> nn.Conv2d:
    """Returns a convolution with plain weights: the layer, or a copy with the weights that it computes.

    Parametrizations are weight_norm, spectral_norm, orthogonal and the like. Torch can remove them from a layer, but
    copies of the layer share its class, and would lose their weights.
    """
    if not parametrize.is_parametrized(layer):
        return layer
    weight, bias = layer.weight, layer.bias
    plain: Any = skip_init(
        nn.Conv2d, layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
        layer.dilation, layer.groups, bias is not None, layer.padding_mode, device=weight.device, dtype=weight.dtype,
    )  # fmt: skip
    plain.weight.copy_(weight)
    if bias is not None:
        plain.bias.copy_(bias)
    return plain.eval()


class _Uses(TorchFunctionMode):
    """Counts how often the outputs of convolutions become inputs of operations.

    It keeps the outputs alive, so that no two of them have the same id.

    made: for the id of an output, the convolution's name and the output.
    times: for the id of an output, the number of its uses.
    """

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
    """Finds pairs of a convolution and the BatchNorm layer that alone takes its output; returns their names."""
    uses, taken, handles = _Uses(), [], []
    for name, module in network.named_modules():
        if _is(nn.Conv2d, module):
            note = lambda _, __, y, name=name: uses.made.update({id(y): (name, y)})  # noqa: E731
            handles.append(module.register_forward_hook(note))
        elif _is(nn.BatchNorm2d, module) and module.running_mean is not None:
            note = lambda _, x, name=name: taken.extend((id(y), name) for y in x if id(y) in uses.made)  # noqa: E731
            handles.append(module.register_forward_pre_hook(note))
    try:
        with uses:
            network(probe)
    finally:
        for handle in handles:
            handle.remove()
    pairs = [(uses.made[output][0], norm) for output, norm in taken if uses.times[output] == 1]
    called = Counter(name for pair in pairs for name in pair)
    return [pair for pair in pairs if all(called[name] == 1 for name in pair)]


def _is(kind: type[nn.Module], module: nn.Module) -> bool:
    """Whether a module is of a class itself. A subclass may do more, and is not folded."""
    return parametrize.type_before_parametrizations(module) is kind


@torch.no_grad()
def _agree(network: nn.Module, copy: nn.Module, probe: Tensor) -> bool:
    """Whether network and copy give the same logits, up to the rounding of the copy's weights."""
    try:  # in float64, because a GPU rounds float32 to TF32 in convolutions, which would hide small differences
        expected, actual = (deepcopy(model).double()(probe.double()) for model in (network, copy))
    except (RuntimeError, TypeError):  # a device without float64, or a network that makes float32 numbers of its own
        expected, actual = (at_least_float32(model(probe)) for model in (network, copy))
    rounding = 1e4 * torch.finfo(torch.promote_types(probe.dtype, torch.float32)).eps
    return bool((actual - expected).abs().max() <= rounding * (1 + expected.abs().max()))
