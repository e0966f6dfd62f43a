"""Loss terms of the methods: divergences of logits for each sample, and terms of the generator's loss.

t: logits of the teacher for a batch.
s: logits of the student for the same batch.
"""

from collections.abc import Callable
from math import log

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

Logits = Float[Tensor, "batch classes"]
PerSample = Float[Tensor, " batch"]
Scalar = Float[Tensor, ""]


def kl(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:
    """T^2 KL(p_t || p_s) of each sample with p = softmax(logits / T), in nats.

    The result is clamped at 0: when student and teacher nearly agree, rounding can make it negative. The factor T^2
    keeps the size of the gradient as T grows (Hinton et al., 2015).
    """
    log_p, log_q = log_softmax(t / temperature, 1), log_softmax(s / temperature, 1)
    return (temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1)).clamp(min=0)


def l1(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:  # noqa: ARG001
    """Mean over classes of |t - s| of each sample, equation (2). The temperature has no effect."""
    return (t - s).abs().mean(1)


def l2(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:  # noqa: ARG001
    """Mean over classes of (t - s)^2 of each sample. The temperature has no effect."""
    return (t - s).square().mean(1)


def js(t: Logits, s: Logits, temperature: float = 1.0) -> PerSample:
    """Jensen-Shannon divergence of softmax(t / T) and softmax(s / T) of each sample, in nats: between 0 and ln 2."""
    log_p, log_q = log_softmax(t / temperature, 1), log_softmax(s / temperature, 1)
    log_m = torch.logaddexp(log_p, log_q) - torch.log(log_p.new_full((), 2.0))
    return (0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(1)).clamp(min=0)


DIVERGENCES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"kl": kl, "l1": l1, "l2": l2, "js": js}


def class_entropy(t: Logits, temperature: float = 1.0) -> Scalar:
    """Entropy in nats of the batch mean of softmax(t / T): ln(classes) when all classes are equally frequent."""
    log_mean = torch.logsumexp(log_softmax(t / temperature, 1), 0) - log(len(t))
    return -(log_mean.exp() * log_mean).sum()


def one_hot(t: Logits) -> Scalar:
    """Cross-entropy of the teacher with its own label, mean over the batch: 0 when it is certain of every sample."""
    return cross_entropy(t, t.argmax(1))


def adversarial(t: Logits, s: Logits, temperature: float = 3.0) -> Scalar:
    """Adversarial term of the generator: minus the mean of 1[argmax t = argmax s] T^2 KL(p_t || p_s).

    The generator lowers it by images on which the student errs. Only samples on which both networks give the same label
    count (the mask of CuDFKD's public code). The mean is over all samples of the batch.
    """
    agree = t.argmax(1) == s.argmax(1)
    return -torch.where(agree, kl(t, s, temperature), 0.0).mean()
