"""BatchNorm with the moments of a batch that is spread over several ranks."""

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
    """Inside the block, every `torch.nn.functional.batch_norm` that takes its batch's moments takes the global ones.

        with GlobalBatchNorm(gather):
            logits = network(images)

    It stands in at the function that all BatchNorm layers call, so no layer is replaced or changed, and what layers do
    around it (momentum, None for a cumulative average, counting batches) stays torch's own. With stored statistics it
    does nothing. SyncBatchNorm would replace layers, and refuses to work on a CPU. Compiled or scripted code does not
    pass here.

    Arguments:
        gather: puts what the ranks hold together along dimension 0, in the order of ranks; differentiable.
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
    """Mean and variance (without Bessel's correction) of each channel over all ranks, and how many numbers each is of.

    Of R ranks with as many numbers each: mean = sum_r mean_r / R, var = sum_r (var_r + (mean_r - mean)^2) / R. Unlike
    E x^2 - (E x)^2 this does not cancel.
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
