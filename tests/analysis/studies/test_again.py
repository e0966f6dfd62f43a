"""The first epochs of a recorded run, made again: on its schedules, beside its record and its tolerance."""

import json

import pandas as pd
import pytest

from analysis.studies import records, run
from analysis.studies.again import OTHER_MACHINE, as_recorded, beginning
from cudfkd import ConfigError, DataError
from tests.analysis.studies.tiny import tiny

STUDY = tiny(keep="curves", base={"probe": 0, "experiment": {"distill": {"epochs": 3}}})


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("again") / "tiny.json"
    list(run.fill(STUDY, path))
    return path


@pytest.fixture(scope="module")
def repeat(path):
    return beginning(STUDY, records.read(path), "sample", 0, epochs=2)


def test_the_first_epochs_are_those_of_the_whole_run(repeat):
    assert list(repeat.index) == [1, 2]
    for name in ("accuracy", "agreement", "loyalty", "loyalty_published"):
        assert repeat[name].tolist() == pytest.approx(repeat[f"{name}_recorded"].tolist(), abs=1e-5)


def test_the_tolerance_is_the_spread_over_the_recorded_seeds(repeat, path):
    runs = records.read(path).find("sample", 0)[0].runs
    losses = pd.Series([entry.rows[1]["loyalty"] for entry in runs.values()])
    assert repeat.loc[2, "loyalty_limit"] == pytest.approx(max(OTHER_MACHINE, 3 * losses.std()))
    assert (repeat.filter(like="limit") >= OTHER_MACHINE).all(axis=None)


def test_the_same_run_holds_and_another_in_its_place_does_not(repeat, path):
    content = json.loads(path.read_text())
    for epoch in content["cases"][STUDY.case("none").key]["runs"]["0"]["rows"]:
        epoch["accuracy"] = 0.9
    path.with_name("other.json").write_text(json.dumps(content))
    record = records.read(path.with_name("other.json"))
    found = as_recorded(repeat.assign(accuracy_limit=0.02), record, "none", 0)
    assert (found.verdict, found.claims, found.exact) == ("holds", (), False)
    assert found.name == "accuracy of a run made again"
    moved = repeat.assign(accuracy=repeat["accuracy"] + 0.03, accuracy_limit=0.02)
    assert as_recorded(moved, record, "none", 0).verdict == "fails"
    assert as_recorded(repeat.assign(accuracy_limit=0.02), record, "sample", 0).verdict == "void"


def test_what_cannot_be_made_again_is_refused(path):
    record = records.read(path)
    with pytest.raises(ConfigError, match="epochs = 4 is not allowed"):
        beginning(STUDY, record, "sample", 0, epochs=4)
    case, entry = record.find("sample", 0)
    bare = record.with_run(STUDY.cases[0], 0, entry.model_copy(update={"rows": None}))
    with pytest.raises(DataError, match="the record tiny holds no curve of sample, seed 0"):
        beginning(STUDY, bare, "sample", 0, epochs=1)
    with pytest.raises(ConfigError, match="unknown seed in the record '7'"):
        beginning(STUDY, record, "sample", 7, epochs=1)
