"""How near a loop comes to the limits of its device (a roofline).

Three steps lead there: the speeds that the device reaches in one kernel (`gflops`, `bandwidths`), the kernels and bytes
that a step of the loop needs (`Traffic`), and the share of the limits that the loop's speed makes (`achieved`).
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

RUNS = 7  # of each kernel; the fastest counts, for a ceiling is the speed that can be reached
CHANNELS, PIXELS = 64, 32
UNWRITTEN = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")  # kernels that write nothing


def gflops(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """GFLOP/s by kernel, forward only, at sizes that fill the device.

    The kernels are a product of square matrices, and a convolution 3 x 3 of 64 channels in both memory layouts.
    """
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
    """GB/s of copies, bytes read and bytes written: of a tensor that fits a cache, and of a tensor that fits none."""
    small, large = (2**23, 2**30) if device.type == "cuda" else (2**19, 2**28)
    speeds = {}
    for name, size in (("in a cache", small), ("in memory", large)):
        x = torch.zeros(size, dtype=torch.uint8, device=device)
        y = torch.zeros_like(x)  # written before it is timed, or its pages would have to be found first
        speeds[name] = 2 * size / _seconds(partial(y.copy_, x), device, calls=max(1, 2**26 // size)) / 1e9
    return speeds


class Traffic(TorchDispatchMode):
    """Counts the kernels of the code inside it, and the bytes that they move.

    `kinds` has the counts of "products" (matrix products and convolutions: torch counts their operations) and of all
    other kernels. A view is no kernel. A kernel moves the bytes of every tensor that it takes, makes or changes (an
    optimizer's step changes some). A tensor counts each time that a kernel takes it, as if no cache kept it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds = {kind: {"kernels": 0, "bytes": 0} for kind in ("products", "others")}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:  # noqa: ARG002
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        written = _tensors(result) or _changed(func, args, kwargs)
        if written and not func.is_view and func.overloadpacket.__name__ not in UNWRITTEN:
            counts = self.kinds["products" if func.overloadpacket in flop_registry else "others"]
            counts["kernels"] += 1
            counts["bytes"] += sum(_bytes(tensor) for tensor in (*_tensors((args, kwargs)), *written))
        return result


def floor(moved: dict[str, dict[str, float]], operations: float, per_second: float, bytes_per_second: float) -> float:
    """The least seconds of a step if its kernels run in sequence and cost nothing to start.

    Products are bound by operations or by bytes, whichever takes longer. All else is bound by bytes.

    Arguments:
        moved: the bytes of a step by kind of kernel, as `Traffic` counts them.
        operations: of the step's products.
        per_second: operations a second that the device reaches.
        bytes_per_second: bytes a second that the device reaches.
    """
    products = max(operations / per_second, moved["products"]["bytes"] / bytes_per_second)
    return products + moved["others"]["bytes"] / bytes_per_second


def achieved(results: dict, precision: str) -> dict[str, dict]:
    """Shares of the device's limits that each loop reaches at its median speed.

    | key of a loop | value |
    |---|---|
    | gflops | GFLOP/s of the operations that the loop itself does |
    | share_of | these, over the GFLOP/s of each kernel that was measured |
    | share_of_floor | the least time of a step over its time, with the loop's tensors in a cache or in memory; |
    | | operations take the fastest kernel's speed |

    Arguments:
        results: the parts "ceiling", "flops", "traffic" and "speed" of one setting (`benchmarks.parts`). A loop called
            "engine, ..." does the engine's operations.
        precision: the engine's. Plain loops are in float32.
    """
    shares = {}
    for name, rates in results["speed"]["steps_per_second"].items():
        work = "engine" if name.startswith("engine") else name
        limits = results["ceiling"]["gflops"][precision if work == "engine" else "float32"]
        operations, rate = results["flops"]["per_step"][work], median(rates)
        least = {
            place: floor(results["traffic"]["per_step"][work], operations, max(limits.values()) * 1e9, bandwidth * 1e9)
            for place, bandwidth in results["ceiling"]["gb_per_second"].items()
        }
        speed = rate * operations / 1e9
        shares[name] = {
            "gflops": speed,
            "share_of": {kernel: speed / limit for kernel, limit in limits.items()},
            "share_of_floor": {place: seconds * rate for place, seconds in least.items()},
        }
    return shares


@torch.no_grad()
def _seconds(kernel: Callable[[], Tensor], device: torch.device, calls: int = 1) -> float:
    """Seconds of a call in the fastest of some runs. A run has so many calls that starting them does not count."""
    calls = max(calls, 20) if device.type == "cuda" else calls
    seconds = []
    for _ in range(RUNS):
        _wait(device)
        started = perf_counter()
        for _ in range(calls):
            kernel()
        _wait(device)
        seconds.append((perf_counter() - started) / calls)
    return min(seconds)


def _wait(device: torch.device) -> None:
    """Waits until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _changed(func: Any, args: tuple, kwargs: dict) -> list[Tensor]:
    """The tensors that a kernel without a result writes to."""
    values = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    written = (a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write)
    return _tensors([values.get(name) for name in written])


def _bytes(tensor: Tensor) -> int:
    """Bytes of memory behind a tensor: an expanded tensor has less than its shape says."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())
