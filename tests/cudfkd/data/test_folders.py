"""Folders of images by class: what they give, and a line for each thing that can be wrong with them."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cudfkd import ConfigError, DataError, data
from cudfkd.data import by_content, decoding
from tests.cudfkd.data.pictures import make, picture, write


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CUDFKD_DATA", raising=False)


@pytest.fixture
def mine(tmp_path):
    return make(tmp_path / "mine", {"train": 10, "test": 4})


def images(root, split, **how) -> tuple[torch.Tensor, torch.Tensor]:
    loaded = data.load(root, split, **how)
    return loaded.pixels, loaded.labels


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# What a folder gives


def test_splits_labels_and_facts(mine):
    about = data.info(str(mine))
    assert (about.classes, about.num_classes) == (("ant", "bee", "eel"), 3)
    assert (about.channels, about.image_size, about.name) == (3, 8, "mine/")
    train, dev, test = (images(mine, split) for split in data.SPLITS)
    assert [len(pixels) for pixels, _ in (train, dev, test)] == [27, 3, 12]
    assert torch.bincount(dev[1]).tolist() == [1, 1, 1]
    of_file = {picture(number).tobytes(): number // 10 for number in range(30)}
    for pixels, labels in (train, dev):
        for image, label in zip(pixels, labels.tolist(), strict=True):
            assert of_file.pop(image.permute(1, 2, 0).numpy().tobytes()) == label
    assert not of_file
    floats = data.unit(train[0]).double()
    assert about.mean == pytest.approx(floats.mean((0, 2, 3)).tolist(), abs=1e-4)
    assert about.std == pytest.approx(floats.std((0, 2, 3), correction=0).tolist(), abs=1e-4)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".webp", ".PNG"])
def test_neither_format_nor_names_nor_order_nor_place_of_the_files_count(mine, tmp_path, ending):
    other = make(tmp_path / "other", {"train": 10, "test": 4}, ending=ending, seed=5)
    for path in sorted(other.rglob(f"*{ending}")):
        path.rename(path.with_name(f"{(7 * int(path.stem) + 3) % 10}-renamed{ending}"))
    for split in data.SPLITS:
        assert same(images(mine, split), images(other, split))
    assert data.info(str(mine)).sha256 == data.info(str(other)).sha256


def test_class_folders_alone_are_split_by_content(tmp_path):
    root = make(tmp_path / "whole", {"": 12})
    splits = [images(root, split) for split in data.SPLITS]
    assert [len(pixels) for pixels, _ in splits] == [30, 3, 3]
    keys = [key for pixels, _ in splits for key in by_content.hashes(pixels)]
    assert len(set(keys)) == 36
    moved = make(tmp_path / "again", {"": 12}, seed=9)
    assert all(same(images(moved, split), one) for split, one in zip(data.SPLITS, splits, strict=True))


def test_all_grey_is_grey_and_one_colour_makes_all_coloured(tmp_path):
    grey = make(tmp_path / "grey", {"train": 4, "test": 2}, channels=1)
    assert data.info(str(grey)).channels == 1
    before = images(grey, "train")[0]
    assert before.shape[1:] == (1, 8, 8)
    write(grey / "test" / "ant" / "0.png", picture(99))
    about = data.info(str(grey))
    assert (about.channels, len(about.mean), len(set(about.mean))) == (3, 3, 1)
    assert torch.equal(images(grey, "train")[0], before.repeat(1, 3, 1, 1))


def test_palettes_and_opaque_images_are_taken(tmp_path, mine):
    flat = np.zeros((8, 8, 3), dtype=np.uint8)
    flat[:4] = 200
    path = mine / "train" / "ant" / "0.png"
    Image.fromarray(flat).quantize(4).save(path)
    opaque = np.concatenate([picture(1), np.full((8, 8, 1), 255, dtype=np.uint8)], 2)
    write(mine / "train" / "ant" / "1.png", opaque)
    keys = by_content.hashes(torch.cat([images(mine, "train")[0], images(mine, "dev")[0]]))
    for array in (flat, picture(1)):
        assert by_content.hashes(torch.from_numpy(array).permute(2, 0, 1)[None])[0] in keys


def test_another_size_is_asked_for(tmp_path):
    root = make(tmp_path / "mine", {"train": 4, "test": 2}, size=(12, 20))
    write(root / "test" / "ant" / "0.png", picture(99, (30, 16)))
    pixels, _ = images(root, "test", image_size=8)
    assert pixels.shape == (6, 3, 8, 8)
    assert data.info(str(root), 8).image_size == 8
    flat = make(tmp_path / "flat", {"train": 4, "test": 2}, size=16)
    write(flat / "test" / "ant" / "0.png", np.full((16, 32, 3), 70, dtype=np.uint8))
    assert bool((images(flat, "test", image_size=8)[0] == 70).all((1, 2, 3)).any())


def test_resizing_is_that_of_torchvision(tmp_path):
    from torchvision import transforms

    write(tmp_path / "a.png", picture(3, (40, 31)))
    ours = decoding._array(tmp_path / "a.png", 12)
    usual = transforms.Compose([transforms.Resize(12), transforms.CenterCrop(12)])(Image.open(tmp_path / "a.png"))
    assert np.array_equal(ours, np.asarray(usual))


def test_a_test_split_alone_is_for_evaluation(mine):
    shutil.rmtree(mine / "train")
    assert data.evaluation_split(str(mine)) == "test"
    assert len(data.load(mine, "test")) == 12
    assert (data.info(str(mine)).mean, data.info(str(mine)).std) == ((), ())
    for split in ("dev", "train"):
        with pytest.raises(DataError, match=f"has test/ alone, and so no split {split}: evaluate on its test"):
            data.load(mine, split)


def test_names_of_known_sets_win_and_a_name_without_folder_is_unknown(mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    (mine.parent / "fashion-mnist").mkdir()
    assert len(data.load("fashion-mnist", "dev")) == 2_000
    assert len(data.load("mine", "dev")) == 3
    assert data.evaluation_split("mine") == "dev"
    with pytest.raises(ConfigError, match="unknown data set 'mein'"):
        data.load("mein", "dev")


def test_what_systems_leave_behind_is_no_image(mine):
    for name in (".DS_Store", "Thumbs.db"):
        (mine / "train" / "ant" / name).write_bytes(b"x")
    (mine / "train" / ".git").mkdir()
    (mine / "README.txt").write_text("mine")
    assert len(data.load(mine, "train")) == 27


# The rule of dev


def test_twins_stay_out_of_dev():
    pixels = torch.from_numpy(np.stack([picture(i).transpose(2, 0, 1) for i in range(100)]))
    labels = torch.arange(100) % 2
    keys = by_content.hashes(pixels)
    first = by_content.held_out(keys, labels)
    assert torch.bincount(labels[first]).tolist() == [5, 5]
    twin = int(first.nonzero()[0])
    other = int((~first).nonzero()[0])
    keys[other] = keys[twin]
    again = by_content.held_out(keys, labels)
    assert not again[[twin, other]].any()
    assert int(again.sum()) == 10


def test_dev_does_not_depend_on_the_order_and_leaves_each_class_an_image():
    keys = [bytes([i * 37 % 251] * 32) for i in range(50)]
    labels = torch.tensor([0] * 40 + [1] * 8 + [2] + [3])
    mask, shuffled = by_content.held_out(keys, labels), torch.randperm(50)
    mixed = by_content.held_out([keys[i] for i in shuffled], labels[shuffled])
    assert torch.equal(mixed, mask[shuffled])
    assert torch.bincount(labels[mask], minlength=4).tolist() == [4, 1, 0, 0]
    assert int(by_content.held_out(keys, labels, most=3).sum()) == 3


# Bad input


def gone(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


BAD = [
    ("no whole class", lambda r: gone(r / "test" / "bee"), "mine/test lacks the class folder bee, which"),
    ("class too many", lambda r: write(r / "test" / "fly" / "0.png", picture(98)), "train lacks the class folder fly"),
    ("empty class", lambda r: [gone(f) for f in (r / "test" / "bee").iterdir()], "test/bee holds no images: fill or"),
    ("one class", lambda r: [gone(r / p / c) for p in ("train", "test") for c in ("bee", "eel")], "one class folder, "),
    ("no class", lambda r: [gone(r / "test" / c) for c in ("ant", "bee", "eel")], "test holds no class folders: put"),
    ("nothing", lambda r: [gone(r / p) for p in ("train", "test")], "mine holds no class folders: put the images into"),
    ("gone", gone, "there is no folder"),
    ("a file", lambda r: (gone(r), r.write_text("x")), "mine is a file: name the folder of the images"),
    ("a file for a split", lambda r: (gone(r / "test"), (r / "test").write_text("x")), "has train/ alone, and so no"),
    ("val", lambda r: (r / "train").rename(r / "val"), "mine holds val beside test: a set has the folders train and"),
    ("loose", lambda r: write(r / "test" / "a.png", picture(9)), "test/a.png lies in no class folder: move it to"),
    ("nested", lambda r: (r / "test" / "ant" / "x").mkdir(), "test/ant/x is a folder in a class folder"),
    ("foreign", lambda r: (r / "test" / "ant" / "x.tif").write_text("x"), "x.tif is not taken for an image (known"),
    ("empty file", lambda r: (r / "test" / "ant" / "0.png").write_bytes(b""), "test/ant/0.png is empty: copy it again"),
    ("no image", lambda r: (r / "test" / "ant" / "0.png").write_text("hello"), "ant/0.png is no image that Pillow"),
    ("cut image", lambda r: cut(r / "test" / "ant" / "0.png"), "test/ant/0.png is no whole image ("),
    ("link", lambda r: (r / "test" / "ant" / "9.png").symlink_to(r / "none"), "ant/9.png cannot be read (No such file"),
    ("size", lambda r: write(r / "test" / "ant" / "1.png", picture(9, 9)),
     "test/ant/0.png has 8 x 8 pixels, and"),
    ("size of a split", lambda r: (gone(r / "test"), make(r, {"test": 4}, size=9)), "0.png has 9 x 9: bring all"),
    ("oblong", lambda r: (gone(r), make(r, {"train": 4, "test": 4}, size=(8, 9))), "9 x 8 pixels: networks take"),
    ("16 bits", lambda r: Image.fromarray(np.zeros((8, 8), np.uint16)).save(r / "test" / "ant" / "0.png"),
     "has the mode I;16 of Pillow: convert it to 8 bits"),
    ("transparent", lambda r: write(r / "test" / "ant" / "0.png", picture(1, 8, 4)), "0.png has transparent pixels"),
    ("shared", lambda r: write(r / "test" / "ant" / "0.png", picture(0)),
     "mine/test/ant/0.png are one image in two splits: remove it"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "told"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_line_for_each_fault(mine, spoil, told):
    spoil(mine)
    with pytest.raises(DataError) as error:
        data.load(mine, "test")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_two_sizes_name_two_files(mine):
    write(mine / "train" / "ant" / "3.png", picture(9, (5, 6)))
    with pytest.raises(DataError) as error:
        data.load(mine, "test")
    first, second = mine / "train" / "ant" / "0.png", mine / "train" / "ant" / "3.png"
    line = f"{first} has 8 x 8 pixels, and {second} has 6 x 5: bring all images to one size, or ask for one with"
    assert str(error.value).startswith(line)


def test_too_few_images_for_a_split(tmp_path):
    root = make(tmp_path / "few", {"": 2})
    assert len(data.load(root, "dev")) == 3
    with pytest.raises(DataError, match="few has too few images for a split test: each class needs 3"):
        data.load(root, "test")


def test_options_that_belong_to_the_other_kind_are_refused(mine):
    with pytest.raises(ConfigError, match="is the folder of the images itself"):
        data.load(mine, "dev", mine)
    with pytest.raises(ConfigError, match="fashion-mnist has 28 pixels a side, and only a folder"):
        data.load("fashion-mnist", "dev", image_size=32)
    for size in (0, -1):
        with pytest.raises(ConfigError, match="image_size = "):
            data.info(str(mine), size)
    with pytest.raises(ConfigError, match="unknown split 'val'"):
        data.load(mine, "val")
