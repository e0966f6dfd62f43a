"""Ceilings are measured, bytes are counted by kernel, and floor and shares follow from them."""

import pytest
import torch

from benchmarks import ceilings
from benchmarks.ceilings import Traffic, achieved, floor


def test_ceilings_are_positive_and_named(monkeypatch):
    monkeypatch.setattr(ceilings, "RUNS", 1)
    found = ceilings.gflops(torch.device("cpu"), torch.float32)
    assert list(found) == ["matmul", "convolution, NCHW", "convolution, channels_last"]
    assert min(found.values()) > 0


def test_bandwidths_are_positive_and_named(monkeypatch):
    monkeypatch.setattr(ceilings, "RUNS", 1)
    found = ceilings.bandwidths(torch.device("cpu"))
    assert list(found) == ["in a cache", "in memory"]
    assert min(found.values()) > 0


def counted(function) -> dict:
    with Traffic() as found:
        function()
    return found.kinds


def test_a_kernel_moves_what_it_takes_and_makes():
    a, b = torch.rand(4, 3), torch.rand(3, 5)
    found = counted(lambda: torch.mm(a, b) * 2)
    assert found["products"] == {"kernels": 1, "bytes": 4 * (12 + 15 + 20)}
    assert found["others"] == {"kernels": 1, "bytes": 4 * (20 + 20)}


def test_views_and_unwritten_memory_are_no_kernels():
    x = torch.rand(4, 3)
    found = counted(lambda: (x.t(), x[0], x.view(12), x.expand(2, 4, 3), torch.empty(9), torch.empty_like(x)))
    assert found["others"] == found["products"] == {"kernels": 0, "bytes": 0}


def test_an_expanded_tensor_is_read_once():
    x, y = torch.rand(1), torch.rand(100)
    assert counted(lambda: torch.add(x.expand(100), y))["others"]["bytes"] == 4 * (1 + 100 + 100)


def test_in_place_reads_and_writes():
    x = torch.rand(10)
    assert counted(lambda: x.add_(x))["others"]["bytes"] == 4 * (10 + 10 + 10)


def test_backward_counts():
    x = torch.rand(4, 3, requires_grad=True)
    w = torch.rand(3, 5)
    assert counted(lambda: torch.mm(x, w).sum().backward())["products"]["kernels"] == 2


def test_a_kernel_that_returns_nothing_writes_what_it_says_that_it_changes():
    x, y = torch.rand(10), torch.rand(10)
    assert counted(lambda: torch._foreach_add_([x], [y]))["others"] == {"kernels": 1, "bytes": 4 * (10 + 10 + 10)}


def test_the_step_of_an_optimizer_counts():
    p = torch.rand(10, requires_grad=True)
    p.grad = torch.rand(10)
    found = counted(torch.optim.SGD([p], lr=0.1, fused=True).step)["others"]
    assert found == {"kernels": 1, "bytes": 4 * (10 + 10 + 10 + 10)}  # torch says that it may change the gradient, too


def test_products_take_the_longer_of_operations_and_bytes():
    moved = {"products": {"bytes": 10.0}, "others": {"bytes": 4.0}}
    assert floor(moved, operations=100.0, per_second=50.0, bytes_per_second=10.0) == 2.0 + 0.4
    assert floor(moved, operations=100.0, per_second=1000.0, bytes_per_second=10.0) == 1.0 + 0.4


def test_achieved_is_operations_times_median_speed_over_the_named_ceiling():
    one = {"products": {"bytes": 4e9}, "others": {"bytes": 1e9}}
    here = {
        "ceiling": {
            "gflops": {"float32": {"matmul": 10.0}, "bfloat16": {"matmul": 40.0, "convolution": 20.0}},
            "gb_per_second": {"in memory": 10.0, "in a cache": 100.0},
        },
        "flops": {"per_step": {"engine": 2e9, "reference": 3e9}},
        "traffic": {"per_step": {"engine": one, "reference": one}},
        "speed": {"steps_per_second": {"engine": [1.0, 2.0, 30.0], "engine, compile x": [4.0], "reference": [1.0]}},
    }
    found = achieved(here, "bfloat16")
    assert found["engine"]["gflops"] == 4.0
    assert found["engine"]["share_of"] == {"matmul": 0.1, "convolution": 0.2}
    floors = {"in memory": 0.4 + 0.1, "in a cache": 0.05 + 0.01}  # bound by bytes, by operations
    assert found["engine"]["share_of_floor"] == pytest.approx({name: 2 * least for name, least in floors.items()})
    assert found["reference"]["share_of"] == {"matmul": 0.3}
    assert found["engine, compile x"]["gflops"] == 8.0  # the same operations, in the engine's precision
    assert found["engine, compile x"]["share_of"] == {"matmul": 0.2, "convolution": 0.4}
