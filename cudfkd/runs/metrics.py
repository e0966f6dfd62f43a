"""The row of numbers that an epoch leaves in metrics.jsonl."""

import sys

import torch
from torch import Tensor

from cudfkd.base.errors import ConfigError
from cudfkd.curriculum import DEAD_WEIGHT, difficulty
from cudfkd.evaluation import Evaluation
from cudfkd.runs.context import Context

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Row = dict[str, float | int | None]


def row(ctx: Context, evaluation: Evaluation | None, generator_steps: int, lr: float, seconds: float) -> Row:
    """The metrics of the epoch that just ended.

    epoch (from 1), student_steps and generator_steps so far, lr of the last student step, lam of the next; objective
    (what the student descends), loss (mean, unweighted), its quantiles loss_q05...; mean_weight, weight_q05...,
    dead_steps (share of student steps in which no sample weighed more than 0.001), difficulty (sum v l / sum v over the
    epoch); the generator's terms as they were summed, adversarial_weight, class_entropy (nats); accuracy, agreement,
    loyalty, loyalty_published on the evaluation data; seconds of training in this epoch, peak_memory_mb of the process
    (of the GPU, on one; null where the system does not tell).
    """
    log = ctx.log
    losses, weights = log.all("sample_losses"), log.all("sample_weights")
    scores = evaluation._asdict() if evaluation else dict.fromkeys(Evaluation._fields)
    scalars = [name for name in log.names() if not name.startswith("sample_")]
    return {
        "epoch": ctx.epoch,
        "student_steps": ctx.step,
        "generator_steps": generator_steps,
        "lam": float(ctx.lam),
        "lr": lr,
        "loss": float(losses.mean()),
        **_quantiles("loss", losses),
        "mean_weight": float(weights.mean()),
        **_quantiles("weight", weights),
        "dead_steps": float(dead(weights).float().mean()),
        "difficulty": float(difficulty(losses.flatten(), weights.flatten())),
        **{name: log.mean(name) for name in scalars},
        **{name: estimate and estimate.value for name, estimate in scores.items()},
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb(ctx.device),
    }


def refuse_other_than_numbers(metrics: Row) -> None:
    """Raises ConfigError where a callback added to the row what cannot be written and read again as a number."""
    for name, value in metrics.items():
        if not (value is None or isinstance(value, int | float)):
            kind = type(value).__name__
            raise ConfigError(f"a callback added {name} to an epoch's metrics, a {kind}: it must be an int or a float")


def dead(weights: Tensor) -> Tensor:
    """For weights of shape (steps, batch): in which steps the student could not move."""
    return weights.amax(1) < DEAD_WEIGHT


def peak_memory_mb(device: torch.device) -> float | None:
    """Most memory taken so far, in MB (10^6 bytes): on a GPU, by its tensors; else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _quantiles(name: str, values: Tensor) -> Row:
    at = torch.tensor(QUANTILES, dtype=values.dtype, device=values.device)
    found = torch.quantile(values.flatten(), at).tolist()
    return {f"{name}_q{100 * q:02.0f}": value for q, value in zip(QUANTILES, found, strict=True)}
