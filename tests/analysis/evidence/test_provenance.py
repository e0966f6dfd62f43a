"""The files that an execution of a notebook writes."""

import json

import matplotlib.pyplot as plt
import pytest

from analysis.checks import CheckError, check
from analysis.evidence.provenance import Record
from cudfkd.base.errors import ConfigError


def judged(name, violation=0.0, **more):
    return check(name, "a <= b", "T1", [violation], ("left out", [1.0]), **more)


def recorded(folder, *checks, findings=None):
    Record("04_majorize_minimize", "smoke", {"seed": 1}, str(folder)).result({"share": 0.5}, checks, findings)


def test_a_result_holds_each_check_whole(tmp_path):
    falling = judged("falls")
    recorded(tmp_path, falling, findings={"sympy": True})
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["checks"] == [json.loads(json.dumps(falling.to_dict()))]
    assert result["findings"] == {"sympy": True}
    assert (result["parameters"], result["metrics"]) == ({"seed": 1}, {"share": 0.5})
    assert {"versions", "commit", "code", "hardware", "seconds"} <= set(result)


@pytest.mark.parametrize(
    ("checks", "findings", "message"),
    [([judged("falls", 1.0)], {}, "falls"), ([judged("falls")], {"sympy": False}, r"sympy \(false\)")],
)
def test_what_failed_is_written_before_it_is_raised(tmp_path, checks, findings, message):
    with pytest.raises(CheckError, match=f"1 did not hold: {message}"):
        recorded(tmp_path, *checks, findings=findings)
    assert json.loads((tmp_path / "result.json").read_text())["checks"][0]["name"] == "falls"


def test_a_statistical_check_that_fails_is_a_result(tmp_path):
    recorded(tmp_path, judged("effect", 1.0, exact=False))
    assert json.loads((tmp_path / "result.json").read_text())["checks"][0]["verdict"] == "fails"


def test_two_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="two checks are called 'falls'"):
        recorded(tmp_path, judged("falls"), findings={"falls": True})
    assert not (tmp_path / "result.json").exists()


def test_the_story_of_a_figure_says_seeds_hardware_and_commit(tmp_path):
    _, ax = plt.subplots()
    record = Record("16_ablations", "smoke", {"seed": 3}, str(tmp_path))
    figure = record.figure("live", ax)
    story = json.loads((tmp_path / "live.json").read_text())["story"]
    assert {"notebook", "profile", "commit", "hardware", "n", "seeds"} <= story.keys()
    assert (story["n"], story["seeds"]) == (1, [3])
    assert [text.get_text() for text in figure.texts] == ["smoke profile"]
    plt.close("all")


@pytest.mark.parametrize(("seeds", "named"), [([0, 1, 2], "0 to 2"), ([1, 4], "1, 4")])
def test_a_figure_of_recorded_runs_says_their_n_and_seeds(tmp_path, seeds, named):
    _, ax = plt.subplots()
    origin = {"n": 2, "seeds": seeds, "hardware": ["a GPU"], "studies": {"ramp": "key"}}
    figure = Record("16_ablations", "smoke", {"seed": 3}, str(tmp_path)).figure("recorded", ax, origin)
    story = json.loads((tmp_path / "recorded.json").read_text())["story"]
    assert {name: story[name] for name in origin} == origin
    assert figure.texts[0].get_text() == f"smoke profile; n = 2, seeds {named}"
    plt.close("all")
