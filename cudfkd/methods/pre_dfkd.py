"""PRE-DFKD (Binici et al., "Robust and Resource-Efficient Data-Free Knowledge Distillation by Generative Pseudo
Replay", 2022).

In place of a bank of earlier images, a variational autoencoder (encoder E, decoder D) learns to reproduce them. The
student's batch holds fresh images and "replayed" images, which D makes; replay_share is the share of replayed images:

    L_G   = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + activation * (-mean |f|)
            - adversarial * mean JS_T(p_t, p_s)
    L_VAE = mean |x' - x| + logits * mean |t' - t| + prior * KL(N(mu, sigma^2) || N(0, 1)),   x' = D(mu + sigma e)
    L_S   = mean_i mean_c |t_ic - s_ic|

The batch x of the autoencoder is half fresh images and half replayed images, so that it does not forget either kind.
Before latents are replayed, they take one Adam step down CE(t, argmax t) - replay_entropy * H(mean p_t) + moments(z).

Published:

    steps        10 student steps for a step of the generator; the autoencoder is trained in 4 of these 10 steps
    batch        1,024 fresh images and 128 replayed images
    latents      length 1,000
    rates        0.02

Where we differ from the public code:

    | theirs                                                   | ours                                              |
    |----------------------------------------------------------|---------------------------------------------------|
    | the autoencoder's steps come between the student's       | the autoencoder's steps come before the student's |
    | the generator has spectral normalisation                 | our generator, without spectral normalisation     |
    | the generator's weights start uniform                    | our generator's weights start normal              |
    | JS is another quantity                                   | JS is the Jensen-Shannon divergence in nats       |
    | the schedule lasts 400 epochs for a run of any length    | the schedule lasts as long as the run             |
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from cudfkd import losses
from cudfkd.base.precision import at_least_float32
from cudfkd.methods import dafl
from cudfkd.methods.parts.contract import About, Method, Store
from cudfkd.methods.parts.generator import (
    Divergence,
    GeneratorTraining,
    Images,
    adam,
    fresh_images,
    generator_method,
    imagine,
    new_generator,
)
from cudfkd.methods.parts.options import Loss, Positive, Weight, Whole
from cudfkd.methods.parts.terms import gap, kl_to_normal, moments
from cudfkd.models import Generator
from cudfkd.models.encoder import Encoder
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch

ABOUT = About("Binici et al., 2022b", dafl.ABOUT.needs, round_steps=10)


class Options(dafl.Options):
    """Settings of PRE-DFKD, in addition to the settings of DAFL's generator."""

    loss: Loss = "l1"
    """loss that the student descends: kl, l1, l2 or js"""
    class_entropy: Weight = 5.0
    """weight of the class entropy, which makes all classes equally frequent in a batch"""
    activation: Weight = 0.1
    """weight of a large feature in the teacher; 0 for a teacher without a linear layer"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher"""
    adv_temperature: Positive = 3.0
    """temperature of the divergence of student and teacher"""
    replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.125
    """share of replayed images in the student's batch; 0 switches the replay off"""
    replay_steps: Whole = 4
    """steps of the autoencoder in a round; they count as generator steps"""
    replay_lr: Positive = 1e-2
    """learning rate of the autoencoder and of replayed latents (published: 0.02)"""
    replay_logits: Weight = 1.0
    """weight of the difference of the teacher's logits for an image and for its reconstruction"""
    replay_prior: Weight = 1e-5
    """weight of the distance of the latents from a standard normal distribution"""
    replay_entropy: Weight = 5.0
    """weight of the class entropy of the replayed images, which makes all classes equally frequent"""


@dataclass
class Terms:
    """The terms of L_G for a batch."""

    options: Options
    of_dafl: dafl.Terms

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o, terms = self.options, self.of_dafl(ctx, images)
        if o.adversarial > 0:
            t, s = ctx.teacher_logits(images), ctx.student_logits(images)
            terms["adversarial_term"] = o.adversarial * gap("js", t, s, o.adv_temperature)
        return terms


@dataclass
class Replay:
    """The autoencoder. It learns to reproduce images of the generator, and makes replayed images."""

    options: Options
    encoder: Encoder
    decoder: Generator
    optimizer: torch.optim.Optimizer

    def learn(self, ctx: Context, fresh: Images) -> None:
        """Takes one step on fresh images and on as many replayed images."""
        images = torch.cat([fresh, self.images(ctx, len(fresh))])
        self.encoder.train()
        self.decoder.train()
        ctx.step_down(self.optimizer, self.terms(ctx, images))

    def terms(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        """The terms of L_VAE for a batch, by name."""
        o = self.options
        with ctx.autocast():
            mean, log_variance = (at_least_float32(output) for output in self.encoder(images))
        z = mean + (log_variance / 2).exp() * ctx.noise(*mean.shape)
        again = imagine(ctx, self.decoder, z)
        terms = {"replay_term": (again - images).abs().mean()}
        if o.replay_logits > 0:
            with torch.no_grad():
                t = ctx.teacher_logits(images)
            terms["replay_logits_term"] = o.replay_logits * losses.l1(t, ctx.teacher_logits(again)).mean()
        return terms | {"replay_prior_term": o.replay_prior * kl_to_normal(mean, log_variance)}

    def images(self, ctx: Context, count: int) -> Images:
        """Replayed images: `count` random latents take one step, and the decoder turns them into images."""
        self.decoder.eval()
        z = self.improved(ctx, ctx.noise(count, self.decoder.latent_dim))
        with torch.no_grad():
            return imagine(ctx, self.decoder, z)

    def improved(self, ctx: Context, z: Float[Tensor, "count latent"]) -> Float[Tensor, "count latent"]:
        """The latents after one Adam step. The first step of Adam is the rate times the sign of the gradient."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            t = ctx.teacher_logits(imagine(ctx, self.decoder, z))
            loss = losses.one_hot(t) - self.options.replay_entropy * losses.class_entropy(t) + moments(z)
            (gradient,) = torch.autograd.grad(loss, z)
        return z.detach() - self.options.replay_lr * gradient.sign()


@dataclass
class ReplayTraining:
    """Synthesizer: the generator takes its steps, then the autoencoder, on half a fresh batch for each step."""

    generator: GeneratorTraining
    replay: Replay

    def round(self, ctx: Context) -> int:
        taken, steps = self.generator.round(ctx), self.replay.options.replay_steps
        for _ in range(steps):
            fresh = fresh_images(ctx, self.generator.generator)
            self.replay.learn(ctx, fresh[: len(fresh) // 2])
        return taken + steps


@dataclass
class Replayed:
    """Store that draws a batch from `store` and replaces the last images, a share of `share`, by replayed images."""

    store: Store
    replay: Replay
    share: float

    def draw(self, ctx: Context) -> StudentBatch:
        images = self.store.draw(ctx).images
        count = min(len(images) - 1, max(1, round(self.share * len(images))))
        return StudentBatch(torch.cat([images[:-count], self.replay.images(ctx, count)]))


def build(options: Options, ctx: Context) -> Method:
    """Builds PRE-DFKD for one run. Raises the same errors as DAFL."""
    o = options
    terms = Terms(o, dafl.Terms(o, dafl.feature_watch(o, ctx)))
    method = generator_method(o, ctx, terms, Divergence(o.loss, o.temperature))
    if o.replay_share == 0:
        return method
    decoder = new_generator(ctx, o.latent_dim, o.generator_width)
    encoder = Encoder(o.latent_dim, ctx.shape.channels, ctx.shape.image_size, o.generator_width).to(ctx.device)
    optimizer = adam([*encoder.parameters(), *decoder.parameters()], o.replay_lr)
    replay = Replay(o, encoder, decoder, optimizer)
    assert isinstance(method.synthesizer, GeneratorTraining)
    method.synthesizer = ReplayTraining(method.synthesizer, replay)
    method.store = Replayed(method.store, replay, o.replay_share)
    method.modules |= {"encoder": encoder, "decoder": decoder}
    method.optimizers["replay"] = optimizer
    return method
