"""torch.compile: it gives the same student up to rounding, and a run goes on where compiling fails."""

import shutil
import warnings
from subprocess import CalledProcessError

import jaxtyping
import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._functorch import config as functorch

import cudfkd
from cudfkd import ConfigError, methods
from cudfkd.models.compiling import Compiled
from tests.cudfkd.engine.test_loop import config, networks, same
from tests.cudfkd.methods import tiny


@pytest.fixture(autouse=True)
def _no_checks_of_shapes():
    """Turns the checks of shapes off: torch.compile would not compile code with them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")


@pytest.fixture
def no_compiler(monkeypatch):
    """A torch.compile that fails at the first call, as the real one does."""

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
    forward, x = Compiled(network, "default", []), torch.randn(4, 2)
    line = r"^torch.compile failed \(no compiler\): Linear runs as it is, and slower; so does every"
    with pytest.warns(UserWarning, match=line):
        assert torch.equal(forward(x), network(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(forward(x), network(x))
    assert no_compiler.calls == 1


def test_a_run_warns_once_whatever_fails(no_compiler):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            cudfkd.distill(*networks(), config(compile="default"))
    failures = [str(warning.message) for warning in caught if "torch.compile failed" in str(warning.message)]
    assert len(failures) == 2  # one a run
    assert failures[0].startswith("torch.compile failed (no compiler): Generator runs as it is")


def failing(network: nn.Module, error: BaseException) -> Compiled:
    forward = Compiled(network, "default", [])
    forward._forward = lambda _: (_ for _ in ()).throw(error)
    return forward


FAILURES = [
    TorchDynamoException("no room"),
    FailOnRecompileLimitHit("no room"),
    RuntimeError("Failed to find C compiler: no room"),
    PermissionError(13, "no room", "/tmp/torchinductor"),
    CalledProcessError(1, "gcc, no room"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_whatever_the_compiler_raises_is_a_failure(error):
    network, x = nn.Linear(2, 3), torch.randn(4, 2)
    with pytest.warns(UserWarning, match="no room"):
        assert torch.equal(failing(network, error)(x), network(x))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        MemoryError(),
        ConfigError("no"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_memory_that_runs_out_is_none_and_neither_are_our_lines(error):
    with pytest.raises(type(error)) as caught:
        failing(nn.Linear(2, 3), error)(torch.randn(4, 2))
    assert caught.value is error


@pytest.mark.filterwarnings("error")
def test_a_networks_own_error_comes_out_as_itself():
    class Own(nn.Module):
        def forward(self, x):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        failing(Own(), TorchDynamoException("ValueError: mine"))(torch.randn(4, 2))
    assert caught.value.__context__ is None


def refuse(*_, **__):
    raise AssertionError("not again")


@pytest.mark.filterwarnings("ignore:.*deprecated", "error:torch.compile failed")  # of torch, and of ours
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("by", ["torch.compile", "TorchScript"])
def test_what_is_compiled_already_runs_as_it_is(by, nested, monkeypatch):
    network, x = nn.Linear(2, 3), torch.randn(4, 2)
    compiled = torch.jit.trace(network, x) if by == "TorchScript" else torch.compile(network, backend="eager")
    compiled = nn.Sequential(compiled) if nested else compiled
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", refuse)
        y = Compiled(compiled, "default", [])(x)
    assert torch.equal(y, network(x))


def test_outputs_of_cuda_graphs_are_kept_apart():
    y = torch.zeros(2)
    for mode, kept in (("reduce-overhead", False), ("default", True)):
        forward = Compiled(nn.Linear(2, 3), mode, [])
        forward._forward = lambda _: (y, [y])
        first, (second,) = forward(torch.randn(4, 2))
        assert (first is y, second is y) == (kept, kept)


@pytest.mark.filterwarnings("ignore:torch.compile failed")
def test_a_run_that_cannot_be_compiled_gives_the_plain_student(no_compiler):
    plain, fallen = (cudfkd.distill(*networks(), config(compile=mode)).student for mode in ("off", "default"))
    assert same(plain, fallen)


@pytest.mark.skipif(not hasattr(functorch, "force_non_lazy_backward_lowering"), reason="torch 2.6 does it later")
def test_a_backward_pass_that_cannot_be_compiled_falls_back_too(monkeypatch):
    compile = torch.compile

    def no_backward(*_):
        raise RuntimeError("no room for a backward pass")

    backend = aot_autograd(fw_compiler=lambda graph, _: graph, bw_compiler=no_backward)
    monkeypatch.setattr(torch, "compile", lambda network, mode, **how: compile(network, backend=backend, **how))
    plain = cudfkd.distill(*networks(), config()).student
    with pytest.warns(UserWarning, match=r"torch.compile failed .* runs as it is"):
        fallen = cudfkd.distill(*networks(), config(compile="default")).student
    assert same(plain, fallen)


@pytest.fixture
def same_operations(monkeypatch):
    """torch.compile looks into networks as it always does, and then does their operations as they are. What it saw."""
    compile, seen = torch.compile, []

    def looked_into(network, mode, **how):
        seen.append(type(network).__name__)
        return compile(network, backend="aot_eager", **how)

    monkeypatch.setattr(torch, "compile", looked_into)
    return seen


@pytest.mark.filterwarnings("error:torch.compile failed")  # which would be the plain run
@pytest.mark.parametrize("method", methods.names())
def test_every_method_gives_the_same_student_compiled(method, same_operations):
    """The students would differ if compiled code missed a hook, a mode or a gradient."""
    plain, fast = (tiny.distill(tiny.config(method, compile=mode)).student for mode in ("off", "default"))
    assert same(plain, fast)
    assert same_operations


@pytest.mark.filterwarnings("error:torch.compile failed")  # which would be the plain run
def test_the_generators_step_is_compiled(same_operations):
    cudfkd.distill(*networks(), config(compile="default"))
    assert sorted(same_operations) == ["BatchNormStatistics", "Generator", "LeNet5", "LeNet5"]


@pytest.mark.slow
@compiler
def test_a_compiled_run_gives_the_plain_student_up_to_rounding():
    plain, fast = (cudfkd.distill(*networks(), config(epochs=1, compile=mode)).student for mode in ("off", "default"))
    for first, second in zip(plain.state_dict().values(), fast.state_dict().values(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)
