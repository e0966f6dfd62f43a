"""Everything that is to be measured on one GPU, in parts of less than ten minutes.

    CUDFKD_DATA=... python benchmarks/gpu.py                 what fits into nine minutes; call it until nothing is left
    CUDFKD_DATA=... python benchmarks/gpu.py --plan smoke    the same on a CPU at a size that takes a minute

Parts, in this order: what the chip reaches on one kernel; operations of a student step; memory and speed of the engine,
compiled and not, and of the plain loop (ResNet-34 to ResNet-18, 32 x 32 pixels, batch 512); a ResNet-34 teacher on
Fashion-MNIST with a border; a distillation from it over 30 epochs; short ones in float32 and bfloat16 over seeds.

What is measured goes into benchmarks/gpu.json, under the plan and the hardware, and is not measured again. Runs live in
out/gpu/ and go on from their last epoch. The training images are found as `cudfkd teacher` finds them.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np
import torch

import cudfkd
from analysis import grid
from analysis.stability import stability
from analysis.statistics import mean_over_seeds
from benchmarks import loops
from benchmarks.ceiling import ceilings
from benchmarks.loops import Setting
from cudfkd import experiments, recipes, training
from cudfkd.config import Experiment
from cudfkd.errors import CudfkdError
from cudfkd.files import read_json, write_json
from cudfkd.runs import Run
from cudfkd.teachers import read_teacher

ROOT = Path(__file__).resolve().parent.parent
MODES = ("off", "default", "reduce-overhead")  # of torch.compile
PAPER = 250 * 400  # student steps of the paper's run on CIFAR-10

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

    @property
    def out(self) -> Path:
        return ROOT / "out" / "gpu" / self.setting.device

    @property
    def teacher(self) -> Path:
        """Stem of the teacher's files."""
        return self.out / "teachers" / "fashion-mnist-32" / f"{loops.PAIRS[self.setting.pair].teacher}-seed0"

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

    def run(self, experiment: Experiment, minutes: float) -> Run:
        """The run, as far as it comes in so many minutes; found again by what is run."""
        return experiments.run(experiment, self.out / "runs" / experiment.key, resume=True, stop_after=minutes)


PLANS = {
    "paper": Plan(Setting("resnet34", "cuda", "bfloat16", 512), 40, 30, 5, 3, 30, {}),
    "smoke": Plan(
        Setting("lenet5", batch_size=16), 1, 2, 1, 2, 1,
        {"batch_size": 16, "steps_per_epoch": 10, "options": {"latent_dim": 8, "generator_width": 2}},
    ),
}  # fmt: skip


def ceiling(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
    device = torch.device(plan.setting.device)
    return {name: ceilings(device, getattr(torch, name)) for name in ("float32", "bfloat16")}


def flops(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
    """Operations of a student step, its share of the generator's included."""
    return {name: loops.flops(plan.setting, name) for name in ("engine", "reference")}


def memory(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
    """MB at most, of each loop in a process of its own."""
    found = {f"engine, compile {mode}": loops.memory(replace(plan.setting, compile=mode), "engine") for mode in MODES}
    return found | {"reference": loops.memory(plan.setting, "reference")}


def speed(plan: Plan, minutes: float) -> Found:  # noqa: ARG001
    """Student steps a second over three epochs after a first, one loop after the other, the plain one in the middle."""
    order = [(f"engine, compile {mode}", partial(loops.engine, replace(plan.setting, compile=mode))) for mode in MODES]
    order.insert(2, ("reference", partial(loops.plain, plan.setting)))
    rates: dict[str, list[float]] = {}
    for name, loop in order:
        rates[name] = [plan.rounds * plan.setting.round_steps / seconds for seconds in loop(plan.rounds)[1:]]
    best = max((name for name in rates if name != "reference"), key=lambda name: mean(rates[name]))
    return {
        "batch_size": plan.setting.batch_size,
        "steps_per_second": rates,
        "best": best,
        "best_over_reference": mean(rates[best]) / mean(rates["reference"]),
        "minutes_of_the_papers_run_extrapolated": PAPER / mean(rates[best]) / 60,
    }


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
    run = plan.run(plan.experiment(plan.epochs, precision=plan.setting.precision), minutes)
    if not run.summary:
        return None
    test = cudfkd.evaluate(
        run.student, read_teacher(plan.teacher), cudfkd.data.load("fashion-mnist-32", "test"),
        run.config.mean, run.config.std, plan.setting.device,
    )  # fmt: skip
    curve = [float(row["accuracy"] or 0.0) for row in run.rows]
    return {
        "dev": run.summary,
        "test": {name: estimate._asdict() for name, estimate in test._asdict().items()},
        "mu_and_sigma": stability(curve)._asdict(),
        "accuracy_by_epoch": curve,
        "seconds": run.rows[-1]["total_seconds"],
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


PARTS: dict[str, Callable[[Plan, float], Found]] = {
    "ceiling": ceiling,
    "flops": flops,
    "memory": memory,
    "speed": speed,
    "teacher": teacher,
    "distillation": distillation,
    "precision": precision,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", choices=PLANS, default="paper", help="what is measured, and where")
    parser.add_argument("--minutes", type=float, default=9.0, help="no part begins, and no run goes on, after so many")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="the JSON file")
    asked = parser.parse_args(arguments)
    try:
        left = measure(PLANS[asked.plan], asked.plan, asked.minutes, asked.out)
    except CudfkdError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return 2
    print(f"left, for further calls: {', '.join(left)}" if left else "all is measured")
    return 0


def measure(plan: Plan, name: str, minutes: float, out: Path) -> list[str]:
    """Measures what `out` lacks until the minutes are over, writing each part at once; returns what is left."""
    until = perf_counter() + 60 * minutes
    plan.setting.config(1)  # refuses a device that is not here
    measured = read_json(out) if out.exists() else {}
    here = measured.setdefault(name, {}).setdefault(loops.hardware(plan.setting.device), {})
    here["setting"] = asdict(plan.setting) | {"torch": torch.__version__, "tf32": torch.backends.cudnn.allow_tf32}
    for part in [part for part in PARTS if part not in here]:
        if (minutes_left := (until - perf_counter()) / 60) <= 0:
            break
        started = perf_counter()
        found = PARTS[part](plan, minutes_left)
        print(f"{part}: {'measured' if found else 'to go on'}, {perf_counter() - started:.0f} s", flush=True)
        if found is None:
            break
        here[part] = found
        write_json(out, measured)
    return [part for part in PARTS if part not in here]


if __name__ == "__main__":
    sys.exit(main())
