"""PRE-DFKD (Binici et al., "Robust and Resource-Efficient Data-Free Knowledge Distillation by Generative Pseudo
Replay", 2022).

Instead of a bank of earlier images, a variational autoencoder (E, D) that learns to make them again:

    L_G   = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + activation * (-mean |f|)
            - adversarial * mean JS_T(p_t, p_s)
    L_VAE = mean |x' - x| + logits * mean |t' - t| + prior * KL(N(mu, sigma^2) || N(0, 1)),   x' = D(mu + sigma e)
    L_S   = mean_i mean_c |t_ic - s_ic|  over fresh images and replay_share of replayed ones

The autoencoder's batch is half fresh images, half its own (x is both), so that it does not forget either. Latents of
the replay take one Adam step down CE(t, argmax t) - replay_entropy * H(mean p_t) + moments(z) before they are replayed.
Published: 10 student steps to a step of the generator, the autoencoder trained in 4 of them, 1,024 fresh and 128
replayed images, latents of 1,000, rates of 0.02.

Where we differ: the autoencoder's steps come before the student's rather than in between; our generator (theirs has
spectral normalisation and a uniform start); JS is the Jensen-Shannon divergence in nats. Its code fixes the schedule's
length at 400 epochs whatever the run's.
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
    """PRE-DFKD's own settings, besides those of DAFL's generator."""

    loss: Loss = "l1"
    """what the student descends: kl, l1, l2 or js"""
    class_entropy: Weight = 5.0
    """weight of drawing all classes equally"""
    activation: Weight = 0.1
    """weight of a large feature in the teacher; 0 for a teacher without linear layer"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher"""
    adv_temperature: Positive = 3.0
    """temperature of that divergence"""
    replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.125
    """share of replayed images in the student's batch; 0 switches the replay off"""
    replay_steps: Whole = 4
    """steps of the autoencoder a round, counted as generator steps"""
    replay_lr: Positive = 1e-2
    """learning rate of the autoencoder and of replayed latents (0.02)"""
    replay_logits: Weight = 1.0
    """weight of the teacher seeing the same in an image and in its reconstruction"""
    replay_prior: Weight = 1e-5
    """weight of latents being standard normal"""
    replay_entropy: Weight = 5.0
    """weight of drawing all classes equally in what is replayed"""


@dataclass
class Terms:
    """L_G of a batch."""

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
    """The autoencoder: learns to make what the generator made, and makes it again."""

    options: Options
    encoder: Encoder
    decoder: Generator
    optimizer: torch.optim.Optimizer

    def learn(self, ctx: Context, fresh: Images) -> None:
        """One step on fresh images and as many of its own."""
        images = torch.cat([fresh, self.images(ctx, len(fresh))])
        self.encoder.train()
        self.decoder.train()
        ctx.step_down(self.optimizer, self.terms(ctx, images))

    def terms(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        """L_VAE of a batch, by term."""
        o = self.options
        with ctx.autocast():
            mean, log_variance = (at_least_float32(part) for part in self.encoder(images))
        z = mean + (log_variance / 2).exp() * ctx.noise(*mean.shape)
        again = imagine(ctx, self.decoder, z)
        terms = {"replay_term": (again - images).abs().mean()}
        if o.replay_logits > 0:
            with torch.no_grad():
                t = ctx.teacher_logits(images)
            terms["replay_logits_term"] = o.replay_logits * losses.l1(t, ctx.teacher_logits(again)).mean()
        return terms | {"replay_prior_term": o.replay_prior * kl_to_normal(mean, log_variance)}

    def images(self, ctx: Context, count: int) -> Images:
        """Images made again, after one step of their latents."""
        self.decoder.eval()
        z = self.improved(ctx, ctx.noise(count, self.decoder.latent_dim))
        with torch.no_grad():
            return imagine(ctx, self.decoder, z)

    def improved(self, ctx: Context, z: Float[Tensor, "count latent"]) -> Float[Tensor, "count latent"]:
        """The latents after one step. Adam's first step is the rate times the sign of the gradient."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            t = ctx.teacher_logits(imagine(ctx, self.decoder, z))
            loss = losses.one_hot(t) - self.options.replay_entropy * losses.class_entropy(t) + moments(z)
            (gradient,) = torch.autograd.grad(loss, z)
        return z.detach() - self.options.replay_lr * gradient.sign()


@dataclass
class ReplayTraining:
    """A synthesizer: the generator's steps, then the autoencoder's, on half a fresh batch each."""

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
    """Another store's batch, of which the last images give way to replayed ones."""

    store: Store
    replay: Replay
    share: float

    def draw(self, ctx: Context) -> StudentBatch:
        images = self.store.draw(ctx).images
        count = min(len(images) - 1, max(1, round(self.share * len(images))))
        return StudentBatch(torch.cat([images[:-count], self.replay.images(ctx, count)]))


def build(options: Options, ctx: Context) -> Method:
    """PRE-DFKD for one run. Raises as DAFL does."""
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
