"""A run on several ranks is the run on one: gloo processes on the CPU, against a process of their own."""

import multiprocessing
import os
import signal
import time
from contextlib import nullcontext
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

import cudfkd
from cudfkd import ConfigError, Curriculum, fitting, losses, methods, ranks
from cudfkd.batch_norm import GlobalBatchNorm
from cudfkd.callbacks import Callback
from cudfkd.ranks import ALONE, Ranks
from tests.cudfkd.methods import tiny
from tests.cudfkd.test_engine import networks

STEPS = {"epochs": 2, "steps_per_epoch": 10, "round_steps": 2}
TIMED = {"seconds", "total_seconds", "peak_memory_mb"}
pytestmark = pytest.mark.skipif(not distributed.is_gloo_available(), reason="torch was built without gloo")

# What is run, by name: a config, and what becomes of the student (20 steps each)


def curriculum(**changes) -> dict:
    return {"method": "cudfkd", "curriculum": Curriculum(**changes)}


def option(method: str = "cudfkd", **options) -> dict:
    return {"method": method, "options": options}


CASES = {
    "sample": curriculum(),
    "batch": curriculum(granularity="batch"),
    "none": curriculum(granularity="none"),
    "quantile": curriculum(pace="quantile"),
    "pool": option(store="pool", class_entropy=20.0),
    **{name: {"method": name} for name in methods.names() if methods.get(name).ABOUT.ranks and name != "cudfkd"},
}
FEW = ("sample", "quantile")  # on four ranks, which one core makes slow


class Unlike(nn.Module):
    """A student from elsewhere: smooth, one BatchNorm of each kind and of each momentum, a layer that takes no part."""

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


def run_case(name: str, **arguments) -> dict:
    """One case, as numbers."""
    given = dict(CASES[name])
    return outcome(tiny.distill(tiny.config(given.pop("method"), **STEPS | given), **arguments))


def outcome(run) -> dict:
    found = {f"student.{k}": v for k, v in run.student.state_dict().items()}
    if run.generator is not None:
        found |= {f"generator.{k}": v for k, v in run.generator.state_dict().items()}
    rows = {f"{k} {i}": torch.tensor(v) for i, r in enumerate(run.rows) for k, v in r.items() if k not in TIMED and v}
    return found | rows


def in_float64(name: str, **arguments) -> dict:
    torch.set_default_dtype(torch.float64)
    return run_case(name, **arguments)


def in_float32(loss: str) -> dict:
    return outcome(tiny.distill(tiny.config("cudfkd", **STEPS, options={"loss": loss})))


def each_in_float64(names) -> dict:
    return {name: in_float64(name) for name in names} | {"unlike": in_float64("sample", student=unlike())}


def spoiled(what: str) -> dict:
    """A run in which one thing is not of the global batch: the controls."""
    entropy = losses.class_entropy
    if what == "BatchNorm":
        ranks.GlobalBatchNorm = lambda gather: nullcontext()
    elif what == "class entropy":
        losses.class_entropy = lambda t, temperature=1.0: entropy(Ranks.here().mine(t), temperature)
    elif what == "BatchNorm statistics":
        Ranks.means = lambda self, *x: x
    elif what == "gradient":
        Ranks._learning = lambda self, network: network
    elif what == "latents":
        Ranks.mine = lambda self, x: x[: len(x) // self.size]
    return in_float64("sample")


def resumed(folder: Path, minutes: float | None = 1e-9, **changes) -> dict | None:
    """One epoch of a run of four, or its last one when there is time."""
    torch.set_default_dtype(torch.float64)
    config = tiny.config("cudfkd", epochs=4, steps_per_epoch=4, round_steps=2, **changes)
    run = tiny.distill(config, run_dir=folder, resume=True, stop_after=minutes)
    return outcome(run) if run.summary else {"epochs": torch.tensor(len(run.rows))}


class Die(Callback):
    """A process that is killed in its second epoch."""

    def before_lambda_update(self, ctx):
        if ctx.step == 6:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Path, victim: int) -> dict:
    torch.set_default_dtype(torch.float64)
    config = tiny.config("cudfkd", epochs=4, steps_per_epoch=4, round_steps=2)
    return outcome(tiny.distill(config, run_dir=folder, callbacks=[Die()] if Ranks.here().rank == victim else []))


def given_back() -> dict:
    """What a student is after a run, and whether it can be trained alone: no other rank takes part in it."""
    student = networks()[1]
    before = [(type(m), sorted(vars(m))) for m in student.modules()]
    tiny.distill(tiny.config("cudfkd"), student=student)
    assert [(type(m), sorted(vars(m))) for m in student.modules()] == before
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in student.modules())
    if Ranks.here().leads:
        student.train()(torch.rand(2, 1, 16, 16)).sum().backward()
        assert all(p.grad is not None for p in student.parameters())
    return {}


def refused(what: str) -> dict:
    rank = Ranks.here().rank
    student = nn.Sequential(nn.Flatten(), nn.Linear(256, 10 + rank)) if what == "students" else networks()[1]
    config = {
        "config": partial(tiny.config, "cudfkd", lr=0.1 + rank),
        "batch": partial(tiny.config, "cudfkd", batch_size=7),
        "method": partial(tiny.config, "cmi"),
        "mps": lambda: tiny.config("cudfkd").model_copy(update={"device": "cuda:0"}),
        "gpus": lambda: tiny.config("cudfkd").model_copy(update={"device": "cuda"}),
        "compiled": partial(tiny.config, "cudfkd"),
        "students": partial(tiny.config, "cudfkd"),
    }[what]()
    tiny.distill(config, student=torch.jit.script(student) if what == "compiled" else student)
    return {}


def refused_folder(folder: Path) -> dict:
    tiny.distill(tiny.config("cudfkd"), run_dir=folder)
    return {}


def enter(rank: int, size: int, folder: Path, job, arguments) -> None:
    """A process's whole life: joins the others, does the job, leaves what came out of it."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=size, timeout=timedelta(seconds=30))
    try:
        came = job(*arguments)
    except cudfkd.CudfkdError as error:
        came = f"{type(error).__name__}: {error}"
    torch.save(came, folder / f"{rank}.pt")


@cache
def processes():
    """Processes that begin with torch imported, and with nothing of this one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", __name__])
    return context


@pytest.fixture
def together(tmp_path_factory):
    """together(size, job, *arguments): what came out on each rank; None of one that did not live to tell."""

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


def furthest(one: dict, other: dict, tolerance: float) -> float:
    """The largest difference of two outcomes, in units of what is allowed: tolerance, absolute and relative."""
    assert one.keys() == other.keys()
    return max(float(((other[k] - v).abs() / (tolerance + tolerance * v.abs())).max()) for k, v in one.items())


@pytest.fixture
def _float64():
    yield
    torch.set_default_dtype(torch.float32)


# N ranks are one


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(
    ("size", "names"), [(2, tuple(CASES)), (4, FEW), pytest.param(4, tuple(CASES), marks=pytest.mark.slow)]
)
def test_ranks_give_what_one_gives(together, size, names):
    """Parameters, buffers and metrics after 20 steps in float64, at the learning rates of a run."""
    alone = each_in_float64(names)
    for came in together(size, each_in_float64, names):
        assert {name: furthest(alone[name], came[name], 1e-9) for name in alone if True} == pytest.approx(
            dict.fromkeys(alone, 0), abs=1
        )


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_give_what_one_gives_in_single_precision(together, size):
    """To 1e-5, where no sample lies so near a kink (of |t - s|, of a ReLU) that rounding decides on its side."""
    alone = in_float32("kl")
    for came in together(size, in_float32, "kl"):
        assert furthest(alone, came, 1e-5) <= 1


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(
    "what", ["nothing", "BatchNorm", "class entropy", "BatchNorm statistics", "gradient", "latents"]
)
def test_what_is_not_of_the_global_batch_is_seen(together, what):
    """The controls: each thing that is made global is missed when it is not."""
    alone = in_float64("sample")
    assert (furthest(alone, together(2, spoiled, what)[0], 1e-5) > 1) == (what != "nothing")


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
        one, other = (x.clone().requires_grad_() for _ in range(2))
        with GlobalBatchNorm(lambda moments: moments):
            found = ours.train(train)(one)
        expected = theirs.train(train)(other)
        found.square().mean(0).sum().backward()
        expected.square().mean(0).sum().backward()
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(one.grad, other.grad)
        torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_the_student_comes_back_as_it_was(together):
    assert together(2, given_back) == [{}, {}]


# Resuming, on another number of ranks


@pytest.mark.usefixtures("_float64")
def test_a_run_goes_on_with_another_number_of_ranks(together, tmp_path):
    whole = resumed(tmp_path / "whole", None)
    folder = tmp_path / "run"
    assert resumed(folder) == {"epochs": 1}
    assert together(2, resumed, folder) == 2 * [{"epochs": 2}]
    assert together(4, resumed, folder) == 4 * [{"epochs": 3}]
    assert furthest(whole, resumed(folder, None), 1e-9) <= 1
    for finished in together(2, resumed, folder, None):
        assert furthest(whole, finished, 1e-9) <= 1


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


# What is refused, on every rank alike


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("config", "the ranks disagree on lr: 0.1 on rank 0, 1.1 on rank 1: start all alike"),
        ("students", "the ranks disagree on 1.weight: [10, 256] on rank 0, [11, 256] on rank 1: start all alike"),
        ("batch", "batch_size = 7 is not allowed: the 2 ranks share it, so it must be a multiple of 2"),
        ("method", "method cmi runs on one rank only: start one process, or take one of cudfkd, dafl, "),
        ("mps", "device = 'cuda:0' is not for 2 ranks: it must be cpu, or cuda without number"),
        ("compiled", "a compiled student is for one rank: pass the module that it was made from"),
    ],
)
def test_bad_input_is_refused_on_every_rank(together, what, line):
    for came in together(2, refused, what):
        assert came.startswith(f"ConfigError: {line}")


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
