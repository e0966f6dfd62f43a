"""The engine and the plain loop side by side: the networks they run, their speed, their operations, their memory."""

import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import active_children, get_context
from pathlib import Path
from statistics import harmonic_mean, median
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import cudfkd
from benchmarks import reference
from benchmarks.ceilings import Traffic
from cudfkd import DistillConfig, models
from cudfkd.runs.metrics import peak_memory_mb

C = TypeVar("C", bound=TorchDispatchMode)
R = TypeVar("R")
EPOCHS = 4  # of a timed run; its first warms up and does not count


@dataclass(frozen=True)
class Networks:
    """Teacher and student by name, the shape of their images, and a config's values that go with them."""

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
    "lenet5": Networks("lenet5", "lenet5-half", 1, 28),  # with the defaults, which were chosen for it
    "lenet5-paper": Networks("lenet5", "lenet5-half", 1, 28, PUBLISHED),
    "wrn-16-1": Networks("wrn-16-1", "wrn-16-1", 3, 32, PUBLISHED),
    "resnet34": Networks("resnet34", "resnet18", 3, 32, PUBLISHED),  # the authors' largest, for a GPU
}
SMALL = ("lenet5", "lenet5-paper", "wrn-16-1")  # pairs that a CPU can train


@dataclass(frozen=True)
class Setting:
    """Which networks run, on which device, and how.

    `precision` and `compile` are the engine's. The plain loop is always in float32 and never compiled.
    """

    pair: str
    device: str = "cpu"
    precision: str = "float32"
    batch_size: int = 64
    compile: str = "off"

    @property
    def round_steps(self) -> int:
        return self.config(1).round_steps

    def config(self, rounds: int, epochs: int = EPOCHS, **engine: str) -> DistillConfig:
        """The config of a run with so many rounds an epoch. `engine` may name the engine's precision and compile."""
        pair = PAIRS[self.pair]
        published = {"round_steps": 2} | pair.values
        return DistillConfig(
            epochs=epochs, steps_per_epoch=rounds * published["round_steps"], batch_size=self.batch_size,
            device=self.device, image_size=pair.image_size, channels=pair.channels, **published, **engine,
        )  # fmt: skip

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """A teacher and a student. Both are untrained: they take as long as trained networks."""
        pair = PAIRS[self.pair]
        teacher, student = (
            models.build(name, 10, pair.channels, pair.image_size, seed)
            for seed, name in enumerate((pair.teacher, pair.student))
        )
        return teacher, student


def engine(setting: Setting, rounds: int, epochs: int = EPOCHS) -> list[float]:
    """Seconds of each epoch of the engine. Its metrics and checkpoints do not count."""
    config = setting.config(rounds, epochs, precision=setting.precision, compile=setting.compile)
    run = cudfkd.distill(*setting.networks(), config)
    return [float(row["seconds"] or 0.0) for row in run.rows]


def plain(setting: Setting, rounds: int, epochs: int = EPOCHS) -> list[float]:
    """Seconds of each epoch of the plain loop."""
    return [row.seconds for row in reference.distill(*setting.networks(), setting.config(rounds, epochs))]


def frozen(setting: Setting, rounds: int, epochs: int = EPOCHS) -> list[float]:
    """Seconds of each epoch of the plain loop without the gradients that nobody uses."""
    rows = reference.distill(*setting.networks(), setting.config(rounds, epochs), frozen=True)
    return [row.seconds for row in rows]


LOOPS: Mapping[str, Callable[..., list[float]]] = {"engine": engine, "reference": plain, "reference, frozen": frozen}


def rounds_of(setting: Setting, seconds: float) -> int:
    """Rounds that the engine does in so many seconds, 1 at least."""
    return max(1, round(seconds / engine(setting, 1, 2)[-1]))


def alone(function: Callable[..., R], *arguments: object) -> R:
    """Calls a function in a new process and returns its result. Function, arguments and result can be pickled."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: this process alone reports Ctrl-C
        try:
            result = pool.submit(function, *arguments)
        finally:
            signal.signal(signal.SIGINT, handler)
        try:
            return result.result()
        except KeyboardInterrupt:
            for child in active_children():
                child.terminate()
            raise


def timed(setting: Setting, name: str, rounds: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """Speed and memory of a loop. It is to be called by `alone`: memory is the process's.

    | key | value |
    |---|---|
    | steps_per_second | student steps a second of each epoch but the first |
    | mb | before: MB taken before the loop ran; peak: most MB taken. On a GPU its tensors count, else the process |
    | warnings | messages of warnings, if there are any (a network was not compiled, say) |
    """
    before = _peak_mb(setting.device)
    with warnings.catch_warnings(record=True) as warned:
        seconds = LOOPS[name](setting, rounds, epochs)[1:]
    rates = [rounds * setting.round_steps / duration for duration in seconds]
    result = {"steps_per_second": rates, "mb": {"before": before, "peak": _peak_mb(setting.device)}}
    return result | {"warnings": [str(warning.message) for warning in warned]} if warned else result


def in_turn(
    setting: Setting, names: Sequence[str], rounds: int, repeats: int, epochs: int = EPOCHS
) -> dict[str, dict[str, Any]]:
    """Speeds of loops that run in turn, to and fro, so that a slow minute meets all of them.

    Each run has a new process, as a user starts it: in an old one, the wait for memory depends on the memory that the
    process's allocator has kept of earlier loops.

    | key | value |
    |---|---|
    | steps_per_second | by loop: student steps a second of each repeat |
    | engine_over | by loop but the engine: how many times as fast the engine is, see `ratios` |
    | warnings | as `timed` returns them |
    """
    rates: dict[str, list[float]] = {name: [] for name in names}
    warned: list[str] = []
    for repeat in range(repeats):
        for name in names if repeat % 2 == 0 else reversed(names):
            times = alone(timed, setting, name, rounds, epochs)
            rates[name].append(harmonic_mean(times["steps_per_second"]))  # all steps over all seconds
            warned += times.get("warnings", [])
    over = {name: ratios(rates, name) for name in names if name != "engine"}
    result = {"steps_per_second": rates, "engine_over": over}
    return result | {"warnings": list(dict.fromkeys(warned))} if warned else result


def ratios(rates: Mapping[str, Sequence[float]], over: str) -> dict[str, float]:
    """Median and extremes, over the repeats, of the engine's speed divided by the speed of the loop `over`."""
    return quotients(rates["engine"], rates[over])


def quotients(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Median and extremes, over the repeats, of one quantity divided by another."""
    found = [one / other for one, other in zip(above, below, strict=True)]
    return {"median": median(found), "lowest": min(found), "highest": max(found), "n": len(found)}


def memory(setting: Setting, name: str) -> dict[str, float | None]:
    """MB that a loop takes in a process of its own, in two epochs of one round: see `timed`."""
    return alone(timed, setting, name, 1, 2)["mb"]


def flops(setting: Setting, name: str) -> float:
    """Floating-point operations of a student step and of its share of the generator's steps, as torch counts them.

    Only matrix products and convolutions count, forward and backward. They are counted on the CPU at a batch of 2, and
    multiplied up to the batch size.
    """
    small = replace(setting, device="cpu", precision="float32", batch_size=2)
    first, second = (mode.get_total_flops() for mode in _counted(small, name, lambda: FlopCounterMode(display=False)))
    return (second - first) / setting.round_steps * setting.batch_size / 2


def moved(setting: Setting, name: str) -> dict[str, dict[str, float]]:
    """Kernels and bytes of a student step and of its share of the generator's steps, by kind: see `Traffic`."""
    first, second = (mode.kinds for mode in _counted(setting, name, Traffic))
    return {
        kind: {unit: (second[kind][unit] - count) / setting.round_steps for unit, count in counts.items()}
        for kind, counts in first.items()
    }


def _counted(setting: Setting, name: str, new: Callable[[], C]) -> list[C]:
    """Counters of two runs of one epoch, with one and with two rounds.

    Their difference is one round: work that is done once an epoch drops out.
    """
    counters = []
    for rounds in (1, 2):
        with new() as counter:
            LOOPS[name](replace(setting, compile="off"), rounds, 1)
        counters.append(counter)
    return counters


def _peak_mb(device: str) -> float | None:
    """Peak memory as metrics have it, save on Linux without a GPU.

    There the process's own count starts at the peak of its parent; VmHWM does not.
    """
    status = Path("/proc/self/status")
    if device.startswith("cuda") or not status.exists():
        return peak_memory_mb(torch.device(device))
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
