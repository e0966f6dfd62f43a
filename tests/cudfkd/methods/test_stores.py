"""Stores and their memory; augmentation; the watch on the inputs and outputs of layers."""

import copy

import pytest
import torch
from torch import nn

import cudfkd
from cudfkd import ConfigError
from cudfkd.callbacks import Callback
from cudfkd.methods.parts.augment import resized_crop, roll_and_mirror, shift_and_mirror
from cudfkd.methods.parts.generator import GeneratorTraining
from cudfkd.methods.parts.memory import ImageMemory, Memory
from cudfkd.methods.parts.options import ImageOptions
from cudfkd.methods.parts.stores import Fresh, Mixture, Pool, Same, batch_store
from cudfkd.models.watch import Watch, last_of_each_size, map_sizes
from cudfkd.runs.context import Context
from tests.cudfkd.engine.test_loop import networks
from tests.cudfkd.methods.tiny import config, context, distill, images


def numbered(ctx, batches=1):
    """A source of batches; every pixel of the n-th batch is n / 100."""
    numbered.calls += batches
    first = numbered.calls - batches + 1
    return torch.cat([torch.full((8, 1, 16, 16), (first + n) / 100) for n in range(batches)])


@pytest.fixture(autouse=True)
def _restart():
    numbered.calls = 0


def values(study):
    return [round(100 * float(image.mean())) for image in study.images]


def bytes_memory(size):
    return ImageMemory(size, (1, 16, 16), torch.device("cpu"), bounded=True)


def test_fresh_is_new_at_each_draw_and_same_once_a_round():
    ctx = context(config("noise"))
    fresh, same = Fresh(numbered), Same(numbered)
    assert [values(fresh.draw(ctx))[0] for _ in range(3)] == [1, 2, 3]
    numbered.calls, seen = 0, []
    for ctx.round in (0, 0, 1, 1):
        seen.append(values(same.draw(ctx))[0])
    assert seen == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("at_once", "calls"), [(1, [1, 2, 3, 4, 5, 6]), (2, [2, 2, 3, 5, 5, 6]), (8, [3, 3, 3, 6, 6, 6])]
)
def test_batches_are_made_together_but_never_those_of_two_rounds(at_once, calls, monkeypatch):
    monkeypatch.setattr(Context, "batches_at_once", at_once)
    ctx = context(config("cudfkd", steps_per_epoch=6, round_steps=3))
    fresh, counts = Fresh(numbered, labelled=True), []
    for ctx.step in range(6):
        study = fresh.draw(ctx)
        assert values(study) == [ctx.step + 1] * 8
        torch.testing.assert_close(study.teacher_logits, ctx.teacher_logits(study.images))
        counts.append(numbered.calls)
    assert counts == calls


@pytest.mark.parametrize(("batch_size", "at_once"), [(8, 16), (64, 2), (96, 1), (128, 1), (500, 1)])
def test_a_cpu_makes_so_many_at_once_that_it_is_busy(batch_size, at_once):
    assert context(config("cudfkd", batch_size=batch_size)).batches_at_once == at_once


def test_how_many_are_made_at_once_changes_the_student_by_rounding_alone(monkeypatch):
    students = []
    for at_once in (1, 3):
        monkeypatch.setattr(Context, "batches_at_once", at_once)
        students.append(distill(config("cudfkd", steps_per_epoch=3, round_steps=3)).student)
    for first, second in zip(*(student.state_dict().values() for student in students), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)


def test_a_pool_holds_a_batch_a_round_and_draws_from_all():
    ctx, pool = context(config("noise")), Pool(numbered, bytes_memory(100), augment=False)
    for ctx.round in (0, 0, 1, 2):
        drawn = values(pool.draw(ctx))
    assert len(pool.memory) == 24
    assert set(drawn) | set(values(pool.draw(ctx))) | set(values(pool.draw(ctx))) == {1, 2, 3}


@pytest.mark.parametrize("augment", [True, False])
def test_images_of_a_pool_are_shifted_and_mirrored_if_wanted(augment):
    ctx, image = context(config("noise")), images(1).mul(255).round().div(255)
    pool = Pool(lambda _: image.expand(8, 1, 16, 16), bytes_memory(8), augment=augment)
    same_image = torch.isclose(pool.draw(ctx).images, image, atol=1e-3).flatten(1).all(1)
    assert same_image.all() != augment


def test_a_mixture_takes_each_fresh_image_once():
    ctx = context(config("cmi"))
    fresh = images(8).mul(255).round().div(255)
    mixture, _ = batch_store(ImageOptions(store="mixture"), ctx, lambda _: fresh, made=8)
    drawn = mixture.draw(ctx).images
    assert sorted(float(x.sum()) for x in drawn) == pytest.approx(sorted(float(x.sum()) for x in fresh))


def test_a_full_memory_forgets_the_oldest():
    memory = Memory(5, (1,), torch.float32, torch.device("cpu"))
    memory.add(torch.arange(3.0)[:, None])
    assert len(memory) == 3
    memory.add(torch.arange(3.0, 7.0)[:, None])
    assert sorted(memory.kept.flatten().tolist()) == [2, 3, 4, 5, 6]
    memory.add(torch.arange(20.0)[:, None])
    assert sorted(memory.kept.flatten().tolist()) == [15, 16, 17, 18, 19]


def test_a_memory_is_restored_whole():
    first, second = (Memory(5, (1,), torch.float32, torch.device("cpu")) for _ in range(2))
    first.add(torch.rand(7, 1))
    second.load_state_dict(first.state_dict())
    assert len(second) == 5
    first.add(torch.ones(1, 1))
    second.add(torch.ones(1, 1))
    assert torch.equal(first.kept, second.kept)


@pytest.mark.parametrize("bounded", [True, False])
def test_a_memory_of_images_keeps_what_a_generator_may_make(bounded):
    """Images in [0, 1] are kept as bytes; others in half precision, where the control is clipped."""
    ctx, x = context(config("noise")), 4 * images(8) - 2
    memory = ImageMemory(8, (1, 16, 16), torch.device("cpu"), bounded=bounded)
    memory.add(x)
    drawn, kept = memory.draw(ctx, 64), x.clamp(0, 1) if bounded else x
    nearest = (drawn[:, None] - kept[None]).abs().amax((2, 3, 4)).amin(1)
    assert float(nearest.max()) < (0.5 / 255 + 1e-6 if bounded else 2e-3)
    assert drawn.dtype == torch.float32


class Watched(Callback):
    """Keeps the student's batches, and the images of the generator's last step in each round."""

    def __init__(self):
        self.batches, self.steps = [], []

    def after_student_step(self, ctx, batch):
        self.batches.append(batch.images)


@pytest.mark.parametrize("method", ["dafl", "dfad"])
def test_the_store_step_gives_the_images_of_the_generators_step(method, monkeypatch):
    watch, original = Watched(), GeneratorTraining.round

    def round(self, ctx):
        taken = original(self, ctx)
        watch.steps.append((self.last.latents, self.last.images, copy.deepcopy(self.generator)))
        return taken

    monkeypatch.setattr(GeneratorTraining, "round", round)
    for store in ("step", "again"):
        watch.batches.clear()
        watch.steps.clear()
        distill(config(method, round_steps=2, options={"store": store}), callbacks=[watch])
        assert len(watch.batches) == 2 * len(watch.steps) == 8
        for batch, (latents, before, generator) in zip(watch.batches[::2], watch.steps, strict=True):
            after = generator.train()(latents).detach()
            torch.testing.assert_close(batch, before if store == "step" else after)
            assert not torch.allclose(before, after)
        for first, second in zip(watch.batches[::2], watch.batches[1::2], strict=True):
            assert torch.equal(first, second)


def test_a_mixture_holds_earlier_rounds_and_never_its_own():
    ctx, mixture = context(config("noise")), Mixture(numbered, bytes_memory(100), 0.5)
    seen = []
    for ctx.round in range(3):
        seen.append(values(mixture.draw(ctx)))
    assert seen[0] == [1] * 8
    assert seen[1] == [2] * 4 + [1] * 4
    assert seen[2][:4] == [3] * 4
    assert set(seen[2][4:]) <= {1, 2}


@pytest.mark.parametrize("store", ["same", "mixture"])
def test_of_a_large_sorted_batch_the_student_gets_its_share_of_all_classes(store):
    """A batch of 40 images, 10 of each of 4 classes, one class after the other."""
    ctx = context(config("cmi", batch_size=8))
    batch = torch.arange(40).div(10, rounding_mode="floor").float().div(100)[:, None, None, None].expand(40, 1, 16, 16)
    store_object, _ = batch_store(ImageOptions(store=store), ctx, lambda _: batch, made=40)
    counts = torch.zeros(4)
    for ctx.round in range(100):
        seen = values(store_object.draw(ctx))
        assert len(seen) == 8
        counts += torch.tensor(seen).bincount(minlength=4)
    assert counts.min() > 150  # of 200 expected, with a standard deviation of 11 at most


@pytest.mark.parametrize("store", ["same", "mixture"])
def test_a_batch_that_is_smaller_than_the_students_is_refused(store):
    with pytest.raises(ConfigError, match=r"synthesis_batch = 7 .* at least batch_size = 8, or take the store pool"):
        batch_store(ImageOptions(store=store), context(config("cmi")), lambda _: torch.empty(0), made=7)


def test_shift_and_mirror_moves_whole_pixels():
    """Each result is one of the shifts of the padded image or its mirror, found by trying them all."""
    ctx, x = context(config("noise")), images(6, 8)
    padded = nn.functional.pad(x, (2, 2, 2, 2))
    moved = shift_and_mirror(ctx, x, 2)
    used = set()
    for n in range(6):
        crops = {(i, j): padded[n, :, i : i + 8, j : j + 8] for i in range(5) for j in range(5)}
        matches = [(k, m) for k, c in crops.items() for m in (0, 1) if torch.allclose(c.flip(2) if m else c, moved[n])]
        assert len(matches) == 1
        used |= set(matches)
    assert len(used) > 1


def test_roll_and_mirror_loses_no_pixel():
    ctx, x = context(config("noise")), images(4)
    rolled = [roll_and_mirror(ctx, x, 2) for _ in range(5)]
    for each in rolled:
        assert torch.equal(each.flatten(1).sort().values, x.flatten(1).sort().values)
    assert not all(torch.equal(each, rolled[0]) for each in rolled)


def test_a_resized_crop_is_a_box_of_the_image():
    """Images whose pixels are their own row or column numbers show the sides of the box: area, ratio and place."""
    ctx, n, size = context(config("noise")), 200, 32
    column = torch.arange(size) / (size - 1)
    x = torch.stack([column.expand(size, size), column[:, None].expand(size, size)])  # channels: column, row
    crop = resized_crop(ctx, x.expand(n, 2, size, size), 0.25)
    assert crop.shape == (n, 2, size, size)
    low, high = crop.amin((2, 3)), crop.amax((2, 3))
    assert float(low.min()) >= -1e-6
    assert float(high.max()) <= 1 + 1e-6
    width, height = ((high - low) * (size - 1) / size + 1 / size).unbind(1)  # cut at the border by half a pixel or less
    area, ratio = width * height, width / height
    assert 0.2 < float(area.min()) < 0.35
    assert float(area.max()) > 0.9
    inside = torch.maximum(width, height) < 0.9
    assert 0.7 < float(ratio[inside].min()) < 0.8
    assert 1.25 < float(ratio[inside].max()) < 1.45
    mirrored = crop[:, 0, 0, 0] > crop[:, 0, 0, -1]
    assert 0.35 < float(mirrored.float().mean()) < 0.65


def test_crops_are_differentiable():
    ctx, x = context(config("noise")), images(2).requires_grad_()
    (resized_crop(ctx, x, 0.5).sum() + shift_and_mirror(ctx, x, 1).sum()).backward()
    assert float(x.grad.abs().sum()) > 0


def test_a_watch_sees_inputs_and_outputs_and_leaves_no_hook():
    teacher = networks()[0]
    x = torch.rand(2, 1, 16, 16)
    with (
        Watch(teacher, ["features.0"]).recording() as outputs,
        Watch(teacher, ["features.1"], inputs=True).recording() as inputs,
    ):
        teacher(x)
    assert torch.equal(outputs["features.0"], teacher.features[0](x))
    assert torch.equal(outputs["features.0"], inputs["features.1"])
    assert not any(m._forward_hooks for m in teacher.modules())


def test_an_unknown_module_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown module of the network 'feature\.0': did you mean 'features\.0'"):
        Watch(networks()[0], ["feature.0"])


class Unusual(nn.Module):
    """A teacher with an unused linear head and an unused BatchNorm2d, and layers that get their input by keyword."""

    def __init__(self, *, by_name: bool) -> None:
        super().__init__()
        self.by_name = by_name
        self.convolution, self.norm, self.last = nn.Conv2d(1, 10, 3), nn.BatchNorm2d(10), nn.Linear(10, 10)
        self.auxiliary, self.spare = nn.Linear(3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        if self.by_name:
            return self.last(input=self.norm(input=self.convolution(x)).mean((2, 3)))
        return self.convolution(x).mean((2, 3))


@pytest.mark.parametrize("method", ["cudfkd", "dafl", "mb-dfkd", "pre-dfkd", "fast-dfkd", "cmi", "deepinversion"])
def test_layers_that_take_no_part_are_named_in_a_line(method, tmp_path):
    pattern = (
        r"teacher's forward pass uses none of its|forward pass does not use what is to be looked at: (auxiliary|norm)"
    )
    with pytest.raises(ConfigError, match=pattern):
        cudfkd.distill(Unusual(by_name=False), networks()[1], config(method), run_dir=tmp_path / "run")


@pytest.mark.parametrize("method", ["cudfkd", "dafl", "fast-dfkd", "cmi"])
def test_layers_that_get_their_input_by_name_are_seen(method):
    options = {"feature": "last"} if method == "dafl" else {}
    run = cudfkd.distill(Unusual(by_name=True), networks()[1], config(method, options=options))
    assert run.summary["student_steps"] == 8


def test_map_sizes_of_what_has_maps():
    teacher, x = networks()[0], torch.rand(2, 1, 16, 16)
    assert map_sizes(teacher, x, ["features.2", "features.3"]) == {"features.2": 16, "features.3": 8}
    assert last_of_each_size(teacher, x) == {16: "features.2", 8: "features.3", 4: "features.6", 2: "features.7"}
    with pytest.raises(ConfigError, match="classifier gives out no maps"):
        map_sizes(teacher, x, ["classifier"])
