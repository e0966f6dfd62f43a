"""Memory of a method: the newest items, in a ring of fixed size."""

import os
from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.data.images import to_bytes, unit
from cudfkd.runs.context import Context


class Memory(nn.Module):
    """The newest `size` items. It is a module only to be saved with the run; it has no parameters.

    Arguments:
        size: largest number of items.
        shape: shape of an item.
        dtype: number format of the items.
        device: device that holds the items.

    Raises:
        ConfigError: the items need more bytes than are free on the GPU, or than the machine has.
    """

    kept: Tensor

    def __init__(self, size: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        needed, limit = size * prod(shape) * dtype.itemsize, _free_bytes(device)
        if limit is not None and needed > limit:
            raise ConfigError(
                f"memory_size = {size} is not allowed: its {needed / 1e9:.1f} GB are more than the {limit / 1e9:.1f} GB"
                f" of {device}: keep fewer"
            )
        self.register_buffer("kept", torch.zeros(size, *shape, dtype=dtype, device=device))
        self.written = 0

    def __len__(self) -> int:
        return min(self.written, len(self.kept))

    def add(self, items: Shaped[Tensor, "n *shape"]) -> None:
        """Adds items. When the memory is full, they replace the oldest items."""
        items = items[-len(self.kept) :]
        index = (torch.arange(len(items), device=items.device) + self.written) % len(self.kept)
        self.kept[index] = items
        self.written += len(items)

    def draw(self, ctx: Context, count: int) -> Shaped[Tensor, "count *shape"]:
        """Draws `count` items with replacement, each item with the same probability."""
        return self.kept[ctx.integers(len(self), count)]

    def draw_distinct(self, ctx: Context, count: int) -> Shaped[Tensor, "drawn *shape"]:
        """Draws `count` different items, or all items if there are fewer, in random order."""
        order = torch.randperm(len(self), generator=ctx.rng, device=self.kept.device)
        return self.kept[order[:count]]

    def get_extra_state(self) -> Tensor:
        """The number of items that were ever added. With the buffer `kept`, this is the complete state."""
        return torch.tensor(self.written)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores the number of items that were ever added."""
        self.written = int(state)


class ImageMemory(Memory):
    """The newest `size` images: as bytes where images lie in [0, 1], else in half precision, for values outside [0, 1].

    Arguments:
        size: largest number of images.
        shape: shape of an image.
        device: device that holds the images.
        bounded: all images lie in [0, 1].

    Raises:
        ConfigError: as `Memory`.
    """

    def __init__(self, size: int, shape: Sequence[int], device: torch.device, *, bounded: bool) -> None:
        super().__init__(size, shape, torch.uint8 if bounded else torch.float16, device)

    def add(self, items: Float[Tensor, "n *shape"]) -> None:
        """Adds images. When the memory is full, they replace the oldest images."""
        super().add(to_bytes(items) if self.kept.dtype == torch.uint8 else items.half())

    def draw(self, ctx: Context, count: int) -> Float[Tensor, "count *shape"]:
        """Draws `count` images with replacement, each image with the same probability, as float32."""
        kept = super().draw(ctx, count)
        return unit(kept) if kept.dtype == torch.uint8 else kept.float()


def _free_bytes(device: torch.device) -> int | None:
    """Bytes of the machine's memory, or free bytes of the GPU; None where the system does not report them."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
