"""A study's runs are taken whole, or made again, or refused in a line."""

import pytest

from analysis.studies import catalog, records
from analysis.studies.complete import complete
from cudfkd.base.errors import ConfigError, DataError
from tests.analysis.studies import seeded
from tests.analysis.studies.tiny import tiny


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    records.write(tmp_path / "start.json", seeded.record("start"))
    return tmp_path


def test_a_whole_record_is_taken(folder):
    assert len(list(complete("start").runs())) == 40


def _without_a_run(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda path: path.unlink(), "yet: make it with python -m analysis.studies record start"),
        (_without_a_run, "lacks 1 of 40 runs, the first is cudfkd, 0.1, seed 1"),
        (lambda path: records.write(path, seeded.record("ramp")), "start is of another form of its study"),
        (lambda path: path.write_text(path.read_text().replace('"1": {"made"', '"0": {"made"', 1)), "holds '0' twice"),
        (lambda path: path.write_text(path.read_text().replace('"4": {"made"', '"7": {"made"', 1)), "lacks 1 of 40"),
        (lambda path: path.write_text("{"), "missing or damaged"),
    ],
    ids=["gone", "run", "other", "twice", "seed", "text"],
)  # fmt: skip
def test_anything_else_is_refused_in_a_line(folder, spoil, line):
    spoil(folder / "start.json")
    with pytest.raises(DataError, match=line):
        complete("start")


def test_an_unknown_study_is_named(folder):
    records.write(folder / "stort.json", seeded.record("start"))
    with pytest.raises(ConfigError, match="unknown study 'stort': did you mean 'start'"):
        complete("stort")


def test_runs_are_made_again_into_a_folder_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(catalog, "get", lambda name: tiny())
    record = complete("tiny", tmp_path)
    assert len(list(record.runs())) == 4
    assert capsys.readouterr().out.count("accuracy") == 4
    assert complete("tiny", tmp_path) == record
    assert capsys.readouterr().out == ""
