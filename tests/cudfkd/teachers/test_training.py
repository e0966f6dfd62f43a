"""Training a teacher: the files it writes, and that stopping and resuming changes no bit."""

import json
from hashlib import sha256

import pytest
import torch
from torch import nn

import cudfkd
from cudfkd import ConfigError, DataError, TrainingError, data
from cudfkd.data import ImageSet
from cudfkd.models.normalize import Normalize
from cudfkd.teachers import read_teacher, recipes, training
from cudfkd.teachers.recipes import Recipe
from tests.cudfkd.data.test_cifar import Small

CARD, WEIGHTS = "lenet5-half-seed0.json", "lenet5-half-seed0.safetensors"


@pytest.fixture
def _few_images(monkeypatch):
    """Two classes of images under the name of a real data set. The bright half of an image shows its class."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 2
    pixels = torch.randint(0, 60, (96, 1, 28, 28), generator=rng)
    pixels[labels == 0, :, :14] += 150
    pixels[labels == 1, :, 14:] += 150
    sizes = {"train": slice(0, 64), "dev": slice(64, 80), "test": slice(80, 96)}
    splits = {name: ImageSet(pixels[indices].byte(), labels[indices]) for name, indices in sizes.items()}
    monkeypatch.setattr(data, "load", lambda name, split, root=None, image_size=None: splits[split])


def train(out, seed=0, *, resume=False, stop_after=None, on_epoch=None, **recipe):
    recipe = Recipe(**{"epochs": 3, "batch_size": 16} | recipe)
    return cudfkd.train_teacher(
        "fashion-mnist", "lenet5-half", seed, out=out, recipe=recipe, resume=resume, stop_after=stop_after,
        on_epoch=on_epoch,
    )  # fmt: skip


@pytest.mark.usefixtures("_few_images")
def test_a_teacher_learns_and_its_card_says_what_it_is(tmp_path):
    seen = []
    card = cudfkd.train_teacher(
        "fashion-mnist", "lenet5-half", 4, out=tmp_path / "new", recipe=Recipe(epochs=3, batch_size=16),
        on_epoch=lambda *row: seen.append(row),
    )  # fmt: skip
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert seen[-1][1] < seen[0][1]
    assert card["accuracy"] == {"dev": 1.0, "test": 1.0}
    assert card["trained_on"] == "split train: 64 images, none of dev or test"
    assert card["recipe"]["augment"] == "mirror"
    stem = tmp_path / "new" / "lenet5-half-seed4"
    assert json.loads(stem.with_suffix(".json").read_text()) == card
    assert sha256(stem.with_suffix(".safetensors").read_bytes()).hexdigest() == card["sha256"]
    teacher = read_teacher(stem)
    images, labels = data.load("fashion-mnist", "test").tensors
    about = data.info("fashion-mnist")
    assert not teacher.training
    with torch.no_grad():
        logits = nn.Sequential(Normalize(about.mean, about.std), teacher)(images)
    assert (logits.argmax(1) == labels).all()


CHANGES = [
    (str(number), 0, changed)
    for number, changed in enumerate((
        {"augment": "none"}, {"augment": "crop"}, {"augment": "shift"}, {"schedule": "cosine"},
        {"precision": "bfloat16"}, {"weight_decay": 0.0}, {"wrong_labels": 0.25},
    ))
]  # fmt: skip


@pytest.mark.usefixtures("_few_images")
def test_seed_and_recipe_make_the_teacher(tmp_path):
    digests = [
        train(tmp_path / name, seed, **recipe)["sha256"]
        for name, seed, recipe in (("a", 0, {}), ("b", 0, {}), ("c", 1, {}), *CHANGES)
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 2 + len(CHANGES)


@pytest.mark.usefixtures("_few_images")
def test_a_noisy_teacher_has_a_name_of_its_own_and_right_labels_judge_it(tmp_path):
    """With 95 % of wrong labels of ten classes the right class is the rarest, and the teacher unlearns it."""
    card = train(tmp_path, wrong_labels=0.95)
    assert card["trained_on"] == "split train: 64 images, none of dev or test; 61 of them have a wrong label"
    assert card["recipe"]["wrong_labels"] == 0.95
    assert card["accuracy"]["test"] < 0.5
    assert read_teacher(tmp_path / "lenet5-half-wrong95-seed0").training is False
    assert not (tmp_path / CARD).exists()


@pytest.mark.usefixtures("_few_images")
def test_a_teacher_of_an_earlier_version_is_found_and_gone_on_with(tmp_path):
    """Its recipe lacks the settings that came later."""
    train(tmp_path / "finished")
    path = tmp_path / "finished" / CARD
    card = json.loads(path.read_text())
    del card["recipe"]["wrong_labels"], card["recipe"]["augment"]
    path.write_text(json.dumps(card))
    assert train(tmp_path / "finished", resume=True) == card
    assert train(tmp_path / "begun", stop_after=1e-9) == {}
    config = tmp_path / "begun" / CARD.removesuffix(".json") / "config.json"
    description = json.loads(config.read_text())
    del description["recipe"]["wrong_labels"]
    config.write_text(json.dumps(description))
    assert train(tmp_path / "begun", resume=True)["sha256"] == card["sha256"]


def test_a_teacher_of_cifar_by_the_papers_recipe_shortened(tmp_path, monkeypatch):
    """On a small set in CIFAR's form."""
    small = Small("cifar10", tmp_path / "data", monkeypatch)
    recipe = recipes.get("paper", "cifar10").model_copy(update={"epochs": 1, "batch_size": 32})
    card = cudfkd.train_teacher("cifar10", "wrn-16-1", out=tmp_path, recipe=recipe, data_root=small.root)
    assert card["trained_on"] == "split train: 270 images, none of dev or test"
    assert card["model"] == {"name": "wrn-16-1", "num_classes": 10, "channels": 3, "image_size": 32}
    assert (card["recipe"]["augment"], card["recipe"]["schedule"]) == ("crop", "cosine")
    assert read_teacher(tmp_path / "wrn-16-1-seed0")(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


# Stopping and going on


@pytest.mark.usefixtures("_few_images")
@pytest.mark.parametrize("recipe", [{}, {"schedule": "cosine", "augment": "crop"}])
def test_stopped_after_each_epoch_the_bits_are_those_of_one_left_alone(tmp_path, recipe):
    unbroken = train(tmp_path / "whole", **recipe)
    epochs, cards = [], []
    for _ in range(3):
        torch.rand(7)  # the global generator is somewhere else each time
        cards.append(
            train(
                tmp_path / "parts", resume=True, stop_after=1e-9, on_epoch=lambda *row: epochs.append(row[0]), **recipe
            )
        )
    assert epochs == [1, 2, 3]
    assert cards == [{}, {}, unbroken]
    assert (tmp_path / "parts" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [CARD, WEIGHTS]


@pytest.mark.usefixtures("_few_images")
def test_a_finished_teacher_is_never_replaced(tmp_path):
    card = train(tmp_path)
    with pytest.raises(ConfigError, match=r"seed0.json is a teacher already: choose another folder, or delete it"):
        train(tmp_path, epochs=1)
    assert train(tmp_path, resume=True) == card
    train(tmp_path, seed=1, epochs=1)


@pytest.mark.usefixtures("_few_images")
def test_a_finished_teacher_is_found_again_and_not_trained(tmp_path):
    card = train(tmp_path)
    assert train(tmp_path, resume=True, on_epoch=lambda *_: pytest.fail("trained again")) == card
    with pytest.raises(ConfigError, match=r"holds a run with epochs = 3, not 4: choose another folder"):
        train(tmp_path, resume=True, epochs=4)
    (tmp_path / WEIGHTS).write_bytes(b"")
    with pytest.raises(DataError, match=r"SHA-256 differs"):
        train(tmp_path, resume=True)


@pytest.mark.usefixtures("_few_images")
def test_what_is_unfinished_is_gone_on_with_only_as_it_began(tmp_path):
    train(tmp_path, stop_after=1e-9)
    with pytest.raises(ConfigError, match=r"holds a run already: choose another folder, or resume it"):
        train(tmp_path)
    with pytest.raises(ConfigError, match=r"holds a run with augment = 'mirror', not 'crop'"):
        train(tmp_path, resume=True, augment="crop")
    (file,) = (tmp_path / "lenet5-half-seed0").glob("checkpoint-*.safetensors")
    file.write_bytes(b"x")
    with pytest.raises(DataError, match=r"is damaged \(its SHA-256 differs\)"):
        train(tmp_path, resume=True)


@pytest.mark.usefixtures("_few_images")
def test_one_that_died_in_its_first_epoch_starts_again(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "augmented", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    assert train(tmp_path, resume=True)["sha256"] == train(tmp_path / "other")["sha256"]


@pytest.mark.usefixtures("_few_images")
def test_a_loss_that_is_not_finite_is_said_and_nothing_is_left(tmp_path):
    with pytest.raises(TrainingError, match=r"the teacher's loss is not finite in epoch 1: lower lr"):
        train(tmp_path / "new", lr=1e30)
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("_few_images")
def test_a_batch_larger_than_the_set_and_a_time_that_is_none_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"batch_size = 65 is not allowed: there are 64 training images"):
        train(tmp_path, batch_size=65)
    with pytest.raises(ConfigError, match=r"stop_after = 0 is not allowed: it must be minutes, greater than 0"):
        train(tmp_path, stop_after=0)
    for device, message in (("gpu", "is not allowed"), ("cuda:99", "is not on this machine")):
        with pytest.raises(ConfigError, match=f"device = '{device}' {message}"):
            cudfkd.train_teacher("fashion-mnist", "lenet5-half", out=str(tmp_path), device=device)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_few_images")
def test_a_teacher_that_its_last_step_destroyed_is_none(tmp_path):
    """One step an epoch; its loss is finite."""
    with pytest.raises(TrainingError, match="not finite in epoch 1: lower lr"):
        train(tmp_path, epochs=1, batch_size=64, lr=1e30)
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.usefixtures("_few_images")
def test_on_a_gpu_it_learns_in_bfloat16_and_goes_on_where_it_was(tmp_path):
    for stop_after in (1e-9, None):
        card = cudfkd.train_teacher(
            "fashion-mnist", "resnet18", out=tmp_path, device="cuda", resume=True, stop_after=stop_after,
            recipe=Recipe(epochs=8, batch_size=16, augment="shift", precision="bfloat16"),
        )  # fmt: skip
    assert card["accuracy"]["dev"] > 0.9
