"""Forward passes through `torch.compile`, which fall back to the plain network where it fails."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo import config as dynamo
from torch._functorch import config as functorch
from torch.utils._pytree import tree_map_only

from cudfkd.base.errors import CudfkdError
from cudfkd.base.out_of_memory import is_out_of_memory


def is_compiled(network: nn.Module) -> bool:
    """Whether any part of a network comes from `torch.compile(module)` or `module.compile()`."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in network.modules()
    )


def is_torchscript(network: nn.Module) -> bool:
    """Whether any part of a network is TorchScript."""
    return any(isinstance(module, torch.jit.ScriptModule) for module in network.modules())


@contextmanager
def compiling() -> Iterator[None]:
    """What torch's compiler is to do differently inside the block.

    A class of networks is compiled in as many variants as torch keeps of anything, not just 8: teachers and students of
    one class, in both modes and with several sizes of batch, soon are more, and those of earlier runs in the process
    count too. Backward passes are compiled with the forward pass, where a failure can still be mended, and not at their
    first call (torch 2.7 and newer).
    """
    at_once = (
        {"force_non_lazy_backward_lowering": True} if hasattr(functorch, "force_non_lazy_backward_lowering") else {}
    )
    with dynamo.patch(cache_size_limit=dynamo.accumulated_cache_size_limit), functorch.patch(at_once):
        yield


class Compiled:
    """A network's forward pass, compiled at its first call; after a failure, as it is, with one warning a run.

    It is compiled whole or not at all, once for each size of batch. The hooks of its first call are part of it; of
    hooks that come or go later nothing is seen. What is compiled already, or TorchScript, runs as it is.

    A failure is any error that the plain network does not raise as well: compilers, their caches and launched kernels
    have many. Out of memory is none.

    Arguments:
        network: whose weights may change, but not their shapes.
        mode: of `torch.compile`: "default", or "reduce-overhead" for CUDA graphs.
        failed: networks of the run for which it failed; the first of them warns for all.
    """

    def __init__(self, network: nn.Module, mode: str, failed: list[nn.Module]) -> None:
        self._network, self._mode, self._failed = network, mode, failed
        as_it_is = is_compiled(network) or is_torchscript(network)
        self._forward: Callable[[Tensor], Any] = network if as_it_is else self._first

    def __call__(self, x: Tensor) -> Any:
        try:
            y = self._forward(x)
        except Exception as error:
            if self._forward is self._network or isinstance(error, CudfkdError) or is_out_of_memory(error):
                raise
            (reason, *_) = str(error).splitlines() or [type(error).__name__]
        else:
            # a CUDA graph writes its next output over this one, which may be kept for a later step
            return tree_map_only(Tensor, Tensor.clone, y) if self._mode == "reduce-overhead" else y
        y = self._network(x)  # its own error is seen alone
        self._fall_back(reason)
        return y

    def _first(self, x: Tensor) -> Any:
        self._forward = torch.compile(self._network, mode=self._mode, fullgraph=True, dynamic=False)
        return self._forward(x)

    def _fall_back(self, reason: str) -> None:
        self._forward = self._network
        self._failed.append(self._network)
        if len(self._failed) == 1:
            warnings.warn(
                f"torch.compile failed ({reason}): {type(self._network).__name__} runs as it is, and slower; so does"
                " every network of the run for which it fails",
                stacklevel=3,
            )
