"""All that is to be measured on one GPU, in parts of a few minutes.

    CUDFKD_DATA=... python benchmarks/gpu.py                nine minutes of it; call it until nothing is left
    CUDFKD_DATA=... python benchmarks/gpu.py --parts engine reference
    CUDFKD_DATA=... python benchmarks/gpu.py --plan smoke   the same on a CPU at a size that takes some minutes

| parts, in this order | measured |
|---|---|
| engine, reference | speed and memory of the engine and of the plain loop, each in a process of its own |
| | (ResNet-34 to ResNet-18, 32 x 32 pixels, batch 512) |
| engine, compile ... | the same of the compiled engine |
| teacher | a ResNet-34 teacher on Fashion-MNIST with a border |
| distillation | a distillation from this teacher over 30 epochs |
| precision | short distillations in float32 and bfloat16 over seeds |
| ceiling | the speed of the chip in one kernel |
| flops, traffic | operations and bytes of a student step |
| rates | rates of the paper's grid, into out/gpu/DEVICE/rates.json, a file for `python -m analysis.studies cost` |

Results go into benchmarks/results/gpu.json, under the plan and the hardware, with the commit, each part at once. A part
with a result is not measured again. What follows from several parts is filed under "summary". A part that fails is
reported in a line, and the exit code is 1. Runs and teacher live in out/gpu/ and go on from their last epoch. The
training images are found as `cudfkd teacher` finds them.
"""

import cudfkd  # isort: skip  # before torch, whose threads then wait as in every run: see cudfkd.base.waiting
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from analysis.checks.statistics import mean_over_seeds
from analysis.live.stability import stability
from analysis.origin import ROOT
from analysis.studies import grid
from benchmarks import RESULTS, loops, parts, rates
from benchmarks.loops import Setting
from benchmarks.parts import Outcome, Part, Record, Result
from cudfkd import data
from cudfkd.base import command, devices
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.machine import hardware
from cudfkd.callbacks import Callback
from cudfkd.config import Experiment
from cudfkd.engine import experiments
from cudfkd.engine.run import Run
from cudfkd.runs.context import Context
from cudfkd.teachers import read_teacher, recipes, training

PAPER = {"epochs": 250, "steps": 250 * 400}  # of the paper's run on CIFAR-10; our evaluation is of 2,000 dev images


@dataclass(frozen=True)
class Plan(parts.Plan):
    """Setting and lengths of the measurement. Lengths are in epochs."""

    rounds: int
    """Rounds of an epoch of a timed loop."""

    epochs: int
    """Length of the distillation."""

    short: int
    """Length of each run of the part precision."""

    seeds: int
    """Seeds of the part precision."""

    teacher_epochs: int

    changes: dict[str, Any]
    """Values of the config that differ from the grid's."""

    grid: str
    """File of the grid for the part rates."""

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
        """The teacher's weights and card, of use only together."""
        return [self.teacher.with_suffix(suffix) for suffix in (".safetensors", ".json")]

    def experiment(self, epochs: int, seed: int = 0, **changes: Any) -> Experiment:
        """CuDFKD as in grids/paper-fashion.yaml, at this length."""
        cells = grid.load(ROOT / "grids" / "paper-fashion.yaml").cells
        cell = cells["fashion-mnist-32/resnet34--resnet18/cudfkd-seed0"]
        values = cell.distill().model_dump(mode="json", exclude={"mean", "std"}) | self.changes | changes
        values |= {"epochs": epochs, "seed": seed, "device": self.setting.device}
        return Experiment(
            data="fashion-mnist-32", teacher=str(self.teacher.with_suffix(".safetensors")),
            student=loops.PAIRS[self.setting.pair].student, distill=cudfkd.DistillConfig(**values),
        )  # fmt: skip

    def run(self, experiment: Experiment, minutes: float, *watching: Callback) -> Run:
        """The run of an experiment, as far as it comes in so many minutes. Its folder is found by its description."""
        folder = self.out / "runs" / experiment.key
        return experiments.run(experiment, folder, resume=True, stop_after=minutes, callbacks=watching)


TIMED = ("engine", "reference")
PLANS = {
    "paper": Plan(
        Setting("resnet34", "cuda", "bfloat16", 512), TIMED, rounds=20, epochs=30, short=5, seeds=3, teacher_epochs=30,
        changes={}, grid="paper.yaml",
    ),
    "smoke": Plan(
        Setting("lenet5", batch_size=16), TIMED, rounds=1, epochs=2, short=1, seeds=2, teacher_epochs=1,
        changes={"batch_size": 16, "steps_per_epoch": 10, "options": {"latent_dim": 8, "generator_width": 2}},
        grid="smoke.yaml",
    ),
}  # fmt: skip


class Turns(Callback):
    """Seconds from epoch to epoch, which include evaluation and checkpoint."""

    def __init__(self) -> None:
        self._began: list[float] = []

    def before_epoch(self, ctx: Context) -> None:  # noqa: ARG002
        self._began.append(perf_counter())

    def seconds(self) -> list[float]:
        return list(np.diff(self._began))


def loop(name: str, compile: str = "off") -> Callable[[Plan, float], Result]:
    """A part: speed of a loop over three epochs after a first, and memory."""

    def timed(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
        return loops.alone(loops.timed, replace(plan.setting, compile=compile), name, plan.rounds)

    return timed


def teacher(plan: Plan, minutes: float) -> Result:
    """Trains the teacher and returns its card."""
    recipe = recipes.get("paper", "fashion-mnist-32").model_copy(
        update={"epochs": plan.teacher_epochs, "precision": plan.setting.precision}
    )
    card = training.train_teacher(
        "fashion-mnist-32", plan.teacher.name.removesuffix("-seed0"), out=plan.teacher.parent, recipe=recipe,
        device=plan.setting.device, resume=True, stop_after=minutes,
    )  # fmt: skip
    return card or None


def distillation(plan: Plan, minutes: float) -> Result:
    """The long run: scores of its last epoch on dev and, once, on test; how steady it was; seconds and memory."""
    if plan.setting.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(plan.setting.device)  # of the parts before in this process
    turns = Turns()
    run = plan.run(plan.experiment(plan.epochs, precision=plan.setting.precision), minutes, turns)
    if not run.summary:
        return None
    test = cudfkd.evaluate(
        run.student, read_teacher(plan.teacher), data.load("fashion-mnist-32", "test"),
        run.config.mean, run.config.std, plan.setting.device,
    )  # fmt: skip
    accuracies = [float(row["accuracy"] or 0.0) for row in run.rows]
    epochs = turns.seconds()  # of this call's epochs but the last
    steps = [float(row["seconds"] or 0.0) for row in run.rows[-len(epochs) - 1 : -1]]
    return {
        "dev": run.summary,
        "test": {name: estimate._asdict() for name, estimate in test._asdict().items()},
        "mu_and_sigma": stability(accuracies)._asdict(),
        "accuracy_by_epoch": accuracies,
        "seconds_of_the_steps": run.rows[-1]["total_seconds"],
        "seconds_an_epoch_besides": median(np.subtract(epochs, steps)) if epochs else None,  # evaluation, checkpoint
        "peak_memory_mb": run.rows[-1]["peak_memory_mb"],
        "config": run.config.model_dump(mode="json"),
    }


def precision(plan: Plan, minutes: float) -> Result:
    """Accuracy on dev in bfloat16 less accuracy in float32 with the same seed: mean and 95 % interval."""
    until, accuracies = perf_counter() + 60 * minutes, {"float32": [], "bfloat16": []}
    for seed in range(plan.seeds):
        for name, reached in accuracies.items():
            left = max((until - perf_counter()) / 60, 0.01)
            run = plan.run(plan.experiment(plan.short, seed, precision=name), left)
            if not run.summary:
                return None
            reached.append(run.summary["accuracy"]["value"])
    difference = mean_over_seeds(np.subtract(accuracies["bfloat16"], accuracies["float32"]))
    return {"epochs": plan.short, "accuracy": accuracies, "bfloat16_less_float32": difference._asdict()}


def costs(plan: Plan, minutes: float) -> Result:
    """Rates of every kind of run of the grid, into a file of their own."""
    kinds = list(rates.kinds(grid.load(ROOT / "grids" / plan.grid), []))
    left, failed = rates.measure(kinds, 2.0, minutes, plan.out / "rates.json")
    return None if left else {"kinds": len(kinds), "failed": failed}


LOOPS = {
    "engine": Part(loop("engine"), 2.0),
    "reference": Part(loop("reference"), 3.0),
    "engine, compile default": Part(loop("engine", "default"), 4.0),
    "engine, compile reduce-overhead": Part(loop("engine", "reduce-overhead"), 4.0),
}
FROM_TEACHER = {"distillation": Part(distillation), "precision": Part(precision)}
PARTS: dict[str, Part] = {**LOOPS, "teacher": Part(teacher), **FROM_TEACHER, **parts.SHARED, "rates": Part(costs)}


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", choices=PLANS, default="paper", help="what is measured, and where [paper]")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these, in their order")
    parser.add_argument("--minutes", type=float, default=9.0, help="no part begins that may take longer [9]")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json", help="the JSON file")
    parser.add_argument("--folder", type=Path, default=Plan.folder, help="of teacher and runs")

    def program() -> int:
        options = parser.parse_args(arguments)
        plan, names = replace(PLANS[options.plan], folder=options.folder), [n for n in PARTS if n in options.parts]
        outcome = measure(plan, options.plan, options.minutes, options.out, names)
        say(str(outcome))
        return 1 if outcome.failed else 0

    return command.run(
        "gpu.py", program, interrupted="interrupted; what was measured is kept, and runs go on from their last epoch"
    )


def measure(plan: Plan, name: str, minutes: float, out: Path, names: Sequence[str] = tuple(PARTS)) -> Outcome:
    """Measures the parts that `out` lacks until the minutes are over.

    A teacher with a missing file is trained again if a part is to learn from it.

    Arguments:
        name: the plan's, under which results are filed.
        names: the parts, in their order.

    Raises:
        ConfigError, DataError: the device or the training images are missing, or `out` holds something else. Nothing
            was measured then.
    """
    devices.check(plan.setting.device)
    record = Record(out, name, hardware(plan.setting.device), follows=partial(conclusions, plan.setting))
    lacking = with_teacher(plan, record.lacks(names))
    if {"teacher", *FROM_TEACHER} & set(lacking):
        data.load("fashion-mnist-32", "train")
    return parts.measure({part: PARTS[part] for part in lacking}, plan, record.keep, minutes)


def with_teacher(plan: Plan, lacking: list[str]) -> list[str]:
    """The parts to measure: with the part teacher where a part needs the teacher and a file of it is missing.

    Its remaining file is deleted then, so that the teacher is trained anew.
    """
    if not FROM_TEACHER.keys() & set(lacking) or all(file.exists() for file in plan.teacher_files):
        return lacking
    for file in plan.teacher_files:
        file.unlink(missing_ok=True)
    return [part for part in PARTS if part in {*lacking, "teacher"}]


def conclusions(setting: Setting, results: dict[str, Any]) -> dict[str, Any]:
    """The setting and the summary, to be filed beside the results."""
    return {"setting": asdict(setting), "summary": summary(results, setting.precision)}


def summary(results: dict[str, Any], precision: str) -> dict[str, Any]:
    """Ratios of speeds, the paper's length extrapolated, shares of the device's limits: as far as results allow."""
    timed = [name for name in LOOPS if name in results and "warnings" not in results[name]]  # of compiling that failed
    speeds = {name: results[name]["steps_per_second"] for name in timed}
    totals: dict[str, Any] = {"speed": {"steps_per_second": speeds}}
    fastest = max((name for name in speeds if name != "reference"), key=lambda name: mean(speeds[name]), default=None)
    if fastest is not None:
        minutes = PAPER["steps"] / mean(speeds[fastest]) / 60
        totals |= {"fastest": fastest, "minutes_of_the_papers_steps_extrapolated": minutes}
        besides = results.get("distillation", {}).get("seconds_an_epoch_besides")
        if besides is not None:
            totals["minutes_of_the_papers_run_extrapolated"] = minutes + PAPER["epochs"] * besides / 60
        if "reference" in speeds:
            slow = mean(speeds["reference"])
            totals["over_reference"] = {name: mean(speeds[name]) / slow for name in speeds if name != "reference"}
    return totals | parts.shares(results | totals, precision)


if __name__ == "__main__":
    sys.exit(main())
