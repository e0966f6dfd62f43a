"""Records of compared methods: read back whole or refused, tables over seeds, repeats that are the same."""

import json
from dataclasses import replace

import pydantic
import pytest
import torch

from analysis import plots
from analysis.studies import comparison
from analysis.studies.comparison import Recorded
from cudfkd import ConfigError, DataError, methods

PLAIN = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}


def made(method="dafl", seed=0, accuracy=0.5, samples=None) -> Recorded:
    """A record as a run would leave it."""
    plain = comparison.experiment(method, seed).model_dump(mode="json")
    rows = [
        {"epoch": e, "student_steps": 100 * e, "total_seconds": 2.0 * e, "accuracy": accuracy * e / 3, "seconds": 2.0}
        for e in (1, 2, 3)
    ]
    summary = {"accuracy": PLAIN | {"value": accuracy}, "agreement": PLAIN, "student_steps": 300, "generator_steps": 60}
    return Recorded(method, seed, plain, comparison.fingerprint(plain), rows, summary, 6.0, 900.0, "x", "2", samples)


def test_a_record_is_read_back_whole(tmp_path):
    one = made(samples={"shape": [1, 1, 2, 2], "bytes": "AP8AgA=="})
    comparison.write(one, tmp_path)
    again = comparison.read("dafl", 0, tmp_path)
    assert again == one
    assert torch.equal(again.images(), torch.tensor([[[[0.0, 1.0], [0.0, 128 / 255]]]]))
    assert again.history["epoch"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("change", [("experiment", "distill", "lr"), ("experiment", "distill", "seed")])
def test_a_record_whose_hash_is_not_its_experiments_is_refused(change, tmp_path):
    comparison.write(made(), tmp_path)
    path = tmp_path / "dafl-seed0.json"
    content = json.loads(path.read_text())
    content[change[0]][change[1]][change[2]] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"hash that is not that of its experiment"):
        comparison.read("dafl", 0, tmp_path)


def test_what_is_no_record_is_refused(tmp_path):
    comparison.write(made(), tmp_path)
    (tmp_path / "dfq-seed1.json").write_text('{"method": "dfq"}')
    with pytest.raises(DataError, match=r"dfq-seed1\.json is no record"):
        comparison.recorded(tmp_path)
    with pytest.raises(ConfigError, match=r"cmi-seed3\.json is missing: unknown record 'cmi 3'"):
        comparison.read("cmi", 3, tmp_path)


def test_a_record_tells_the_threads_that_its_bits_depend_on():
    assert replace(made(), hardware="x86_64, 2 cores, 1 threads").threads == 1
    assert replace(made(), hardware="NVIDIA H100 80GB HBM3").threads is None


def test_images_of_other_seeds_are_not_kept():
    with pytest.raises(DataError, match="holds no images: take seed 0"):
        made(seed=1).images()


def test_the_table_orders_by_mean_and_says_how_many_seeds():
    records = {
        "dafl": [made("dafl", s, 0.4 + 0.1 * s) for s in range(3)],
        "noise": [made("noise", s, 0.1) for s in range(3)],
    }
    table = comparison.table(records)
    assert table.index.tolist() == ["dafl", "noise"]
    assert table.loc["dafl", "accuracy, %"] == 50.0
    assert table.loc["dafl", "low"] == pytest.approx(50 - 4.303 * 10 / 3**0.5, abs=0.1)  # Student's t for two degrees
    assert table["n"].tolist() == [3, 3]


def test_margins_are_taken_seed_by_seed():
    records = {
        "dafl": [made("dafl", 0, 0.4), made("dafl", 1, 0.6)],
        "noise": [made("noise", 1, 0.2), made("noise", 0, 0.1)],
    }
    assert comparison.margins(records).loc["dafl"].tolist() == [35.0, 30.0, 2.0]


def test_a_repeat_is_identical_whatever_the_clock_says():
    old, new = made(), made()
    new.rows[0]["total_seconds"] = 99.0
    assert comparison.compare(old, new) == (True, 0.0)
    worse = made(accuracy=0.4)
    assert comparison.compare(old, worse) == (False, pytest.approx(-0.1))
    with pytest.raises(ConfigError, match="is of other settings"):
        comparison.compare(old, made("dafl", 1))


def test_costs_are_what_the_command_line_shows():
    assert comparison.costs({"dafl": [made(), made(seed=1)]}) == {
        "dafl": {"seconds": 6.0, "peak_memory_mb": 900.0, "n": 2}
    }
    assert set(methods.costs()) <= set(methods.names())


def test_the_committed_records_are_valid():
    found = comparison.recorded()
    assert set(found) <= set(methods.names())
    assert all(one.peak_memory_mb < 3000 and one.seconds < 480 for runs in found.values() for one in runs)


def test_the_figures_show_every_method():
    records = {name: [made(name, seed, 0.3) for seed in range(2)] for name in ("dafl", "noise")}
    figure = plots.races({name: [one.history for one in runs] for name, runs in records.items()})
    assert [line.get_label() for line in figure.axes[0].lines] == ["dafl", "noise"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx([10, 20, 30])
    axes = plots.accuracies(comparison.table(records))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dafl", "noise"]


def test_a_record_is_json_of_its_fields():
    assert set(pydantic.TypeAdapter(Recorded).dump_python(made())) == set(Recorded.__dataclass_fields__)
