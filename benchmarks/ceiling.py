"""What this device reaches at most in one kernel: the denominator of any share of its speed that we name.

A product of square matrices, and a convolution 3 x 3 of 64 channels in both memory layouts, forward only: the best of
some runs, not the mean, for a ceiling is what can be reached. Likewise copies, in a cache and in memory.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch
from torch import Tensor
from torch.nn.functional import conv2d

RUNS = 7
CHANNELS, PIXELS = 64, 32


def ceilings(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """GFLOP/s by kernel, at sizes that fill the device."""
    side, batch = (8192, 2048) if device.type == "cuda" else (1024, 64)
    a = torch.randn(side, side, device=device, dtype=dtype)
    x = torch.randn(batch, CHANNELS, PIXELS, PIXELS, device=device, dtype=dtype)
    w = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device, dtype=dtype)
    y, v = (tensor.to(memory_format=torch.channels_last) for tensor in (x, w))
    work = 2 * batch * CHANNELS**2 * 9 * PIXELS**2
    return {
        "matmul": 2 * side**3 / _seconds(partial(torch.mm, a, a), device) / 1e9,
        "convolution, NCHW": work / _seconds(partial(conv2d, x, w, padding=1), device) / 1e9,
        "convolution, channels_last": work / _seconds(partial(conv2d, y, v, padding=1), device) / 1e9,
    }


def bandwidths(device: torch.device) -> dict[str, float]:
    """GB/s, read and written, of copies: of a tensor that a cache holds, and of one that none does."""
    small, large = (2**23, 2**30) if device.type == "cuda" else (2**19, 2**28)
    found = {}
    for name, size in (("in a cache", small), ("in memory", large)):
        x = torch.zeros(size, dtype=torch.uint8, device=device)
        y = torch.zeros_like(x)  # written before it is timed, or its pages would have to be found first
        found[name] = 2 * size / _seconds(partial(y.copy_, x), device, often=max(1, 2**26 // size)) / 1e9
    return found


@torch.no_grad()
def _seconds(kernel: Callable[[], Tensor], device: torch.device, often: int = 1) -> float:
    """The least of some runs, each long enough that starting it does not count."""
    often = max(often, 20) if device.type == "cuda" else often
    found = []
    for _ in range(RUNS):
        wait(device)
        started = perf_counter()
        for _ in range(often):
            kernel()
        wait(device)
        found.append((perf_counter() - started) / often)
    return min(found)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
