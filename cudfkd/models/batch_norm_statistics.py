"""Distance between the statistics of a batch and the statistics stored in a network's BatchNorm layers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.base.precision import at_least_float32


class BatchNormStatistics(nn.Module):
    """Wraps a network, so that it also returns the distance of a batch from the statistics in its BatchNorm2d layers.

    The distance is the sum over layers of ||var - running_var||_2 + ||mean - running_mean||_2. The vectors hold the
    moments of the layer's inputs, one entry per channel, with variances without Bessel's correction (Yin et al., 2020,
    DeepInversion). Hooks observe the layers, only inside `recording()`:

        with statistics.recording():
            logits, distance = statistics(images)

    Arguments:
        network: network with the layers.
        over_ranks: averages the means of each rank's share of a batch over ranks, see `cudfkd.base.ranks.Ranks.means`.
    """

    def __init__(self, network: nn.Module, over_ranks: Callable[..., tuple[Tensor, ...]] = lambda *x: x) -> None:
        super().__init__()
        self._network, self._over_ranks = network, over_ranks
        self._layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
        self._distances: list[Tensor] = []
        if not self._layers:
            raise ConfigError(
                "the teacher has no BatchNorm2d layer with running statistics, which the term bn needs:"
                " set its weight to 0 (bn=0) or use another teacher"
            )

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
        """Returns the network's output and the distance. The wrapper itself keeps no graph.

        Raises:
            ConfigError: the forward pass used none of the layers.
        """
        self._distances.clear()
        logits = self._network(images)
        if not self._distances:
            raise ConfigError(
                "the teacher's forward pass uses none of its BatchNorm2d layers, which the term bn needs:"
                " set its weight to 0 (bn=0) or use another teacher"
            )
        distance = torch.stack(self._distances).sum()
        self._distances.clear()
        return logits, distance

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        (maps,) = (*inputs, *named.values())
        stored_var, stored_mean = layer.get_buffer("running_var"), layer.get_buffer("running_mean")
        x = at_least_float32(maps) - stored_mean.view(1, -1, 1, 1)
        shift = x.mean((0, 2, 3))  # E y - mean for the layer's inputs y; Var y = E x^2 - (E x)^2 with x = y - mean
        shift, square = self._over_ranks(shift, x.square().mean((0, 2, 3)))
        var = square - shift.square()
        self._distances.append((var - stored_var).norm() + shift.norm())
