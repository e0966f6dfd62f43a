"""The terms that methods are made of: per-sample divergences of logits, and what a generator is trained on.

t and s are logits of teacher and student for the same batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import log

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from cudfkd.base.errors import ConfigError
from cudfkd.base.precision import at_least_float32

Logits = Float[Tensor, "batch classes"]
PerSample = Float[Tensor, " batch"]
Scalar = Float[Tensor, ""]


def kl(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:
    """T^2 KL(p_t || p_s) of each sample with p = softmax(logits / T), in nats.

    Clamped at 0, which rounding undershoots once student and teacher nearly agree. T^2 keeps the size of the gradient
    as T grows (Hinton et al., 2015).
    """
    log_p, log_q = log_softmax(t / temperature, 1), log_softmax(s / temperature, 1)
    return (temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1)).clamp(min=0)


def l1(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:  # noqa: ARG001
    """Mean over classes of |t - s| of each sample. It does not depend on the temperature."""
    return (t - s).abs().mean(1)


def l2(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:  # noqa: ARG001
    """Mean over classes of (t - s)^2 of each sample. It does not depend on the temperature."""
    return (t - s).square().mean(1)


def js(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:
    """Jensen-Shannon divergence of softmax(t / T) and softmax(s / T) of each sample, in nats: between 0 and ln 2."""
    log_p, log_q = log_softmax(t / temperature, 1), log_softmax(s / temperature, 1)
    log_m = torch.logaddexp(log_p, log_q) - torch.log(log_p.new_full((), 2.0))
    return (0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(1)).clamp(min=0)


DIVERGENCES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"kl": kl, "l1": l1, "l2": l2, "js": js}


def class_entropy(t: Logits, temperature: float = 1.0) -> Scalar:
    """Entropy in nats of the batch's mean prediction softmax(t / T): ln(classes) when all classes are drawn equally."""
    log_mean = torch.logsumexp(log_softmax(t / temperature, 1), 0) - log(len(t))
    return -(log_mean.exp() * log_mean).sum()


def one_hot(t: Logits) -> Scalar:
    """Cross-entropy of the teacher with its own label, mean over the batch: 0 when it is certain of every sample."""
    return cross_entropy(t, t.argmax(1))


def adversarial(t: Logits, s: Logits, temperature: float = 3.0) -> Scalar:
    """What the generator gains by making the student err: minus the mean of 1[argmax t = argmax s] T^2 KL(p_t || p_s).

    Only samples on which both still agree count (the mask of CuDFKD's public code); the mean is over the whole batch.
    """
    agree = t.argmax(1) == s.argmax(1)
    return -torch.where(agree, kl(t, s, temperature), 0.0).mean()


class BatchNormStatistics(nn.Module):
    """A network that also gives out how far a batch's statistics are from those that its BatchNorm2d layers stored.

    That distance is the sum over layers of ||var - running_var||_2 + ||mean - running_mean||_2 of the layer's inputs, a
    channel an entry, variance without Bessel's correction (Yin et al., 2020, DeepInversion). The layers are looked at
    through hooks, which are on inside `recording()` only:

        with statistics.recording():
            logits, distance = statistics(images)

    Arguments:
        network: whose layers are looked at.
        over_ranks: makes means over the batch of one rank means over that of all, see `cudfkd.base.ranks.Ranks.means`.
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
        """Puts the hooks on, and takes them off at the end."""
        handles = [layer.register_forward_pre_hook(self._note, with_kwargs=True) for layer in self._layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def forward(self, images: Tensor) -> tuple[Tensor, Scalar]:
        """What the network makes of the images, and the distance. No graph stays behind.

        Raises:
            ConfigError: the forward pass went through none of the layers.
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
