"""Everything that is to be measured on one GPU, in parts of a few minutes.

    CUDFKD_DATA=... python benchmarks/gpu.py                nine minutes of it; call it until nothing is left
    CUDFKD_DATA=... python benchmarks/gpu.py --parts engine reference
    CUDFKD_DATA=... python benchmarks/gpu.py --plan smoke   the same on a CPU at a size that takes some minutes

Parts, in this order: speed and memory of the engine and of the plain loop, each in a process of its own, then of the
compiled engine (ResNet-34 to ResNet-18, 32 x 32 pixels, batch 512); a ResNet-34 teacher on Fashion-MNIST with a border;
a distillation from it over 30 epochs; short ones in float32 and bfloat16 over seeds; what the chip reaches on one
kernel; operations and bytes of a student step; rates of the paper's grid, into out/gpu/DEVICE/rates.json, a file for
`python -m analysis.studies.cost`.

What is measured goes into benchmarks/gpu.json, under the plan and the hardware, with the commit, each part at once, and
is not measured again; what follows from several parts stands under "summary". A part that fails is told in a line and
left. Runs and teacher live in out/gpu/ and go on from their last epoch. The training images are found as `cudfkd
teacher` finds them.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch

import cudfkd
from analysis.checks.statistics import mean_over_seeds
from analysis.live.stability import stability
from analysis.origin import ROOT
from analysis.studies import grid
from benchmarks import loops, rates
from benchmarks.achieved import achieved
from benchmarks.ceiling import bandwidths, ceilings
from benchmarks.loops import Setting
from cudfkd import data
from cudfkd.base import devices
from cudfkd.base.errors import ConfigError, CudfkdError
from cudfkd.base.files import read_json, write_json
from cudfkd.base.machine import hardware
from cudfkd.callbacks import Callback
from cudfkd.config import Experiment
from cudfkd.engine import experiments
from cudfkd.engine.run import Run
from cudfkd.runs.context import Context
from cudfkd.teachers import read_teacher, recipes, training

PAPER = {"epochs": 250, "steps": 250 * 400}  # of the paper's run on CIFAR-10; our evaluation is of 2,000 dev images

Found = dict[str, Any] | None  # what a part measured; None: it goes on at the next call


@dataclass(frozen=True)
class Plan:
    """What is measured. Lengths are in epochs; `rounds` an epoch of the loops, which are timed over three epochs."""

    setting: Setting
    rounds: int
    epochs: int
    short: int
    seeds: int
    teacher_epochs: int
    changes: dict[str, Any]
    grid: str
    folder: Path = ROOT / "out" / "gpu"

    @property
    def out(self) -> Path:
        return self.folder / self.setting.device

    @property
    def teacher(self) -> Path:
        """Stem of the teacher's files."""
        return self.out / "teachers" / "fashion-mnist-32" / f"{loops.PAIRS[self.setting.pair].teacher}-seed0"

    @property
    def teacher_files(self) -> list[Path]:
        """Its weights and its card; of use only together."""
        return [self.teacher.with_suffix(suffix) for suffix in (".safetensors", ".json")]

    def experiment(self, epochs: int, seed: int = 0, **changes: Any) -> Experiment:
        """CuDFKD as in grids/paper-fashion.yaml, at this length."""
        asked = grid.load(ROOT / "grids" / "paper-fashion.yaml")
        cell = asked.cells["fashion-mnist-32/resnet34--resnet18/cudfkd-seed0"]
        values = cell.distill().model_dump(mode="json", exclude={"mean", "std"}) | self.changes | changes
        values |= {"epochs": epochs, "seed": seed, "device": self.setting.device}
        return Experiment(
            data="fashion-mnist-32", teacher=str(self.teacher.with_suffix(".safetensors")),
            student=loops.PAIRS[self.setting.pair].student, distill=cudfkd.DistillConfig(**values),
        )  # fmt: skip

    def run(self, experiment: Experiment, minutes: float, *watching: Callback) -> Run:
        """The run, as far as it comes in so many minutes; found again by what is run."""
        folder = self.out / "runs" / experiment.key
        return experiments.run(experiment, folder, resume=True, stop_after=minutes, callbacks=watching)


PLANS = {
    "paper": Plan(Setting("resnet34", "cuda", "bfloat16", 512), 20, 30, 5, 3, 30, {}, "paper.yaml"),
    "smoke": Plan(
        Setting("lenet5", batch_size=16), 1, 2, 1, 2, 1,
        {"batch_size": 16, "steps_per_epoch": 10, "options": {"latent_dim": 8, "generator_width": 2}}, "smoke.yaml",
    ),
}  # fmt: skip


class Turns(Callback):
    """How long each epoch took with all that belongs to it: its evaluation, its checkpoint."""

    def __init__(self) -> None:
        self._began: list[float] = []

    def before_epoch(self, ctx: Context) -> None:  # noqa: ARG002
        self._began.append(perf_counter())

    def seconds(self) -> list[float]:
        return list(np.diff(self._began))


def loop(name: str, compile: str = "off") -> Callable[["Plan", float], Found]:
    """A part: student steps a second over three epochs after a first, and memory."""

    def part(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
        return loops.alone(loops.timed, replace(plan.setting, compile=compile), name, plan.rounds)

    return part


def teacher(plan: Plan, minutes: float) -> Found:
    """Trains the teacher; its card."""
    recipe = recipes.get("paper", "fashion-mnist-32").model_copy(
        update={"epochs": plan.teacher_epochs, "precision": plan.setting.precision}
    )
    card = training.train_teacher(
        "fashion-mnist-32", plan.teacher.name.removesuffix("-seed0"), out=plan.teacher.parent, recipe=recipe,
        device=plan.setting.device, resume=True, stop_after=minutes,
    )  # fmt: skip
    return card or None


def distillation(plan: Plan, minutes: float) -> Found:
    """The long run: scores of its last epoch on dev and, once, on test; how steady it was; seconds and memory."""
    turns = Turns()
    run = plan.run(plan.experiment(plan.epochs, precision=plan.setting.precision), minutes, turns)
    if not run.summary:
        return None
    test = cudfkd.evaluate(
        run.student, read_teacher(plan.teacher), data.load("fashion-mnist-32", "test"),
        run.config.mean, run.config.std, plan.setting.device,
    )  # fmt: skip
    curve = [float(row["accuracy"] or 0.0) for row in run.rows]
    whole = turns.seconds()  # of this call's epochs but the last
    steps = [float(row["seconds"] or 0.0) for row in run.rows[-len(whole) - 1 : -1]]
    return {
        "dev": run.summary,
        "test": {name: estimate._asdict() for name, estimate in test._asdict().items()},
        "mu_and_sigma": stability(curve)._asdict(),
        "accuracy_by_epoch": curve,
        "seconds_of_the_steps": run.rows[-1]["total_seconds"],
        "seconds_an_epoch_besides": median(np.subtract(whole, steps)) if whole else None,  # evaluation, checkpoint
        "peak_memory_mb": run.rows[-1]["peak_memory_mb"],
        "config": run.config.model_dump(mode="json"),
    }


def precision(plan: Plan, minutes: float) -> Found:
    """Accuracy on dev in bfloat16 less that in float32 of the same seed: mean and 95 % interval."""
    until, reached = perf_counter() + 60 * minutes, {}
    for seed in range(plan.seeds):
        for name in ("float32", "bfloat16"):
            left = max((until - perf_counter()) / 60, 0.01)
            run = plan.run(plan.experiment(plan.short, seed, precision=name), left)
            if not run.summary:
                return None
            reached.setdefault(name, []).append(run.summary["accuracy"]["value"])
    apart = mean_over_seeds(np.subtract(reached["bfloat16"], reached["float32"]))
    return {"epochs": plan.short, "accuracy": reached, "bfloat16_less_float32": apart._asdict()}


def ceiling(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
    device = torch.device(plan.setting.device)
    gflops = {name: ceilings(device, getattr(torch, name)) for name in ("float32", "bfloat16")}
    return {"gflops": gflops, "gb_per_second": bandwidths(device)}


def flops(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
    """Operations of a student step, its share of the generator's included."""
    return {"per_step": {name: loops.flops(plan.setting, name) for name in ("engine", "reference")}}


def traffic(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
    """Kernels and bytes of a student step, likewise."""
    return {"per_step": {name: loops.moved(plan.setting, name) for name in ("engine", "reference")}}


def costs(plan: Plan, minutes: float) -> Found:
    """Rates of every kind of run of the grid, into a file of their own."""
    kinds = list(rates.kinds(grid.load(ROOT / "grids" / plan.grid), []))
    left, failed = rates.measure(kinds, 2.0, minutes, plan.out / "rates.json")
    return None if left else {"kinds": len(kinds), "failed": failed}


class Part(NamedTuple):
    """What measures something, and minutes that it may take, or its first epoch where it can go on."""

    measure: Callable[[Plan, float], Found]
    minutes: float = 1.0


LOOPS = {
    "engine": Part(loop("engine"), 2.0),
    "reference": Part(loop("reference"), 3.0),
    "engine, compile default": Part(loop("engine", "default"), 4.0),
    "engine, compile reduce-overhead": Part(loop("engine", "reduce-overhead"), 4.0),
}
FROM_TEACHER = {"distillation": Part(distillation), "precision": Part(precision)}
PARTS: dict[str, Part] = {
    **LOOPS, "teacher": Part(teacher), **FROM_TEACHER,
    "ceiling": Part(ceiling), "flops": Part(flops, 2.0), "traffic": Part(traffic), "rates": Part(costs),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", choices=PLANS, default="paper", help="what is measured, and where [paper]")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these, in their order")
    parser.add_argument("--minutes", type=float, default=9.0, help="no part begins that may take longer [9]")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="the JSON file")
    parser.add_argument("--folder", type=Path, default=Plan.folder, help="of teacher and runs")
    asked = parser.parse_args(arguments)
    plan = replace(PLANS[asked.plan], folder=asked.folder)
    try:
        left = measure(plan, asked.plan, asked.minutes, asked.out, [name for name in PARTS if name in asked.parts])
    except CudfkdError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gpu.py: interrupted; what was measured is kept, and runs go on from their last epoch", file=sys.stderr)
        return 130
    print(f"left, for further calls: {'; '.join(left)}" if left else "all is measured")
    return 0


def measure(plan: Plan, name: str, minutes: float, out: Path, parts: Sequence[str] = tuple(PARTS)) -> list[str]:
    """Measures what `out` lacks of the parts until the minutes are over, writing each at once; returns what is left.

    A part that may take longer than what is left of the minutes does not begin, unless it is the first of this call;
    one that fails is told in a line. A teacher of whose files one is gone is trained again if something is to be
    learned from it.

    Raises:
        ConfigError, DataError: the device or the training images are not here, or `out` is not such a file. Nothing was
            measured then.
    """
    until = perf_counter() + 60 * minutes
    device = devices.check(plan.setting.device)
    measured = read_json(out) if out.exists() else {}
    if not all(isinstance(places, dict) for places in measured.values()):
        raise ConfigError(f"{out} is not what gpu.py writes: name another file with --out")
    here = measured.setdefault(name, {}).setdefault(hardware(plan.setting.device), {})
    here["setting"] = asdict(plan.setting)
    todo = lacking(plan, here, parts)
    if any(part in {"teacher", *FROM_TEACHER} for part in todo):
        data.load("fashion-mnist-32", "train")
    left = list(todo)
    for part in todo:
        minutes_left = (until - perf_counter()) / 60
        if minutes_left <= 0 or (part != todo[0] and minutes_left < PARTS[part].minutes):
            break
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        started = perf_counter()
        try:
            found = PARTS[part].measure(plan, minutes_left)
        except (CudfkdError, MemoryError, RuntimeError, BrokenProcessPool) as error:
            print(f"{part}: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr, flush=True)
            continue
        print(f"{part}: {'measured' if found else 'to go on'}, {perf_counter() - started:.0f} s", flush=True)
        if found is None:
            break
        for warned in found.get("warnings", []):
            print(f"{part}: {warned}", file=sys.stderr, flush=True)
        here[part] = {**found, **loops.stamp()}
        here["summary"] = summary(here, plan.setting.precision)
        write_json(out, measured)
        left.remove(part)
    return left


def lacking(plan: Plan, here: dict[str, Any], parts: Sequence[str]) -> list[str]:
    """The parts to measure. What remains of a teacher of whose files one is gone is deleted, so that it is trained."""
    todo = [part for part in parts if part not in here]
    if not FROM_TEACHER.keys() & set(todo) or all(file.exists() for file in plan.teacher_files):
        return todo
    for file in plan.teacher_files:
        file.unlink(missing_ok=True)
    return [part for part in PARTS if part in {*todo, "teacher"}]


def summary(here: dict[str, Any], precision: str) -> dict[str, Any]:
    """What follows from the parts that are there: ratios, the paper's length extrapolated, shares of the ceilings."""
    timed = [name for name in LOOPS if name in here and "warnings" not in here[name]]  # of compiling that failed
    speeds = {name: here[name]["steps_per_second"] for name in timed}
    found: dict[str, Any] = {"speed": {"steps_per_second": speeds}}
    fastest = max((name for name in speeds if name != "reference"), key=lambda name: mean(speeds[name]), default=None)
    if fastest is not None:
        minutes = PAPER["steps"] / mean(speeds[fastest]) / 60
        found |= {"fastest": fastest, "minutes_of_the_papers_steps_extrapolated": minutes}
        besides = here.get("distillation", {}).get("seconds_an_epoch_besides")
        if besides is not None:
            found["minutes_of_the_papers_run_extrapolated"] = minutes + PAPER["epochs"] * besides / 60
        if "reference" in speeds:
            slow = mean(speeds["reference"])
            found["over_reference"] = {name: mean(speeds[name]) / slow for name in speeds if name != "reference"}
    if {"ceiling", "flops", "traffic"} <= here.keys():
        found["achieved"] = achieved(here | found, precision)
    return found


if __name__ == "__main__":
    sys.exit(main())
