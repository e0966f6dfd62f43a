"""Parts run one by one until a limit, and a record keeps each result with its stamp."""

from functools import partial

import pytest
import torch

from benchmarks import parts
from benchmarks.loops import Setting
from benchmarks.parts import Outcome, Part, Plan, Record, measure
from cudfkd.base.errors import ConfigError, DataError
from cudfkd.base.files import read_json, write_json


def result(name, plan, minutes):
    return {"of": name, "plan": plan}


NAMED = {name: Part(partial(result, name)) for name in "ab"}


def test_each_result_is_kept_at_once_under_its_name():
    kept = []

    def last(plan, minutes):
        assert [name for name, _ in kept] == ["a", "b"]
        return {}

    assert measure({**NAMED, "c": Part(last)}, 7, lambda *pair: kept.append(pair)) == ([], [])
    assert kept == [("a", {"of": "a", "plan": 7}), ("b", {"of": "b", "plan": 7}), ("c", {})]


def test_a_part_that_failed_is_not_left_for_the_next_call(capsys):
    def fail(plan, minutes):
        raise MemoryError

    outcome = measure({"x": Part(fail), **NAMED, "y": Part(lambda *_: None), "z": NAMED["a"]}, None, lambda *_: None)
    assert outcome == (["y", "z"], ["x"])
    assert capsys.readouterr().err == "x: MemoryError\n"


def test_a_bug_in_a_part_is_raised():
    def bug(plan, minutes):
        raise KeyError("a")

    with pytest.raises(KeyError):
        measure({"x": Part(bug)}, None, lambda *_: None)


@pytest.mark.parametrize(
    ("left", "failed", "line"),
    [("", "", "all is measured"), ("ab", "", "2 left, for further calls; next: a"), ("", "c", "1 failed, all else is "
     "measured"), ("b", "c", "1 left, for further calls; next: b")],
)  # fmt: skip
def test_an_outcome_is_told_in_a_line(left, failed, line):
    assert str(Outcome(list(left), list(failed))) == line


def test_a_record_adds_to_its_place_with_a_stamp_and_keeps_all_else(tmp_path):
    out = tmp_path / "new" / "speed.json"
    write_json(out, {"elsewhere": {"lenet5": {"flops": 1}}, "here": {"lenet5": {"a": 2}}})
    record = Record(out, "here", "lenet5", follows=lambda results: {"names": sorted(results)})
    assert record.lacks("abc") == ["b", "c"]
    record.keep("memory", {"mb": 1})
    assert read_json(out) == record.content
    assert record.content["elsewhere"] == {"lenet5": {"flops": 1}}
    results = record.content["here"]["lenet5"]
    assert results.pop("memory") == {"mb": 1, **parts.stamp()}
    assert results == {"a": 2, "names": ["a", "memory"]}
    assert parts.stamp().keys() == {"torch", "tf32", "commit"}
    assert parts.stamp()["torch"] == torch.__version__


def test_a_record_without_a_result_makes_no_file(tmp_path):
    assert Record(tmp_path / "a.json", "here").lacks("ab") == ["a", "b"]
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(("text", "error"), [('{"here": 3}', ConfigError), ("[]", DataError), ("{", DataError)])
def test_a_file_that_holds_something_else_is_refused(text, error, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(error):
        Record(tmp_path / "a.json", "here")


def test_the_shared_parts_count_the_loops_of_the_plan(monkeypatch):
    monkeypatch.setattr(parts.ceilings, "RUNS", 1)
    plan = Plan(Setting("lenet5", precision="bfloat16", batch_size=2), ("engine",))
    results = {name: part.measure(plan, 9.0) for name, part in parts.SHARED.items()}
    assert list(results["ceiling"]["gflops"]) == ["float32", "bfloat16"]
    assert list(results["flops"]["per_step"]) == list(results["traffic"]["per_step"]) == ["engine"]
    assert parts.shares(results, "bfloat16") == {}
    speed = {"steps_per_second": {"engine": [3.0]}}
    assert list(parts.shares(results | {"speed": speed}, "bfloat16")["achieved"]) == ["engine"]
