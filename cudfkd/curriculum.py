"""The curriculum: the weights of the samples, the pace lambda over the run, and the adversarial ramp."""

from math import inf
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from cudfkd.base.validation import Described
from cudfkd.regularizers import Lam

DEAD_WEIGHT = 1e-3  # when no weight of a batch is larger, the student moves by less than 0.1 % of a plain step

LEAST_PACE = 1e-6  # least lambda with pace "quantile": if all losses are 0, lambda must not be 0, outside its domain

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class Curriculum(Described):
    """Settings: how samples are weighted, and how the pace lambda changes over the run."""

    later: ClassVar = {"normalize": False}

    regularizer: Annotated[
        str,
        AfterValidator(lambda name: regularizers.get(name) and name),
        Field(description=f"{', '.join(regularizers.names())}; log is the paper's"),
    ] = "log"
    granularity: Literal["sample", "batch", "none"] = "sample"
    """sample: a weight for each sample (the paper); batch: a weight for each batch (the public code); none: all weights
    are 1 (plain distillation)"""
    lam_start: Positive = 2.0
    """lambda at the start of the run, in the units of the loss"""
    lam_end: Positive = 4.0
    """lambda at the end of the run"""
    pace: Literal["schedule", "quantile"] = "schedule"
    """schedule: lambda goes from lam_start to lam_end in equal steps; quantile: lambda is a multiple of a moving
    quantile of the losses so far"""
    quantile_start: Share = 0.5
    """with pace quantile: the quantile at the start of the run; at 0.5, half of the losses lie below it"""
    quantile_end: Share = 0.95
    """with pace quantile: the quantile at the end of the run"""
    quantile_times: Positive = 3.0
    """with pace quantile: lambda is the moving quantile times this number"""
    quantile_memory: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """with pace quantile: share of its old value that the moving quantile keeps at each step; 0: only the last batch
    counts"""
    normalize: bool = False
    """divide the weights of a batch by their mean, so that they do not act as a learning rate; only with a weight for
    each sample"""
    on_dead: Literal["stop", "warn"] = "stop"
    """at the end of an epoch in which every weight fell to about 0: stop, or warn and go on"""

    @model_validator(mode="after")
    def _lambda_in_domain(self) -> "Curriculum":
        below = regularizers.get(self.regularizer).lam_below
        for name in ("lam_start", "lam_end"):
            if getattr(self, name) >= below:
                allowed = f"the regularizer {self.regularizer} is defined for lambda below {below:g}"
                raise ConfigError(f"{name} = {getattr(self, name)!r} is not allowed: {allowed}")
        if self.pace == "quantile" and below < inf:
            allowed = f"the losses may exceed {below:g}, where {self.regularizer} ends: take another regularizer"
            raise ConfigError(f"pace = 'quantile' is not allowed: {allowed}")
        if self.normalize and self.granularity != "sample":
            allowed = f"with granularity = {self.granularity!r} all normalized weights are 1: take 'sample'"
            raise ConfigError(f"normalize = True is not allowed: {allowed}")
        if self.quantile_start > self.quantile_end:
            allowed = f"it must be at most quantile_end = {self.quantile_end!r}, from easy to hard"
            raise ConfigError(f"quantile_start = {self.quantile_start!r} is not allowed: {allowed}")
        return self


class Weighed(NamedTuple):
    """A batch after weighting."""

    objective: Float[Tensor, ""]
    """the loss that the student descends"""
    weights: Float[Tensor, " batch"]
    """the weight of each sample, detached"""


def weigh(curriculum: Curriculum, losses: Float[Tensor, " batch"], lam: Lam) -> Weighed:
    """Applies the weight v*(l; lambda), equation (3), to per-sample losses; no gradient flows through the weights.

    - granularity "sample" (the paper): mean of v_i l_i with v_i = v*(l_i), equation (4);
    - "batch" (the public code since January 2023): v lbar with v = v*(lbar), lbar the mean loss;
    - "none" (plain distillation): the mean loss, all weights 1.

    With `normalize`, v_i is v*(l_i) divided by the mean weight of the batch, or by DEAD_WEIGHT where the mean is less:
    a batch whose weights are all about 0 still moves nothing.
    """
    detached = losses.detach()
    if curriculum.granularity == "none":
        weights = torch.ones_like(detached)
    elif curriculum.granularity == "batch":
        weights = regularizers.get(curriculum.regularizer).weight(detached.mean(), lam).expand_as(detached)
    else:
        weights = regularizers.get(curriculum.regularizer).weight(detached, lam)
    if curriculum.normalize:
        weights = weights / weights.mean().clamp(min=DEAD_WEIGHT)
    return Weighed((weights * losses).mean(), weights)


def pace(curriculum: Curriculum, step: int, total_steps: int) -> float:
    """Lambda of student step `step` (from 0), equation (5): lam_start + (lam_end - lam_start) step / total_steps.

    The public code adds a constant at each step. With total_steps times the constant = lam_end - lam_start, both
    schedules are the same.
    """
    return curriculum.lam_start + (curriculum.lam_end - curriculum.lam_start) * step / total_steps


class Pace(nn.Module):
    """Lambda over a run. Lambda of a step is fixed before its batch is drawn: it depends on earlier batches only.

    With pace "schedule", lambda is `pace`. With pace "quantile", lambda starts at lam_start. After k student steps:

        lambda_k = lambda_{k-1} + rate_k (quantile_times quantile_k - lambda_{k-1})
        rate_k   = (1 - quantile_memory) / (1 - quantile_memory^k)

    quantile_k is the quantile of the losses of batch k. So lambda_k is quantile_times a weighted average of the
    quantiles so far, in which each quantile weighs quantile_memory times as much as the next. As rate_1 = 1, the
    average is not biased towards lam_start. The level of the quantile rises in equal steps from quantile_start to
    quantile_end.

    Lambda then has the units of the loss, and may fall when the losses fall. The only state is lambda: a buffer on the
    device, which the host never reads.
    """

    lam: Tensor

    def __init__(self, curriculum: Curriculum, total_steps: int, device: torch.device) -> None:
        super().__init__()
        self._curriculum, self._total_steps = curriculum, total_steps
        if curriculum.pace == "quantile":
            self.register_buffer("lam", torch.full((), curriculum.lam_start, device=device))

    def at(self, step: int) -> Lam:
        """Lambda of student step `step` (from 0), which comes next."""
        c = self._curriculum
        return self.lam if c.pace == "quantile" else pace(c, step, self._total_steps)

    def after(self, losses: Float[Tensor, " batch"], step: int) -> Lam:
        """Lambda of student step `step`, which comes next; `losses` are the losses of step `step` - 1."""
        c = self._curriculum
        if c.pace == "quantile":
            share = c.quantile_start + (c.quantile_end - c.quantile_start) * step / self._total_steps
            rate = (1 - c.quantile_memory) / (1 - c.quantile_memory**step)
            quantile = torch.quantile(losses.detach().to(self.lam.dtype), share)
            self.lam = torch.lerp(self.lam, c.quantile_times * quantile, rate).clamp(min=LEAST_PACE)
        return self.at(step)


def ramp(epoch: int, epochs: int, start: float, end: float, begin: float, finish: float) -> float:
    """The adversarial weight during epoch `epoch` (from 0), equation (6). It rises from `start` to `end` in equal
    steps.

    As in the public code, it rises at the end of each epoch with int(epochs begin) < epoch < int(epochs finish).
    If a short run has no epoch in this range, the weight rises in one step, at epoch int(epochs finish).

    Arguments:
        epoch: the number of the epoch.
        epochs: number of epochs of the run.
        start: the weight before the ramp.
        end: the weight after the ramp.
        begin: where the ramp begins, as a fraction of the run.
        finish: where the ramp ends, as a fraction of the run.
    """
    first, last = int(epochs * begin), int(epochs * finish)
    rises = last - first - 1
    if rises < 1:
        return end if epoch >= last else start
    return start + (end - start) * min(max(epoch - 1 - first, 0), rises) / rises


def difficulty(losses: Float[Tensor, " n"], weights: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean loss under the curriculum's distribution: sum of v l over sum of v; 0 when every weight is 0."""
    return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
