"""torch.compile: the same student up to rounding, and a run that goes on where it fails."""

import shutil
import warnings

import pytest
import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

import cudfkd
from cudfkd.compiling import Compiled
from tests.cudfkd.test_engine import config, networks

compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")


@pytest.fixture
def no_compiler(monkeypatch):
    """torch.compile as it is where it fails: at the first call."""

    def compile(network, **_):
        def fail(_):
            compile.calls += 1
            raise TorchDynamoException("no compiler\nlong story")

        compile.calls = 0
        return fail

    monkeypatch.setattr(torch, "compile", compile)
    return compile


def test_a_failure_falls_back_with_one_warning(no_compiler):
    network = nn.Linear(2, 3)
    forward, x = Compiled(network, "default"), torch.randn(4, 2)
    with pytest.warns(UserWarning, match=r"^torch.compile failed \(no compiler\): Linear runs as it is, and slower$"):
        assert torch.equal(forward(x), network(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(forward(x), network(x))
    assert no_compiler.calls == 1


def test_outputs_of_cuda_graphs_are_kept_apart():
    y = torch.zeros(2)
    for mode, same in (("reduce-overhead", False), ("default", True)):
        forward = Compiled(nn.Linear(2, 3), mode)
        forward._forward = lambda _: y
        assert (forward(torch.randn(4, 2)) is y) == same


def test_other_errors_are_not_swallowed():
    forward = Compiled(nn.Linear(2, 3), "default")
    forward._forward = lambda _: (_ for _ in ()).throw(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        forward(torch.randn(4, 2))


@pytest.mark.filterwarnings("ignore:torch.compile failed")
def test_a_run_that_cannot_be_compiled_gives_the_plain_student(no_compiler):
    plain, fallen = (cudfkd.distill(*networks(), config(compile=mode)).student for mode in ("off", "default"))
    for one, other in zip(plain.state_dict().values(), fallen.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@compiler
def test_a_compiled_run_gives_the_plain_student_up_to_rounding():
    plain, fast = (cudfkd.distill(*networks(), config(epochs=1, compile=mode)).student for mode in ("off", "default"))
    for one, other in zip(plain.state_dict().values(), fast.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
