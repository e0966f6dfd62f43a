"""Shares of a device's ceilings."""

import pytest

from benchmarks.achieved import achieved


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
