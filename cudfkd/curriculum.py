"""What the student studies now: the weights of the samples, the pace lambda, the adversarial ramp."""

from math import inf
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from cudfkd.base.validation import Described
from cudfkd.regularizers import Lam

DEAD_WEIGHT = 1e-3  # a batch none of whose samples weighs more moves the student by less than 0.1 % of a plain step

LEAST_PACE = 1e-6  # of pace "quantile": losses that are all 0 must not make lambda 0, outside its domain

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class Curriculum(Described):
    """How samples are weighed, and how the pace lambda grows over the whole run."""

    regularizer: Annotated[
        str,
        AfterValidator(lambda name: regularizers.get(name) and name),
        Field(description=f"{', '.join(regularizers.names())}; log is the paper's"),
    ] = "log"
    granularity: Literal["sample", "batch", "none"] = "sample"
    """a weight per sample (the paper), one per batch (the public code), or none (plain distillation)"""
    lam_start: Positive = 2.0
    """lambda at the start of the run, in the units of the loss"""
    lam_end: Positive = 4.0
    """lambda at its end"""
    pace: Literal["schedule", "quantile"] = "schedule"
    """lambda from lam_start to lam_end in equal steps, or a multiple of a moving quantile of the losses so far"""
    quantile_start: Share = 0.5
    """which quantile at the start of the run, with pace quantile: half of the losses lie below 0.5"""
    quantile_end: Share = 0.95
    """which at its end"""
    quantile_times: Positive = 3.0
    """lambda is so many times the quantile"""
    quantile_memory: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """how much of its past the moving quantile keeps at each step; 0: it is that of the last batch"""
    on_dead: Literal["stop", "warn"] = "stop"
    """at the end of an epoch in which every weight fell to nothing: stop, or warn and go on"""

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
        if self.quantile_start > self.quantile_end:
            allowed = f"it must be at most quantile_end = {self.quantile_end!r}, from easy to hard"
            raise ConfigError(f"quantile_start = {self.quantile_start!r} is not allowed: {allowed}")
        return self


class Weighed(NamedTuple):
    """A batch as the curriculum sees it: the objective to descend, and the weight of each sample, detached."""

    objective: Float[Tensor, ""]
    weights: Float[Tensor, " batch"]


def weigh(curriculum: Curriculum, losses: Float[Tensor, " batch"], lam: Lam) -> Weighed:
    """Applies v*(l; lambda) to per-sample losses; no gradient flows through the weights.

    - granularity "sample" (the paper): mean of v_i l_i with v_i = v*(l_i);
    - "batch" (the public code since January 2023): v lbar with v = v*(lbar), lbar the mean loss;
    - "none" (plain distillation): the mean loss, all weights 1.
    """
    detached = losses.detach()
    if curriculum.granularity == "none":
        weights = torch.ones_like(detached)
    elif curriculum.granularity == "batch":
        weights = regularizers.get(curriculum.regularizer).weight(detached.mean(), lam).expand_as(detached)
    else:
        weights = regularizers.get(curriculum.regularizer).weight(detached, lam)
    return Weighed((weights * losses).mean(), weights)


def pace(curriculum: Curriculum, step: int, total_steps: int) -> float:
    """lambda of student step `step` (from 0): lam_start + (lam_end - lam_start) step / total_steps.

    The public code adds a constant alpha a step; total_steps * alpha = lam_end - lam_start is the same schedule.
    """
    return curriculum.lam_start + (curriculum.lam_end - curriculum.lam_start) * step / total_steps


class Pace(nn.Module):
    """lambda over a run. It is settled before the batch that it weighs is drawn: lambda is data of a student step.

    With pace "schedule" it is `pace`. With "quantile" it starts at lam_start, and after n student steps it is

        lambda_n = lambda_{n-1} + r_n (c q_n - lambda_{n-1}),    r_n = (1 - m) / (1 - m^n),    m = quantile_memory,

    c = quantile_times times the average of the batches' quantiles q, with weights that fall by m a step, not biased
    towards lam_start (r_1 = 1). The quantile rises in equal steps from quantile_start to quantile_end. lambda then is
    in the units of whatever loss there is, and may fall when the losses do. Its only state is lambda itself: a buffer,
    on the device, never read.
    """

    lam: Tensor

    def __init__(self, curriculum: Curriculum, total_steps: int, device: torch.device) -> None:
        super().__init__()
        self._curriculum, self._total_steps = curriculum, total_steps
        if curriculum.pace == "quantile":
            self.register_buffer("lam", torch.full((), curriculum.lam_start, device=device))

    def at(self, step: int) -> Lam:
        """lambda of student step `step` (from 0), the next one."""
        c = self._curriculum
        return self.lam if c.pace == "quantile" else pace(c, step, self._total_steps)

    def after(self, losses: Float[Tensor, " batch"], step: int) -> Lam:
        """lambda of student step `step`, the next one, now that the step before it had these losses."""
        c = self._curriculum
        if c.pace == "quantile":
            share = c.quantile_start + (c.quantile_end - c.quantile_start) * step / self._total_steps
            rate = (1 - c.quantile_memory) / (1 - c.quantile_memory**step)
            quantile = torch.quantile(losses.detach().to(self.lam.dtype), share)
            self.lam = torch.lerp(self.lam, c.quantile_times * quantile, rate).clamp(min=LEAST_PACE)
        return self.at(step)


def ramp(epoch: int, epochs: int, start: float, end: float, begin: float, finish: float) -> float:
    """The adversarial weight during epoch `epoch` (from 0), which rises from `start` to `end` in equal steps.

    As in the public code, a step is taken at the end of each epoch e with int(epochs begin) < e < int(epochs finish).
    A run too short for any such epoch takes the whole rise at int(epochs finish).

    Arguments:
        epoch, epochs: the epoch's number, and how many the run has.
        start, end: the weight before and after the ramp.
        begin, finish: fractions of the run.
    """
    first, last = int(epochs * begin), int(epochs * finish)
    rises = last - first - 1
    if rises < 1:
        return end if epoch >= last else start
    return start + (end - start) * min(max(epoch - 1 - first, 0), rises) / rises


def difficulty(losses: Float[Tensor, " n"], weights: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean loss under the curriculum's distribution, sum of v l over sum of v; 0 when every weight is 0."""
    return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
