"""Precision: what is computed in at least float32."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """bfloat16 becomes float32; float32 and float64 stay what they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
