"""Precision of computations that need at least float32."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Converts bfloat16 to float32; float32 and float64 stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
