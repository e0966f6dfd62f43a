"""Whole runs of CMI, DeepInversion and Fast-DFKD against their twins, in float64."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import nn

import cudfkd
from cudfkd import DistillConfig
from cudfkd.engine.run import Run
from tests.cudfkd.engine.test_loop import networks
from tests.cudfkd.methods import twins_of_images
from tests.cudfkd.methods.test_twins import farthest
from tests.cudfkd.methods.tiny import config
from tests.cudfkd.methods.twin import Start
from tests.cudfkd.methods.twin_of_images import ImageTwin

TOLERANCE = 1e-9  # rounding leaves 1e-12; a difference of one byte in the pool leaves 1e-3
CASES = {
    "cmi": {"inner_steps": None},
    "deepinversion": {"inner_steps": None},
    "fast-dfkd": {"inner_steps": 5, "warmup": 2},
}
FAULTS = {
    "cmi": [
        "positives that learn",
        "anchors and positives exchanged",
        "no bank",
        "adversary of all images",
        "losses of the uncropped image",
        "betas of the generator for the head",
        "the last batch",
    ],
    "deepinversion": ["TV without diagonals", "TV after the jitter", "true JS", "betas of CMI", "the last batch"],
    "fast-dfkd": [
        "no averages",
        "meta step without the sum",
        "no views",
        "adversary of all images",
        "warm-up without adversary",
        "no reset",
        "scales around 1",
        "reset of Adam, too",
        "the last batch",
    ],
}


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def sure_networks() -> tuple[nn.Module, nn.Module]:
    """A teacher and a student with sharp predictions, which often agree. So the losses of the adversary count."""
    pair = networks()
    for network, factor in zip(pair, (40, 8), strict=True):
        last = network.classifier[-1]
        with torch.no_grad():
            last.weight *= factor
            last.bias[0] += 3
    return pair


@cache
def run_of(method: str) -> tuple[DistillConfig, Run, Start]:
    """A run of four rounds in float64, and the networks from which it started."""
    sizes = {"steps_per_epoch": 12, "round_steps": 6, "batch_size": 12, "options": deepcopy(CASES[method])}
    c = config(method, mean=(0.3,), std=(0.4,), seed=3, **sizes)
    start = Start()
    return c, cudfkd.distill(*sure_networks(), c, callbacks=[start]), start


def twin_of(method: str, fault: str = "") -> ImageTwin:
    """The twin of the run, after its last step."""
    c, _, start = run_of(method)
    with torch.random.fork_rng():
        twin = ImageTwin(c, sure_networks()[0], start, fault)
        getattr(twins_of_images, method.replace("-", "_"))(twin)
    return twin


@pytest.mark.parametrize("method", CASES)
def test_a_run_is_its_twin(method):
    c, run, start = run_of(method)
    twin = twin_of(method)
    assert twin.step == c.epochs * c.steps_per_epoch
    assert farthest(run.student, twin.student) < TOLERANCE
    assert farthest(run.student, start.student) > 1e-3  # the student has moved
    if run.generator is not None:
        # The authors of CMI keep the generator's averages of BatchNorm, which make no image.
        assert farthest(run.generator, twin.networks["generator"], buffers=method != "cmi") < TOLERANCE


@pytest.mark.parametrize(
    ("method", "fault"), [(method, fault) for method, faults in FAULTS.items() for fault in faults]
)
def test_the_comparison_notices(method, fault):
    assert farthest(run_of(method)[1].student, twin_of(method, fault).student) > 1e4 * TOLERANCE
