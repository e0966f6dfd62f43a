"""Teachers: only a teacher that a card describes is loaded. test_training tests the training."""

import pytest

import cudfkd
from cudfkd import ConfigError, DataError, data, teachers
from cudfkd.teachers import locate, read_teacher, teacher_card
from tests.cudfkd.teachers.test_training import _few_images, train  # noqa: F401


@pytest.mark.usefixtures("_few_images")
def test_a_teacher_of_ones_own_is_found_by_its_file_on_its_data(tmp_path):
    train(tmp_path)
    for ending in ("", ".json", ".safetensors"):
        stem = locate("fashion-mnist", f"{tmp_path / 'lenet5-half-seed0'}{ending}")
        assert teacher_card(stem)["seed"] == 0
    with pytest.raises(ConfigError, match=r"was trained on fashion-mnist, not on cifar10"):
        locate("cifar10", str(tmp_path / "lenet5-half-seed0.json"))
    with pytest.raises(ConfigError, match=r"there is no teacher .*other\.json: name the file of its weights"):
        locate("fashion-mnist", str(tmp_path / "other.json"))
    (tmp_path / "lenet5-half-seed0.json").unlink()
    with pytest.raises(DataError, match=r"lenet5-half-seed0\.json is missing"):
        locate("fashion-mnist", str(tmp_path / "lenet5-half-seed0.safetensors"))


@pytest.mark.usefixtures("_few_images")
@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_altered_weights_are_refused(tmp_path, spoil):
    train(tmp_path, epochs=1)
    path = tmp_path / "lenet5-half-seed0.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"SHA-256 differs"):
        read_teacher(tmp_path / "lenet5-half-seed0")


def test_the_teachers_that_ship_are_those_of_their_cards():
    noisy = [("fashion-mnist", f"lenet5-wrong{share}", 0) for share in (10, 20, 40)]
    assert teachers.shipped() == [("fashion-mnist", "lenet5", seed) for seed in (0, 1, 2)] + noisy
    for dataset, model, seed in teachers.shipped():
        card = teachers.shipped_card(dataset, model, seed)
        teacher = cudfkd.load_teacher(dataset, model, seed)
        about = data.info(dataset)
        evaluation = cudfkd.evaluate(teacher, teacher, data.load(dataset, "dev"), about.mean, about.std)
        assert evaluation.accuracy.value == pytest.approx(card["accuracy"]["dev"], abs=1e-3)


@pytest.mark.parametrize("model", ["lenet5", "lenet5-wrong10", "lenet5-wrong20", "lenet5-wrong40"])
def test_the_page_gives_the_accuracies_of_the_cards(model):
    page = (data.ASSETS.parents[1] / "docs" / "networks-and-data.md").read_text()
    (row,) = [line.split("|") for line in page.splitlines() if line.startswith(f"| `{model}` |")]
    card = teachers.shipped_card("fashion-mnist", model)
    found = [card["accuracy"][split] for split in ("dev", "test")]
    assert [round(float(cell) / 100, 4) for cell in row[3:5]] == found
    assert float(row[2]) / 100 == card["recipe"].get("wrong_labels", 0.0)
