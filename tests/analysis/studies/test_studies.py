"""Studies, their records, and what is concluded from them; with tiny trials in place of the real ones."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.live.accounts import account
from analysis.studies import study as studies
from analysis.studies import verdicts
from analysis.studies.trials import Held
from cudfkd import ConfigError, DataError
from tests.analysis.live.toys import config, probed

SHORT = {"epochs": 1, "steps_per_epoch": 2}


@pytest.fixture
def tiny(monkeypatch):
    """A study of two trials that take a second each."""
    two = {name: studies._trial({"granularity": name}, every=1, samples=8, **SHORT) for name in ("sample", "none")}
    monkeypatch.setitem(studies.STUDIES, "tiny", lambda: two)
    return two


def test_every_study_has_trials_of_distinct_configurations():
    for name in studies.STUDIES:
        trials = studies.study(name)
        assert len({trial.model_dump_json() for trial in trials.values()}) == len(trials)


def test_a_record_is_made_once_and_a_run_of_it_is_the_same_again(tiny, tmp_path):
    assert len(list(studies.record("tiny", 2, tmp_path))) == 4
    assert list(studies.record("tiny", 2, tmp_path)) == []
    found = studies.table("tiny", tmp_path)
    assert found.groupby("variant").size().to_dict() == {"sample": 2, "none": 2}
    assert found["relative"].max() <= 1e-12
    again = studies.compare("tiny", "sample", 1, tmp_path)
    assert again["difference"].max() == 0
    assert len(again) > 20


def test_the_stamp_belongs_to_the_run(tiny, tmp_path, monkeypatch):
    """A record that is completed on another machine says of each run where that was made."""
    list(studies.record("tiny", 1, tmp_path))
    monkeypatch.setattr(studies.machine, "hardware", lambda device: "another machine")
    list(studies.record("tiny", 2, tmp_path))
    places = [studies.recorded_run("tiny", "sample", seed, tmp_path)["made"]["hardware"] for seed in (0, 1)]
    assert "threads" in places[0]
    assert places[1] == "another machine"


def test_another_configuration_is_recorded_anew(tiny, tmp_path):
    list(studies.record("tiny", 1, tmp_path))
    tiny["sample"] = tiny["sample"].model_copy(update={"samples": 16})
    assert len(list(studies.record("tiny", 1, tmp_path))) == 1


def test_a_record_whose_configuration_was_altered_is_refused(tiny, tmp_path):
    list(studies.record("tiny", 1, tmp_path))
    path = tmp_path / "tiny.json"
    content = json.loads(path.read_text())
    content["variants"]["sample"]["config"]["samples"] = 9
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="'sample' has another configuration than its hash says"):
        studies.table("tiny", tmp_path)


def test_a_setting_that_came_later_is_not_filled_in_with_its_default(tiny, tmp_path):
    """The runs of such a record were made without the setting: neither continued nor repeated as if with it."""
    list(studies.record("tiny", 1, tmp_path))
    path = tmp_path / "tiny.json"
    content = json.loads(path.read_text())
    kept = content["variants"]["sample"]
    del kept["config"]["experiment"]["distill"]["options"]["generator_schedule"]
    kept["key"] = studies.key(kept["config"])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="'sample' does not say all settings of today: record it again"):
        studies.compare("tiny", "sample", 0, tmp_path)
    assert len(list(studies.record("tiny", 1, tmp_path))) == 1
    assert studies.compare("tiny", "sample", 0, tmp_path)["difference"].max() == 0


def test_bad_names(tiny, tmp_path, capsys):
    with pytest.raises(ConfigError, match="unknown study 'drifts': did you mean 'drift'"):
        studies.study("drifts")
    with pytest.raises(DataError, match="tiny.json"):
        studies.table("tiny", tmp_path)
    list(studies.record("tiny", 1, tmp_path))
    for variant, seed, line in (
        ("batch", 0, "unknown variant of tiny"),
        ("sample", 7, "unknown seed in the record '7'"),
    ):
        with pytest.raises(ConfigError, match=line):
            studies.compare("tiny", variant, seed, tmp_path)
    assert studies.main(["check", "nothing", "sample", "0"]) == 2
    assert capsys.readouterr().err.startswith("analysis.studies: unknown study 'nothing'")


def test_committed_records_are_whole_and_close():
    for name in ("drift", "granularity"):
        found = studies.table(name)
        assert set(found["variant"]) == set(studies.study(name))
        assert (found.groupby("variant").size() == 10).all()
    assert studies.table("drift")["relative"].max() <= 1e-12


def fake(**effects) -> pd.DataFrame:
    """Ten seeds of each variant, with `column: {variant: mean}` and noise of 0.01."""
    rng = np.random.default_rng(0)
    variants = ["default", "no adversary", "lambda too small", "frozen, eval mode"]
    rows = [{"variant": v, "seed": s} | {c: of.get(v, 0.0) + 0.01 * rng.normal() for c, of in effects.items()}
            for v in variants for s in range(10)]  # fmt: skip
    return pd.DataFrame(rows)


def test_verdicts_find_the_effects_that_are_there_and_no_others():
    there = fake(loss_early={"frozen, eval mode": 1.0}, loss_late={"default": 1.0}, generator={"default": 1.0},
                 student={"default": -1.0}, start={}, end={"default": -1.0, "lambda too small": 1.0})  # fmt: skip
    for verdict in (verdicts.harder, verdicts.adapts, verdicts.learns, verdicts.settles):
        assert verdict(there).passed
    nothing = fake(loss_early={}, loss_late={"default": -0.1}, generator={}, student={"default": 0.1}, start={},
                   end={"default": 0.1})  # fmt: skip
    for verdict in (verdicts.harder, verdicts.adapts, verdicts.learns, verdicts.settles):
        assert not verdict(nothing).holds


def test_the_generators_aim_is_untested_where_blind_runs_differ_by_themselves():
    """Void: the later seeds of the control's variant lie above the earlier ones."""
    found = fake(generator={"default": 3.0})
    later = (found["variant"] == "no adversary") & (found["seed"] >= 5)
    found.loc[later, "generator"] += 1.0
    assert verdicts.adapts(found).verdict == "void"


def test_one_setting_for_all_losses():
    rows = []
    for loss in studies.LOSSES:
        for number, lam in enumerate((*studies.FIXED, "quantile")):
            name = f"log, {loss}, {lam if lam == 'quantile' else format(lam, 'g')}"
            mean = 0.5 if lam == "quantile" else (0.1, 0.3, 0.51, 0.4, 0.2)[number]
            rows += [{"variant": name, "seed": s, "accuracy": mean + 0.001 * s, "dead_steps": 0.0} for s in range(5)]
    found = pd.DataFrame(rows)
    assert verdicts.one_setting(found, "log").passed
    assert not verdicts.one_setting(found, "log", margin=0.001).holds
    fixed, following = verdicts.paces(found, "log")
    assert fixed["l1"]["accuracy"].idxmax() == 3.0
    assert following["l1"]["accuracy"] == pytest.approx(0.502)


def test_conclusions_name_what_may_be_said():
    moving = account(probed(config())[0])
    held = account(probed(config(), Held(0.0, "eval"))[0])
    assert verdicts.conclude(moving).startswith("tracking only")
    assert verdicts.conclude(held).startswith("samples fixed")
