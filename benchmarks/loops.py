"""The engine and the reference loop on one footing: what is run, how fast, with how many operations, in what memory."""

import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import active_children, get_context
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import cudfkd
from analysis.origin import commit
from benchmarks import reference
from benchmarks.traffic import Traffic
from cudfkd import DistillConfig, models
from cudfkd.runs.metrics import peak_memory_mb

C = TypeVar("C", bound=TorchDispatchMode)
R = TypeVar("R")
EPOCHS = 4  # of a timed run; its first warms up and does not count


@dataclass(frozen=True)
class Pair:
    """Networks, the shape of their images, and a config's values that go with them."""

    teacher: str
    student: str
    channels: int
    image_size: int
    values: dict = field(default_factory=dict)


PUBLISHED = {  # the sizes of the authors' scripts
    "round_steps": 10,
    "options": {"latent_dim": 512, "generator_width": 64, "generator_lr": 1e-3},
}
PAIRS = {
    "lenet5": Pair("lenet5", "lenet5-half", 1, 28),  # with the defaults, which were chosen for it
    "lenet5-paper": Pair("lenet5", "lenet5-half", 1, 28, PUBLISHED),
    "wrn-16-1": Pair("wrn-16-1", "wrn-16-1", 3, 32, PUBLISHED),
    "resnet34": Pair("resnet34", "resnet18", 3, 32, PUBLISHED),  # their largest: for a GPU
}
SMALL = ("lenet5", "lenet5-paper", "wrn-16-1")  # pairs that a CPU can be asked for


@dataclass(frozen=True)
class Setting:
    """What is run, and where. The reference loop is in float32, and not compiled, whatever is asked of the engine."""

    pair: str
    device: str = "cpu"
    precision: str = "float32"
    batch_size: int = 64
    compile: str = "off"

    @property
    def round_steps(self) -> int:
        return self.config(1).round_steps

    def config(self, rounds: int, epochs: int = EPOCHS, **engine: str) -> DistillConfig:
        """A run of so many rounds an epoch; what of precision and compile is named is the engine's."""
        pair = PAIRS[self.pair]
        published = {"round_steps": 2} | pair.values
        return DistillConfig(
            epochs=epochs, steps_per_epoch=rounds * published["round_steps"], batch_size=self.batch_size,
            device=self.device, image_size=pair.image_size, channels=pair.channels, **published, **engine,
        )  # fmt: skip

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """A teacher and a student, both untrained, which take as long as trained ones."""
        pair = PAIRS[self.pair]
        teacher, student = (
            models.build(name, 10, pair.channels, pair.image_size, seed)
            for seed, name in enumerate((pair.teacher, pair.student))
        )
        return teacher, student


def engine(setting: Setting, rounds: int, epochs: int = EPOCHS) -> list[float]:
    """Seconds of each epoch of a run of ours, its metrics and checkpoints not counted."""
    config = setting.config(rounds, epochs, precision=setting.precision, compile=setting.compile)
    run = cudfkd.distill(*setting.networks(), config)
    return [float(row["seconds"] or 0.0) for row in run.rows]


def plain(setting: Setting, rounds: int, epochs: int = EPOCHS) -> list[float]:
    """Seconds of each epoch of the reference loop."""
    return [row.seconds for row in reference.distill(*setting.networks(), setting.config(rounds, epochs))]


def frozen(setting: Setting, rounds: int, epochs: int = EPOCHS) -> list[float]:
    """Likewise, without the gradients that nobody uses."""
    rows = reference.distill(*setting.networks(), setting.config(rounds, epochs), frozen=True)
    return [row.seconds for row in rows]


LOOPS: Mapping[str, Callable[..., list[float]]] = {"engine": engine, "reference": plain, "reference, frozen": frozen}


def rounds_of(setting: Setting, seconds: float) -> int:
    """How many rounds the engine does in so many seconds, 1 at least."""
    return max(1, round(seconds / engine(setting, 1, 2)[-1]))


def in_turn(
    setting: Setting, names: Sequence[str], rounds: int, repeats: int, epochs: int = EPOCHS
) -> dict[str, list[float]]:
    """Student steps a second of each loop, one after the other, to and fro, so that a slow minute meets all of them.

    Each time in a process of its own, as a user starts it: how long a loop waits for memory depends on what the
    process's allocator has kept of those before.
    """
    rates: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        for name in names if repeat % 2 == 0 else reversed(names):
            seconds = alone(LOOPS[name], setting, rounds, epochs)[1:]
            rates[name].append(len(seconds) * rounds * setting.round_steps / sum(seconds))
    return rates


def ratios(rates: Mapping[str, Sequence[float]], over: str) -> dict[str, float]:
    """How many times as fast as the loop `over` the engine is: of each repeat, then their median and extremes."""
    found = [fast / slow for fast, slow in zip(rates["engine"], rates[over], strict=True)]
    return {"median": median(found), "lowest": min(found), "highest": max(found), "n": len(found)}


def flops(setting: Setting, name: str) -> float:
    """Floating-point operations of a student step, its share of the generator's included, as torch counts them.

    Matrix products and convolutions count, forward and backward; all else does not. They are counted on the CPU, at a
    batch of 2, of which a larger one is a multiple.
    """
    small = replace(setting, device="cpu", precision="float32", batch_size=2)
    one, two = (counter.get_total_flops() for counter in _counted(small, name, lambda: FlopCounterMode(display=False)))
    return (two - one) / setting.round_steps * setting.batch_size / 2


def moved(setting: Setting, name: str) -> dict[str, dict[str, float]]:
    """Kernels and bytes of a student step, its share of the generator's included: see `benchmarks.traffic`."""
    one, two = (counter.kinds for counter in _counted(setting, name, Traffic))
    return {
        kind: {what: (two[kind][what] - once) / setting.round_steps for what, once in of.items()}
        for kind, of in one.items()
    }


def _counted(setting: Setting, name: str, new: Callable[[], C]) -> list[C]:
    """Counters of runs of one epoch, of one and of two rounds: the difference leaves out what is done once an epoch."""
    counters = []
    for rounds in (1, 2):
        with new() as counter:
            LOOPS[name](replace(setting, compile="off"), rounds, 1)
        counters.append(counter)
    return counters


def memory(setting: Setting, name: str) -> dict[str, float | None]:
    """MB taken at most, in a process of its own: of the GPU's tensors, or resident; `before`: with nothing run yet."""
    return alone(_memory, setting, name)


def alone(function: Callable[..., R], *arguments: object) -> R:
    """What a function returns in a new process of its own; both, and its arguments, can be pickled."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        ours = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the process takes over: this one tells of Ctrl-C
        try:
            found = pool.submit(function, *arguments)
        finally:
            signal.signal(signal.SIGINT, ours)
        try:
            return found.result()
        except KeyboardInterrupt:
            for child in active_children():
                child.terminate()
            raise


def timed(setting: Setting, name: str, rounds: int) -> dict[str, Any]:
    """Student steps a second of each epoch but the first, and MB as `memory` has them: for `alone`.

    With them, what was warned of, if anything: that a network was not compiled, say.
    """
    before = _peak_mb(setting.device)
    with warnings.catch_warnings(record=True) as warned:
        seconds = LOOPS[name](setting, rounds)[1:]
    rates = [rounds * setting.round_steps / one for one in seconds]
    found = {"steps_per_second": rates, "mb": {"before": before, "peak": _peak_mb(setting.device)}}
    return found | {"warnings": [str(one.message) for one in warned]} if warned else found


def _memory(setting: Setting, name: str) -> dict[str, float | None]:
    before = _peak_mb(setting.device)
    LOOPS[name](setting, 1, 2)
    return {"before": before, "peak": _peak_mb(setting.device)}


def stamp() -> dict[str, Any]:
    """What a measurement was made with."""
    return {"torch": torch.__version__, "tf32": torch.backends.cudnn.allow_tf32, "commit": commit()}


def _peak_mb(device: str) -> float | None:
    """As metrics have it; but Linux starts a process's count at the peak of the one that started it, save in this."""
    status = Path("/proc/self/status")
    if device.startswith("cuda") or not status.exists():
        return peak_memory_mb(torch.device(device))
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
