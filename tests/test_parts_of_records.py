"""The notebooks of the comparison with a part of its seeds, with all of them, and without any, on stand-ins."""

import json
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.paper import paper_map
from analysis.paper.rows import ROWS
from analysis.studies import again, records
from cudfkd.base.errors import DataError
from tests import cells
from tests.analysis.studies import compared

CLAIMS = {"13": ["C5", "C9"], "15": ["C8"]}
BEST = {"cudfkd": 0.85}  # ahead of every rival, and behind the student from scratch
VERDICTS = {"C5": "supported", "C8": "supported", "C9": "not supported"}
SHOWN = {"13": ["on_test", "against"], "15": ["loyalties", "measures", "errors", "differences", "again"]}
NOTEBOOKS = pytest.mark.parametrize("number", CLAIMS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the project's records, without the comparison. Nothing is trained, and no picture is written."""
    for path in records.FOLDER.glob("*.json"):
        if path.name != "comparison.json":
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    scores = {"agreement": 0.5, "agreement_recorded": 0.51, "agreement_limit": 0.02}
    monkeypatch.setattr(again, "beginning", lambda *_: pd.DataFrame(scores, index=pd.Index([1], name="epoch")))
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    return tmp_path


def executed(number: str, folder, **made) -> dict:
    """The result of a notebook that was run on a stand-in."""
    records.write(folder / "comparison.json", compared.record(**made))
    cells.run(number, out_dir=str(folder / number))
    return json.loads((folder / number / "result.json").read_text())


def judged(result: dict, number: str) -> list[dict]:
    return [check for check in result["checks"] if set(check["claims"]) & set(CLAIMS[number])]


@pytest.mark.parametrize(
    ("number", "seeds", "words"), [("13", 1, "1 of 10 seeds so far, 10;"), ("15", 1, "1 of 10 seeds so far, 10;"),
                                   ("15", 2, "2 of 10 seeds so far, 10 to 11;")]
)  # fmt: skip
def test_a_part_is_shown_with_the_missing_seeds_and_tests_no_claim(number, seeds, words, folder, capsys):
    result = executed(number, folder, seeds=seeds)
    assert judged(result, number) == []
    assert f"comparison: {words}" in capsys.readouterr().out
    stories = {name: json.loads((folder / number / f"{name}.json").read_text())["story"] for name in SHOWN[number]}
    assert {story["missing"] for story in stories.values()} == {f"{10 - seeds} of 10 seeds are not run yet"}
    assert all((story["n"], story["seeds"]) == (seeds, [10, 11][:seeds]) for story in stories.values())


@NOTEBOOKS
def test_with_all_seeds_notebook_and_map_have_the_same_checks(number, folder, capsys):
    result = executed(number, folder, changes=BEST)
    printed = capsys.readouterr().out
    assert "comparison: all 10 seeds, 10 to 19" in printed
    found = re.findall(r"^(C\d), .* Here: (.+?); ", printed, re.MULTILINE)
    assert dict(found) == {claim: VERDICTS[claim] for claim in CLAIMS[number]}
    filled = paper_map.entries([row for row in ROWS if row.id in CLAIMS[number]])
    of_map = [check.to_dict() for entry in filled for check in entry.checks]
    assert judged(result, number) == json.loads(json.dumps(of_map))
    assert of_map
    story = json.loads((folder / number / f"{SHOWN[number][0]}.json").read_text())["story"]
    assert ("missing" in story, story["n"]) == (False, 10)


@NOTEBOOKS
def test_without_a_record_a_notebook_says_how_to_make_it(number, folder):
    with pytest.raises(DataError, match="make the runs with python -m analysis.studies record comparison"):
        cells.run(number, out_dir=str(folder / number))
