"""DeepInversion, CMI and Fast-DFKD: terms, the best batch, and the special feature of each method, on and off."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize, softmax

from cudfkd import ConfigError
from cudfkd.methods import fast_dfkd
from cudfkd.methods.parts.augment import resized_crop, shift_and_mirror
from cudfkd.methods.parts.images import Best
from cudfkd.methods.parts.terms import channel_means, info_nce
from cudfkd.models.watch import Watch, names_of
from tests.cudfkd.methods.tiny import build, config, context, images


def plan_of(method, **options):
    ctx = context(config(method, options=options))
    return ctx, build(ctx)


def fitted(ctx):
    """Gives the teacher the BatchNorm statistics of dark images with bright squares, so that images can match them."""
    rng = torch.Generator().manual_seed(4)
    x = 0.2 * torch.rand(64, 1, 16, 16, generator=rng)
    x[:, :, 4:10, 4:10] += 0.6 * torch.rand(64, 1, 1, 1, generator=rng)
    for layer in ctx.teacher.features:
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    ctx.teacher.train()(x)
    ctx.teacher.eval()


def masked_kl(t, s):
    each = kl_div(log_softmax(s, 1), softmax(t, 1), reduction="none").sum(1)
    return float((each * (t.argmax(1) == s.argmax(1))).mean())


def bn_distance(teacher, x):
    total, h = 0.0, x
    for layer in teacher.features:
        if isinstance(layer, nn.BatchNorm2d):
            total += float((h.var((0, 2, 3), correction=0) - layer.running_var).norm())
            total += float((h.mean((0, 2, 3)) - layer.running_mean).norm())
        h = layer(h)
    return total


def test_the_best_batch_is_kept():
    best = Best()
    for loss in (3.0, 1.0, 2.0):
        best.offer(torch.full((2, 1, 4, 4), loss), torch.tensor(loss))
    assert float(best.images.mean()) == 1.0
    best.restart()
    best.offer(torch.full((2, 1, 4, 4), 5.0), torch.tensor(5.0))
    assert float(best.images.mean()) == 5.0


def test_deepinversion_term_by_term():
    ctx, plan = plan_of("deepinversion", one_hot=2.0, bn=3.0, tv=0.5, l2=0.1, adversarial=4.0)
    x, classes = images(), torch.arange(8)
    still = images(seed=6)  # before jitter; the networks see x
    values = plan.synthesizer.terms(ctx, still, x, classes)
    t, s = ctx.teacher(x), ctx.student(x)
    assert float(values["one_hot_term"]) == pytest.approx(2 * float(cross_entropy(t, classes)), rel=1e-5)
    assert float(values["bn_term"]) == pytest.approx(3 * bn_distance(ctx.teacher, x), rel=1e-3)
    steps = (still[:, :, 1:] - still[:, :, :-1]).abs().mean() + (still[..., 1:] - still[..., :-1]).abs().mean()
    steps += (still[:, :, 1:, 1:] - still[:, :, :-1, :-1]).abs().mean()
    steps += (still[:, :, 1:, :-1] - still[:, :, :-1, 1:]).abs().mean()
    assert float(values["tv_term"]) == pytest.approx(0.5 * float(steps), rel=1e-5)
    assert float(values["l2_term"]) == pytest.approx(0.1 * float(still.square().sum().sqrt()), rel=1e-5)
    p, q = softmax(t / 3, 1), softmax(s / 3, 1)
    m = (p + q) / 2  # no prediction is near 0 or 1, so nothing is clamped
    js = (m * (m / p).log() + m * (m / q).log()).sum(1).mean() / 2
    assert float(values["adversarial_term"]) == pytest.approx(-4 * float(js), rel=1e-3)


def test_deepinversion_without_the_student_is_not_adi():
    ctx, plan = plan_of("deepinversion", adversarial=0.0, tv=0.0)
    assert set(plan.synthesizer.terms(ctx, images(), images(), torch.arange(8))) == {"one_hot_term", "bn_term"}


def test_deepinversion_finds_the_classes_and_the_statistics_and_stays_an_image():
    distances = {}
    for steps in (1, 60):
        ctx = context(config("deepinversion", options={"inner_steps": steps, "synthesis_batch": 16}))
        fitted(ctx)
        plan = build(ctx)
        plan.synthesizer.round(ctx)
        x = plan.synthesizer.best.images
        assert float(x.min()) >= -1e-6
        assert float(x.max()) <= 1 + 1e-6
        distances[steps] = bn_distance(ctx.teacher, x)
    assert distances[60] < 0.5 * distances[1]


def test_deepinversion_moves_the_images_that_its_terms_see():
    """The images are shifted and mirrored in another way at each step."""
    seen = []
    ctx, plan = plan_of("deepinversion", inner_steps=4, pixel_lr=1e-9)
    terms = plan.synthesizer.terms
    plan.synthesizer.terms = lambda *given: (seen.append(given[2].detach().clone()), terms(*given))[1]
    plan.synthesizer.round(ctx)
    seen = seen[1:]  # the noise at the start leaves the range of an image once
    assert not any(torch.allclose(x, seen[0], atol=1e-3) for x in seen[1:])
    for x in seen[1:]:  # with the pixels of the first
        torch.testing.assert_close(x.flatten(1).sort().values, seen[0].flatten(1).sort().values, rtol=0, atol=1e-3)


def test_cmi_term_by_term():
    ctx, plan = plan_of("cmi", bn=2.0, one_hot=3.0, adversarial=4.0, contrast=0.5)
    x, classes = images(), torch.arange(8)
    ctx.rng.manual_seed(1)
    values, features = plan.synthesizer.terms(ctx, x, classes)
    ctx.rng.manual_seed(1)
    overall, local = shift_and_mirror(ctx, x, 4), resized_crop(ctx, x, 0.25)
    t, s = ctx.teacher(overall), ctx.student(overall)
    assert float(values["bn_term"]) == pytest.approx(2 * bn_distance(ctx.teacher, overall), rel=1e-3)
    assert float(values["one_hot_term"]) == pytest.approx(3 * float(cross_entropy(t, classes)), rel=1e-5)
    assert float(values["adversarial_term"]) == pytest.approx(-4 * masked_kl(t, s), rel=1e-3)
    contrast = plan.synthesizer.contrast
    seen = [channel_means(contrast.watch.try_on(view)) for view in (local, overall)]
    torch.testing.assert_close(features, torch.cat(seen, 1), rtol=1e-4, atol=1e-5)
    expected = info_nce(*(contrast.head(each) for each in seen), 0.1).mean()
    assert values["contrast_term"].item() == pytest.approx(0.5 * expected.item(), rel=1e-3)


def test_cmis_bank_holds_features_of_earlier_batches_and_they_are_compared_with():
    ctx, plan = plan_of("cmi", bank_size=12, bank_draw=6)
    contrast = plan.synthesizer.contrast
    plan.synthesizer.round(ctx)
    assert len(contrast.bank) == 8
    plan.synthesizer.round(ctx)
    assert len(contrast.bank) == 12
    features = plan.synthesizer.terms(ctx, images(), torch.arange(8))[1].detach()
    with_bank = contrast.loss(ctx, features).item()
    contrast.options = contrast.options.model_copy(update={"bank_draw": 0})
    assert with_bank > contrast.loss(ctx, features).item() + 1  # a mean over the bank comes on top


def test_cmis_bank_holds_what_the_teacher_sees_of_the_batch_that_was_kept():
    ctx, plan = plan_of("cmi", local_crop=1.0, crop_padding=0, bank_size=8)
    plan.synthesizer.round(ctx)
    watch = Watch(ctx.teacher, names_of(ctx.teacher, nn.BatchNorm2d), inputs=True)
    for image, kept in zip(plan.synthesizer.best.images, plan.synthesizer.contrast.bank.kept, strict=True):
        views = [channel_means(watch.try_on(x[None]))[0] for x in (image, image.flip(2))]  # crops of all may mirror
        assert min(float((kept.chunk(2)[1] - view).abs().max()) for view in views) < 1e-4  # of the global crop


def diversity(contrast):
    """1 - mean cosine of the inputs of the teacher's layers for two images of a batch; mean over two seeds."""
    diversities = []
    for seed in range(2):
        options = {"contrast": contrast, "bn": 1.0, "one_hot": 0.0, "adversarial": 0.0, "inner_steps": 60}
        sizes = {"synthesis_batch": 16, "generator_width": 4, "generator_lr": 0.01}
        ctx = context(config("cmi", seed=seed, options=options | sizes))
        torch.manual_seed(seed)
        fitted(ctx)
        plan = build(ctx)
        plan.synthesizer.round(ctx)
        with (
            torch.no_grad(),
            Watch(ctx.teacher, names_of(ctx.teacher, nn.BatchNorm2d), inputs=True).recording() as seen,
        ):
            ctx.teacher(plan.synthesizer.best.images)
        h = normalize(channel_means(seen), dim=1)
        diversities.append(1 - float((h @ h.T).sum() - len(h)) / (len(h) * (len(h) - 1)))
    return sum(diversities) / 2


def test_the_contrastive_term_raises_diversity():
    assert diversity(5.0) > 1.2 * diversity(0.0)


def test_cmi_without_contrast_has_no_head_and_no_bank():
    plan = plan_of("cmi", contrast=0.0)[1]
    assert set(plan.modules) == {"generator"}
    assert set(plan.memory) == {"images"}


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ConfigError, match="crop_padding = 16 is not allowed: the images have 16 pixels"):
        plan_of("cmi", crop_padding=16)


def test_the_global_crops_stand_still_in_the_contrastive_term():
    """The gradient of C passes through the local crops only: features of global crops get none."""
    ctx, plan = plan_of("cmi")
    contrast = plan.synthesizer.contrast
    features = torch.rand(8, contrast.bank.kept.shape[1]).requires_grad_()
    (gradient,) = torch.autograd.grad(contrast.loss(ctx, features), features)
    local, overall = gradient.chunk(2, 1)
    assert float(local.abs().max()) > 0
    assert float(overall.abs().max()) == 0


@pytest.mark.parametrize(("method", "off"), [("cmi", "contrast=0"), ("fast-dfkd", "bn=0"), ("deepinversion", "bn=0")])
def test_a_teacher_without_batchnorm_is_refused(method, off):
    ctx = context(config(method))
    ctx.teacher = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    with pytest.raises(ConfigError, match=rf"no BatchNorm .*{off}"):
        build(ctx)


def test_fast_dfkd_term_by_term():
    ctx, plan = plan_of("fast-dfkd", bn=2.0, one_hot=3.0, adversarial=4.0)
    x, classes = images(), torch.arange(8)
    values = plan.synthesizer.terms(ctx, x, classes, 4.0)  # x is a batch of views
    t, s = ctx.teacher(x), ctx.student(x)
    assert float(values["bn_term"]) == pytest.approx(2 * bn_distance(ctx.teacher, x), rel=1e-3)  # the first round
    assert float(values["one_hot_term"]) == pytest.approx(3 * float(cross_entropy(t, classes)), rel=1e-5)
    assert float(values["adversarial_term"]) == pytest.approx(-4 * masked_kl(t, s), rel=1e-3)
    assert "adversarial_term" not in plan.synthesizer.terms(ctx, x, classes, 0.0)


def test_fast_dfkds_statistics_are_averaged_over_rounds():
    ctx, plan = plan_of("fast-dfkd", bn_momentum=0.75)
    statistics, layer = plan.synthesizer.statistics, ctx.teacher.features[1]
    x, y = images(seed=1), images(seed=2) * 0.5
    _, first = statistics.look(ctx, x)
    assert float(first) == pytest.approx(bn_distance(ctx.teacher, x), rel=1e-3)
    statistics.end_round()
    statistics.look(ctx, y)
    mixed = statistics._mixed["features.1"]
    means = [ctx.teacher.features[0](each).mean((0, 2, 3)) for each in (x, y)]
    torch.testing.assert_close(mixed[0], 0.75 * means[0] + 0.25 * means[1], rtol=1e-4, atol=1e-5)
    assert mixed.shape == (2, len(layer.running_mean))


def test_the_meta_step_is_adam_down_the_sum_of_the_copys_gradients():
    ctx, plan = plan_of("fast-dfkd", inner_steps=1, warmup=0, adversarial=0.0)
    generator = plan.modules["generator"]
    before = [p.detach().clone() for p in generator.parameters()]
    plan.synthesizer.round(ctx)
    for p, old in zip(generator.parameters(), before, strict=True):
        assert p.grad is not None
        moved = p.grad.abs() > 1e-6  # Adam's first step is the rate times the sign
        torch.testing.assert_close((old - p).detach()[moved], 0.01 * p.grad[moved].sign(), rtol=1e-2, atol=1e-5)


def test_a_meta_start_shortens_synthesis_and_a_start_that_does_not_learn_does_not():
    """Compares the losses after a round's few steps, early and late in the run."""
    reached = {}
    for meta in (True, False):
        options = {"meta": meta, "inner_steps": 2, "warmup": 0, "synthesis_batch": 16, "generator_lr": 3e-3}
        ctx = context(config("fast-dfkd", options=options | {"reset_at": 1.0, "generator_width": 4}))
        fitted(ctx)
        plan = build(ctx)
        losses = []
        for ctx.round in range(40):
            plan.synthesizer.round(ctx)
            losses.append(bn_distance(ctx.teacher, plan.synthesizer.best.images))
        reached[meta] = sum(losses[-5:]) / sum(losses[:5])
    assert reached[True] < 0.8
    assert reached[False] > 0.9


def test_the_inner_steps_of_fast_dfkd_see_views_of_the_images(monkeypatch):
    """The views of a step are shifts and mirror images of its batch, and differ from it."""
    ctx, plan = plan_of("fast-dfkd", inner_steps=2, warmup=0)
    made, seen, terms = [], [], plan.synthesizer.terms
    monkeypatch.setattr(fast_dfkd, "shift_and_mirror", lambda ctx, x, n: made.append(x) or shift_and_mirror(ctx, x, n))
    plan.synthesizer.terms = lambda *given: (seen.append(given[1]), terms(*given))[1]
    plan.synthesizer.round(ctx)
    assert len(made) == len(seen) == 2
    for batch, views in zip(made, seen, strict=True):
        assert not torch.allclose(batch, views)
        assert float((batch.amax((1, 2, 3)) - views.amax((1, 2, 3))).min()) >= -1e-6


@pytest.mark.parametrize(
    ("warmup", "with_adversary"), [(0, [True]), (1, [True, True]), (3, [False, False, True, True])]
)
def test_the_last_round_of_the_warm_up_has_the_adversarial_term(warmup, with_adversary):
    ctx, plan = plan_of("fast-dfkd", inner_steps=1, warmup=warmup)
    weights, inner = [], plan.synthesizer._inner
    plan.synthesizer._inner = lambda ctx, adversarial: weights.append(adversarial > 0) or inner(ctx, adversarial)
    plan.synthesizer.round(ctx)
    assert weights == with_adversary


def test_the_reset_draws_the_first_layer_anew_and_no_other():
    ctx, plan = plan_of("fast-dfkd")
    generator = plan.modules["generator"]
    plan.synthesizer.round(ctx)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    plan.synthesizer._reset_first_layer()
    changed = {name for name, value in generator.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"}
    assert float(generator.layers[2].weight.abs().max()) < 0.1  # N(0, 0.02), not N(1, 0.02)


def test_the_warm_up_comes_before_the_first_student_step_and_the_reset_once():
    ctx, plan = plan_of("fast-dfkd", warmup=3, inner_steps=2, reset_at=0.5)
    ctx.config = config("fast-dfkd", round_steps=1, options={"warmup": 3, "inner_steps": 2, "reset_at": 0.5})
    taken = []
    resets = []
    plan.synthesizer._reset_first_layer = lambda: resets.append(ctx.round)
    for ctx.round in range(8):
        taken.append(plan.synthesizer.round(ctx))
    assert taken == [8, 2, 2, 2, 2, 2, 2, 2]
    assert resets == [4]
