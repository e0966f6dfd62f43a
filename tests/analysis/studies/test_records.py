"""Records: written and read whole or refused, united, and what they lack; images that come back."""

import json

import pytest
import torch

from analysis.studies import records
from analysis.studies.records import Entry
from cudfkd import ConfigError, DataError
from tests.analysis.studies.tiny import tiny

MADE = {"torch": "2", "hardware": "x86_64, 2 cores, 1 threads", "vectors": "AVX2", "threads": 1}


def entry(accuracy: float = 0.5, **fields) -> Entry:
    return Entry(made=MADE, numbers={"accuracy": accuracy, "accuracies": [0.1, accuracy]}, **fields)


@pytest.fixture
def path(tmp_path):
    """A record of three of the study's four runs."""
    record = records.begun(tiny())
    for case, seed, accuracy in ((0, 0, 0.1), (0, 1, 0.2), (1, 0, 0.3)):
        record = record.with_run(tiny().cases[case], seed, entry(accuracy, seconds=1.5, rows=[{"epoch": 1}]))
    records.write(tmp_path / "tiny.json", record)
    return tmp_path / "tiny.json"


def test_a_record_is_read_back_whole_and_knows_its_study(path):
    record = records.read(path)
    assert record.study == {"name": "tiny", "key": tiny().key, "purpose": tiny().purpose.model_dump()}
    case, run = record.find("sample", 1)
    assert (case.at, run.numbers["accuracy"], run.seconds) == ({"granularity": "sample"}, 0.2, 1.5)
    assert [(c.label, seed) for c, seed, _ in record.runs()] == [("sample", 0), ("sample", 1), ("none", 0)]
    records.write(path.with_name("again.json"), record)
    assert path.with_name("again.json").read_bytes() == path.read_bytes()


def test_a_run_is_a_line(path):
    lines = path.read_text().splitlines()
    assert sum('"accuracy": 0.' in line for line in lines) == 3
    assert json.loads(path.read_text())["cases"].keys() == {case.key for case in tiny().cases}


def test_what_is_lacking_comes_seed_by_seed(path):
    record = records.begun(tiny(), path)
    assert [(case.label, seed) for case, seed in records.lacking(tiny(), record)] == [("none", 1)]
    assert len(records.lacking(tiny(seeds=[0, 1, 2]), record)) == 3
    assert len(records.lacking(tiny(), records.begun(tiny()))) == 4


def test_runs_of_another_description_are_not_gone_on_with(path):
    other = tiny(base={"latents": 9})
    assert len(records.lacking(other, records.begun(other, path))) == 4


def test_a_study_that_changed_in_words_alone_keeps_its_runs_and_has_another_hash(path):
    other = tiny(purpose={"question": "Does it run at all?"})
    record = records.begun(other, path)
    assert len(records.lacking(other, record)) == 1
    assert record.study["key"] != records.read(path).study["key"]


def test_a_description_that_was_altered_is_refused(path):
    content = json.loads(path.read_text())
    next(iter(content["cases"].values()))["case"]["latents"] = 9
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="'sample' of tiny has another description than its key says"):
        records.read(path)


@pytest.mark.parametrize(
    "content", [{}, {"study": {}, "cases": {}}, {"study": {"name": "a"}, "cases": {"k": {"at": {}, "case": {}}}},
                {"method": "dafl", "seed": 0, "experiment": {}}]
)  # fmt: skip
def test_what_is_no_record_is_refused(content, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"a\.json is no record of a study"):
        records.read(tmp_path / "a.json")


def test_a_run_that_is_not_there_is_named(path):
    record = records.read(path)
    with pytest.raises(ConfigError, match="unknown case of tiny 'batch'"):
        record.find("batch", 0)
    with pytest.raises(ConfigError, match="unknown seed in the record '7': known: 0, 1"):
        record.find("sample", 7)
    with pytest.raises(DataError, match=r"none\.json is missing"):
        records.read(path.with_name("none.json"))


def test_records_are_united_run_by_run(path, tmp_path):
    single = records.begun(tiny(), None).with_run(tiny().cases[1], 1, entry(0.4))
    united = records.merge([records.read(path), single])
    assert records.lacking(tiny(), united) == []
    assert united.find("none", 1)[1].numbers["accuracy"] == 0.4
    with pytest.raises(DataError, match="no record was named"):
        records.merge([])


def test_images_come_back_and_are_missed_where_there_are_none():
    kept = entry(images={"shape": [1, 1, 2, 2], "bytes": "AP8AgA=="})
    assert torch.equal(records.images(kept), torch.tensor([[[[0.0, 1.0], [0.0, 128 / 255]]]]))
    with pytest.raises(DataError, match="holds no images"):
        records.images(entry())


def test_the_story_says_which_runs_a_figure_shows(path):
    story = records.story(records.read(path))
    assert story == {
        "studies": {"tiny": tiny().key}, "n": 1, "seeds": [0, 1], "hardware": [MADE["hardware"]], "torch": ["2"],
    }  # fmt: skip
