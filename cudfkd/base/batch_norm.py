"""BatchNorm with the moments of a batch that several ranks share."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from cudfkd.base.precision import at_least_float32

Gather = Callable[[Tensor], Tensor]


class GlobalBatchNorm(TorchFunctionMode):
    """Makes BatchNorm layers in training mode use the moments of the global batch, inside a block:

        with GlobalBatchNorm(gather):
            logits = network(images)

    It replaces `torch.nn.functional.batch_norm`, the function that all BatchNorm layers call. So no layer is replaced
    or changed. The code of the layers around this function stays torch's own: momentum, None for a cumulative average,
    the count of batches. A layer that uses its stored statistics is not affected. SyncBatchNorm is no alternative: it
    replaces layers, and refuses to work on a CPU. Compiled or scripted code does not call the replaced function.

    Arguments:
        gather: joins the tensors of all ranks along dimension 0, in the order of ranks; differentiable.
    """

    def __init__(self, gather: Gather) -> None:
        super().__init__()
        self._gather = gather

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:  # noqa: ARG002
        if func is functional.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Float[Tensor, "batch channels *map"],
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        mean, var, n = global_moments(x, self._gather)
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((var * n / (n - 1)).to(running_var.dtype), momentum)
        return _normalise(x, mean, var + eps, weight, bias)


def global_moments(
    x: Float[Tensor, "batch channels *map"], gather: Gather
) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"], int]:
    """Computes mean, variance (without Bessel's correction) and count of numbers of each channel over all ranks.

    All ranks hold equally many numbers, so with means over ranks j, mean = E mean_j and
    var = E [var_j + (mean_j - mean)^2]. Unlike E x^2 - (E x)^2, this formula has no cancellation.

    Arguments:
        x: this rank's inputs of the layer.
        gather: joins the tensors of all ranks along dimension 0, see `GlobalBatchNorm`.
    """
    y = at_least_float32(x)
    var, mean = torch.var_mean(y, [0, *range(2, y.ndim)], correction=0)
    means, variances = gather(torch.stack([mean, var])[None]).unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0), len(means) * (y.numel() // y.shape[1])


def _normalise(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    shape = 1, -1, *(1 for _ in x.shape[2:])
    scale = var.rsqrt() if weight is None else var.rsqrt() * weight
    y = (at_least_float32(x) - mean.view(shape)) * scale.view(shape)
    return (y if bias is None else y + bias.view(shape)).to(x.dtype)
