"""What a study is: cases on axes, one hash of what is run, a purpose; and the project's own studies."""

import json

import pytest
import yaml

from analysis.checks import hypotheses
from analysis.evidence.parameters import profile_parameters
from analysis.studies import catalog, records, study, table, tuning
from analysis.studies.study import Case, Study
from cudfkd import ConfigError, methods
from tests.analysis.studies.tiny import VALUES, tiny


def test_axes_are_crossed_and_name_each_case():
    crossed = tiny(
        axes={"lambda": {0.5: {"experiment": {"distill": {"curriculum": {"lam_start": 0.5}}}}, "usual": None}}
    )
    assert [case.label for case in crossed.cases] == ["sample, 0.5", "sample, usual", "none, 0.5", "none, usual"]
    assert crossed.cases[0].at == {"granularity": "sample", "lambda": 0.5}
    assert crossed.cases[0].experiment.distill.curriculum.lam_start == 0.5
    assert crossed.case("none, usual").experiment.distill.options.latent_dim == 8


def test_points_stand_where_no_single_axis_gives_them():
    points = [
        {"at": {"start": s}, "set": {"experiment": {"distill": {"curriculum": {"lam_start": s}}}}} for s in (1.0, 2.0)
    ]
    cases = tiny(cases=points).cases
    assert [(case.label, case.experiment.distill.curriculum.lam_start) for case in cases] == [
        ("sample, 1", 1.0), ("sample, 2", 2.0), ("none, 1", 1.0), ("none, 2", 2.0),
    ]  # fmt: skip


def test_the_key_is_of_what_is_run_and_of_nothing_else():
    case = tiny().cases[0]
    assert case.key == case.model_copy(update={"at": {"called": "otherwise"}}).key
    assert case.key != case.changed(lr=0.07).key
    assert case.key != case.model_copy(update={"latents": 9}).key


def test_the_hash_of_a_study_sees_every_change():
    keys = [tiny().key, tiny(seeds=[0]).key, tiny(keep="rows").key, tiny(purpose={"margin": 0.01}).key]
    keys += [tiny(base={"latents": 9}).key]
    assert len(set(keys)) == len(keys)
    assert tiny().key == tiny().key


def test_a_changed_case_keeps_all_other_values():
    case = catalog.get("drift").case("strong adversary")
    other = case.changed(epochs=2, steps_per_epoch=4, curriculum={"lam_start": 4.0}).with_seed(3)
    assert (other.experiment.distill.seed, other.experiment.distill.total_steps) == (3, 8)
    assert other.experiment.distill.options == case.experiment.distill.options
    assert other.experiment.distill.curriculum.lam_end == case.experiment.distill.curriculum.lam_end
    assert other.with_seed(0).changed(epochs=10, steps_per_epoch=30, curriculum={"lam_start": 2.0}) == case


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"nonsense": 1}, "unknown option 'nonsense'"),
        ({"base": {"held": "maybe"}}, "unknown held 'maybe'"),
        ({"base": {"experiment": {"distill": {"epochs": 0}}}}, "epochs = 0 is not allowed"),
        ({"axes": {"granularity": {"sample": {"experiment": {"teacher": "nobody"}}}}}, "unknown teacher"),
        ({"seeds": []}, r"seeds = \[\] is not allowed"),
        ({"keep": "all"}, "unknown keep 'all'"),
        ({"cases": [{}, {}]}, "study tiny has two cases called 'sample'"),
        ({"name": "Two Words"}, "name = 'Two Words' is not allowed"),
    ],
)
def test_what_is_no_study_is_refused_in_one_line(changes, line):
    with pytest.raises(ConfigError, match=line):
        tiny(**changes)


def test_a_study_is_a_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(VALUES, sort_keys=False))
    assert study.load(path) == tiny()
    for text in ("{", "- 1"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="is missing or not YAML"):
            study.load(path)


def test_an_axis_can_be_taken_from_another_study(tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(VALUES, sort_keys=False))
    path = tmp_path / "part.yaml"
    for like, taken in [({"like": "tiny"}, tiny().cases), ({"like": "tiny", "only": ["none"]}, tiny().cases[1:])]:
        path.write_text(yaml.safe_dump(VALUES | {"name": "part", "axes": {"granularity": like}}))
        assert study.load(path).cases == taken
    longer = {"like": "tiny", "set": {"none": {"experiment": {"distill": {"epochs": 7}}}}}
    path.write_text(yaml.safe_dump(VALUES | {"name": "part", "axes": {"granularity": longer}}))
    assert study.load(path).cases == (tiny().cases[0], tiny().cases[1].changed(epochs=7))
    left_out = longer | {"only": ["sample"]}
    for axes, line in [
        ({"granularity": {"like": "large"}}, "large.yaml is missing"),
        ({"granulation": {"like": "tiny"}}, "unknown axis of tiny 'granulation': did you mean 'granularity'"),
        ({"granularity": {"like": "tiny", "only": ["non"]}}, "unknown place on the axis granularity of tiny 'non'"),
        ({"granularity": {"like": "tiny", "only": [0.5]}}, "unknown place on the axis granularity of tiny '0.5'"),
        (
            {"granularity": {"like": "tiny", "olny": ["none"]}},
            "unknown word beside like of the axis granularity 'olny'",
        ),
        ({"granularity": {"like": "tiny", "set": {"non": {}}}}, "unknown place on the axis granularity of tiny 'non'"),
        ({"granularity": left_out}, "the axis granularity sets values of none, which it leaves out"),
        ({"granularity": {"like": "part"}}, "the axis granularity of part is taken from part: take it from there"),
    ]:
        path.write_text(yaml.safe_dump(VALUES | {"name": "part", "axes": axes}))
        with pytest.raises(ConfigError, match=line):
            study.load(path)


def test_an_unknown_study_or_case_is_named_with_its_neighbours():
    with pytest.raises(ConfigError, match="unknown study 'drifts': did you mean 'drift'"):
        catalog.get("drifts")
    with pytest.raises(ConfigError, match="unknown case of tiny 'samples': did you mean 'sample'"):
        tiny().case("samples")


@pytest.mark.parametrize("name", catalog.names())
def test_the_projects_studies_say_what_they_are_for_and_their_records_are_theirs(name):
    described = catalog.get(name)
    assert described.name == name
    assert all([described.purpose.question, described.purpose.hypothesis, described.purpose.statistic])
    assert len({case.key for case in described.cases}) == len(described.cases)
    if records.path_of(name).exists():  # a study is committed before its runs
        record = records.load(name)
        assert record.study == records.begun(described).study
        assert [(key, case.at) for key, case in record.cases.items()] == [(c.key, c.at) for c in described.cases]


@pytest.mark.parametrize("name", ["curriculum", "drift", "granularity", "map", "methods", "pace"])
def test_studies_that_notebooks_judge_are_complete(name):
    assert records.lacking(catalog.get(name), records.load(name)) == []


def test_the_committed_accounts_close():
    assert table.frame(records.load("drift"))["relative"].max() <= 1e-12


def test_methods_are_compared_with_the_settings_that_the_search_chose():
    """Without a record of the search, nothing is chosen."""
    path = records.path_of("tuning")
    chosen = tuning.choose(records.read(path)) if path.exists() else {}
    compared = {case.label: case for case in catalog.get("methods").cases}
    assert set(compared) <= set(methods.names())
    for method, settings in chosen.items():
        assert compared[method].plain == _with_settings(method, settings).plain


def test_equal_seconds_are_the_seconds_that_were_measured():
    """The epochs of a method take as long as CuDFKD's 25, up to one epoch or a tenth, which other machines need."""
    seconds = table.frame(records.load("methods")).groupby("method")["seconds"].mean()
    for case in catalog.get("terms").cases:
        distill, method = case.experiment.distill, case.at["method"]
        if case.at["terms"] == "equal seconds":
            equal = 25 * seconds["cudfkd"] / seconds[method]
            assert abs(distill.epochs - equal) <= max(1.0, 0.1 * equal), method
            assert distill.generator_ratio is None
        else:
            assert (distill.epochs, distill.generator_ratio) == (25, 1.0)


def _with_settings(method: str, settings: dict) -> Case:
    set_values = {name: value for name, value in settings.items() if value != {}}
    return Case.model_validate({"experiment": {"distill": {"method": method, "epochs": 25} | set_values}})


def test_the_quick_study_runs_what_notebook_00_runs():
    (case,) = catalog.get("quick").cases
    profile = profile_parameters("quick", "00")
    assert case.experiment.distill.epochs == profile["epochs"]
    assert case.experiment.distill.steps_per_epoch == profile["steps_per_epoch"]
    assert case.changed(keep_epochs=()) == Case(at=case.at).changed(epochs=25, steps_per_epoch=100)


def test_a_study_is_plain_data():
    again = Study.model_validate(json.loads(tiny().model_dump_json()))
    assert again.key == tiny().key


def test_the_comparison_has_the_pairs_that_its_power_needs():
    """The spread of one teacher's pairs is of the study `curriculum`; the comparison averages over its teachers."""
    runs = table.frame(records.load("curriculum")).pivot(index="seed", columns="form", values="accuracy")
    spread = 100 * (runs["CuDFKD"] - runs["DFQ at equal terms"]).std()
    described = catalog.get("comparison")
    assert described.purpose.margin == 1.0
    spread /= len({case.at["teacher"] for case in described.cases}) ** 0.5
    assert hypotheses.pairs_for_difference(spread, 1.0) <= len(described.seeds)
    assert hypotheses.pairs_for_equivalence(spread, 1.0) <= len(described.seeds)
