"""Forward passes through `torch.compile`, which fall back to the plain network where it fails."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

Forward = Callable[[Tensor], Tensor]


class Compiled:
    """A network's forward pass, compiled at its first call; after a failure, as it is, with one warning.

    Hooks that come later are not seen by compiled code.

    Arguments:
        network: whose weights may change, but not their shapes.
        mode: of `torch.compile`: "default", or "reduce-overhead" for CUDA graphs.
    """

    def __init__(self, network: nn.Module, mode: str) -> None:
        self._network, self._mode = network, mode
        self._forward: Forward = torch.compile(network, mode=mode)

    def __call__(self, x: Tensor) -> Tensor:
        try:
            y = self._forward(x)
        except TorchDynamoException as error:
            if self._forward is self._network:
                raise
            (reason, *_) = str(error).splitlines() or [type(error).__name__]
            warnings.warn(
                f"torch.compile failed ({reason}): {type(self._network).__name__} runs as it is, and slower",
                stacklevel=2,
            )
            self._forward = self._network
            return self._network(x)
        # a CUDA graph writes its next output over this one, which may be kept for a later step
        return y.clone() if self._mode == "reduce-overhead" and not y.requires_grad else y
