"""The notebook on how training goes, with a part of its seeds, with all of them, and without any, on stand-ins."""

import json

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.paper import paper_map
from analysis.paper.rows import ROWS
from analysis.studies import again, records, run
from cudfkd.base.errors import DataError
from tests import cells
from tests.analysis.studies import curved, seeded

STUDIES = ("comparison", "target", "parts")
FIGURES = {
    *("course", "over_student_steps", "over_generator_steps", "over_total_seconds", "over_teacher_images"),
    *("time_to_90", "time_to_95", "steadiness", "leads", "target", "parts", "again"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of records. Nothing is trained or rendered: a run that is made again is a table."""
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    scores = {"accuracy": 0.5, "accuracy_recorded": 0.51, "accuracy_limit": 0.02}
    monkeypatch.setattr(again, "beginning", lambda *_: pd.DataFrame(scores, index=pd.Index([1], name="epoch")))
    return tmp_path


def stand_ins(folder, seeds=None, height=curved.usual):
    for name in STUDIES:
        records.write(folder / f"{name}.json", curved.record(name, height, seeds=seeds))


def executed(folder, **values) -> dict:
    """The result of the notebook."""
    cells.run("14", profile="smoke", epochs=1, out_dir=str(folder / "out"), **values)
    return json.loads((folder / "out" / "result.json").read_text())


def stories(folder) -> dict[str, dict]:
    files = [path for path in (folder / "out").glob("*.json") if path.stem != "result"]
    return {path.stem: json.loads(path.read_text())["story"] for path in files}


def test_a_part_of_the_seeds_is_drawn_with_its_name_and_tests_no_claim(folder, capsys):
    stand_ins(folder, seeds=(10, 11))
    result = executed(folder)
    assert [check["name"] for check in result["checks"]] == ["accuracy of a run made again"]
    printed = capsys.readouterr().out
    for name in STUDIES:
        assert f"{name}: 2 of 10 seeds so far, 10 to 11; its claims are tested when all are there" in printed
    assert printed.count("Here: not tested yet") == 3
    told = stories(folder)
    assert set(told) == FIGURES
    assert {(story["missing"], story["n"]) for story in told.values()} == {("8 of 10 seeds are not run yet", 2)}


def test_a_study_that_lacks_seeds_leaves_the_claims_of_the_others_tested(folder):
    stand_ins(folder)
    records.write(folder / "target.json", curved.record("target", seeds=(10, 11)))
    result = executed(folder)
    assert {claim for check in result["checks"] for claim in check["claims"]} == {"C6", "C7"}
    told = stories(folder)
    assert {name for name, story in told.items() if "missing" in story} == {"target"}


@pytest.mark.parametrize(("gain", "word"), [(0.05, "holds"), (-0.05, "fails")])
def test_with_all_seeds_the_checks_are_those_of_the_map(gain, word, folder):
    def height(at):
        ignores = at.get("target") == "ignores the student" or "no student" in at.get("part", "")
        return curved.usual(at) - gain * ignores

    stand_ins(folder, height=height)
    records.write(folder / "noisy.json", seeded.record("noisy"))
    filled = paper_map.entries([row for row in ROWS if row.id in ("C1", "C6", "C7")])
    of_map = {check.name: json.loads(json.dumps(check.to_dict())) for entry in filled for check in entry.checks}
    ours = {check["name"]: check for check in executed(folder)["checks"] if check["claims"]}
    assert len(ours) == 4 + 6 + 1
    assert {name: of_map[name] for name in ours} == ours
    assert {check["verdict"] for name, check in ours.items() if "accuracy needs the student" in name} == {word}


def test_runs_of_another_folder_take_the_place_of_the_records(folder, monkeypatch):
    (folder / "mine").mkdir()
    stand_ins(folder / "mine")
    monkeypatch.setattr(run, "entry", lambda *_, **__: pytest.fail("a run that is there was made again"))
    result = executed(folder, again_in=str(folder / "mine"))
    assert result["metrics"]["seeds"]["parts"] == list(range(10, 20))
    assert result["parameters"]["again_in"] == str(folder / "mine")


def test_one_seed_is_drawn_without_an_interval(folder, capsys):
    stand_ins(folder, seeds=(10,))
    executed(folder)
    assert "comparison: 1 of 10 seeds so far, 10;" in capsys.readouterr().out
    assert {story["missing"] for story in stories(folder).values()} == {"9 of 10 seeds are not run yet"}


def test_without_a_whole_seed_a_line_says_how_to_make_it(folder):
    with pytest.raises(DataError, match="make the runs with python -m analysis.studies record comparison"):
        executed(folder)
    stand_ins(folder, seeds=())
    with pytest.raises(DataError, match="comparison has no seed yet at which every case was run"):
        executed(folder)


def test_studies_of_the_target_that_are_not_begun_have_no_figure(folder, capsys):
    records.write(folder / "comparison.json", curved.record("comparison", seeds=(10,)))
    records.write(folder / "parts.json", curved.record("parts", seeds=()))
    result = executed(folder)
    assert set(stories(folder)) == FIGURES - {"target", "parts"}
    assert (result["metrics"]["target"], result["metrics"]["seeds"]["parts"]) == ({}, [])
    printed = capsys.readouterr().out
    assert "target: none of 10 seeds so far; its claims are tested when all are there" in printed
    assert "parts: none of 10 seeds so far" in printed
