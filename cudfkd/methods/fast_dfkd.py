"""Fast-DFKD (Fang et al., "Up to 100x Faster Data-Free Knowledge Distillation", 2022).

A generator that is a good start rather than a good generator. Each round copies it, takes a few inner steps of copy and
new latents for one batch, and moves the start by the sum of the copy's gradients (first-order MAML):

    L(G, z) = bn * BN(x) + one_hot * CE(t, y) + adversarial * (-mean 1[agree] KL(p_t || p_s))
    phi    <- Adam(phi, sum over inner steps of the gradient at the copy)
    L_S     = mean_i T^2 KL(p_t || p_s) on a pool of all batches

BN(x) compares the teacher's stored statistics with an average of the batch's and earlier rounds'. Published: 2, 5 or 10
inner steps and one batch of 256 for 400 student steps; 20 rounds without student and adversary before the first; the
first layer set back after 0.6 of the run. Defaults are those of 5 steps.

Where we differ: the latents' rate and the inner rate are constant; the run's schedule for the student; the inner steps
look at images as they are (theirs: shifted and mirrored); of the warm-up's batches only the last goes into the pool
(theirs: all). The repository's own baselines pass the teacher as student, which switches their adversarial terms off.
"""

import copy
from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from cudfkd import losses
from cudfkd.base.errors import ConfigError
from cudfkd.base.precision import at_least_float32
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Images, adam, imagine, new_generator
from cudfkd.methods.parts.images import Best, class_term, image_method, random_classes
from cudfkd.methods.parts.options import Count, Fraction, ImageOptions, Positive, Weight, Whole
from cudfkd.models.generator import Generator, initialise
from cudfkd.models.watch import Watch, names_of
from cudfkd.runs.context import Context

ABOUT = About("Fang et al., 2022", "BatchNorm2d in the teacher, unless bn = 0")


class Options(ImageOptions):
    """Fast-DFKD's own settings."""

    inner_steps: Count | None = 5
    """steps of a round (2, 5 or 10)"""
    latent_dim: Count = 64
    """length of the generator's latent vectors (256)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """inner learning rate of the generator (3e-3); the meta step's is inner_steps times it"""
    latent_lr: Positive = 1e-2
    """inner learning rate of the latents"""
    bn: Weight = 10.0
    """weight of matching the teacher's BatchNorm statistics; 0 for a teacher without BatchNorm"""
    bn_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """share of earlier rounds in the batch's statistics"""
    one_hot: Weight = 0.5
    """weight of the class that was drawn for the image"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher"""
    warmup: Whole = 20
    """rounds without adversary before the first student step"""
    reset_at: Fraction = 0.6
    """where in the run the generator's first layer is set back, a fraction; 1: never"""
    meta: bool = True
    """off: every round starts where the run did, and the start does not learn"""
    temperature: Positive = 20.0
    """softens the student's divergence"""


class SmoothedStatistics(nn.Module):
    """The distance of BatchNorm statistics, of the batch mixed with an average over earlier rounds.

    A module so that the averages are saved with the run.
    """

    def __init__(self, ctx: Context, momentum: float) -> None:
        super().__init__()
        teacher = ctx.teacher
        names = [n for n in names_of(teacher, nn.BatchNorm2d) if teacher.get_submodule(n).track_running_stats]
        if not names:
            raise ConfigError(
                "the teacher has no BatchNorm2d layer, which the term bn needs: set its weight to 0 (bn=0)"
            )
        layers = [teacher.get_submodule(name) for name in names]
        self._stored = {
            name: torch.stack([layer.get_buffer("running_mean"), layer.get_buffer("running_var")])
            for name, layer in zip(names, layers, strict=True)
        }
        self._watch, self._momentum, self.rounds = Watch(teacher, names, inputs=True), momentum, 0
        self._watch.try_on(ctx.probe())
        self._names = {name: f"average_{index}" for index, name in enumerate(names)}
        for name, buffer in self._names.items():
            self.register_buffer(buffer, torch.zeros_like(self._stored[name]))
        self._mixed: dict[str, Tensor] = {}

    def look(self, ctx: Context, images: Images) -> tuple[Tensor, Tensor]:
        """The teacher's logits, and the sum over layers of the distances of means and of variances."""
        with self._watch.recording() as seen:
            t = ctx.teacher_logits(images)
        self._mixed = {name: self._mix(name, at_least_float32(x)) for name, x in seen.items()}
        gaps = [(mixed - self._stored[name]).norm(dim=1).sum() for name, mixed in self._mixed.items()]
        return t, torch.stack(gaps).sum()

    def end_round(self) -> None:
        """The statistics of the last batch, mixed, become the average."""
        for name, mixed in self._mixed.items():
            self.get_buffer(self._names[name]).copy_(mixed.detach())
        self._mixed = {}
        self.rounds += 1

    def get_extra_state(self) -> Tensor:
        """How many rounds were averaged."""
        return torch.tensor(self.rounds)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores it."""
        self.rounds = int(state)

    def _mix(self, name: str, x: Tensor) -> Tensor:
        batch = torch.stack([x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)])
        if self.rounds == 0:
            return batch
        return self._momentum * self.get_buffer(self._names[name]) + (1 - self._momentum) * batch


@dataclass
class Synthesizer:
    """Makes a batch a round from a copy of the generator, and moves the generator."""

    options: Options
    generator: Generator
    optimizer: torch.optim.Optimizer
    statistics: SmoothedStatistics | None
    best: Best = field(default_factory=Best)
    fast: Generator = field(init=False)
    """the copy, set to where the generator is before its steps"""

    def __post_init__(self) -> None:
        self.fast = copy.deepcopy(self.generator)

    def round(self, ctx: Context) -> int:
        o, taken = self.options, 0
        if ctx.round == 0:
            taken += sum(self._inner(ctx, adversarial=0.0) for _ in range(o.warmup))
        if ctx.round == round(o.reset_at * ctx.config.total_steps / ctx.config.round_steps) and ctx.round > 0:
            self._reset_first_layer()
        return taken + self._inner(ctx, o.adversarial)

    def _inner(self, ctx: Context, adversarial: float) -> int:
        o, steps = self.options, ctx.generator_steps(self.options.inner_steps or 5)
        classes = random_classes(ctx, o.synthesis_batch)
        z = ctx.noise(len(classes), o.latent_dim).requires_grad_()
        self.fast.load_state_dict(self.generator.state_dict())
        self.fast.train()
        inner = adam(
            [{"params": self.fast.parameters()}, {"params": [z], "lr": o.latent_lr}], o.generator_lr, betas=(0.5, 0.999)
        )
        self.optimizer.zero_grad(set_to_none=True)
        self.best.restart()
        for _ in range(steps):
            images = imagine(ctx, self.fast, z)
            terms = self.terms(ctx, images, classes, adversarial)
            self.best.offer(images, torch.stack(list(terms.values())).sum())
            ctx.step_down(inner, terms)
            self._gather()
        if o.meta:
            self.optimizer.step()
        if self.statistics:
            self.statistics.end_round()
        return steps

    def terms(self, ctx: Context, images: Images, classes: Tensor, adversarial: float) -> dict[str, Tensor]:
        """L of a batch, by term."""
        o = self.options
        if self.statistics:
            t, distance = self.statistics.look(ctx, images)
            terms = {"bn_term": o.bn * distance}
        else:
            t, terms = ctx.teacher_logits(images), {}
        terms |= class_term(o.one_hot, t, classes)
        if adversarial > 0:
            terms["adversarial_term"] = adversarial * losses.adversarial(t, ctx.student_logits(images), 1.0)
        return terms

    def _gather(self) -> None:
        """Adds the copy's gradients to the generator's."""
        for ours, theirs in zip(self.generator.parameters(), self.fast.parameters(), strict=True):
            assert theirs.grad is not None
            ours.grad = theirs.grad.clone() if ours.grad is None else ours.grad.add_(theirs.grad)

    def _reset_first_layer(self) -> None:
        for module in self.generator.layers[:3]:
            initialise(module)


def build(options: Options, ctx: Context) -> Method:
    """Fast-DFKD for one run. Raises ConfigError when bn > 0 and the teacher has no BatchNorm2d."""
    generator = new_generator(ctx, options.latent_dim, options.generator_width)
    steps = ctx.generator_steps(options.inner_steps or 5)
    optimizer = adam(generator.parameters(), options.generator_lr * steps, betas=(0.5, 0.999))
    statistics = SmoothedStatistics(ctx, options.bn_momentum) if options.bn > 0 else None
    synthesizer = Synthesizer(options, generator, optimizer, statistics)
    remembered: dict[str, nn.Module] = {"statistics": statistics} if statistics else {}
    return image_method(
        options, ctx, synthesizer, synthesizer.best, options.temperature, {"generator": generator}, remembered,
        {"generator": optimizer},
    )  # fmt: skip
