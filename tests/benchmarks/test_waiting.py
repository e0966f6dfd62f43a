"""Epochs are timed alone and beside a second run, by how threads wait; their bits are compared."""

import os
import sys

import pytest

from benchmarks import waiting
from cudfkd.base.files import read_json
from cudfkd.base.machine import hardware
from cudfkd.base.waiting import DECISIVE

SECONDS = {
    "alone": {"active": [2.0, 4.0], "passive": [3.0, 3.0], "short": [2.0, 2.0]},
    "beside": {"active": [20.0, 40.0], "passive": [4.0, 4.0], "short": [5.0, 5.0]},
}


def test_ratios_are_of_one_trial_each():
    found = waiting.ratios(SECONDS)
    assert found["over_short"]["alone"]["active"] == {"median": 1.5, "lowest": 1.0, "highest": 2.0, "n": 2}
    assert found["over_short"]["beside"].keys() == {"active", "passive"}
    assert found["beside_over_alone"]["active"]["median"] == 10
    assert found["beside_over_alone"]["short"]["median"] == 2.5


def test_cases_take_turns_to_and_fro(monkeypatch):
    asked = []

    def timed(place, wait):
        asked.append((place, wait))
        return float(len(asked)), "the student"

    monkeypatch.setattr(waiting, "timed", timed)
    result = waiting.epoch(2, 9.0)
    assert asked == [*waiting.CASES, *reversed(waiting.CASES)]
    assert result["seconds"]["alone"]["active"] == [1.0, 12.0]
    assert result["students"] == 1


def test_nothing_but_the_case_says_how_threads_wait(monkeypatch):
    for name in DECISIVE:
        monkeypatch.setenv(name, "7")
    for wait, values in waiting.WAITS.items():
        assert {name: value for name, value in waiting.environment(wait).items() if name in DECISIVE} == values
    assert waiting.environment("short").keys() <= os.environ.keys()


@pytest.mark.parametrize("place", ["alone", "beside"])
def test_a_run_is_timed_and_the_second_run_is_ended(place, monkeypatch):
    tiny = "--steps-per-epoch 2 --round-steps 2 --batch-size 4 --generator-width 2"
    original, started = waiting.words, []

    def words(folder, epochs):
        started.append((folder, epochs))
        return [*original(folder, epochs), *tiny.split()]

    monkeypatch.setattr(waiting, "words", words)
    seconds, student = waiting.timed(place, "short")
    assert seconds > 0
    assert len(student) == 64
    assert [epochs for _, epochs in started] == ([waiting.ENDLESS, 1] if place == "beside" else [1])
    assert not any(folder.exists() for folder, _ in started)


def test_a_second_run_that_ends_by_itself_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(waiting, "words", lambda folder, epochs: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(RuntimeError, match="ended with exit code 3"), waiting.neighbour(tmp_path, "short"):
        pass


@pytest.mark.parametrize(
    ("students", "code", "end"), [("a", 0, "the same student to the bit"), ("ab", 1, "bits differ")]
)
def test_the_command_files_the_result_and_says_whether_bits_differ(students, code, end, monkeypatch, tmp_path, capsys):
    names = iter(students * 6)
    monkeypatch.setattr(waiting, "timed", lambda place, wait: (1.0, next(names)))
    out = tmp_path / "waiting.json"
    assert waiting.main(["--trials", "1", "--out", str(out)]) == code
    assert read_json(out)[hardware("cpu")]["epoch"]["students"] == len(students)
    said = capsys.readouterr().out
    assert "alone, active over short: 1.00 times the seconds (1.00 to 1.00, n = 1)" in said
    assert said.endswith(f"{end}\n")
