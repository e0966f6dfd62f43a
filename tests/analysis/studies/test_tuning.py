"""The search: as many trials for each method, resumable, its choice the best on dev, other searches refused."""

import json

import pytest

from analysis.studies import comparison, tuning
from cudfkd import DataError, DistillConfig, TrainingError, methods


def test_every_method_has_the_same_number_of_distinct_trials_with_its_defaults_first():
    assert set(tuning.SPACE) == set(methods.names())
    for method in methods.names():
        found = tuning.trials(method)
        assert found == tuning.trials(method)
        assert found[0] == {"options": {}}
        assert len({json.dumps(one, sort_keys=True) for one in found}) == tuning.TRIALS
        for one in found:
            DistillConfig(method=method, **one)  # refused if the space named something that the method does not have


def test_the_seed_is_none_that_is_reported():
    assert tuning.SEED not in comparison.SEEDS


@pytest.fixture
def _fake(monkeypatch):
    calls = []

    def trial(method, settings):
        calls.append(settings)
        score = None if len(calls) == 2 else settings.get("lr", 0.1)
        return {"method": method, "seed": tuning.SEED, **tuning.LENGTH, "settings": settings, "accuracy": score}

    monkeypatch.setattr(tuning, "trial", trial)
    return calls


def test_a_search_goes_on_where_it_stopped(_fake, tmp_path):  # noqa: PT019
    tuning.tune("dafl", tmp_path)
    assert len(_fake) == tuning.TRIALS
    lines = (tmp_path / "dafl.jsonl").read_text().splitlines()
    (tmp_path / "dafl.jsonl").write_text("\n".join(lines[:4]) + "\n")
    tuning.tune("dafl", tmp_path)
    assert len(_fake) == tuning.TRIALS + 2
    tuning.tune("dafl", tmp_path)
    assert len(_fake) == tuning.TRIALS + 2


def test_the_choice_is_the_best_of_a_complete_search(_fake, tmp_path):  # noqa: PT019
    found = tuning.tune("dafl", tmp_path)
    (tmp_path / "dfq.jsonl").write_text("")
    best = max((one for one in found if one["accuracy"] is not None), key=lambda one: one["accuracy"])
    assert tuning.choose(tmp_path) == {
        "dafl": {"settings": best["settings"], "accuracy": best["accuracy"], "trials": tuning.TRIALS}
    }


def test_trials_of_another_space_are_refused(_fake, tmp_path):  # noqa: PT019
    tuning.tune("dafl", tmp_path)
    path = tmp_path / "dafl.jsonl"
    path.write_text(path.read_text().replace(f'"seed": {tuning.SEED}', '"seed": 3'))
    with pytest.raises(DataError, match="holds trials of another search space"):
        tuning.tune("dafl", tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        tuning.read_trials(path)


def test_a_trial_that_stops_itself_has_no_score(monkeypatch):
    def stops(experiment):
        assert experiment.distill.seed == tuning.SEED
        raise TrainingError("not finite")

    monkeypatch.setattr(tuning, "run", stops)
    row = tuning.trial("dafl", {"options": {}})
    assert row["accuracy"] is None
    assert row["stopped"] == "not finite"
