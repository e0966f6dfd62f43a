"""The cache of decoded images: it is used, it notices every change, and it is never needed."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cudfkd import data
from cudfkd.data import byte_cache, class_folders, folder
from tests.cudfkd.data.pictures import make, picture, write


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folder, "_KNOWN", {})
    return make(tmp_path / "mine", {"train": 4, "test": 4})


def files(mine: Path) -> list[Path]:
    return sorted((mine.parent / "cache").rglob("*.*"))


@pytest.fixture
def decodings(monkeypatch):
    """The folders that were decoded, in turn."""
    seen, real = [], folder.decoded
    monkeypatch.setattr(
        folder, "decoded", lambda listing, size: seen.append(listing.folder.name) or real(listing, size)
    )
    return seen


def test_the_second_load_decodes_nothing_and_gives_the_same(mine, decodings):
    first = data.load(mine, "train")
    assert decodings == ["train", "test"]
    assert [path.suffix for path in files(mine)] == [".safetensors"] * 2
    folder._KNOWN.clear()
    second = data.load(mine, "train")
    assert decodings == ["train", "test"]
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.labels, second.labels)


def other_pixels(path: Path) -> None:
    tensors = load_file(path)
    tensors["pixels"][0, 0, 0, 0] ^= 1
    save_file(tensors, path)


def fewer(path: Path) -> None:
    tensors = load_file(path)
    save_file({"pixels": tensors["pixels"][1:].clone(), "sha256": byte_cache._hash(tensors["pixels"][1:])}, path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.write_bytes(p.read_bytes()[:-1]), lambda p: p.write_bytes(b""), lambda p: p.write_bytes(b"x" * 99),
        lambda p: save_file({"pixels": torch.zeros(3)}, p), other_pixels, fewer, lambda p: (p.unlink(), p.mkdir()),
    ],
    ids=["cut", "empty", "other", "keys", "a bit", "fewer", "a folder"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the cache of decoded images")
def test_a_damaged_file_is_noticed_and_made_again(mine, decodings, damage):
    first = data.load(mine, "test")
    for path in files(mine):
        damage(path)
    folder._KNOWN.clear()
    again = data.load(mine, "test")
    assert decodings == ["train", "test"] * 2
    assert torch.equal(first.pixels, again.pixels)
    if all(path.is_file() for path in files(mine)):
        folder._KNOWN.clear()
        data.load(mine, "test")
        assert len(decodings) == 4


def test_a_changed_image_is_decoded_again_and_the_old_file_goes(mine, decodings):
    before, hash_before = files(mine), data.info(str(mine)).sha256
    before = files(mine)
    path = mine / "train" / "ant" / "0.png"
    write(path, picture(77))
    os.utime(path, ns=(1, 1))
    assert data.info(str(mine)).sha256 != hash_before
    assert decodings == ["train", "test", "train"]
    assert len(files(mine)) == len(before) == 2
    assert len(set(files(mine)) - set(before)) == 1


def test_sizes_do_not_drive_each_other_out(mine, decodings):
    for size in (None, 4, None, 4):
        data.info(str(mine), size)
        folder._KNOWN.clear()
    assert len(decodings) == 4


def test_a_cache_that_cannot_be_written_is_left_out(mine, decodings):
    (mine.parent / "cache").write_text("in the way")
    with pytest.warns(UserWarning, match=r"the cache of decoded images is left out \(.*cannot be written"):
        first = data.load(mine, "test")
    assert len(first) == 12


def test_nothing_is_left_of_a_folder_that_is_refused(mine):
    (mine / "test" / "ant" / "0.png").write_bytes(b"x")
    with pytest.raises(data.folder.DataError):
        data.load(mine, "test")
    assert [path.name.split("-")[0] for path in files(mine)] == [
        byte_cache.place(class_folders.listed(mine / "train"), None).name.split("-")[0]
    ]
