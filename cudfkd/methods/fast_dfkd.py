"""Fast-DFKD (Fang et al., "Up to 100x Faster Data-Free Knowledge Distillation", 2022).

The generator is trained to be a good starting point, not a good generator. Each round copies it, and takes a few inner
steps of the copy and of new latents, which make one batch. Then the generator moves by the sum of the copy's gradients
(first-order MAML):

    loss(G, z) = bn * BN(x) + one_hot * CE(t, y) + adversarial * (-mean 1[agree] KL(p_t || p_s))
    G         <- Adam(G, sum over inner steps of the gradient at the copy)
    loss_S     = mean_i T^2 KL(p_t || p_s) on a pool of all batches

In the inner steps the networks see views of the images: each image is shifted and mirrored at random. BN(x) compares
the teacher's stored statistics with an average over the statistics of this batch and of earlier rounds. The learning
rates of the latents and of the inner steps are constant.

Published:

    inner steps   2, 5 or 10 for one batch of 256 images and 400 student steps
    weights       set for each teacher; ours are for VGG-11
    warm-up       20 rounds without a student step, the last with the adversarial term
    reset         the generator's first layer starts again after 119 of 200 rounds with student steps

Where we differ from the authors' code:

    | authors' code                                   | ours                           | why                     |
    |-------------------------------------------------|--------------------------------|-------------------------|
    | all batches of the warm-up go into the pool     | none does                      | 20 of 45 in a quick run |
    | the student's rate is 0.2, and ends at 2e-4     | the run's lr, and ends at 0    | one schedule for all    |
    | the student's rate falls once an epoch          | it falls at each step          | one schedule for all    |
    | the reset comes after 119 of 200 rounds         | after 120 of 200               | a share of the run      |
    | REPTILE is a choice                             | first-order MAML only          | the published choice    |
    | latents of 256, generator of width 64           | 64 and 8                       | small networks          |
    | the first map has 2 x width channels            | 4 x width                      | one generator for all   |
    | torch's initial weights                         | N(0, 0.02)                     | one generator for all   |
    | the inner steps have rate 2e-3 to 5e-3          | 1e-2                           | shorter runs            |
    | 200 rounds of 400 student steps                 | one round an epoch             | one length for all      |
    | the pool is shuffled and passed through         | random draws, with replacement | exact resume            |
    | the pool's images are cut off to bytes          | they are rounded               | half the error          |
    | the pool's images are shifted by up to 4 pixels | up to an eighth, at most 4     | small images            |

For DAFL, DFAD, DFQ and ZSKT, the repository passes the teacher as student to the synthesis. So their adversarial terms
are 0 in its comparisons.
"""

import copy
from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from cudfkd import losses
from cudfkd.base.precision import at_least_float32
from cudfkd.methods.parts.augment import require_padding, shift_and_mirror
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Images, adam, imagine, new_generator
from cudfkd.methods.parts.images import Best, class_term, image_method, random_classes
from cudfkd.methods.parts.options import Count, Fraction, ImageOptions, Positive, Weight, Whole
from cudfkd.models.batch_norm_statistics import layers_with_statistics, statistics_of
from cudfkd.models.generator import Generator
from cudfkd.models.watch import Watch
from cudfkd.runs.context import Context

ABOUT = About("Fang et al., 2022", "BatchNorm in the teacher, unless bn = 0")


class Options(ImageOptions):
    """Settings of Fast-DFKD. The published values are in parentheses."""

    inner_steps: Count | None = 5
    """optimizer steps of a round (2, 5 or 10)"""
    latent_dim: Count = 64
    """length of the generator's latent vectors (256)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """learning rate of the inner steps (3e-3); the rate of the meta step is inner_steps times as large"""
    latent_lr: Positive = 1e-2
    """learning rate of the steps of the latents (0.01; 0.015 for 2 inner steps)"""
    bn: Weight = 10.0
    """weight of matching the teacher's BatchNorm statistics; 0 for a teacher without BatchNorm"""
    bn_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """weight of earlier rounds in the averaged statistics; 0: only the batch counts"""
    one_hot: Weight = 0.5
    """weight of the cross-entropy of the teacher with the class that was drawn for the image (0.4 or 0.5)"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher (1 to 1.33)"""
    warmup: Whole = 20
    """rounds before the first student step; only the last has the adversarial term"""
    reset_at: Fraction = 0.6
    """where the generator's first layer gets new random weights, as a fraction of the run; 1: never"""
    crop_padding: Whole = 4
    """largest shift in pixels of the views that the networks get in the inner steps; they are mirrored at random"""
    meta: bool = True
    """whether the generator learns; if not, every round starts with the weights of the start of the run"""
    temperature: Positive = 20.0
    """temperature of the divergence in the student's loss"""


class SmoothedStatistics(nn.Module):
    """Distance of averaged statistics from the teacher's stored BatchNorm statistics.

    The averaged statistics mix the statistics of the batch with an average over earlier rounds. This class is a module
    so that the averages are saved with the run.
    """

    def __init__(self, ctx: Context, momentum: float) -> None:
        super().__init__()
        teacher = ctx.teacher
        names = layers_with_statistics(teacher, ctx.probe())
        layers = [teacher.get_submodule(name) for name in names]
        self._stored = {name: torch.stack(statistics_of(layer)) for name, layer in zip(names, layers, strict=True)}
        self._watch, self._momentum, self.rounds = Watch(teacher, names, inputs=True), momentum, 0
        self._names = {name: f"average_{index}" for index, name in enumerate(names)}
        for name, buffer in self._names.items():
            self.register_buffer(buffer, torch.zeros_like(self._stored[name]))
        self._mixed: dict[str, Tensor] = {}

    def look(self, ctx: Context, images: Images) -> tuple[Tensor, Tensor]:
        """Returns the teacher's logits, and the sum over layers of the distances of the means and of the variances."""
        with self._watch.recording() as seen:
            t = ctx.teacher_logits(images)
        self._mixed = {name: self._mix(name, at_least_float32(x)) for name, x in seen.items()}
        gaps = [(mixed - self._stored[name]).norm(dim=1).sum() for name, mixed in self._mixed.items()]
        return t, torch.stack(gaps).sum()

    def end_round(self) -> None:
        """Stores the mixed statistics of the last batch as the new average."""
        for name, mixed in self._mixed.items():
            self.get_buffer(self._names[name]).copy_(mixed.detach())
        self._mixed = {}
        self.rounds += 1

    def get_extra_state(self) -> Tensor:
        """The number of rounds in the average."""
        return torch.tensor(self.rounds)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores the number of rounds in the average."""
        self.rounds = int(state)

    def _mix(self, name: str, x: Tensor) -> Tensor:
        over = [0, *range(2, x.ndim)]
        batch = torch.stack([x.mean(over), x.var(over, correction=0)])
        if self.rounds == 0:
            return batch
        return self._momentum * self.get_buffer(self._names[name]) + (1 - self._momentum) * batch


@dataclass
class Synthesizer:
    """Makes a batch a round with a copy of the generator, and then moves the generator."""

    options: Options
    generator: Generator
    optimizer: torch.optim.Optimizer
    statistics: SmoothedStatistics | None
    best: Best = field(default_factory=Best)
    fast: Generator = field(init=False)
    """the copy, which gets the generator's weights before its inner steps"""

    def __post_init__(self) -> None:
        self.fast = copy.deepcopy(self.generator)

    def round(self, ctx: Context) -> int:
        o, taken = self.options, 0
        if ctx.round == 0 and o.warmup > 0:
            taken += sum(self._inner(ctx, adversarial=0.0) for _ in range(o.warmup - 1))
            taken += self._inner(ctx, o.adversarial)
        if ctx.round == round(o.reset_at * ctx.config.total_steps / ctx.config.round_steps) and ctx.round > 0:
            self._reset_first_layer()
        return taken + self._inner(ctx, o.adversarial)

    def _inner(self, ctx: Context, adversarial: float) -> int:
        """Takes the inner steps for one batch and moves the generator; returns the number of inner steps."""
        # The order of the draws decides the random numbers: the classes, the latents, then the views of each step.
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
            terms = self.terms(ctx, shift_and_mirror(ctx, images, o.crop_padding), classes, adversarial)
            self.best.offer(images, torch.stack(list(terms.values())).sum())
            ctx.step_down(inner, terms)
            self._gather()
        if o.meta:
            self.optimizer.step()
        if self.statistics:
            self.statistics.end_round()
        return steps

    def terms(self, ctx: Context, images: Images, classes: Tensor, adversarial: float) -> dict[str, Tensor]:
        """The terms of L for a batch of views, by name."""
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
        """Adds the gradients of the copy to the gradients of the generator."""
        for ours, theirs in zip(self.generator.parameters(), self.fast.parameters(), strict=True):
            assert theirs.grad is not None
            ours.grad = theirs.grad.clone() if ours.grad is None else ours.grad.add_(theirs.grad)

    def _reset_first_layer(self) -> None:
        """Draws N(0, 0.02) for the weights of the linear layer and of its BatchNorm, which keeps its averages."""
        for module in self.generator.layers[:3]:
            if isinstance(module, nn.Linear | nn.BatchNorm2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)


def build(options: Options, ctx: Context) -> Method:
    """Builds Fast-DFKD for one run.

    Raises:
        ConfigError: bn > 0 and the teacher has no BatchNorm layer; crop_padding is as large as the image.
    """
    require_padding(ctx, options.crop_padding)
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
