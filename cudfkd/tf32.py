"""TF32: GPUs multiply float32 with ten bits after the point; in convolutions unless they are told not to."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_CONVOLUTION, _MATMUL = getattr(torch.backends.cudnn, "conv", torch.backends.cudnn), torch.backends.cuda.matmul
# torch 2.9 gave the switches new names and refuses to read the older ones once the two do not go together
_NAME, _ON, _OFF = (
    ("allow_tf32", True, False) if _CONVOLUTION is torch.backends.cudnn else ("fp32_precision", "tf32", "ieee")
)


def is_on() -> bool:
    """Whether convolutions or products of matrices are computed so where there is a GPU."""
    return any(getattr(switch, _NAME) == _ON for switch in (_CONVOLUTION, _MATMUL))


@contextmanager
def tf32_off() -> Iterator[None]:
    """Inside the block GPUs multiply float32 as it is; afterwards as before."""
    on = [switch for switch in (_CONVOLUTION, _MATMUL) if getattr(switch, _NAME) == _ON]
    try:
        for switch in on:
            setattr(switch, _NAME, _OFF)
        yield
    finally:
        for switch in on:
            setattr(switch, _NAME, _ON)
