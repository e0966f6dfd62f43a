"""The search: as many trials for each method, its choice the best on dev of a complete search."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.studies import catalog, tuning
from cudfkd import DataError, DistillConfig, methods


def test_every_method_has_the_same_number_of_distinct_trials_with_its_defaults_first():
    assert set(tuning.SPACE) == set(methods.names())
    for method in methods.names():
        trials = tuning.trials(method)
        assert trials == tuning.trials(method)
        assert trials[0] == {"options": {}}
        assert len({json.dumps(settings, sort_keys=True) for settings in trials}) == tuning.TRIALS
        for settings in trials:
            DistillConfig(method=method, **settings)  # refused if the space named something unknown to the method


def test_the_search_is_a_study_with_a_seed_that_is_not_reported():
    search = tuning.study()
    assert len(search.cases) == tuning.TRIALS * len(methods.names())
    assert search.seeds == (tuning.SEED,)
    for name in catalog.names():
        assert name == tuning.NAME or tuning.SEED not in catalog.get(name).seeds


def test_the_choice_is_the_best_of_a_complete_search():
    rows = [{"method": "dafl", "trial": trial, "accuracy": score} for trial, score in
            enumerate([0.1, np.nan, 0.7, 0.3, 0.2, 0.6])]  # fmt: skip
    rows += [{"method": "dfq", "trial": 0, "accuracy": 0.9}]
    assert tuning.choose(pd.DataFrame(rows)) == {"dafl": tuning.trials("dafl")[2]}


def test_a_method_without_a_space_is_named(monkeypatch):
    monkeypatch.delitem(tuning.SPACE, "dafl")
    with pytest.raises(DataError, match="method dafl has no search space: add it to SPACE"):
        tuning.trials("dafl")
