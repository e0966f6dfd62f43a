"""The runs of a study are shown for its whole seeds, or made again, or refused in a line."""

import pytest

from analysis.studies import catalog, records, run
from analysis.studies.records import StudyRecord
from analysis.studies.shown import show, so_far
from cudfkd.base.errors import ConfigError, DataError
from tests.analysis.studies import seeded
from tests.analysis.studies.tiny import tiny


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    records.write(tmp_path / "start.json", seeded.record("start"))
    return tmp_path


def test_a_whole_record_is_shown(folder):
    shown = show("start")
    assert (shown.whole, len(shown.runs), shown.words) == (True, 40, "start: all 5 seeds, 0 to 4")
    assert "missing" not in shown.origin
    assert shown.tested(lambda: ["a check"]) == ["a check"]


def test_a_seed_that_lacks_a_run_is_left_out_and_said(folder):
    without(folder / "start.json", seeds=(1, 3))
    shown = show("start")
    assert (shown.whole, shown.seeds, set(shown.runs["seed"])) == (False, [0, 2, 4], {0, 2, 4})
    assert shown.runs.groupby("start").size().eq(3).all()
    assert shown.words == "start: 3 of 5 seeds so far, 0, 2, 4; its claims are tested when all are there"
    assert shown.origin["missing"] == "2 of 5 seeds are not run yet"
    assert (shown.origin["n"], shown.origin["seeds"]) == (3, [0, 2, 4])
    assert shown.tested(lambda: pytest.fail("a part was tested")) == []


def test_a_claim_that_reads_two_studies_is_tested_when_both_are_whole(folder):
    records.write(folder / "ramp.json", seeded.record("ramp"))
    start, ramp = show("start"), show("ramp")
    assert start.tested(lambda: ["a check"], ramp) == ["a check"]
    without(folder / "ramp.json", seeds=(2,))
    assert start.tested(lambda: pytest.fail("a part was tested"), show("ramp")) == []


def without(path, seeds):
    """Takes a run of the first case out of the record at `path`, for each of the seeds."""
    record = records.read(path)
    key, case = next(iter(record.cases.items()))
    runs = {seed: run for seed, run in case.runs.items() if seed not in seeds}
    records.write(
        path, StudyRecord(study=record.study, cases=record.cases | {key: case.model_copy(update={"runs": runs})})
    )


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda path: path.unlink(), "start has no seed yet at which every case was run: make the runs with"),
        (lambda path: without(path, range(5)), "start has no seed yet at which every case was run: make the runs with"),
        (lambda path: records.write(path, seeded.record("ramp")), "start is of another form of its study"),
        (lambda path: path.write_text(path.read_text().replace('"1": {"made"', '"0": {"made"', 1)), "holds '0' twice"),
        (lambda path: path.write_text(path.read_text().replace('"4": {"made"', '"7": {"made"', 1)), "holds .*, seed 7"),
        (lambda path: path.write_text("{"), "missing or damaged"),
    ],
    ids=["gone", "none whole", "other", "twice", "seed", "text"],
)  # fmt: skip
def test_anything_else_is_refused_in_a_line(folder, spoil, line):
    spoil(folder / "start.json")
    with pytest.raises(DataError, match=line):
        show("start")


def test_an_unknown_study_is_named(folder):
    records.write(folder / "stort.json", seeded.record("start"))
    with pytest.raises(ConfigError, match="unknown study 'stort': did you mean 'start'"):
        show("stort")


def test_a_folder_that_cannot_be_made_is_refused_before_a_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(run, "fill", lambda *_: pytest.fail("a run was made"))
    with pytest.raises(DataError, match="file"):
        show("start", tmp_path / "file")


def test_runs_are_made_again_into_a_folder_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(catalog, "get", lambda name: tiny())
    shown = show("tiny", tmp_path)
    assert len(shown.runs) == 4
    assert capsys.readouterr().out.count("accuracy") == 4
    assert show("tiny", tmp_path) == shown
    assert capsys.readouterr().out == ""


def test_a_study_that_is_not_begun_has_no_runs_yet(folder):
    (folder / "start.json").unlink()
    shown = so_far("start")
    assert (shown.seeds, shown.whole) == ([], False)
    assert shown.words == "start: none of 5 seeds so far; its claims are tested when all are there"
