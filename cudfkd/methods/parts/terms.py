"""Loss terms of the methods that CuDFKD is compared with. Terms that CuDFKD uses too are in `cudfkd.losses`."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from cudfkd import losses
from cudfkd.base.precision import at_least_float32

Images = Float[Tensor, "batch channels size size"]
Maps = Float[Tensor, "batch channels height width"]
PerSample = Float[Tensor, " batch"]
Scalar = Float[Tensor, ""]


def gap(loss: str, t: losses.Logits, s: losses.Logits, temperature: float = 1.0) -> Scalar:
    """Minus the mean over all samples of the divergence of teacher and student: the loss of a plain adversary."""
    return -losses.DIVERGENCES[loss](t, s, temperature).mean()


def clamped_js(t: losses.Logits, s: losses.Logits, temperature: float) -> PerSample:
    """Disagreement of teacher and student, as the public codes of ADI and PRE-DFKD have it, for each sample.

    With the predictions p_t and p_s at the temperature and half = (p_t + p_s) / 2, all three clamped to [0.01, 0.99],
    it is 1/2 sum half (ln half - ln p_t) + 1/2 sum half (ln half - ln p_s) over the classes. The codes call it
    Jensen-Shannon divergence, which has p_t and p_s in the place of the first `half`.
    """
    p, q = (t / temperature).softmax(1), (s / temperature).softmax(1)
    p, q, m = (x.clamp(0.01, 0.99) for x in (p, q, (p + q) / 2))
    return (m * (m.log() - (p.log() + q.log()) / 2)).sum(1)


def total_variation(images: Images) -> Scalar:
    """Mean absolute difference of neighbouring pixels, summed over columns, rows and both diagonals."""
    falling = images[:, :, 1:, 1:] - images[:, :, :-1, :-1]
    rising = images[:, :, 1:, :-1] - images[:, :, :-1, 1:]
    steps = images.diff(dim=2), images.diff(dim=3), falling, rising
    return torch.stack([step.abs().mean() for step in steps]).sum()


def attention(maps: Maps) -> Float[Tensor, "batch pixels"]:
    """Attention map of a layer: the mean square over channels, as a unit vector (Zagoruyko and Komodakis, 2017)."""
    return normalize(maps.square().mean(1).flatten(1), dim=1)


def attention_gap(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> PerSample:
    """Squared difference of the attention maps of teacher and student: mean over pixels, summed over layers."""
    pairs = zip(teacher, student, strict=True)
    return torch.stack([(attention(t) - attention(s)).square().mean(1) for t, s in pairs]).sum(0)


def channel_means(seen: Mapping[str, Tensor]) -> Float[Tensor, "batch features"]:
    """Features of each image: the mean over pixels of each channel of each layer in `seen`, side by side."""
    return torch.cat([_pooled(at_least_float32(maps)) for maps in seen.values()], 1)


def _pooled(maps: Tensor) -> Float[Tensor, "batch channels"]:
    return maps.mean(list(range(2, maps.ndim))) if maps.ndim > 2 else maps


def info_nce(
    anchors: Float[Tensor, "n features"], positives: Float[Tensor, "n features"], temperature: float
) -> Float[Tensor, " n"]:
    """InfoNCE in nats of unit vectors, for each anchor: its own positive against all positives.

    -ln( e^(anchor_i . positive_i / T) / sum_j e^(anchor_i . positive_j / T) ). The value is low when the anchor is
    close to its own positive and far from the other positives.
    """
    logits = anchors @ positives.T / temperature
    return cross_entropy(logits, torch.arange(len(anchors), device=anchors.device), reduction="none")


def kl_to_normal(mean: Float[Tensor, "batch latent"], log_variance: Float[Tensor, "batch latent"]) -> Scalar:
    """KL(N(mean, variance) || N(0, 1)) in nats, summed over the latent, mean over the batch."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def moments(z: Float[Tensor, "batch latent"]) -> Scalar:
    """Distance of the latents from mean 0 and variance 1: mean over the latent of mean^2 + (variance - 1)^2.

    Mean and variance are taken over the batch, the variance without bias.
    """
    return (z.mean(0).square() + (z.var(0) - 1).square()).mean()
