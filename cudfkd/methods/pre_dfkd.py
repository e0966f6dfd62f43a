"""PRE-DFKD (Binici et al., "Robust and Resource-Efficient Data-Free Knowledge Distillation by Generative Pseudo
Replay", 2022): a generator that looks for what the student does not know, and an autoencoder that replays its images.

A variational autoencoder learns to reproduce the generator's images. It takes the place of a memory bank: it stores no
image. The student's batch holds fresh images and a share of replay_share replayed images:

    loss_G   = one_hot * CE(t, argmax t) + class_entropy * (-H(mean p_t)) + activation * (-mean |features|)
               - adversarial * mean JS_T(p_t, p_s) / classes
    loss_VAE = mean |x' - x| + logits * mean |t' - t| + prior * KL(N(mean, variance) || N(0, 1))
    x'       = decoder(mean + deviation * noise)
    loss_S   = mean_ij |t_ij - s_ij|    (i: the sample, j: the class)

x and x' are in the teacher's units. JS_T is the quantity of `cudfkd.methods.parts.terms.clamped_js`. Its mean over
samples and classes counts from 0, and its gradient passes through the student only. The student is in train mode in
the generator's step.

A round is a step of the generator and ten student steps. The autoencoder takes a step in each of the first four: on
half of the student's fresh images, and on an eighth of a batch of replayed images, so that it does not forget these. In
the first round it has only fresh images. Before latents are replayed, they take one Adam step down

    loss_z = CE(t, argmax t) - replay_entropy * H(mean p_t) + mean over the latent of mean^2 + (variance - 1)^2

with means and variances over the batch. In a step of the autoencoder the decoder descends loss_VAE + loss_z: the
authors' code adds up both gradients. The decoder is in train mode for the autoencoder, in eval mode for the student.
Where we differ from the authors' code:

    | authors' code                                           | ours                           | why                   |
    |---------------------------------------------------------|--------------------------------|-----------------------|
    | class_entropy, replay_entropy 5, logarithm to base 10   | 2.17, natural logarithm        | the same weight       |
    | 128 replayed images are added to 1,024                  | they replace others            | one batch for all     |
    | the generator has spectral normalisation                | none                           | one generator for all |
    | generators start uniform, two BatchNorm of eps 0.8      | N(0, 0.02), eps 1e-5           | one generator for all |
    | maps of 2, 2 and 1 times the width                      | of 4, 2 and 1 times the width  | one generator for all |
    | the encoder sees images with columns of norm 1          | images in the teacher's units  | a plain autoencoder   |
    | the encoder has three convolutions, two of eps 0.8      | two convolutions, eps 1e-5     | small networks        |
    | the encoder's weights start uniform                     | torch's initial weights        | a plain autoencoder   |
    | latents of 1,000, width 64                              | latents of 64, width 8         | small networks        |
    | the generator's rate is 0.02                            | 1e-2                           | a small generator     |
    | the student's rate falls once an epoch, for 400 epochs  | at each step, to the run's end | one schedule for all  |
    | weight decay 5e-4 (MNIST: none)                         | the run's, 1e-4                | one setting for all   |
    | batch 1,024, epochs of 36 rounds                        | the run's batch and length     | one length for all    |
    | LeNet: features enter the first of two linear layers    | the last linear layer          | any teacher           |
    | MNIST: the student has Adam                             | SGD                            | one engine for all    |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from cudfkd import losses
from cudfkd.base.precision import at_least_float32
from cudfkd.methods import dafl, mb_dfkd
from cudfkd.methods.parts.contract import About, Method, Store
from cudfkd.methods.parts.generator import GeneratorTraining, Images, adam, imagine, new_generator
from cudfkd.methods.parts.options import Positive, Weight, Whole
from cudfkd.methods.parts.terms import kl_to_normal, moments
from cudfkd.models.encoder import Encoder
from cudfkd.models.generator import Generator
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch

ABOUT = About("Binici et al., 2022b", dafl.ABOUT.needs, round_steps=10)


class Options(mb_dfkd.AdversaryOptions):
    """Settings of PRE-DFKD. Published values that differ are in parentheses."""

    replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.11
    """share of replayed images in the student's batch (128 of 1,152); 0 switches the replay off"""
    replay_steps: Whole = 4
    """steps of the autoencoder in a round, one in each of the first student steps; they count as generator steps"""
    replay_lr: Positive = 5e-4
    """learning rate of the autoencoder"""
    latent_lr: Positive = 0.02
    """learning rate of the step of replayed latents"""
    replay_logits: Weight = 1.0
    """weight of the difference of the teacher's logits for an image and for its reconstruction"""
    replay_prior: Weight = 1e-5
    """weight of the distance of the latents from a standard normal distribution"""
    replay_entropy: Weight = 2.17
    """weight of the class entropy of the replayed images, which makes all classes equally frequent (5, with logarithms
    to base 10)"""


@dataclass
class Replay:
    """The autoencoder. It learns to reproduce images of the generator, and makes replayed images."""

    options: Options
    encoder: Encoder
    decoder: Generator
    optimizer: torch.optim.Optimizer

    def learn(self, ctx: Context, fresh: Images) -> None:
        """Takes one step on half of a fresh batch, and after the first round on an eighth as many replayed images."""
        images, of_latents = fresh[: len(fresh) // 2], {}
        self.encoder.train()
        self.decoder.train()
        if ctx.round > 0:
            z, weights = self.latents(ctx, max(2, len(fresh) // 8)), list(self.decoder.parameters())
            loss = self.latents_loss(ctx, z)
            of_z, *of_weights = torch.autograd.grad(loss, [z, *weights])
            of_latents = {"replay_latents_term": _with_gradients(loss, weights, of_weights)}
            images = torch.cat([images, self.made_of(ctx, self.improved(z, of_z))])
        ctx.step_down(self.optimizer, self.terms(ctx, images) | of_latents)

    def terms(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        """The terms of loss_VAE for a batch, by name."""
        o, x = self.options, ctx.normalize(images)
        with ctx.autocast():
            mean, log_variance = (at_least_float32(output) for output in self.encoder(x))
        z = mean + (log_variance / 2).exp() * ctx.noise(*mean.shape)
        again = imagine(ctx, self.decoder, z)
        terms = {"replay_term": (ctx.normalize(again) - x).abs().mean()}
        if o.replay_logits > 0:
            t = ctx.soft_labels(images)
            terms["replay_logits_term"] = o.replay_logits * losses.l1(t, ctx.teacher_logits(again)).mean()
        return terms | {"replay_prior_term": o.replay_prior * kl_to_normal(mean, log_variance)}

    def images(self, ctx: Context, count: int) -> Images:
        """Images for the student: `count` random latents take one step, and the decoder turns them into images."""
        self.decoder.eval()
        z = self.latents(ctx, count)
        (of_z,) = torch.autograd.grad(self.latents_loss(ctx, z), z)
        return self.made_of(ctx, self.improved(z, of_z))

    def latents(self, ctx: Context, count: int) -> Float[Tensor, "{count} latent"]:
        """Random latents, with gradient."""
        return ctx.noise(count, self.decoder.latent_dim).requires_grad_()

    def latents_loss(self, ctx: Context, z: Float[Tensor, "count latent"]) -> Float[Tensor, ""]:
        """The term loss_z of the latents, differentiable in the latents and in the decoder's weights."""
        t = ctx.teacher_logits(imagine(ctx, self.decoder, z))
        return losses.one_hot(t) - self.options.replay_entropy * losses.class_entropy(t) + moments(z)

    def improved(
        self, z: Float[Tensor, "count latent"], gradient: Float[Tensor, "count latent"]
    ) -> Float[Tensor, "count latent"]:
        """The latents after the first step of Adam: the rate times g / (|g| + 1e-8) with the gradient g."""
        return z.detach() - self.options.latent_lr * gradient / (gradient.abs() + 1e-8)

    @torch.no_grad()
    def made_of(self, ctx: Context, z: Float[Tensor, "count latent"]) -> Images:
        """The decoder's images of the latents, without gradient."""
        return imagine(ctx, self.decoder, z)


def _with_gradients(loss: Tensor, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The value of `loss`, with gradients that are known already: a compiled pass allows one backward pass only."""
    linear = torch.stack([(weight * gradient).sum() for weight, gradient in zip(weights, gradients, strict=True)]).sum()
    return loss.detach() + linear - linear.detach()


@dataclass
class ReplayTraining:
    """Synthesizer: the generator takes its steps. It counts the steps that the store lets the autoencoder take."""

    generator: GeneratorTraining
    replay: Replay

    def round(self, ctx: Context) -> int:
        return self.generator.round(ctx) + min(self.replay.options.replay_steps, ctx.config.round_steps)


@dataclass
class Replayed:
    """Store that draws a batch from `store` and replaces the last images, a share of `share`, by replayed images.

    In the first replay_steps steps of a round, the autoencoder then learns from the batch of `store`.
    """

    store: Store
    replay: Replay
    share: float

    def draw(self, ctx: Context) -> StudentBatch:
        # The replayed images are made before the autoencoder learns: this order decides the random numbers.
        fresh = self.store.draw(ctx).images
        count = min(len(fresh) - 1, max(2, round(self.share * len(fresh))))
        images = torch.cat([fresh[:-count], self.replay.images(ctx, count)])
        if ctx.step % ctx.config.round_steps < self.replay.options.replay_steps:
            self.replay.learn(ctx, fresh)
        return StudentBatch(images)


def build(options: Options, ctx: Context) -> Method:
    """Builds PRE-DFKD for one run. Raises the same errors as DAFL."""
    o, method = options, mb_dfkd.build(options, ctx)
    if o.replay_share == 0:
        return method
    decoder = new_generator(ctx, o.latent_dim, o.generator_width, o.generator_output)
    encoder = Encoder(o.latent_dim, ctx.shape.channels, ctx.shape.image_size, o.generator_width).to(ctx.device)
    optimizer = adam([*encoder.parameters(), *decoder.parameters()], o.replay_lr)
    replay = Replay(o, encoder, decoder, optimizer)
    assert isinstance(method.synthesizer, GeneratorTraining)
    method.synthesizer = ReplayTraining(method.synthesizer, replay)
    method.store = Replayed(method.store, replay, o.replay_share)
    method.modules |= {"encoder": encoder, "decoder": decoder}
    method.optimizers["replay"] = optimizer
    return method
