"""DAFL, DFQ and DFAD: each term against a slow implementation; a term of weight 0 is off."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from cudfkd import ConfigError
from cudfkd.losses import kl, l1
from tests.cudfkd.engine.test_loop import networks
from tests.cudfkd.methods.tiny import build, config, context, distill, images


def terms(method, **options):
    """The generator's terms of eight images, and the context."""
    ctx = context(config(method, options=options))
    return build(ctx).synthesizer.terms(ctx, images()), ctx


def spread(t):
    mean = softmax(t, 1).mean(0)
    return float(-(mean * mean.log()).sum())


def test_dafl_term_by_term():
    values, ctx = terms("dafl", one_hot=2.0, class_entropy=3.0, activation=0.5)
    x = images()
    t = ctx.teacher(x)
    feature = ctx.teacher.classifier[:2](ctx.teacher.features(x).flatten(1))  # what goes into the last linear layer
    assert float(values["one_hot_term"]) == pytest.approx(2 * float(cross_entropy(t, t.argmax(1))), rel=1e-5)
    assert float(values["class_entropy_term"]) == pytest.approx(-3 * spread(t), rel=1e-5)
    assert float(values["activation_term"]) == pytest.approx(-0.5 * float(feature.abs().mean()), rel=1e-5)
    assert len(values) == 3


def test_dafl_may_look_elsewhere_or_nowhere():
    values, ctx = terms("dafl", feature="features.4", activation=1.0)
    feature = ctx.teacher.features[:4](images())
    assert float(values["activation_term"]) == pytest.approx(-float(feature.abs().mean()), rel=1e-5)
    assert "activation_term" not in terms("dafl", activation=0.0)[0]
    with pytest.raises(ConfigError, match="unknown module of the network 'feature': did you mean"):
        terms("dafl", feature="feature")


def test_dafl_needs_a_linear_layer_or_no_activation():
    ctx = context(config("dafl"))
    ctx.teacher = nn.Sequential(nn.Conv2d(1, 10, 16), nn.Flatten())
    with pytest.raises(ConfigError, match=r"no linear layer.*activation=0"):
        build(ctx)


def test_dfq_term_by_term():
    values, ctx = terms("dfq", adversarial=2.0, bn=0.5, one_hot=3.0, class_entropy=4.0)
    x = images()
    t, s = ctx.teacher(x), ctx.student(x)
    each = kl_div(log_softmax(s, 1), softmax(t, 1), reduction="none").sum(1)
    assert float(values["adversarial_term"]) == pytest.approx(-2 * float(each.mean()), rel=1e-4)
    assert float(values["one_hot_term"]) == pytest.approx(3 * float(cross_entropy(t, t.argmax(1))), rel=1e-5)
    assert float(values["class_entropy_term"]) == pytest.approx(-4 * spread(t), rel=1e-5)
    total, h = 0.0, x
    for layer in ctx.teacher.features:
        if isinstance(layer, nn.BatchNorm2d):
            total += (h.var((0, 2, 3), correction=0) - layer.running_var).norm()
            total += (h.mean((0, 2, 3)) - layer.running_mean).norm()
        h = layer(h)
    assert float(values["bn_term"]) == pytest.approx(0.5 * float(total), rel=1e-4)


def test_dfq_terms_are_off_at_weight_0():
    assert set(terms("dfq", adversarial=0.0, bn=0.0)[0]) == {"one_hot_term", "class_entropy_term"}


def test_dfq_needs_batchnorm_or_bn_off():
    ctx = context(config("dfq"))
    ctx.teacher = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    with pytest.raises(ConfigError, match=r"no BatchNorm .*bn=0"):
        build(ctx)


def test_dfad_descends_the_negative_of_what_its_student_descends():
    values, ctx = terms("dfad")
    x = images()
    gap = sum(abs(float(a - b)) for a, b in zip(ctx.teacher(x).flatten(), ctx.student(x).flatten(), strict=True)) / 80
    assert float(values["adversarial_term"]) == pytest.approx(-gap, rel=1e-4)
    from cudfkd.runs.student_batch import StudentBatch

    assert float(build(ctx).objective.losses(ctx, StudentBatch(x)).mean()) == pytest.approx(gap, rel=1e-4)


ALONE = {"one_hot": 0.0, "class_entropy": 0.0, "bn": 0.0}


@pytest.mark.parametrize(
    ("method", "loss", "options"), [("dfad", l1, {}), ("dfq", kl, ALONE), ("zskt", kl, {"store": "fresh"})]
)
def test_an_adversary_widens_the_gap_and_its_control_does_not(method, loss, options):
    """The generator alone, against a student that stands still. The control has no gradient to follow."""
    off = {"clip": 1e-12} if method == "zskt" else {"adversarial": 0.0}
    if method == "dfq":
        off["one_hot"] = 1.0  # the generator needs at least one term
    gaps = {}
    for name, changes, rounds in (("before", {}, 0), ("after", {}, 25), ("control", off, 25)):
        torch.manual_seed(0)
        ctx = context(config(method, seed=1, options=options | changes | {"generator_lr": 0.02}))
        plan = build(ctx)
        for _ in range(rounds):
            plan.synthesizer.round(ctx)
        ctx.rng.manual_seed(7)
        x = plan.store.draw(ctx).images
        gaps[name] = float(loss(ctx.teacher(x), ctx.student(x)).mean())
    assert gaps["after"] > 1.02 * max(gaps["before"], gaps["control"])


def test_dafl_makes_the_teacher_certain_and_its_control_does_not():
    def certainty(one_hot):
        run = distill(config("dafl", epochs=5, options={"one_hot": one_hot, "class_entropy": 0.0, "activation": 0.0,
                                                        "generator_lr": 0.02, "generator_steps": 5}))  # fmt: skip
        with torch.no_grad():
            x = run.generator(torch.randn(64, 8, generator=torch.Generator().manual_seed(0)))
            return float(softmax(networks()[0](x), 1).amax(1).mean())

    assert certainty(1.0) > certainty(0.0) + 1e-3


def test_the_student_is_in_train_mode_during_synthesis_where_the_paper_has_it_so():
    from cudfkd.callbacks import Callback
    from cudfkd.methods.parts.generator import GeneratorTraining

    seen = {}
    original = GeneratorTraining.round

    def spying(self, ctx):
        seen[ctx.config.method] = ctx.student.training
        return original(self, ctx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GeneratorTraining, "round", spying)
        for method in ("dfad", "zskt", "dafl", "dfq", "cudfkd"):
            distill(config(method, epochs=1), callbacks=[Callback()])
    assert seen == {"dfad": True, "zskt": True, "dafl": False, "dfq": False, "cudfkd": False}


@pytest.mark.parametrize(
    ("method", "changes", "warns"),
    [
        ("dafl", {"mean": None, "std": None}, True),
        ("dafl", {}, False),
        ("dafl", {"mean": None, "std": None, "options": {"generator_output": "sigmoid"}}, False),
        ("zskt", {"mean": None, "std": None}, False),
    ],
)
def test_a_generator_that_standardises_wants_to_know_the_units(method, changes, warns):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(context(config(method, **changes)))
    lines = [str(warning.message) for warning in caught if "mean and std are not set" in str(warning.message)]
    assert len(lines) == warns
    assert all("set mean and std, or generator_output='sigmoid'" in line for line in lines)
