"""Runs beside foreign code: their numbers depend on nothing but their description, and their folder knows its data.

Python's own generator is tested in `tests.cudfkd.base.test_randomness`: the type checker of the tests draws from it.
"""

import json
import random
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.utils.data import Dataset, Subset, TensorDataset
from torchvision.ops import FrozenBatchNorm2d

import cudfkd
from cudfkd import ConfigError, DataError
from cudfkd.base.randomness import seeded
from cudfkd.boundary.images import read
from cudfkd.callbacks import Callback
from cudfkd.data import ImageSet
from tests.cudfkd.boundary.test_matrix import IMAGES, ExtraState, NoGrad, check, kd, quantized
from tests.cudfkd.boundary.test_matrix import Warns as WarnsOf
from tests.cudfkd.engine.test_foreign import Flat, config
from tests.cudfkd.engine.test_runs import StopAfter


class Pairs(Dataset):
    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return IMAGES[index]


class Augmented(Pairs):
    """A data set with random transforms, from two generators."""

    def __getitem__(self, index):
        image, label = IMAGES[index]
        noise = torch.rand(1).item() + np.random.rand()
        return image * noise / 2, label


class Draws(Callback):
    """Draws from every generator that it can reach, at every moment."""

    def __init__(self):
        self.drawn = []

    def draw(self, ctx, *_):
        random.random()
        self.drawn.append((torch.rand(1).item(), np.random.rand()))
        ctx.noise(3)

    before_run = after_run = before_epoch = after_epoch = before_synthesis = after_synthesis = draw
    before_student_step = after_student_step = before_lambda_update = after_lambda_update = draw


class Spontaneous(Flat):
    """A network that draws from NumPy's generator, as some implementations of stochastic depth do."""

    def forward(self, x):
        y = super().forward(x)
        return y * (1 + np.random.rand()) if self.training else y


def student(c=None, net: Callable = Flat, **arguments) -> list:
    with seeded(7):
        teacher, fresh = Flat(), net()
    cudfkd.distill(teacher, fresh, c or config(epochs=2), **arguments)
    return [value.tolist() for value in fresh.state_dict().values()]


# Randomness belongs to the run


@pytest.mark.parametrize("net", [Flat, Spontaneous])
def test_nothing_outside_shifts_a_run(net):
    """The student has dropout, so its bits show every draw from the global generator."""
    expected = student(net=net)
    for arguments in (
        {"evaluate_on": IMAGES}, {"evaluate_on": Pairs()}, {"evaluate_on": Subset(Pairs(), range(5))},
        {"evaluate_on": Augmented()}, {"callbacks": [Draws()]}, {"callbacks": [Draws()], "evaluate_on": Augmented()},
    ):  # fmt: skip
        torch.rand(3), random.random(), np.random.rand()
        assert student(net=net, **arguments) == expected
    assert student(config(epochs=2, seed=1), net=net) != expected


def test_a_run_goes_on_with_the_numbers_of_foreign_networks(tmp_path):
    expected = student(net=Spontaneous)
    with pytest.raises(KeyboardInterrupt):
        student(net=Spontaneous, run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    assert student(net=Spontaneous, run_dir=tmp_path / "run", resume=True) == expected


def test_a_callback_draws_its_own_numbers():
    watching = Draws()
    with seeded(3):
        student(callbacks=[watching])
        after = torch.rand(1).item()
    with seeded(3):
        numbers = [(torch.rand(1).item(), np.random.rand()) for _ in watching.drawn]
        assert watching.drawn == numbers
        assert after == torch.rand(1).item()


def states() -> list:
    return [torch.get_rng_state().tolist(), *map(str, np.random.get_state(legacy=False).values())]


@pytest.mark.parametrize(
    "act",
    [
        lambda networks: cudfkd.evaluate(*networks, Subset(Augmented(), range(5))),
        lambda networks: cudfkd.distill(*networks, config(), evaluate_on=Augmented(), callbacks=[Callback()]),
        lambda networks: cudfkd.distill(*networks, kd(), train_on=Augmented()),
        lambda networks: cudfkd.load_teacher("fashion-mnist", "lenet5"),
    ],
)
def test_the_caller_keeps_its_random_state(act):
    networks = Flat(), Flat()
    before = states()
    act(networks)
    assert states() == before


def test_random_transforms_follow_the_seed_of_the_run():
    assert torch.equal(read(Augmented(), seed=1).pixels, read(Augmented(), seed=1).pixels)
    assert not torch.equal(read(Augmented(), seed=1).pixels, read(Augmented(), seed=2).pixels)


def test_runs_in_threads_give_what_they_give_alone():
    seeds, together = (1, 2), {}
    alone = {seed: student(config(epochs=2, seed=seed), evaluate_on=Pairs()) for seed in seeds}
    with seeded(7):
        networks = {seed: (Flat(), Flat()) for seed in seeds}
    for teacher, fresh in networks.values():
        with seeded(7):
            teacher.load_state_dict(Flat().state_dict())
            fresh.load_state_dict(Flat().state_dict())

    def run(seed: int) -> None:
        cudfkd.distill(*networks[seed], config(epochs=2, seed=seed), evaluate_on=Pairs())
        together[seed] = [value.tolist() for value in networks[seed][1].state_dict().values()]

    threads = [threading.Thread(target=run, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_a_run_inside_a_callback_of_a_run_changes_neither():
    inner = []

    class Nested(Callback):
        def after_epoch(self, ctx, row):
            inner.append(student(config(seed=5)))
            cudfkd.evaluate(ctx.student, ctx.teacher, IMAGES)

    assert student(callbacks=[Nested()]) == student()
    assert inner == [student(config(seed=5))] * 2


# A folder knows the data of its run


def test_a_run_goes_on_with_the_data_of_its_beginning_only(tmp_path):
    images, labels = IMAGES.tensors
    run = {"run_dir": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        student(evaluate_on=IMAGES, callbacks=[StopAfter(1)], **run)
    rows = (tmp_path / "run" / "metrics.jsonl").read_text()
    for other in (TensorDataset(1 - images, labels), TensorDataset(images, labels.flip(0)), Subset(IMAGES, range(5))):
        with pytest.raises(ConfigError, match="holds a run with other images or labels in evaluate_on: pass the data"):
            student(evaluate_on=other, resume=True, **run)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == rows
    bytes_ = ImageSet((images * 255).round().byte(), labels)
    assert student(evaluate_on=bytes_, resume=True, **run) == student(evaluate_on=IMAGES)


def test_a_reference_goes_on_with_its_training_images_only(tmp_path):
    images, labels = IMAGES.tensors
    c = kd().model_copy(update={"epochs": 2})
    with pytest.raises(KeyboardInterrupt):
        student(c, train_on=IMAGES, run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    with pytest.raises(ConfigError, match="other images or labels in train_on"):
        student(c, train_on=TensorDataset(1 - images, labels), run_dir=tmp_path / "run", resume=True)
    assert student(c, train_on=Pairs(), run_dir=tmp_path / "run", resume=True) == student(c, train_on=IMAGES)


def test_a_folder_of_an_earlier_version_goes_on(tmp_path):
    """Earlier versions wrote neither the hash of the data nor the states of Python's and NumPy's generators."""
    with pytest.raises(KeyboardInterrupt):
        student(evaluate_on=IMAGES, run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    file = tmp_path / "run" / "config.json"
    description = json.loads(file.read_text())
    del description["data_sha256"]
    file.write_text(json.dumps(description))
    assert student(evaluate_on=IMAGES, run_dir=tmp_path / "run", resume=True) == student(evaluate_on=IMAGES)
    assert cudfkd.load_run(tmp_path / "run", student=Flat()).rows


def test_a_folder_of_another_version_that_cannot_be_read_says_so(tmp_path):
    student(run_dir=tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    description = json.loads(file.read_text())
    description["distill"]["new_option"] = 1
    file.write_text(json.dumps(description))
    with pytest.raises(DataError, match=r"config.json is damaged \(unknown option 'new_option'"):
        cudfkd.load_run(tmp_path / "run", student=Flat())
    description["versions"]["cudfkd"] = "9.0"
    file.write_text(json.dumps(description))
    with pytest.raises(DataError, match=r"was written by cudfkd 9.0, and this is .* \(unknown option 'new_option'"):
        cudfkd.load_run(tmp_path / "run", student=Flat())
    del description["teacher_sha256"]
    file.write_text(json.dumps(description))
    with pytest.raises(DataError, match="was written by cudfkd 9.0.*teacher_sha256"):
        student(run_dir=tmp_path / "run", resume=True)


def test_a_change_of_the_working_folder_does_not_move_a_run(tmp_path, monkeypatch):
    class Moves(Callback):
        def after_epoch(self, ctx, row):
            (tmp_path / "elsewhere").mkdir(exist_ok=True)
            monkeypatch.chdir(tmp_path / "elsewhere")

    monkeypatch.chdir(tmp_path)
    with seeded(7):
        networks = Flat(), Flat()
    run = cudfkd.distill(*networks, config(epochs=2), run_dir="run", callbacks=[Moves()])
    assert str(run.path) == "run"
    assert (tmp_path / "run" / "summary.json").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("run_dir", ["", 3, b"run"])
def test_a_run_dir_that_is_no_path_is_one_line(run_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="^run_dir = .* is not allowed: it must be the path of a folder$"):
        cudfkd.distill(Flat(), Flat(), config(), run_dir=run_dir)
    assert list(tmp_path.iterdir()) == []


def test_a_student_that_a_folder_cannot_hold_is_refused_before_it_is_written(tmp_path):
    cudfkd.distill(Flat(), ExtraState(), config())
    with pytest.raises(ConfigError, match="which a run folder cannot hold: leave run_dir out"):
        cudfkd.distill(Flat(), ExtraState(), config(), run_dir=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def compiled(net: nn.Module) -> nn.Module:
    return torch.compile(net, backend="eager")


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda net: nn.Sequential(nn.DataParallel(net)), compiled],
    ids=["parallel", "parallel part", "compiled"],
)  # fmt: skip
def test_the_student_comes_back_as_the_object_that_was_given(wrap, tmp_path):
    with seeded(7):
        teacher, inner = Flat(), Flat()
    given = wrap(inner)
    run = cudfkd.distill(nn.DataParallel(teacher), given, config(epochs=2), run_dir=tmp_path / "run")
    assert run.student is given
    assert [value.tolist() for value in inner.state_dict().values()] == student()
    loaded = cudfkd.load_run(tmp_path / "run", student=wrap(Flat())).student
    assert [value.tolist() for value in loaded.state_dict().values()] == student()


# BatchNorm layers of every kind


class Own(nn.Module):
    """BatchNorm as a user may write it."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        return (x - self.running_mean[:, None, None]) / (self.running_var[:, None, None] + 1e-5).sqrt()


class Sub(nn.BatchNorm2d):
    pass


def three_layers(second: Callable) -> nn.Module:
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), second(6), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(600, 4))
    for layer in net.modules():
        if isinstance(getattr(layer, "running_mean", None), torch.Tensor):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return net


def bn_term(second: Callable) -> float:
    with seeded(7):
        teacher, fresh = three_layers(second), Flat()
    return cudfkd.distill(teacher, fresh, config(steps_per_epoch=1)).rows[0]["bn_term"]


@pytest.mark.parametrize("kind", [nn.SyncBatchNorm, Sub, FrozenBatchNorm2d, Own])
def test_every_kind_of_batchnorm_counts(kind):
    assert bn_term(kind) == pytest.approx(bn_term(nn.BatchNorm2d), rel=1e-5)


def test_a_layer_on_vectors_counts():
    def teacher(last: nn.Module) -> nn.Module:
        net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(1176, 4), last)
        last.running_mean.fill_(100)
        return net

    def term(last: nn.Module) -> float:
        c = config(steps_per_epoch=1, curriculum=cudfkd.Curriculum(granularity="none"))
        return cudfkd.distill(teacher(last), Flat(), c).rows[0]["bn_term"]

    assert term(nn.BatchNorm1d(4)) > 3 * 190  # weight 3, norm of (100, 100, 100, 100) is 200


class Skips(nn.Module):
    """A network that calls a layer's forward itself, so that no hook sees it."""

    def __init__(self):
        super().__init__()
        self.net = three_layers(nn.BatchNorm2d)

    def forward(self, x):
        for layer in self.net:
            x = layer.forward(x) if layer is self.net[4] else layer(x)
        return x


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: three_layers(lambda n: nn.InstanceNorm2d(n, track_running_stats=True)), "statistics: 4 (not"),
        (Skips, "statistics: net.4 (not"),
    ],
)
@pytest.mark.parametrize("method", ["cudfkd", "fast-dfkd", "dfq"])
def test_a_layer_that_cannot_count_is_named(method, make, named):
    sizes = {"synthesis_batch": 4, "inner_steps": 1, "warmup": 0} if method == "fast-dfkd" else {}
    c = config(method=method, steps_per_epoch=1, options=sizes, curriculum=cudfkd.Curriculum(granularity="none"))
    check(WarnsOf(named), lambda: cudfkd.distill(make(), Flat(), c))


def test_a_reference_needs_no_gradient_of_the_teacher():
    for make in (NoGrad, quantized):
        cudfkd.distill(make(), Flat(), kd(), train_on=IMAGES)


# Parametrized layers


@pytest.mark.parametrize("which", [weight_norm, spectral_norm, orthogonal])
def test_a_parametrized_teacher_gives_the_student_of_its_plain_weights(which):
    with seeded(7):
        teacher, plain, fresh, same = Flat(), Flat(), Flat(), Flat()
        which(teacher.conv)
    teacher.eval()
    with torch.no_grad():
        plain.load_state_dict({name: value for name, value in teacher.state_dict().items() if "conv" not in name}
                              | {"conv.weight": teacher.conv.weight, "conv.bias": teacher.conv.bias})  # fmt: skip
    same.load_state_dict(fresh.state_dict())
    cudfkd.distill(teacher, fresh, config())
    cudfkd.distill(plain, same, config())
    assert all(torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), same.state_dict().values(), strict=True))
    assert teacher.conv.weight.shape == (6, 3, 3, 3)


def test_checks_before_a_run_leave_the_students_statistics_alone():
    net = Flat()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ConfigError, match="they must agree"):
        cudfkd.distill(Flat(classes=5), net, config())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
