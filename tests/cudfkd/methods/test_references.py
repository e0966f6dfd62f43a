"""The references: their images, the progress of their students, and their refusals."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

import cudfkd
from cudfkd import ConfigError
from cudfkd.losses import kl
from tests.cudfkd.engine.test_loop import networks
from tests.cudfkd.methods.tiny import build, config, context, distill


def test_from_scratch_learns_the_labels():
    ctx = context(config("scratch", options={"shift": 0}))
    plan = build(ctx)
    study = plan.store.draw(ctx)
    expected = cross_entropy(ctx.student(study.images), study.labels, reduction="none")
    torch.testing.assert_close(plan.objective.losses(ctx, study), expected)


def test_distillation_on_real_images_follows_the_teacher_and_not_the_labels():
    ctx = context(config("kd"))
    plan = build(ctx)
    study = plan.store.draw(ctx)
    expected = kl(ctx.teacher(study.images), ctx.student(study.images), 4.0)
    torch.testing.assert_close(plan.objective.losses(ctx, study), expected)
    wrong = study._replace(labels=(study.labels + 1) % 10)
    torch.testing.assert_close(plan.objective.losses(ctx, wrong), expected)


def test_unshifted_images_are_the_training_images_or_their_mirrors():
    ctx = context(config("kd", options={"shift": 0}))
    study = build(ctx).store.draw(ctx)
    real = ctx.training.at(torch.arange(len(ctx.training.labels)))
    for image, label in zip(study.images, study.labels, strict=True):
        twins = [
            int(number) for original, number in zip(real.images, real.labels, strict=True)
            if torch.allclose(original, image, atol=1e-5) or torch.allclose(original.flip(2), image, atol=1e-5)
        ]  # fmt: skip
        assert int(label) in twins


@pytest.mark.parametrize("method", ["kd", "scratch"])
def test_training_images_are_shifted_and_mirrored(method):
    ctx = context(config(method, batch_size=64, options={"shift": 4}))
    real = ctx.training.at(torch.arange(len(ctx.training.labels)))
    moved = [
        not any(torch.allclose(original, image, atol=1e-5) for original in real.images)
        for image in build(ctx).store.draw(ctx).images
    ]
    assert sum(moved) > 50  # all but one in 162


def test_noise_is_normal_where_it_is_not_cut():
    c = config("noise", mean=(0.5,), std=(0.1,), batch_size=64)
    ctx = context(c)
    x = ctx.normalize(build(ctx).store.draw(ctx).images)
    assert float(x.mean()) == pytest.approx(0, abs=0.03)
    assert float(x.std()) == pytest.approx(1, abs=0.03)


def test_a_student_learns_more_from_images_than_from_noise():
    """Bright squares in ten places, a class each; the teacher learns them first."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 10
    images = 0.1 * torch.rand(200, 1, 16, 16, generator=rng)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[0, 5 * row : 5 * row + 4, 4 * column : 4 * column + 4] = 0.9
    squares = TensorDataset(images, labels)
    teacher, student = networks()
    base = {"epochs": 2, "steps_per_epoch": 40, "batch_size": 32, "options": {}}
    cudfkd.distill(networks()[1], teacher, config("scratch", **base | {"options": {"shift": 0}}), train_on=squares)
    scores = {}
    for method, real in (("kd", squares), ("noise", None)):
        fresh = networks()[1]
        run = cudfkd.distill(teacher, fresh, config(method, **base), train_on=real, evaluate_on=squares)
        scores[method] = run.summary["accuracy"]["value"]
    assert scores["kd"] > scores["noise"] + 0.2


@pytest.mark.parametrize("method", ["kd", "scratch"])
def test_references_say_that_they_need_the_training_images(method):
    with pytest.raises(ConfigError, match=f"method {method} studies real images: pass them as train_on"):
        cudfkd.distill(*networks(), config(method))


def test_training_images_of_another_shape_are_refused():
    other = TensorDataset(torch.rand(4, 1, 20, 20), torch.arange(4))
    with pytest.raises(ConfigError, match=r"train_on has images of shape \(1, 20, 20\): it must be \(1, 16, 16\)"):
        cudfkd.distill(*networks(), config("kd"), train_on=other)


def test_they_make_nothing():
    run = distill(config("noise"))
    assert run.generator is None
    assert run.summary["generator_steps"] == 0
