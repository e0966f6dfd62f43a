"""The files that an execution of a notebook writes."""

import json
from types import SimpleNamespace

import IPython
import matplotlib.pyplot as plt
import pytest

from analysis.checks import CheckError, check
from analysis.evidence import provenance
from analysis.evidence.parameters import profile_parameters
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


def record(**changes):
    values = profile_parameters("smoke", "04")
    del values["profile"]
    return Record("04_majorize_minimize", "smoke", values | changes)


def test_results_of_other_parameters_have_a_folder_and_a_stamp_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "OUT", tmp_path)
    assert (record().folder, record().stamp) == (tmp_path / "smoke" / "04", "smoke profile")
    other = record(seed=9)
    assert (other.folder, other.stamp) == (tmp_path / "changed" / "04", "smoke profile, changed: seed")
    assert other.runs == record().runs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"profile": "smkoe"}, "unknown profile 'smkoe': did you mean 'smoke'"),
        ({"parameters": {"lam": "3"}}, "lam = '3' is not allowed in 04_majorize_minimize: it must be float"),
        ({"parameters": {"sizes": []}}, r"sizes = \[\] is not allowed in 04_majorize_minimize"),
        ({"out_dir": 3}, "out_dir = 3 is not allowed"),
        ({"parameters": {"steps": 0}}, "steps = 0 is not allowed in 04_majorize_minimize: it must be 1 or more"),
    ],
)
def test_bad_parameters_of_a_notebook_are_refused_in_its_first_cell(values, message):
    with pytest.raises(ConfigError, match=message):
        Record(**{"notebook": "04_majorize_minimize", "profile": "smoke", "parameters": {}} | values)


def test_a_notebook_shows_one_line_of_a_result(tmp_path):
    made = Record("04_majorize_minimize", "smoke", {}, str(tmp_path)).result(
        {"share": 0.5}, [judged("falls")], {"a": True}
    )
    assert repr(made) == f"2 of 2 checks and findings hold; 1 metrics: {tmp_path / 'result.json'}"
    assert made["metrics"] == {"share": 0.5}


def test_a_notebook_gets_a_figure_with_its_description(tmp_path, monkeypatch):
    shown = []
    figure, ax = plt.subplots()
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace())
    monkeypatch.setattr(provenance, "display", lambda data, raw: shown.append(data))
    ax.plot([0, 1], [1, 0], label="log & co")
    ax.set(title="Falls", xlabel="step", ylabel="loss")
    Record("04_majorize_minimize", "smoke", {}, str(tmp_path)).figure("fall", figure)
    Record("04_majorize_minimize", "smoke", {}, str(tmp_path)).figure("wordless", plt.figure())
    data, wordless = shown
    assert data["text/plain"] == "Falls: loss over step: log & co"
    assert '<img alt="Falls: loss over step: log &amp; co" ' in data["text/html"]
    assert '<img alt="Figure wordless" ' in wordless["text/html"]
    assert not plt.fignum_exists(figure.number)


def test_the_story_of_a_figure_says_seeds_hardware_and_commit(tmp_path):
    _, ax = plt.subplots()
    record = Record("04_majorize_minimize", "smoke", {"seed": 0}, str(tmp_path))
    figure = record.figure("live", ax)
    story = json.loads((tmp_path / "live.json").read_text())["story"]
    assert {"notebook", "profile", "commit", "hardware", "n", "seeds"} <= story.keys()
    assert (story["n"], story["seeds"]) == (1, [0])
    assert [text.get_text() for text in figure.texts] == ["smoke profile"]
    plt.close("all")


@pytest.mark.parametrize(
    ("seeds", "missing", "words"),
    [
        ([0, 1, 2], {}, "seeds 0 to 2"),
        ([1, 4], {}, "seeds 1, 4"),
        ([3], {"missing": "1 of 3 seeds"}, "seeds 3; 1 of 3 seeds"),
    ],
)
def test_a_figure_of_recorded_runs_says_their_n_and_seeds(tmp_path, seeds, missing, words):
    _, ax = plt.subplots()
    origin = {"n": 2, "seeds": seeds, "hardware": ["a GPU"], "studies": {"ramp": "key"}, **missing}
    figure = Record("04_majorize_minimize", "smoke", {"seed": 0}, str(tmp_path)).figure("recorded", ax, origin)
    story = json.loads((tmp_path / "recorded.json").read_text())["story"]
    assert {name: story[name] for name in origin} == origin
    assert figure.texts[0].get_text() == f"smoke profile; n = 2, {words}"
    plt.close("all")


def test_the_line_of_seeds_lies_below_the_label_of_all_panels(tmp_path):
    figure, axes = plt.subplots(2, 2, layout="constrained")
    figure.supxlabel("a label that is as wide as the whole of the figure, and some more", fontsize=14)
    Record("04_majorize_minimize", "smoke", {"seed": 0}, str(tmp_path)).figure("f", figure, {"n": 2, "seeds": [0, 1]})
    label, seeds = (text.get_window_extent() for text in figure.texts)
    ticks = axes[1, 0].get_tightbbox()
    assert seeds.y1 <= label.y0
    assert label.y1 <= ticks.y0
    plt.close("all")
