"""A run on several ranks equals the run on one rank. The ranks are gloo processes on the CPU."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

import cudfkd
from cudfkd import ConfigError, Curriculum, losses, methods
from cudfkd.base import ranks
from cudfkd.base.batch_norm import GlobalBatchNorm
from cudfkd.base.ranks import ALONE, Ranks
from cudfkd.callbacks import Callback
from cudfkd.engine import fitting
from tests.cudfkd.engine.test_loop import networks
from tests.cudfkd.methods import tiny
from tests.processes import processes

ROOT = Path(__file__).parents[3]
STEPS = {"epochs": 2, "steps_per_epoch": 10, "round_steps": 2}
TOLERANCES = {"float32": 1e-5}  # all other runs: 1e-9
TIMED = {"seconds", "total_seconds", "peak_memory_mb"}
pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not distributed.is_gloo_available(), reason="needs gloo and signals"
)

# The runs by name: 20 steps; 8 steps for the other methods


def curriculum(**changes) -> dict:
    return {"method": "cudfkd", "curriculum": Curriculum(**changes)}


def option(method: str = "cudfkd", **options) -> dict:
    return {"method": method, "options": options}


CASES = {
    "sample": curriculum(),
    "batch": curriculum(granularity="batch"),
    "none": curriculum(granularity="none"),
    "quantile": curriculum(pace="quantile"),
    "normalized": curriculum(normalize=True),
    "agreement": option(adv_follows="agreement", adv_end=20.0),
    "average": {"method": "cudfkd", "average": 0.5},
    "pool": option(store="pool", class_entropy=20.0),
    **{
        name: {"method": name, "steps_per_epoch": 4}
        for name in methods.names()
        if methods.get(name).ABOUT.ranks and name != "cudfkd"
    },
}
FEW = ("quantile",)  # on four ranks, which one core makes slow


class Unlike(nn.Module):
    """A foreign student: smooth, a BatchNorm of each kind and momentum, and a layer that it does not use."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 3, 5, stride=2), nn.BatchNorm2d(3, momentum=None), nn.Tanh(), nn.Flatten(),
            nn.Linear(108, 12), nn.BatchNorm1d(12, affine=False), nn.Tanh(), nn.Linear(12, 10),
        )  # fmt: skip
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        return self.net(x)


def unlike() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return Unlike()


# In the processes


def outcome(run) -> dict:
    values = {f"student.{k}": v for k, v in run.student.state_dict().items()}
    if run.generator is not None:
        values |= {f"generator.{k}": v for k, v in run.generator.state_dict().items()}
    rows = [(f"{name} {row['epoch']}", value) for row in run.rows for name, value in row.items() if name not in TIMED]
    return values | {name: torch.tensor(value) for name, value in rows if value is not None}


def in_float64(method: str, student: nn.Module | None = None, **changes) -> dict:
    torch.set_default_dtype(torch.float64)
    try:
        return outcome(tiny.distill(tiny.config(method, **STEPS | changes), student))
    finally:
        torch.set_default_dtype(torch.float32)


def in_float32(**changes) -> dict:
    return outcome(tiny.distill(tiny.config("cudfkd", **STEPS | changes)))


def each(names) -> dict:
    """Outcomes of the cases by name in float64, of the foreign student, and of one case in float32."""
    outcomes = {name: in_float64(**CASES[name]) for name in names}
    if len(names) > 1:
        outcomes["unlike"] = in_float64("cudfkd", unlike().double())
    return outcomes | {"float32": in_float32(options={"loss": "kl"})}


def spoiled(case: str) -> dict:
    """A control: a run in which one quantity does not belong to the global batch."""
    entropy = losses.class_entropy
    if case == "BatchNorm":
        ranks.GlobalBatchNorm = lambda gather: nullcontext()
    elif case == "class entropy":
        losses.class_entropy = lambda t, temperature=1.0: entropy(Ranks.here().mine(t), temperature)
    elif case == "BatchNorm statistics":
        Ranks.means = lambda self, *x: x
    elif case == "gradient":
        Ranks._learning = lambda self, network: network
    elif case == "latents":
        Ranks.mine = lambda self, x: x[: len(x) // self.size]
    return in_float64("cudfkd", epochs=1, steps_per_epoch=4)


def four_epochs():
    """A run with every kind of state that a checkpoint holds."""
    torch.set_default_dtype(torch.float64)
    changes = {"curriculum": Curriculum(pace="quantile"), "options": {"store": "pool"}}
    return tiny.config("cudfkd", epochs=4, steps_per_epoch=4, round_steps=2, **changes)


def resumed(folder: Path, minutes: float | None = 1e-9) -> dict:
    """Resumes the run for one of its four epochs; with minutes=None for all epochs that are left."""
    run = tiny.distill(four_epochs(), run_dir=folder, resume=True, stop_after=minutes)
    return outcome(run) if run.summary else {"epochs": torch.tensor(len(run.rows))}


class Die(Callback):
    """Kills its process in the second epoch."""

    def before_lambda_update(self, ctx):
        if ctx.step == 6:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Path, victim: int) -> dict:
    dies = [Die()] if Ranks.here().rank == victim else []
    return outcome(tiny.distill(four_epochs(), run_dir=folder, callbacks=dies))


def given_back() -> dict:
    """The student's state after a run; it must be possible to train the student on one rank alone."""
    student = networks()[1]
    before = [(type(m), sorted(vars(m))) for m in student.modules()]
    tiny.distill(tiny.config("cudfkd"), student=student)
    assert [(type(m), sorted(vars(m))) for m in student.modules()] == before
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in student.modules())
    if Ranks.here().leads:
        student.train()(torch.rand(2, 1, 16, 16)).sum().backward()
        assert all(p.grad is not None for p in student.parameters())
    return {}


def refused(case: str) -> dict:
    rank = Ranks.here().rank
    student = nn.Sequential(nn.Flatten(), nn.Linear(256, 10 + rank)) if case == "students" else networks()[1]
    config = {
        "config": partial(tiny.config, "cudfkd", lr=0.1 + rank),
        "batch": partial(tiny.config, "cudfkd", batch_size=7),
        "method": partial(tiny.config, "cmi"),
        "one gpu": lambda: tiny.config("cudfkd").model_copy(update={"device": "cuda:0"}),
        "students": partial(tiny.config, "cudfkd"),
    }[case]()
    tiny.distill(config, student)
    return {}


def refused_folder(folder: Path) -> dict:
    tiny.distill(tiny.config("cudfkd"), run_dir=folder)
    return {}


def enter(rank: int, size: int, folder: Path, job, arguments) -> None:
    """The program of a process: it joins the other ranks, does the job and writes the outcome to a file."""
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=size, timeout=timedelta(seconds=30))
    try:
        came = job(*arguments)
    except cudfkd.CudfkdError as error:
        came = f"{type(error).__name__}: {error}"
    torch.save(came, folder / f"{rank}.pt")


@pytest.fixture
def together(tmp_path_factory):
    """together(size, job, *arguments): the outcome of each rank; None for a rank that died before it wrote one."""

    def run(size: int, job, *arguments) -> list:
        folder = tmp_path_factory.mktemp("ranks")
        begun = [processes().Process(target=enter, args=(rank, size, folder, job, arguments)) for rank in range(size)]
        for process in begun:
            process.start()
        for process in begun:
            process.join(120)
            process.kill()
        files = [folder / f"{rank}.pt" for rank in range(size)]
        return [torch.load(file) if file.exists() else None for file in files]

    return run


def furthest(first: dict, second: dict, tolerance: float) -> float:
    """The largest difference of two outcomes, as a multiple of the allowed one: tolerance, absolute and relative."""
    assert first.keys() == second.keys()
    return max(float(((second[k] - v).abs() / (tolerance + tolerance * v.abs())).max()) for k, v in first.items())


@pytest.fixture
def _float64():
    yield
    torch.set_default_dtype(torch.float32)


# N ranks give the same result as one rank


@pytest.mark.parametrize(
    ("size", "names"), [(2, tuple(CASES)), (4, FEW), pytest.param(4, tuple(CASES), marks=pytest.mark.slow)]
)
def test_ranks_give_what_one_gives(together, size, names):
    """Parameters, buffers and metrics at the end.

    They agree in float64 to 1e-9 at any settings. In float32 they agree to 1e-5 if rounding does not decide on which
    side of a kink (of |t - s|, of a ReLU) a sample lies. The settings of this test have no such sample.
    """
    alone = each(names)
    for came in together(size, each, names):
        assert came.keys() == alone.keys()
        worst = {name: furthest(alone[name], came[name], TOLERANCES.get(name, 1e-9)) for name in alone}
        assert all(value <= 1 for value in worst.values()), worst


@pytest.mark.parametrize(
    "what", ["nothing", "BatchNorm", "class entropy", "BatchNorm statistics", "gradient", "latents"]
)
def test_what_is_not_of_the_global_batch_is_seen(together, what):
    """The controls: the comparison fails if one of the global quantities is not global."""
    alone = in_float64("cudfkd", epochs=1, steps_per_epoch=4)
    assert (furthest(alone, together(2, spoiled, what)[0], 1e-9) > 1) == (what != "nothing")


def test_alone_nothing_is_done():
    x, network = torch.rand(4, 3), nn.Linear(3, 2)
    assert ALONE.mine(x) is x
    assert ALONE.gather(x) is x
    assert ALONE.means(x)[0] is x
    assert Ranks.here() is ALONE
    assert torch.equal(ALONE.run(network, x), network(x))
    assert ALONE._parallel == {}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("tracks", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
def test_batch_norm_of_one_rank_is_that_of_torch(affine, momentum, tracks, shape):
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    ours, theirs = (kind(3, 1e-3, momentum, affine, tracks).double() for _ in range(2))
    x = 3 + torch.randn(shape, dtype=torch.float64)
    for train in (True, True, False):
        x_ours, x_theirs = (x.clone().requires_grad_() for _ in range(2))
        with GlobalBatchNorm(lambda moments: moments):
            y = ours.train(train)(x_ours)
        expected = theirs.train(train)(x_theirs)
        y.square().mean(0).sum().backward()
        expected.square().mean(0).sum().backward()
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(x_ours.grad, x_theirs.grad)
        torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_the_student_comes_back_as_it_was(together):
    assert together(2, given_back) == [{}, {}]


# Resuming, on another number of ranks


@pytest.mark.usefixtures("_float64")
def test_a_run_goes_on_with_another_number_of_ranks(together, tmp_path):
    unbroken = resumed(tmp_path / "whole", None)
    folder = tmp_path / "run"
    assert resumed(folder) == {"epochs": 1}
    assert together(2, resumed, folder) == 2 * [{"epochs": 2}]
    assert together(4, resumed, folder) == 4 * [{"epochs": 3}]
    assert furthest(unbroken, resumed(folder, None), 1e-9) <= 1
    for finished in together(2, resumed, folder, None):
        assert furthest(unbroken, finished, 1e-9) <= 1


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_rank_ends_the_others_and_leaves_the_last_checkpoint(together, tmp_path, victim):
    folder, started = tmp_path / "run", time.monotonic()
    came = together(2, killed, folder, victim)
    assert time.monotonic() - started < 60
    left = 1 - victim
    kept = f"the last checkpoint in {folder} is whole, resume it, on any number of ranks"
    assert came[victim] is None
    assert came[left] == f"TrainingError: rank {left} of 2 lost another one: {kept}"
    assert furthest(resumed(tmp_path / "whole", None), resumed(folder, None), 1e-9) <= 1


# The command line, as torchrun starts it


def command(tmp_path: Path, *options: str) -> list[subprocess.Popen]:
    """`cudfkd distill` in two processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    line = [sys.executable, "-m", "cudfkd.cli", "distill", "--steps-per-epoch", "4", "--out", str(tmp_path / "run")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return [
        subprocess.Popen([*line, *options], env=shared | {"RANK": str(n), "LOCAL_RANK": str(n)}, **pipes)
        for n in range(2)
    ]


@pytest.mark.slow
def test_the_command_line_runs_on_ranks_and_the_first_speaks(tmp_path):
    both = command(tmp_path, "--epochs", "2")
    (first, errors), (second, others) = (process.communicate(timeout=200) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert (errors, second, others) == ("", "", "")
    assert [line.split()[0] for line in first.splitlines()] == ["epoch", "epoch", "accuracy", "run"]
    assert (tmp_path / "run" / "experiment.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("sent", ["SIGKILL", "SIGTERM"])
def test_the_command_line_ends_in_one_line_when_a_rank_is_lost(tmp_path, sent):
    """SIGKILL: the rank itself is lost. SIGTERM: torchrun ends the rank after it has lost another rank."""
    both = command(tmp_path, "--epochs", "1000")
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert both[0].poll() is None
        time.sleep(0.2)
    both[1 if sent == "SIGKILL" else 0].send_signal(getattr(signal, sent))
    since = time.monotonic()
    stderr = both[0].communicate(timeout=60)[1]
    both[1].communicate(timeout=60)
    assert time.monotonic() - since < 60
    kept = f"the last checkpoint in {tmp_path / 'run'} is whole, resume it, on any number of ranks"
    lost = {
        "SIGKILL": f"cudfkd: rank 0 of 2 lost another one: {kept}\n",
        "SIGTERM": "cudfkd: ended from outside, as torchrun does when it loses a rank: go on with --resume\n",
    }
    assert (both[0].returncode, stderr) == (1, lost[sent])
    assert cudfkd.load_run(tmp_path / "run").rows


# What is refused, on every rank alike


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("config", "the ranks disagree on lr: 0.1 on rank 0, 1.1 on rank 1: start all alike"),
        ("students", "the ranks disagree on 1.weight: [10, 256] on rank 0, [11, 256] on rank 1: start all alike"),
        ("batch", "batch_size = 7 is not allowed: the 2 ranks share it, so it must be a multiple of 2"),
        ("method", "method cmi runs on one rank only: start one process, or take one of cudfkd, dafl, "),
        ("one gpu", "device = 'cuda:0' is not for 2 ranks: it must be cpu, or cuda without number"),
    ],
)
def test_bad_input_is_refused_on_every_rank(together, what, line):
    for came in together(2, refused, what):
        assert came.startswith(f"ConfigError: {line}")


@pytest.mark.filterwarnings("ignore")  # a warning of torch about tracing
@pytest.mark.parametrize("how", ["traced", "torch.compile", "module.compile"])
def test_a_compiled_student_is_refused(how):
    student = networks()[1].eval()
    if how == "traced":
        student = nn.Sequential(torch.jit.trace(student, torch.rand(2, 1, 16, 16), check_trace=False))
    else:  # what the two leave on a module; compiling itself would take a minute
        setattr(student, "_orig_mod" if how == "torch.compile" else "_compiled_call_impl", student.forward)
    with pytest.raises(ConfigError, match="a compiled student is for one rank: pass the module that it was made from"):
        fitting.refuse_ranks(tiny.config("cudfkd"), student, Ranks(0, 2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_each_rank_wants_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ConfigError, match="rank 1 has no GPU of its own, this machine has 0: start as many ranks as"):
        Ranks(1, 2).device("cuda")


def test_the_folder_of_rank_0_speaks_for_all(together, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    lines = together(2, refused_folder, tmp_path)
    assert lines == 2 * [f"ConfigError: {tmp_path} holds other files: choose an empty or new folder for the run"]


def test_one_rank_takes_any_batch_and_method():
    fitting.refuse_ranks(tiny.config("cmi", batch_size=7), networks()[1], ALONE)
