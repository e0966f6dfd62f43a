"""The search: equal effort for all methods, the same trials however it is interrupted, and a choice by a fixed rule."""

import json
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.studies import catalog, records, tuning
from analysis.studies.__main__ import main
from analysis.studies.again import again
from analysis.studies.records import Entry, StudyRecord
from analysis.studies.tuning import choice, plan, search, spaces, trials
from analysis.studies.tuning.plan import Plan
from analysis.studies.watch import Pruned, Watch
from cudfkd import ConfigError, DataError, DistillConfig, TrainingError, methods
from cudfkd.engine import experiments
from tests.analysis.studies.standin import BEST, PLAN, failing, work

REFERENCES = ["kd", "noise", "scratch"]
NOTHING = StudyRecord(study={"name": "tuning"}, cases={})


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The record of the whole search of the references, with stand-ins for the runs."""
    path = tmp_path_factory.mktemp("tuning") / "tuning.json"
    list(search.tune(path, REFERENCES, plan=PLAN, work=work))
    return path


@pytest.fixture(scope="module")
def record(path):
    return records.read(path)


def tried(record, method):
    return [trial.values for trial in trials.searched(record, method, PLAN)]


def accuracies(values):
    """Accuracies by the seeds of the confirmation."""
    return dict(zip(tuning.PLAN.confirmation_seeds, values, strict=True))


def ranked(record, method="scratch"):
    """Numbers of the complete trials, best first."""
    complete = [trial for trial in trials.searched(record, method, PLAN) if trial.complete]
    return [trial.number for trial in sorted(complete, key=lambda trial: -trial.entry.numbers["accuracy"])]


def values_of(kind):
    """The values of a choice, or the ends of a range."""
    return (kind.low, kind.high) if isinstance(kind, spaces.Range) else kind.values


def holds(kind, value):
    return kind.low <= value <= kind.high if isinstance(kind, spaces.Range) else value in kind.values


@pytest.mark.parametrize("method", methods.names())
def test_every_method_has_a_space_whose_trials_its_configuration_takes(method):
    steps, epochs = tuning.PLAN.steps_per_epoch, tuning.PLAN.epochs
    space = spaces.space(method, steps)
    defaults = DistillConfig(method=method, steps_per_epoch=steps)
    assert "lr" in space
    assert ("round_steps" in space) == methods.get(method).ABOUT.generates
    for name, kind in space.items():
        for value in values_of(kind):
            distill = {"method": method, "epochs": epochs, "steps_per_epoch": steps} | spaces.settings({name: value})
            assert spaces.value_of(DistillConfig(**distill), name) == value
        assert holds(kind, spaces.value_of(defaults, name))


@pytest.mark.parametrize("method", methods.names())
def test_the_first_trial_has_the_defaults_and_the_next_trials_lie_in_the_space(method):
    record = NOTHING
    for number in range(5):
        job = search.following(record, method, PLAN)
        assert job
        assert (job.stage, job.case.at["trial"], job.seed) == ("search", number, PLAN.search_seed)
        if number == 0:
            assert job.case.experiment.distill == DistillConfig(method=method, epochs=8, steps_per_epoch=100)
        record = record.with_run(job.case, job.seed, work(job))
    assert len(record.cases) == 5
    for trial in trials.searched(record, method, PLAN)[1:]:
        assert all(value == float(f"{value:.3g}") for value in trial.values.values() if isinstance(value, float))


def test_every_space_belongs_to_a_method_and_a_method_without_a_space_is_named(monkeypatch):
    assert set(spaces.SPACE) == set(methods.names())
    monkeypatch.delitem(spaces.SPACE, "dafl")
    with pytest.raises(DataError, match="method dafl has no search space: add it to SPACE"):
        spaces.declared("dafl")
    with pytest.raises(ConfigError, match="unknown method 'dafle': did you mean 'dafl'"):
        spaces.declared("dafle")


def test_rounded_values_are_short_and_stay_in_their_range():
    narrow = spaces.Range(0.01234, 0.0567)
    assert [narrow.rounded(value) for value in (0.01234, 0.034567, 0.0567)] == [0.01234, 0.0346, 0.0567]


def test_every_method_gets_the_same_effort(record):
    for method in REFERENCES:
        found = trials.searched(record, method, PLAN)
        assert [trial.number for trial in found] == list(range(PLAN.trials))
        distills = [trial.case.case["experiment"]["distill"] for trial in found]
        assert {(one["epochs"], one["steps_per_epoch"], one["batch_size"]) for one in distills} == {(8, 100, 64)}
        assert {seed for trial in found for seed in trial.case.runs} == {PLAN.search_seed}
        assert len({json.dumps(trial.values) for trial in found}) == PLAN.trials
        reached = trials.scores(record, method, "finalists", PLAN)
        assert [set(scored) for scored in reached.values() if scored] == [set(PLAN.finalist_seeds)] * PLAN.finalists


def test_a_search_that_was_interrupted_tries_the_same(record, path, tmp_path):
    other = tmp_path / "tuning.json"
    for stop in (3, 1, 17, 2):
        assert len(list(islice(search.tune(other, ["scratch", "noise"], plan=PLAN, work=work), stop))) == stop
    list(search.tune(other, REFERENCES, plan=PLAN, work=work))
    assert other.read_bytes() == path.read_bytes()
    assert list(search.tune(other, REFERENCES, plan=PLAN, work=work)) == []


def test_methods_alone_or_in_two_processes_try_the_same(record, path, tmp_path):
    other = tmp_path / "tuning.json"
    list(search.tune(other, ["scratch"], plan=PLAN, work=work))
    assert tried(records.read(other), "scratch") == tried(record, "scratch")
    lines = list(search.tune(other, ["noise", "kd"], plan=PLAN, work=work, processes=2))
    assert len(lines) == sum(case.at["method"] != "scratch" for case, _, _ in record.runs())
    assert other.read_bytes() == path.read_bytes()


def test_a_hopeless_trial_is_pruned_and_its_record_says_so(record):
    found = trials.searched(record, "scratch", PLAN)
    pruned = [(trial, trial.entry.pruned) for trial in found if trial.entry.pruned]
    assert pruned
    for trial, epoch in pruned:
        assert PLAN.unpruned_epochs < epoch < PLAN.epochs
        assert trial.entry.stopped is None
        assert len(trial.accuracies) == epoch
        assert trial.entry.numbers["student_steps"] == 100 * epoch
        assert "accuracy" not in trial.entry.numbers
        assert trial.number >= PLAN.unpruned_trials


def test_the_search_finds_the_good_region(record):
    table = tuning.effort(record, PLAN)
    for _, group in table.groupby("method"):
        first, best = group["accuracy"].iloc[0], group["best"].iloc[-1]
        assert best > first + 0.05
    rates = [float(trial.values["lr"]) for trial in trials.searched(record, "scratch", PLAN)]
    assert 0.5 < rates[ranked(record)[0]] / BEST < 2


def test_the_finalists_are_the_best_different_settings(record):
    numbers = choice.finalists(record, "scratch", PLAN)
    assert numbers == ranked(record)[:3]
    assert len({json.dumps(tried(record, "scratch")[number]) for number in numbers}) == 3


def test_the_best_finalist_must_beat_the_defaults_by_more_than_the_standard_error():
    assert choice.confirmed(accuracies([0.62, 0.61, 0.63, 0.64]), accuracies([0.6, 0.6, 0.6, 0.6]))
    assert not choice.confirmed(accuracies([0.7, 0.5, 0.7, 0.51]), accuracies([0.6, 0.6, 0.6, 0.6]))
    assert not choice.confirmed(accuracies([0.6] * 4), accuracies([0.6] * 4))
    assert not choice.confirmed(accuracies([0.5, 0.5, 0.5, 0.5]), accuracies([0.6] * 4))


@pytest.mark.parametrize(("gain", "wins"), [(0.1, True), (-0.1, False)])
def test_the_choice_is_the_winner_of_the_confirmation(path, record, tmp_path, gain, wins):
    """The confirmation decides, whatever the finalists reached."""

    def fresh(job):
        done = work(job)
        if job.stage != "confirmation" or job.case.at["trial"] == 0:
            return done
        return done.model_copy(update={"numbers": done.numbers | {"accuracy": job.seed / 1e6 + 0.5 + gain}})

    def defaults(job):
        done = fresh(job)
        is_default = job.stage == "confirmation" and job.case.at["trial"] == 0
        return done.model_copy(update={"numbers": done.numbers | {"accuracy": 0.5}}) if is_default else done

    other = tmp_path / "tuning.json"
    list(search.tune(other, ["scratch"], plan=PLAN, work=defaults))
    chosen, best = tuning.choose(records.read(other), PLAN), ranked(record)[0]
    settings = trials.searched(record, "scratch", PLAN)[best].settings
    assert settings["options"].keys() == {"shift"}
    assert chosen == {"scratch": settings if wins else {"options": {}}}


def test_defaults_that_are_the_best_finalist_need_no_confirmation(tmp_path):
    def flat(job):
        score = 0.9 if job.case.at["trial"] == 0 else 0.5
        numbers = {"accuracies": [score] * 8, "student_steps": 800, "accuracy": score}
        return Entry(made={}, seconds=1.0, numbers=numbers)

    path = tmp_path / "tuning.json"
    lines = list(search.tune(path, ["noise"], plan=PLAN, work=flat))
    assert len(lines) == PLAN.trials + 3 * PLAN.finalists
    assert tuning.choose(records.read(path), PLAN) == {"noise": {"options": {}}}
    (row,) = tuning.decisions(records.read(path), PLAN).to_dict("records")
    assert (row["finalist"], row["winner"]) == (0, 0)


def test_nothing_is_chosen_before_a_search_is_complete(tmp_path):
    path, chosen = tmp_path / "tuning.json", []
    for _ in search.tune(path, ["noise"], plan=PLAN, work=work):
        chosen.append(tuning.choose(records.read(path), PLAN))
        assert tuning.complete(records.read(path), PLAN) == list(chosen[-1])
    assert [list(settings) for settings in chosen] == [[]] * (len(chosen) - 1) + [["noise"]]


def test_a_trial_that_stops_itself_counts_as_failed_and_the_search_goes_on(tmp_path):
    path = tmp_path / "tuning.json"
    lines = list(search.tune(path, ["noise"], plan=PLAN, work=failing))
    record = records.read(path)
    found = trials.searched(record, "noise", PLAN)
    failed = [trial.number for trial in found if trial.entry.stopped]
    assert failed
    assert len(found) == PLAN.trials
    assert sum(line.endswith("not finite") for line in lines) == len(failed)
    assert not set(failed) & set(choice.finalists(record, "noise", PLAN))
    rows = tuning.effort(record, PLAN).to_dict("records")
    assert [row["trial"] for row in rows if row["outcome"] == "stopped"] == failed
    assert all(np.isnan(rows[number]["accuracy"]) for number in failed)


def test_a_method_whose_trials_all_fail_keeps_its_defaults(tmp_path):
    def broken(job):
        return Entry(made={}, seconds=1.0, numbers={"accuracies": [], "student_steps": 0}, stopped="not finite")

    path = tmp_path / "tuning.json"
    assert len(list(search.tune(path, ["noise"], plan=PLAN, work=broken))) == PLAN.trials
    assert tuning.choose(records.read(path), PLAN) == {"noise": {"options": {}}}


def test_a_run_that_fails_otherwise_ends_the_search_without_losing_finished_runs(tmp_path):
    def fails(job):
        if job.method == "scratch":
            raise DataError("no training images")
        return work(job)

    path = tmp_path / "tuning.json"
    with pytest.raises(DataError, match="no training images"):
        list(search.tune(path, ["noise", "scratch"], plan=PLAN, work=fails))
    assert [case.label for case, _, _ in records.read(path).runs()] == ["noise, search, 0"]


def test_ctrl_c_loses_no_finished_run(tmp_path, monkeypatch):
    def interrupted(running, return_when):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(search.tune(tmp_path / "tuning.json", ["noise"], plan=PLAN, work=work))
    assert len(list(records.read(tmp_path / "tuning.json").runs())) == 1


def test_no_run_is_started_that_would_end_too_late(tmp_path):
    """A stand-in says that a trial took 8 seconds, and that a run at full length took 25."""
    path = tmp_path / "tuning.json"
    assert list(search.tune(path, ["noise"], plan=PLAN, work=work, minutes=0)) == []
    assert len(list(search.tune(path, ["noise"], plan=PLAN, work=work, minutes=0.1))) == 1
    assert len(list(search.tune(path, ["noise"], plan=PLAN, work=work, minutes=0.2))) == PLAN.trials - 1
    assert len(list(search.tune(path, ["noise"], plan=PLAN, work=work, minutes=0.41))) == 0
    assert len(list(search.tune(path, ["noise"], plan=PLAN, work=work, minutes=0.5))) > 0


def test_core_hours_and_steps_are_summed(record):
    runs = [run for _, _, run in record.runs()]
    assert tuning.core_hours(record) == pytest.approx(2 * sum(run.seconds for run in runs) / 3600)
    table = tuning.effort(record, PLAN)
    for method in REFERENCES:
        group = table.loc[table["method"] == method]
        steps = sum(trial.entry.numbers["student_steps"] for trial in trials.searched(record, method, PLAN))
        assert max(group["student_steps"]) == steps
        assert sorted(group["student_steps"]) == list(group["student_steps"])
        assert sorted(group["best"]) == list(group["best"])
    assert tuning.effort(NOTHING).empty


def test_runs_of_another_search_are_not_gone_on_with(path, tmp_path, monkeypatch):
    other = tmp_path / "tuning.json"
    other.write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="the record tuning holds another search of kd: remove its runs, or the record"):
        list(search.tune(other, ["scratch"], plan=Plan(trials=13), work=work))
    monkeypatch.setitem(spaces.SPACE, "scratch", {})
    with pytest.raises(DataError, match="holds another search of scratch"):
        list(search.tune(other, ["kd"], plan=PLAN, work=work))
    with pytest.raises(ConfigError, match=r"full_epochs = 8 is not allowed: it must exceed epochs = 8"):
        Plan(full_epochs=8)


def test_a_real_trial_is_recorded_pruned_stopped_and_repeated(tmp_path, monkeypatch):
    tiny = Plan(trials=2, epochs=2, steps_per_epoch=4, full_epochs=3, unpruned_epochs=0, unpruned_trials=1)
    job = search.following(NOTHING, "cudfkd", tiny)
    assert job
    done = search.work(job)
    assert len(done.numbers["accuracies"]) == 2
    assert done.numbers["accuracy"] == done.numbers["accuracies"][-1]
    assert (done.numbers["student_steps"], done.mb, done.made["threads"]) == (8, None, 1)
    hopeless = search.work(search.Job("cudfkd", "search", job.case, job.seed, tiny, rivals=((0.99, 0.99),)))
    assert (hopeless.pruned, hopeless.stopped) == (1, None)
    assert hopeless.numbers == {"accuracies": done.numbers["accuracies"][:1], "student_steps": 4}
    record = plan.begun(None, tiny).with_run(job.case, job.seed, hopeless)
    repeat = again(tuning.study(record, tiny), record, "cudfkd, search, 0", job.seed)
    assert (len(repeat.numbers), repeat.differing) == (2, [])

    def stops(*_, **__):
        raise TrainingError("not finite")

    monkeypatch.setattr(experiments, "run", stops)
    assert search.work(job).stopped == "not finite"


def test_a_watch_ends_no_run_after_its_last_epoch():
    ctx: Any = SimpleNamespace(epoch=1, step=5, config=DistillConfig(epochs=1))
    watch = Watch(lambda accuracies: True)
    watch.before_run(ctx)
    watch.after_epoch(ctx, {"accuracy": 0.5})
    assert watch.numbers == {"accuracies": [0.5], "student_steps": 5}
    ctx.config = DistillConfig(epochs=2)
    with pytest.raises(Pruned, match="pruned after epoch 1"):
        watch.after_epoch(ctx, {"accuracy": 0.5})


def test_no_reported_run_has_a_seed_of_the_search():
    assert tuning.PLAN.all_seeds == (1000, 1001, 1002, 1003, 2001, 2002, 2003, 2004)
    assert len(set(tuning.PLAN.all_seeds)) == 8
    for name in set(catalog.names()) - {tuning.NAME}:
        assert not set(tuning.PLAN.all_seeds) & set(catalog.get(name).seeds)


def test_the_committed_record_is_of_this_search():
    path = records.path_of(tuning.NAME)
    record = records.read(path) if path.exists() else NOTHING
    assert plan.begun(record).cases == record.cases
    assert record.study.get("key", tuning.study().key) == tuning.study().key
    for method in methods.names():
        for trial in trials.searched(record, method, tuning.PLAN)[:1]:
            assert trial.case.case == tuning.PLAN.case(method, 0, "search", {}).plain


def test_the_commands_say_what_to_do_in_one_line(capsys):
    assert main(["tune", "dafle"]) == 2
    assert capsys.readouterr().err.startswith("analysis.studies: unknown method 'dafle': did you mean 'dafl'")
    assert main(["record", "tuning"]) == 2
    line = "analysis.studies: study tuning is a search: its command is python -m analysis.studies tune\n"
    assert capsys.readouterr().err == line
