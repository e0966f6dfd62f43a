"""MB-DFKD and PRE-DFKD: the student meets old images again, from a bank or a replay; with this off, it does not."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softmax

from cudfkd.callbacks import Callback
from cudfkd.methods import pre_dfkd
from cudfkd.methods.parts.generator import fresh_images
from cudfkd.methods.parts.terms import clamped_js
from cudfkd.models.normalize import Normalize
from tests.cudfkd.methods.tiny import build, config, context, distill, images


class Batches(Callback):
    def __init__(self):
        self.seen = []

    def after_student_step(self, ctx, batch):
        self.seen.append(batch.images)


def old_images_in(batches, earlier):
    """The number of images of the last batch that equal an image of an earlier batch, to the byte."""
    bank = torch.cat(earlier)
    return sum(bool(((bank - image).abs().amax((1, 2, 3)) <= 0.5 / 255 + 1e-6).any()) for image in batches[-1])


@pytest.mark.parametrize(("store", "expected"), [("mixture", 4), ("fresh", 0)])
def test_the_bank_brings_back_images_of_earlier_rounds(store, expected):
    watch = Batches()
    options = {"store": store, "memory_share": 0.5, "generator_lr": 0.1}
    distill(config("mb-dfkd", round_steps=1, options=options), callbacks=[watch])
    assert old_images_in(watch.seen, watch.seen[:-1]) == expected


def plan_of(**options):
    ctx = context(config("pre-dfkd", options=options))
    plan = build(ctx)
    return ctx, plan


def test_the_adversarial_term_comes_on_top_of_dafls():
    ctx, plan = plan_of(adversarial=2.0)
    values = plan.synthesizer.generator.terms(ctx, images())
    p, q = softmax(ctx.teacher(images()) / 3, 1), softmax(ctx.student(images()) / 3, 1)
    m = (p + q) / 2
    js = ((m * (m / p).log() + m * (m / q).log()) / 2).mean()  # no prediction is near 0 or 1, so nothing is clamped
    assert float(values["adversarial_term"]) == pytest.approx(-2 * float(js), rel=1e-3)
    assert {"one_hot_term", "class_entropy_term", "activation_term"} < set(values)


def test_the_divergence_has_no_gradient_through_the_teacher():
    """With all other weights 0, images that only the teacher sees get no gradient."""
    off = {"one_hot": 0.0, "class_entropy": 0.0, "activation": 0.0}
    ctx, plan = plan_of(**off)
    x = images().requires_grad_()
    ctx.student = nn.Sequential(nn.Flatten(), nn.Linear(256, 10).requires_grad_(False))
    (through_student,) = torch.autograd.grad(plan.synthesizer.generator.terms(ctx, x)["adversarial_term"], x)
    p, q = softmax(ctx.teacher(x).detach() / 3, 1), softmax(ctx.student(x) / 3, 1)
    m = (p + q) / 2
    expected = -((m * (m / p).log() + m * (m / q).log()) / 2).mean()
    torch.testing.assert_close(through_student, torch.autograd.grad(expected, x)[0], rtol=1e-3, atol=1e-8)


def test_the_autoencoders_terms():
    ctx, plan = plan_of(replay_logits=2.0, replay_prior=0.1)
    ctx.normalize = Normalize((0.3,), (0.5,))
    replay, x = plan.store.replay, images()
    units = (x - 0.3) / 0.5
    ctx.rng.manual_seed(3)
    values = replay.terms(ctx, x)
    ctx.rng.manual_seed(3)
    mean, log_variance = replay.encoder(units)
    again = (replay.decoder(mean + (log_variance / 2).exp() * ctx.noise(*mean.shape)) - 0.3) / 0.5
    prior = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
    assert float(values["replay_term"]) == pytest.approx(float((again - units).abs().mean()), rel=1e-4)
    logits = (ctx.teacher(again) - ctx.teacher(units)).abs().mean()
    assert float(values["replay_logits_term"]) == pytest.approx(2 * float(logits), rel=1e-3)
    assert float(values["replay_prior_term"]) == pytest.approx(0.1 * float(prior), rel=1e-4)


def test_the_divergence_counts_from_0():
    """It falls below 0 where the student is more certain than the teacher, and the authors' code then takes it as 0."""

    class Certain(nn.Module):
        """Logit 0 is larger than the other logits, by this number and the mean of the image."""

        def __init__(self, by):
            super().__init__()
            self.by = by

        def forward(self, x):
            return (self.by + x.mean((1, 2, 3)))[:, None] * torch.eye(10)[0]

    values = {}
    for by in (6.0, 18.0):
        ctx, plan = plan_of(activation=0.0)
        ctx.teacher, ctx.student = Certain(13.0), Certain(by)
        x = images().requires_grad_()
        term = plan.synthesizer.generator.terms(ctx, x)["adversarial_term"]
        values[by] = [float(y.detach()) for y in (clamped_js(ctx.teacher(x), ctx.student(x), 3.0).mean(), term)]
        assert bool((torch.autograd.grad(term, x)[0] == 0).all()) == (by == 18.0)
    assert values[18.0][0] < 0
    assert values[18.0][1] == 0
    assert values[6.0][1] == pytest.approx(-values[6.0][0] / 10)


def test_latents_take_the_first_step_of_adam():
    ctx, plan = plan_of(latent_lr=0.01)
    z = torch.randn(8, 8, dtype=torch.float64).requires_grad_()
    for size in (1.0, 1e-8):  # Adam adds 1e-8 to the size of a gradient
        theirs = z.detach().clone().requires_grad_()
        adam = torch.optim.Adam([theirs], lr=0.01)
        (size * theirs.square().sum()).backward()
        adam.step()
        gradient = torch.autograd.grad(size * z.square().sum(), z)[0]
        torch.testing.assert_close(plan.store.replay.improved(z, gradient), theirs.detach())


def test_latents_step_down_what_they_are_to_improve():
    ctx, plan = plan_of(latent_lr=0.01)
    replay, z = plan.store.replay, torch.randn(8, 8).requires_grad_()
    replay.decoder.eval()

    def loss(z):
        t = ctx.teacher(replay.decoder(z))
        mean = softmax(t, 1).mean(0)
        moments = (z.mean(0) ** 2).mean() + ((z.var(0) - 1) ** 2).mean()
        return cross_entropy(t, t.argmax(1)) + 2.17 * (mean * mean.log()).sum() + moments

    assert float(replay.latents_loss(ctx, z)) == pytest.approx(float(loss(z)), rel=1e-5)
    improved = replay.improved(z, *torch.autograd.grad(loss(z), z))
    assert float(loss(improved)) < float(loss(z))
    assert float((improved - z).abs().max()) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("round", [0, 1])
def test_the_decoder_descends_the_latents_loss_too_after_the_first_round(round):
    ctx, plan = plan_of()
    ctx.round, replay, seen = round, plan.store.replay, {}
    ctx.step_down = lambda optimizer, terms: seen.update(terms)
    replay.learn(ctx, images())
    assert ("replay_latents_term" in seen) == (round > 0)
    assert replay.decoder.training
    if round:
        ctx.rng.manual_seed(ctx.config.seed)
        weights, before = list(replay.decoder.parameters()), float(seen["replay_latents_term"])
        expected = replay.latents_loss(ctx, replay.latents(ctx, 2))
        assert before == pytest.approx(float(expected), rel=1e-5)
        of_term, of_loss = (torch.autograd.grad(x, weights) for x in (seen["replay_latents_term"], expected))
        for first, second in zip(of_term, of_loss, strict=True):
            torch.testing.assert_close(first, second)
        assert float(of_loss[0].abs().max()) > 0


def test_the_replay_learns_to_make_what_the_generator_makes():
    """The replay's mean image approaches the generator's mean image; without training it does not."""
    apart = {}
    for steps in (0, 60):
        ctx, plan = plan_of(replay_lr=0.02, replay_logits=0.0, generator_output="sigmoid")
        generator, replay = plan.modules["generator"], plan.store.replay
        with torch.no_grad():
            generator.layers[-2].bias.fill_(-2.0)  # dark images
        for _ in range(steps):
            replay.learn(ctx, fresh_images(ctx, generator))
        replayed, target = replay.images(ctx, 16).mean(0), fresh_images(ctx, generator).mean(0)
        apart[steps] = float((replayed - target).abs().mean())
    assert apart[60] < 0.4 * apart[0]


def test_the_autoencoder_learns_from_the_students_fresh_images_in_the_first_steps_of_a_round():
    ctx, plan = plan_of(replay_steps=3, replay_share=0.25)
    learned, studied = [], []
    plan.store.replay.learn = lambda _, x: learned.append(x)
    for step in range(ctx.config.round_steps):
        ctx.step = step
        studied.append(plan.store.draw(ctx).images)
    assert [len(x) for x in learned] == [8, 8, 8]
    for fresh, batch in zip(learned, studied, strict=False):
        assert torch.equal(fresh[:6], batch[:6])
        assert not torch.equal(fresh[6:], batch[6:])
    assert plan.synthesizer.round(ctx) == 1 + 3


def test_it_learns_from_half_the_batch_and_an_eighth_as_many_replayed_images():
    ctx, plan = plan_of()
    replay, sizes = plan.store.replay, []
    ctx.step_down = lambda optimizer, terms: None
    replay.terms = lambda _, x: sizes.append(len(x)) or {}
    for ctx.round in (0, 1):
        replay.learn(ctx, images(32))
    assert sizes == [16, 16 + 4]


def test_the_replayed_share_and_none_when_it_is_off():
    ctx, plan = plan_of(replay_share=0.25)
    fresh, batch = fresh_images(ctx, plan.modules["generator"]), plan.store.draw(ctx).images
    assert batch.shape == fresh.shape
    assert isinstance(plan.store, pre_dfkd.Replayed)
    off = plan_of(replay_share=0.0)[1]
    assert set(off.modules) == {"generator"}
    assert not isinstance(off.store, pre_dfkd.Replayed)
