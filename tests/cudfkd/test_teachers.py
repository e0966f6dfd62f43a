"""Teachers: what training one leaves behind, and that only what its card describes is loaded."""

import json
from hashlib import sha256

import pytest
import torch
from torch import nn

import cudfkd
from cudfkd import ConfigError, DataError, data, teachers
from cudfkd.data import ImageSet
from cudfkd.normalize import Normalize
from cudfkd.teachers import Recipe, flip, locate, read_teacher, teacher_card


@pytest.fixture
def _few_images(monkeypatch):
    """Two kinds of image, told apart by which half is bright, under the name of a real data set."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 2
    pixels = torch.randint(0, 60, (96, 1, 28, 28), generator=rng)
    pixels[labels == 0, :, :14] += 150
    pixels[labels == 1, :, 14:] += 150
    sizes = {"train": slice(0, 64), "dev": slice(64, 80), "test": slice(80, 96)}
    splits = {name: ImageSet(pixels[part].byte(), labels[part]) for name, part in sizes.items()}
    monkeypatch.setattr(data, "load", lambda name, split, root=None: splits[split])


def train(out, seed=0, **recipe):
    return cudfkd.train_teacher(
        "fashion-mnist", "lenet5-half", seed, out=out, recipe=Recipe(**{"epochs": 3, "batch_size": 16} | recipe)
    )


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


@pytest.mark.usefixtures("_few_images")
def test_seed_and_augmentation_make_the_teacher(tmp_path):
    digests = [
        train(tmp_path / name, seed, **recipe)["sha256"]
        for name, seed, recipe in (("a", 0, {}), ("b", 0, {}), ("c", 1, {}), ("d", 0, {"augment": "none"}))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_flip_mirrors_some_images_and_leaves_the_others():
    images = torch.rand(64, 1, 4, 4)
    flipped = flip(images, torch.Generator().manual_seed(0))
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)])
    left = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert (mirrored ^ left).all()
    assert 16 < int(mirrored.sum()) < 48


@pytest.mark.usefixtures("_few_images")
def test_a_teacher_of_ones_own_is_found_by_its_file_on_its_data(tmp_path):
    train(tmp_path)
    for ending in ("", ".json", ".safetensors"):
        stem = locate("fashion-mnist", f"{tmp_path / 'lenet5-half-seed0'}{ending}")
        assert teacher_card(stem)["seed"] == 0
    with pytest.raises(ConfigError, match=r"was trained on fashion-mnist, not on cifar10"):
        locate("cifar10", str(tmp_path / "lenet5-half-seed0.json"))
    with pytest.raises(DataError, match=r"other\.json is missing"):
        locate("fashion-mnist", str(tmp_path / "other.json"))


@pytest.mark.usefixtures("_few_images")
@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_altered_weights_are_refused(tmp_path, spoil):
    train(tmp_path, epochs=1)
    path = tmp_path / "lenet5-half-seed0.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"SHA-256 differs"):
        read_teacher(tmp_path / "lenet5-half-seed0")


def test_the_teachers_that_ship_are_those_of_their_cards():
    assert len(teachers.shipped()) == 3
    for dataset, model, seed in teachers.shipped():
        card = teachers.shipped_card(dataset, model, seed)
        teacher = cudfkd.load_teacher(dataset, model, seed)
        about = data.info(dataset)
        found = cudfkd.evaluate(teacher, teacher, data.load(dataset, "dev"), about.mean, about.std)
        assert found.accuracy.value == pytest.approx(card["accuracy"]["dev"], abs=1e-3)
