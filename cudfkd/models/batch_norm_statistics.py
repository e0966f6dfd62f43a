"""BatchNorm layers of a network, and the distance of a batch from the statistics stored in them."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.base.precision import at_least_float32
from cudfkd.models.watch import Watch


def stored(layer: nn.Module) -> bool:
    """Whether a layer holds the mean and the variance of each channel of its input, as BatchNorm layers do.

    These layers are nn.BatchNorm1d, 2d and 3d, nn.SyncBatchNorm, their subclasses, and foreign layers that have
    `running_mean` and `running_var`. nn.InstanceNorm stores variances of single images, not of a batch.
    """
    mean, var = getattr(layer, "running_mean", None), getattr(layer, "running_var", None)
    if not isinstance(mean, Tensor) or not isinstance(var, Tensor) or isinstance(layer, torch.jit.ScriptModule):
        return False
    return mean.ndim == 1 and mean.shape == var.shape and not isinstance(layer, nn.modules.instancenorm._InstanceNorm)


def statistics_of(layer: Any) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Running mean and running variance of a layer for which `stored` is true."""
    return layer.running_mean, layer.running_var


def is_batch_norm(layer: nn.Module) -> bool:
    """Whether a layer is a BatchNorm layer, with or without stored statistics."""
    return isinstance(layer, nn.modules.batchnorm._BatchNorm) or stored(layer)


@torch.no_grad()
def layers_with_statistics(teacher: nn.Module, probe: Float[Tensor, "batch channels size size"]) -> list[str]:
    """Names of the teacher's layers with stored statistics that can be compared with the statistics of a batch.

    Warns of layers with statistics that are left out, because the forward pass does not call them as modules or their
    channels are not dimension 1 of their input.

    Arguments:
        teacher: network in eval mode.
        probe: batch of images that the network takes.

    Raises:
        ConfigError: no layer can be compared.
    """
    names = [name for name, layer in teacher.named_modules() if stored(layer)]
    if not names:
        raise ConfigError(
            "the teacher has no BatchNorm layer with running statistics, which the term bn needs:"
            " set its weight to 0 (bn=0) or use another teacher"
        )
    watch = Watch(teacher, names, inputs=True)
    with watch.recording(may_be_empty=True) as seen:
        teacher(probe)
    fitting = [name for name in names if name in seen and _fits(seen[name], teacher.get_submodule(name))]
    if not fitting:
        raise ConfigError(
            "the teacher's forward pass uses none of its BatchNorm layers, which the term bn needs:"
            " set its weight to 0 (bn=0) or use another teacher"
        )
    other = [name for name, layer in teacher.named_modules() if _unusable(layer)]
    left_out = [name for name in names if name not in fitting] + other
    if left_out:
        warnings.warn(
            f"the term bn leaves out layers of the teacher with running statistics: {', '.join(left_out)} (not called"
            " in its forward pass, or not statistics of the channels of a batch)",
            stacklevel=2,
        )
    return fitting


class BatchNormStatistics(nn.Module):
    """Wraps a network, so that it also returns the distance of a batch from the statistics in its BatchNorm layers.

    The distance is the sum over layers of ||var - running_var||_2 + ||mean - running_mean||_2. The vectors hold the
    moments of the layer's inputs, one entry per channel, with variances without Bessel's correction (Yin et al., 2020,
    DeepInversion). Hooks observe the layers, only inside `recording()`:

        with statistics.recording():
            logits, distance = statistics(images)

    Arguments:
        network: network with the layers.
        names: names of the layers, see `layers_with_statistics`.
        over_ranks: averages the means of each rank's share of a batch over ranks, see `cudfkd.base.ranks.Ranks.means`.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Iterable[str],
        over_ranks: Callable[..., tuple[Tensor, ...]] = lambda *x: x,
    ) -> None:
        super().__init__()
        self._network, self._over_ranks = network, over_ranks
        self._layers = [network.get_submodule(name) for name in names]
        self._distances: list[Tensor] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Sets the hooks for a block, and removes them at its end."""
        handles = [layer.register_forward_pre_hook(self._note, with_kwargs=True) for layer in self._layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def forward(self, images: Tensor) -> tuple[Tensor, Float[Tensor, ""]]:
        """Returns the network's output and the distance. The wrapper itself keeps no graph."""
        self._distances.clear()
        logits = self._network(images)
        distance = torch.stack(self._distances).sum()
        self._distances.clear()
        return logits, distance

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        (maps,) = (*inputs, *named.values())
        stored_mean, stored_var = statistics_of(layer)
        over = [0, *range(2, maps.ndim)]
        x = at_least_float32(maps) - stored_mean.view(1, -1, *(1 for _ in over[1:]))
        shift = x.mean(over)  # E y - mean for the layer's inputs y; Var y = E x^2 - (E x)^2 with x = y - mean
        shift, square = self._over_ranks(shift, x.square().mean(over))
        var = square - shift.square()
        self._distances.append((var - stored_var).norm() + shift.norm())


def _fits(maps: Tensor, layer: nn.Module) -> bool:
    """Whether the layer's input has the channels of its statistics in dimension 1."""
    return maps.ndim >= 2 and maps.shape[1] == len(statistics_of(layer)[0])


def _unusable(layer: nn.Module) -> bool:
    """Whether a layer has running statistics of another kind."""
    return isinstance(getattr(layer, "running_mean", None), Tensor) and not stored(layer)
