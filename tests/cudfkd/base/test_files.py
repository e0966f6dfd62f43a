import json
import os
from math import inf, nan

import pytest

from cudfkd.base import files
from cudfkd.base.errors import DataError
from cudfkd.base.files import write_bytes, write_json, write_json_lines


def left_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_and_its_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "c.bin"
    write_bytes(path, b"one")
    assert path.read_bytes() == b"one"
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert left_in(path.parent) == ["c.bin"]


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("moment", ["fsync", "replace"])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, moment, old):
    path = tmp_path / "a.bin"
    if old:
        path.write_bytes(old)
    monkeypatch.setattr(files.os, moment, full)
    with pytest.raises(DataError) as error:
        write_bytes(path, b"new")
    assert str(error.value).startswith(f"{path} cannot be written (No space left on device)")
    assert "\n" not in str(error.value)
    assert left_in(tmp_path) == (["a.bin"] if old else [])
    assert not old or path.read_bytes() == old


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"


def test_the_file_appears_only_when_it_is_whole_and_on_the_disk(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.bin", []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def watch(name: str):
        def call(*arguments):
            seen.append((name, path.read_bytes()))
            return real[name](*arguments)

        return call

    path.write_bytes(b"old")
    for name in real:
        monkeypatch.setattr(files.os, name, watch(name))
    write_bytes(path, b"new")
    assert seen == [("fsync", b"old"), ("replace", b"old")]
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("below", ["x.json", "run/x.json", "run/deep/x.json"])
def test_a_file_where_a_folder_should_be_is_a_data_error(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    path = tmp_path / "file" / below
    with pytest.raises(DataError) as error:
        write_bytes(path, b"new")
    assert str(path) in str(error.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_where_the_file_should_be_is_a_data_error(tmp_path):
    path = tmp_path / "a.bin"
    path.mkdir()
    with pytest.raises(DataError):
        write_bytes(path, b"new")
    assert left_in(tmp_path) == ["a.bin"]
    assert path.is_dir()


def test_json_reads_back_and_ends_in_a_newline(tmp_path):
    content = {"a": 1, "b": [1.5, None, True, "ü"], "c": {"d": (1, 2)}}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text) == {"a": 1, "b": [1.5, None, True, "ü"], "c": {"d": [1, 2]}}


NOT_FINITE = {"a": nan, "b": [inf, -inf, 1.0], "c": {"d": (nan, 2)}, "e": 0.0}
NULLED = {"a": None, "b": [None, None, 1.0], "c": {"d": [None, 2]}, "e": 0.0}


def strict(text: str):
    """Reads JSON by its standard; Python's own reader would accept NaN."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_what_is_not_finite_becomes_null(tmp_path):
    write_json(tmp_path / "a.json", NOT_FINITE)
    assert strict((tmp_path / "a.json").read_text()) == NULLED
    write_json(tmp_path / "a.json", nan)
    assert strict((tmp_path / "a.json").read_text()) is None


def test_json_lines(tmp_path):
    rows = [{"epoch": 1, "loss": 0.5}, NOT_FINITE, {"text": "two\nlines"}]
    write_json_lines(tmp_path / "a.jsonl", rows)
    text = (tmp_path / "a.jsonl").read_text()
    assert text.endswith("\n")
    assert [strict(line) for line in text.splitlines()] == [rows[0], NULLED, rows[2]]


def test_no_rows_make_an_empty_file(tmp_path):
    write_json_lines(tmp_path / "a.jsonl", [])
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_content_that_is_no_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert left_in(tmp_path) == ["a.json"]
