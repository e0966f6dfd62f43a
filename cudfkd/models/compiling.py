"""Forward passes through `torch.compile`. If it fails, they fall back to the plain network."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
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
    """Changes two settings of torch's compiler inside the block.

    The limit of compiled variants per class of networks rises from 8 to torch's limit of all variants. Teachers and
    students of one class, in both modes and with several batch sizes, soon need more than 8. The variants of earlier
    runs in the process count, too.

    With torch 2.7 and newer, a backward pass is compiled together with its forward pass, not at its first call. So a
    failure comes early enough for the fallback to the plain network.
    """
    from torch._dynamo import config as dynamo  # takes 2 s, and only here it is needed
    from torch._functorch import config as functorch

    at_once = (
        {"force_non_lazy_backward_lowering": True} if hasattr(functorch, "force_non_lazy_backward_lowering") else {}
    )
    with dynamo.patch(cache_size_limit=dynamo.accumulated_cache_size_limit), functorch.patch(at_once):
        yield


class Compiled:
    """A network's forward pass, compiled at its first call. After a failure the plain network runs, with one warning.

    The network is compiled as a single graph or not at all, once for each batch size. The compiled code contains the
    hooks of its first call, and does not see hooks that are set or removed later. A network that is compiled already,
    or is TorchScript, runs as it is.

    A failure is any error that the plain network does not raise, too: compilers, their caches and launched kernels have
    many errors. Out of memory is no failure.

    Arguments:
        network: the network; its weights may change, but not their shapes.
        mode: mode of `torch.compile`: "default", or "reduce-overhead" for CUDA graphs.
        failed: the run's list of networks for which compiling failed; only the first of them warns.
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
            # a CUDA graph overwrites this output with its next output, but a later step may still need it
            return tree_map_only(Tensor, Tensor.clone, y) if self._mode == "reduce-overhead" else y
        y = self._network(x)  # if this raises, too, the user sees the network's own error alone
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
