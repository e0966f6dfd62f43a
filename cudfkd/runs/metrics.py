"""The row of numbers of an epoch, one line of metrics.jsonl."""

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
    """Returns the metrics of the epoch that has just ended, with these keys:

    epoch: number of the epoch, from 1
    student_steps: student steps of the run so far
    generator_steps: generator steps of the run so far
    teacher_images: images that the teacher looked at in this epoch, for training: its queries
    lam: pace lambda of the next student step
    lr: learning rate of the last student step
    loss: mean of the samples' losses, unweighted
    loss_q05 ... loss_q95: quantiles of the samples' losses, at `QUANTILES`
    mean_weight: mean of the samples' weights
    weight_q05 ... weight_q95: quantiles of the samples' weights, at `QUANTILES`
    dead_steps: share of the student steps in which every sample weighed less than 0.001
    difficulty: sum v l / sum v over the epoch, with weights v and losses l
    objective: the weighted loss that the student descends, mean over steps
    (name of a term): each term of the generator as it was added to the sum, mean over steps
    adversarial_weight: weight of the generator's adversarial term
    class_entropy: entropy of the classes in the generator's batch, in nats
    accuracy, agreement, loyalty, loyalty_published: measures on the evaluation data; null without this data
    seconds: seconds of training in this epoch
    peak_memory_mb: see `peak_memory_mb`
    """
    log = ctx.log
    losses, weights = log.all("sample_losses"), log.all("sample_weights")
    scores = evaluation._asdict() if evaluation else dict.fromkeys(Evaluation._fields)
    scalars = [name for name in log.names() if not name.startswith("sample_")]
    return {
        "epoch": ctx.epoch,
        "student_steps": ctx.step,
        "generator_steps": generator_steps,
        "teacher_images": log.teacher_images,
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
    """Raises ConfigError if a callback added a value that cannot be written to the row and read again as a number."""
    for name, value in metrics.items():
        if not (value is None or isinstance(value, int | float)):
            kind = type(value).__name__
            raise ConfigError(f"a callback added {name} to an epoch's metrics, a {kind}: it must be an int or a float")


def dead(weights: Tensor) -> Tensor:
    """For weights of shape (steps, batch): whether the student could not move, for each step."""
    return weights.amax(1) < DEAD_WEIGHT


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak memory so far in MB (10^6 bytes): of the tensors on a GPU, else of the process; None on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _quantiles(name: str, values: Tensor) -> Row:
    at = torch.tensor(QUANTILES, dtype=values.dtype, device=values.device)
    quantiles = torch.quantile(values.flatten(), at).tolist()
    return {f"{name}_q{100 * q:02.0f}": value for q, value in zip(QUANTILES, quantiles, strict=True)}
