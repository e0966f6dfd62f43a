"""Tests that need a GPU: every path gives the same student, no step waits for the GPU, and memory runs out."""

import copy
from collections.abc import Iterator

import jaxtyping
import pytest
import torch
from torch import nn

import cudfkd
from benchmarks import reference
from cudfkd import ConfigError, DistillConfig, models
from cudfkd.callbacks import Callback
from cudfkd.models.folding import folded
from tests.cudfkd.engine.test_loop import config, networks
from tests.cudfkd.models.test_folding import left, trained

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("error:torch.compile failed"),  # which would be the plain run
]
DEVICE = "cuda"
COMPILED = ["default", "reduce-overhead"]


@pytest.fixture(autouse=True)
def _no_checks_of_shapes():
    """Turns the checks of shapes off: torch.compile would not compile code with them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def _whole_float32(monkeypatch):
    """Turns TF32 off. The test sets the older option name, because compilers read it."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def here(**changes) -> DistillConfig:
    """Two epochs of four steps, with an adversary."""
    return config(**{"device": DEVICE, "lr": 0.01, "options": {"adv_start": 1.0, "adv_end": 2.0}} | changes)


def by_reference(teacher: nn.Module, student: nn.Module, c: DistillConfig) -> nn.Module:
    reference.distill(teacher, student, c)
    return student


def by_engine(teacher: nn.Module, student: nn.Module, c: DistillConfig) -> nn.Module:
    return cudfkd.distill(teacher, student, c).student


def distances(one, other, **changes) -> Iterator[float]:
    """Distances of the students of two loops, as a share of the distance that the first student moved.

    The second loop has a changed config. There is a distance for each of three seeds: with some seeds a sample lies at
    a kink (of |t - s|, of a ReLU), where rounding decides.
    """
    teacher, start = networks()
    for seed in range(3):
        ways = [
            weights(loop(copy.deepcopy(teacher), copy.deepcopy(start), c)) - weights(start)
            for loop, c in ((one, here(seed=seed)), (other, here(seed=seed, **changes)))
        ]
        yield float((ways[0] - ways[1]).norm() / ways[0].norm())


def weights(network: nn.Module) -> torch.Tensor:
    """All weights of a network in one vector."""
    return torch.cat([parameter.detach().cpu().flatten() for parameter in network.parameters()])


@pytest.mark.usefixtures("_whole_float32")
def test_the_engine_is_the_reference_loop():
    assert any(distance < 1e-3 for distance in distances(by_reference, by_engine))


@pytest.mark.usefixtures("_whole_float32")
def test_one_per_cent_of_the_learning_rate_is_seen():
    """The control: a change of the learning rate by one per cent changes the student."""
    assert all(distance > 5e-3 for distance in distances(by_reference, by_engine, lr=0.0101))


@pytest.mark.usefixtures("_whole_float32")
@pytest.mark.parametrize("mode", COMPILED)
def test_compiled_it_gives_the_plain_student(mode):
    assert any(distance < 1e-3 for distance in distances(by_engine, by_engine, compile=mode))


@pytest.mark.parametrize(("precision", "compiled"), [("float32", "off"), ("bfloat16", "off"), ("float32", "default")])
def test_an_epoch_never_waits_for_it(precision, compiled):
    ended = []

    class Scope(Callback):
        def before_epoch(self, ctx):
            self.steps = 0
            if ctx.epoch == 2:  # earlier epochs choose kernels and compile
                torch.cuda.set_sync_debug_mode("error")

        def after_lambda_update(self, ctx):
            self.steps += 1
            if ctx.epoch == 2 and self.steps == ctx.config.steps_per_epoch:
                with pytest.raises(RuntimeError, match="synchronizing"):  # the control: a read is an error
                    float(torch.zeros(1, device=ctx.device))
                torch.cuda.set_sync_debug_mode("default")
                ended.append(ctx.step)

    try:
        c = here(epochs=3, precision=precision, compile=compiled)
        cudfkd.distill(*networks(), c, callbacks=[Scope()])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ended == [12]


def test_folding_is_on_with_tf32():
    network = trained(models.build("resnet18", 10, 3, 32, seed=1)).to(DEVICE)
    probe = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    assert torch.backends.cudnn.allow_tf32
    fast = folded(network, probe)
    assert left(fast) == 0
    with torch.no_grad():
        exact = (copy.deepcopy(network_copy).double()(probe.double()) for network_copy in (fast, network))
        torch.testing.assert_close(*exact, rtol=1e-5, atol=1e-4)


@pytest.fixture
def _a_gigabyte():
    """Limits the memory to a gigabyte, so that the test is short on any GPU."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1e9) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("_a_gigabyte")
def test_a_batch_that_does_not_fit_is_a_line():
    with pytest.raises(ConfigError, match=rf"^out of memory on {DEVICE}: batch_size = 1048576 does not fit, \d+ does$"):
        cudfkd.distill(*networks(), here(batch_size=2**20))
