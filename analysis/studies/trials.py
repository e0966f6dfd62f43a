"""One live run that is studied: an experiment with our networks, what holds its generator, and what is read of it."""

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analysis.live.accounts import Account, account
from analysis.live.probe import Probe
from cudfkd.base.validation import Described
from cudfkd.callbacks import Callback
from cudfkd.config import DistillConfig, Experiment
from cudfkd.engine.experiments import run
from cudfkd.engine.run import Run
from cudfkd.runs.context import Context


class Trial(Described):
    """One live run: an experiment with our networks, what holds its generator, and what is read of it."""

    experiment: Experiment
    frozen: Literal["no", "eval", "train"] = "no"
    """the generator held from `frozen_after` on: not at all; wholly; or with BatchNorm statistics that go on moving"""
    frozen_after: Annotated[float, Field(ge=0, le=1)] = 0.3
    """share of the run after which it is held"""
    every: Annotated[int, Field(ge=0)] = 0
    """rounds from one reading of the probe to the next; 0: none"""
    samples: Annotated[int, Field(ge=2)] = 64
    """latents of the probe"""

    def with_seed(self, seed: int) -> "Trial":
        """The same with another seed of everything random."""
        return self._with_distill(seed=seed)

    def shortened(self, epochs: int, steps_per_epoch: int) -> "Trial":
        """The same over fewer steps: schedules run over the whole run, whatever its length."""
        return self._with_distill(epochs=epochs, steps_per_epoch=steps_per_epoch)

    def with_pace(self, lam_start: float, lam_end: float) -> "Trial":
        """The same with another schedule of lambda."""
        curriculum = self.experiment.distill.curriculum.model_dump() | {"lam_start": lam_start, "lam_end": lam_end}
        return self._with_distill(curriculum=curriculum)

    def _with_distill(self, **changes: Any) -> "Trial":
        distill = DistillConfig(**self.experiment.distill.model_dump() | changes)
        return self.model_copy(update={"experiment": self.experiment.model_copy(update={"distill": distill})})


class Held(Callback):
    """An intervention: from a moment on, what the generator's turn changes is put back.

    Arguments:
        after: share of the run.
        batch_norm: "eval" puts everything back; "train" leaves the BatchNorm statistics, which move although no
            parameter does, because the generator is in train mode during synthesis.
    """

    def __init__(self, after: float, batch_norm: Literal["eval", "train"]) -> None:
        self.after, self.batch_norm = after, batch_norm
        self._kept: dict[str, Tensor] = {}

    def before_synthesis(self, ctx: Context) -> None:
        if not self._kept and ctx.step >= self.after * ctx.config.total_steps:
            generator = ctx.modules["generator"]
            tensors = generator.state_dict() if self.batch_norm == "eval" else dict(generator.named_parameters())
            self._kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def after_synthesis(self, ctx: Context) -> None:
        if self._kept:
            ctx.modules["generator"].load_state_dict(self._kept, strict=False)


@dataclass(frozen=True)
class Outcome:
    """A finished trial: the run, and its account if it was probed."""

    run: Run
    account: Account | None


class Nudge(Callback):
    """A control: moves a weight of the student by 0.001 before each of its steps, outside of everybody's turn."""

    def before_student_step(self, ctx: Context) -> None:
        with torch.no_grad():
            next(ctx.student.parameters()).add_(1e-3)


def perform(trial: Trial, *others: Callback, gradient: bool = False) -> Outcome:
    """Runs a trial, evaluating on dev; other callbacks come before the probe. `gradient` as in `Probe`."""
    held = [] if trial.frozen == "no" else [Held(trial.frozen_after, trial.frozen)]
    probe = Probe(trial.every, trial.samples, gradient=gradient) if trial.every else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the curriculum is dead")  # it is what some trials show
        done = run(trial.experiment, callbacks=[*held, *others, *_some(probe)])
    return Outcome(done, account(probe) if probe else None)


def numbers(outcome: Outcome) -> dict[str, Any]:
    """What a record keeps of a run."""
    rows = outcome.run.rows
    found: dict[str, Any] = {
        "accuracy": outcome.run.summary["accuracy"]["value"],
        "agreement": outcome.run.summary["agreement"]["value"],
        "loyalty": outcome.run.summary["loyalty"]["value"],
        "loyalty_published": outcome.run.summary["loyalty_published"]["value"],
        "accuracies": [row["accuracy"] for row in rows],
        "dead_steps": sum(float(row["dead_steps"] or 0) for row in rows) / len(rows),
        "mean_weight": sum(float(row["mean_weight"] or 0) for row in rows) / len(rows),
        "loss_first": rows[0]["loss_q50"],
        "loss_last": rows[-1]["loss_q50"],
        "lam_last": rows[-1]["lam"],
    }
    return found | (_accounted(outcome.account) if outcome.account else {})


def _accounted(found: Account) -> dict[str, Any]:
    steps, drift, samples = found.steps, found.drift, found.samples
    turns, quarter = steps["generator"][steps["generator"] != 0], max(1, len(samples) // 4)
    return {
        "start": float(steps["start"].to_numpy()[0]),
        "end": float(steps["end"].to_numpy()[-1]),
        **found.total("steps"),
        "relative": found.worst(),
        "student_descends": _average(steps["student"] < 0),
        "generator_rises": _average(turns > 0),
        "rounds_rise": _average(found.blocks["end"] > found.blocks["start"]),
        "drift": _average(drift["gamma"].abs()),
        "coupled": _average(drift["coupled"]),
        "plain": _average(drift["plain"]),
        "blocks_student": float(found.blocks["student"].to_numpy().sum()),
        "blocks_student_last": float(found.blocks["student last"].to_numpy().sum()),
        "ess": _average(samples["ess"]),
        "kl": _average(samples["kl"]),
        "loss_early": _average(samples["loss"][:quarter]),
        "loss_late": _average(samples["loss"][-quarter:]),
    }


def _average(values: Any) -> float | None:
    """None where there is nothing to average: a dead curriculum has no effective share of samples."""
    found = np.asarray(values, dtype=np.float64)
    return float(found.mean()) if found.size and np.isfinite(found).all() else None


def _some(probe: Probe | None) -> list[Callback]:
    return [probe] if probe else []
