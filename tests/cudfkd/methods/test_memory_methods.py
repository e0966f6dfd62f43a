"""MB-DFKD and PRE-DFKD: the student meets old images again, from a bank or a replay; with this off, it does not."""

import pytest
import torch
from torch.nn.functional import cross_entropy, softmax

from cudfkd.callbacks import Callback
from cudfkd.methods import pre_dfkd
from cudfkd.methods.parts.generator import fresh_images
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
    js = ((p * (p / m).log() + q * (q / m).log()) / 2).sum(1).mean()
    assert float(values["adversarial_term"]) == pytest.approx(-2 * float(js), rel=1e-3)
    assert {"one_hot_term", "class_entropy_term", "activation_term"} < set(values)


def test_the_autoencoders_terms():
    ctx, plan = plan_of(replay_logits=2.0, replay_prior=0.1)
    replay, x = plan.store.replay, images()
    ctx.rng.manual_seed(3)
    values = replay.terms(ctx, x)
    ctx.rng.manual_seed(3)
    mean, log_variance = replay.encoder(x)
    again = replay.decoder(mean + (log_variance / 2).exp() * ctx.noise(*mean.shape))
    prior = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
    assert float(values["replay_term"]) == pytest.approx(float((again - x).abs().mean()), rel=1e-4)
    logits = (ctx.teacher(again) - ctx.teacher(x)).abs().mean()
    assert float(values["replay_logits_term"]) == pytest.approx(2 * float(logits), rel=1e-3)
    assert float(values["replay_prior_term"]) == pytest.approx(0.1 * float(prior), rel=1e-4)


def test_latents_step_down_what_they_are_to_improve():
    ctx, plan = plan_of(replay_lr=0.01)
    replay, z = plan.store.replay, torch.randn(8, 8)

    def loss(z):
        replay.decoder.eval()
        t = ctx.teacher(replay.decoder(z))
        mean = softmax(t, 1).mean(0)
        moments = z.mean() ** 2 + (z.var(correction=0) - 1) ** 2
        return float(cross_entropy(t, t.argmax(1)) + 5 * (mean * mean.log()).sum() + moments)

    replay.decoder.eval()
    assert loss(replay.improved(ctx, z)) < loss(z)
    assert float((replay.improved(ctx, z) - z).abs().max()) == pytest.approx(0.01, rel=1e-4)


def test_the_replay_learns_to_make_what_the_generator_makes():
    """The replay's mean image approaches the generator's mean image; without training it does not."""
    apart = {}
    for steps in (0, 60):
        ctx, plan = plan_of(replay_lr=0.02, replay_logits=0.0)
        generator, replay = plan.modules["generator"], plan.store.replay
        with torch.no_grad():
            generator.layers[-2].bias.fill_(-2.0)  # dark images
        for _ in range(steps):
            replay.learn(ctx, fresh_images(ctx, generator))
        replayed, target = replay.images(ctx, 16).mean(0), fresh_images(ctx, generator).mean(0)
        apart[steps] = float((replayed - target).abs().mean())
    assert apart[60] < 0.4 * apart[0]


def test_the_autoencoder_learns_from_the_generators_images_of_today():
    ctx, plan = plan_of(replay_steps=3)
    generator, learned = plan.modules["generator"], []
    with torch.no_grad():
        generator.layers[-2].bias.fill_(-8.0)  # nearly black
    plan.store.replay.learn = lambda _, x: learned.append(x)
    plan.synthesizer.generator.optimizer.param_groups[0]["lr"] = 0.0
    plan.synthesizer.round(ctx)
    assert [len(x) for x in learned] == [4, 4, 4]  # half a batch each
    assert all(float(x.max()) < 0.05 for x in learned)
    assert not torch.equal(learned[0], learned[1])


def test_the_replayed_share_and_none_when_it_is_off():
    ctx, plan = plan_of(replay_share=0.25)
    fresh, batch = fresh_images(ctx, plan.modules["generator"]), plan.store.draw(ctx).images
    assert batch.shape == fresh.shape
    assert isinstance(plan.store, pre_dfkd.Replayed)
    off = plan_of(replay_share=0.0)[1]
    assert set(off.modules) == {"generator"}
    assert not isinstance(off.store, pre_dfkd.Replayed)
