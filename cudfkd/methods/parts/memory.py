"""What a method remembers: the newest of all that it was given, in a ring of fixed size."""

import os
from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.runs.context import Context


class Memory(nn.Module):
    """The newest `size` items. A module only so that it is saved with the run; it has no parameters.

    Arguments:
        size: items that it holds.
        shape: of an item.
        dtype: uint8 for images, float32 for features.
        device: where it lies.

    Raises:
        ConfigError: it is larger than what memory is free.
    """

    kept: Tensor

    def __init__(self, size: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        wanted, there = size * prod(shape) * dtype.itemsize, _free_bytes(device)
        if there is not None and wanted > there:
            raise ConfigError(
                f"memory_size = {size} is not allowed: its {wanted / 1e9:.1f} GB are more than the {there / 1e9:.1f} GB"
                f" of {device}: keep fewer"
            )
        self.register_buffer("kept", torch.zeros(size, *shape, dtype=dtype, device=device))
        self.written = 0

    def __len__(self) -> int:
        return min(self.written, len(self.kept))

    def add(self, items: Shaped[Tensor, "n *shape"]) -> None:
        """Keeps these items; when it is full, in place of the oldest."""
        items = items[-len(self.kept) :]
        index = (torch.arange(len(items), device=items.device) + self.written) % len(self.kept)
        self.kept[index] = items
        self.written += len(items)

    def draw(self, ctx: Context, count: int) -> Shaped[Tensor, "count *shape"]:
        """`count` of them, each drawn from all with the same chance."""
        return self.kept[ctx.integers(len(self), count)]

    def get_extra_state(self) -> Tensor:
        """How many were ever added: with `kept`, all of its state."""
        return torch.tensor(self.written)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores it."""
        self.written = int(state)


def _free_bytes(device: torch.device) -> int | None:
    """Memory of the machine, or what is free on the GPU; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
