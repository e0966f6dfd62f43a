"""The state of the process in which the package computes: the same for every caller."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain() -> Iterator[None]:
    """Lets a block, or a function that it decorates, compute as in a new process. The caller's state comes back.

    state                                    | in the block
    -----------------------------------------|-------------------------------
    `torch.no_grad`, `torch.inference_mode`  | off
    `torch.autocast`                         | off; a run has its own setting
    `torch.set_default_device`               | the CPU
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if _inside_autocast():
            for kind in ("cpu", "cuda", "mps"):
                # no cache: inner contexts would share it, and keep bfloat16 copies of weights that have changed since
                stack.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
        if torch.get_default_device().type != "cpu":  # only then: it costs each operation a little
            stack.enter_context(torch.device("cpu"))
        yield


def _inside_autocast() -> bool:
    """Whether the caller is inside a context of `torch.autocast`, be it on or off."""
    depth = torch.autocast_increment_nesting()
    torch.autocast_decrement_nesting()
    return depth > 1
