"""Whole runs of every method against its twin, in float64: equal to rounding, and far apart where the twin is wrong."""

from copy import deepcopy
from functools import cache
from math import log

import pytest
import torch
from torch import Tensor, nn

from cudfkd import Curriculum, DistillConfig
from cudfkd.engine.run import Run
from tests.cudfkd.engine.test_loop import held_out, networks
from tests.cudfkd.methods import twins
from tests.cudfkd.methods.tiny import config, distill
from tests.cudfkd.methods.twin import Start, Twin

TOLERANCE = 1e-9

IN_BASE_10 = {"class_entropy": 5 / log(10)}  # the weight 2.17 of the default is this number, rounded
CASES = {
    "cudfkd": {"epochs": 6, "steps_per_epoch": 4},
    "cudfkd, a weight a batch": {"epochs": 6, "steps_per_epoch": 4, "curriculum": Curriculum(granularity="batch")},
    "dfq": {"steps_per_epoch": 20},
    "dafl": {
        "steps_per_epoch": 8,
        "options": IN_BASE_10 | {"activation": 0.1},
    },  # the authors' weights, not our defaults
    "dfad": {"steps_per_epoch": 15},
    "zskt": {"steps_per_epoch": 20, "lr": 0.01},
    "zskt, all clipped": {"steps_per_epoch": 20, "options": {"clip": 0.01}},
    "mb-dfkd": {"steps_per_epoch": 20, "options": IN_BASE_10},
    "pre-dfkd": {"steps_per_epoch": 20, "options": IN_BASE_10 | {"replay_entropy": 5 / log(10)}},
    "kd": {"steps_per_epoch": 8},
    "noise": {"steps_per_epoch": 8},
    "scratch": {"steps_per_epoch": 8},
}
FAULTS = {
    "cudfkd": ["images of train mode", "student in train mode", "all samples"],
    "dfq": ["images of train mode", "student in train mode", "betas of the default", "teacher without gradient"],
    "dafl": ["images after the step", "no activation"],
    "dfad": ["images of eval mode", "student in eval mode", "teacher without gradient"],
    "zskt": ["images of eval mode", "student in eval mode", "new latents", "no clipping"],
    "zskt, all clipped": ["no clipping"],
    "mb-dfkd": ["images of eval mode", "student in eval mode", "gradient through the teacher", "no bank"],
    "pre-dfkd": [
        "student in eval mode",
        "gradient through the teacher",
        "latents as they are",
        "decoder in train mode",
        "decoder's gradient set to 0",
    ],
    "kd": ["temperature 1", "no mirror"],
    "noise": ["no clipping"],
    "scratch": ["no mirror"],
}


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@cache
def run_of(case: str) -> tuple[DistillConfig, Run, Start]:
    """A run in float64, and the networks from which it started."""
    c = config(case.split(",")[0], batch_size=12, mean=(0.3,), std=(0.4,), seed=3, **deepcopy(CASES[case]))
    start = Start()
    return c, distill(c, callbacks=[start]), start


def twin_of(case: str, fault: str = "") -> Twin:
    """The twin of the run, after its last step."""
    c, _, start = run_of(case)
    twin = Twin(c, networks()[0], start, fault)
    loop = getattr(twins, c.method.replace("-", "_"))
    if c.method in ("kd", "scratch"):
        pixels, labels = held_out().tensors
        loop(twin, (pixels * 255).round().float().div(255).double(), labels)
    else:
        loop(twin)
    return twin


def values(network: nn.Module, *, buffers: bool = True) -> list[Tensor]:
    """Weights, and the averages of BatchNorm."""
    if not buffers:
        return [value.detach() for value in network.parameters()]
    return [value for value in network.state_dict().values() if value.is_floating_point()]


def farthest(ours: nn.Module, theirs: nn.Module, *, buffers: bool = True) -> float:
    """Largest difference of the weights."""
    pairs = zip(values(ours, buffers=buffers), values(theirs, buffers=buffers), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_its_twin(case):
    c, run, start = run_of(case)
    twin = twin_of(case)
    assert twin.step == c.epochs * c.steps_per_epoch
    assert farthest(run.student, twin.student) < TOLERANCE
    assert farthest(run.student, start.student) > 1e-3  # the student has moved
    if run.generator is not None:
        # The authors of ZSKT make the batch again for each student step. So only the averages of BatchNorm differ.
        assert farthest(run.generator, twin.generator, buffers=c.method != "zskt") < TOLERANCE


@pytest.mark.parametrize(("case", "fault"), [(case, fault) for case, faults in FAULTS.items() for fault in faults])
def test_the_comparison_notices(case, fault):
    assert farthest(run_of(case)[1].student, twin_of(case, fault).student) > 1e4 * TOLERANCE
