"""The Snakefile, run: on this machine, through an executor that submits, after a kill, past a failure, refused."""

import re
import shlex
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import yaml

from analysis.origin import ROOT
from analysis.studies import grid, records
from analysis.studies.__main__ import main
from cudfkd.engine.experiments import run

PLUGIN = "snakemake_executor_plugin_cluster_generic"
pytestmark = pytest.mark.skipif(
    not (find_spec("snakemake") and find_spec(PLUGIN)),
    reason="snakemake is not installed: pip install -e .[notebooks,grid]",
)
SUBMITTED = (
    *("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash", "--jobs", "1"),
    *("--seconds-between-status-checks", "1"),
)
TINY = {
    "name": "tiny",
    "methods": {"cudfkd": {"epochs": 5}, "dafl": {}, "mb-dfkd": {"options": {"feature": "nowhere"}}},
    "pairs": [{"teacher": "lenet5", "student": "lenet5-half"}],
    "data": {"fashion-mnist": {"epochs": 1, "steps_per_epoch": 2}},
    "seeds": [0],
    "distill": {"round_steps": 2, "batch_size": 8},
}
GOOD = TINY | {"methods": {name: TINY["methods"][name] for name in ("cudfkd", "dafl")}}


class Done(NamedTuple):
    """A command that ended."""

    code: int
    said: str


class Story(NamedTuple):
    """One grid's life: a run killed and another broken, then again without the broken one, submitted."""

    folder: Path
    first: Done
    left: list[str]  # in the killed run's folder, once all had ended
    second: Done
    third: Done


def command(folder: Path, values: dict, *words: str) -> list[str]:
    (folder / "grid.yaml").write_text(yaml.safe_dump(values))
    options = ("--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", folder / "grid.yaml")
    return [sys.executable, "-m", "snakemake", *map(str, options), *words]


def snakemake(folder: Path, values: dict, *words: str) -> Done:
    done = subprocess.run(command(folder, values, *words), capture_output=True, text=True, cwd=folder)
    return Done(done.returncode, done.stdout + done.stderr)


def killed(folder: Path, values: dict, victim: Path, *words: str) -> Done:
    """As `snakemake`, the process of one run killed once its first epoch is complete."""
    process = subprocess.Popen(
        command(folder, values, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder
    )
    while not (folder / victim / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    (one,) = (child for child in children if "cudfkd.cli" in child.cmdline() and f"--out={victim}" in child.cmdline())
    one.kill()
    said, _ = process.communicate()
    return Done(process.returncode, said)


def cell(method: str) -> grid.Cell:
    return grid.read(TINY).cells[f"fashion-mnist/lenet5--lenet5-half/{method}-seed0"]


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    folder, victim = tmp_path_factory.mktemp("grid"), cell("cudfkd").folder
    first = killed(folder, TINY, victim, "--cores", "1", "--keep-going", "runs")
    left = sorted(path.name for path in (folder / victim).iterdir())
    second = snakemake(folder, GOOD, *SUBMITTED, "tables")
    third = snakemake(folder, GOOD, "--cores", "1", "--dry-run", "--printshellcmds", "all", "recorded")
    return Story(folder, first, left, second, third)


def test_a_run_that_fails_stops_no_other_and_is_told(story):
    assert story.first.code == 1
    assert "unknown module of the network 'nowhere'" in story.first.said
    assert (story.folder / cell("dafl").result).exists()
    assert not (story.folder / cell("mb-dfkd").result).exists()


def test_a_killed_job_leaves_its_checkpoint(story):
    assert "checkpoint.json" in story.left
    assert "summary.json" not in story.left


def test_submitted_the_killed_run_goes_on_and_ends_with_the_bits_of_one_left_alone(story):
    assert story.second.code == 0, story.second.said
    run(cell("cudfkd").experiment(), story.folder / "alone")
    for name in ("student.safetensors", "generator.safetensors"):
        assert (story.folder / cell("cudfkd").folder / name).read_bytes() == (
            story.folder / "alone" / name
        ).read_bytes()
    ((_, _, kept),) = records.read(story.folder / cell("cudfkd").result).runs()
    assert len(kept.rows) == 5


def test_what_was_finished_before_is_not_run_again(story):
    assert story.second.said.count("\nrule run:") == 1


def test_results_become_one_table(story):
    rows = (story.folder / "out/grid/tiny/runs.csv").read_text().splitlines()
    assert [row.split(",")[:5] for row in rows[1:]] == [
        ["fashion-mnist", "lenet5", "lenet5-half", method, "0"] for method in ("cudfkd", "dafl")
    ]


def test_written_anew_the_same_grid_has_only_figures_to_do_and_committed_records_are_only_read(story):
    assert story.third.code == 0
    assert set(re.findall(r"^(?:local)?rule (\w+):", story.third.said, re.M)) == {"figures", "recorded", "all"}
    recorded = re.search(r"rule recorded:\n *input: (.*)\n *output: (.*)\n", story.third.said)
    assert "analysis/records/methods.json" in recorded[1]
    assert "records" not in recorded[2]


def test_the_command_for_figures_draws_what_its_rule_promises(story, monkeypatch):
    """Run here, where matplotlib is loaded already."""
    monkeypatch.chdir(story.folder)
    said = story.third.said[story.third.said.index("rule figures:") :]
    promised = re.search(r"output: (.*)\n", said)[1].split(", ")
    words = re.search(r"-m analysis\.studies (figures .*)", said)[1]
    words = re.sub(r"\$\(dirname (\S+)\)", lambda found: str(Path(found[1]).parent), words)
    assert main(shlex.split(words)) == 0
    assert len(promised) == 6
    assert all(Path(file).stat().st_size for file in promised)


def test_a_wrong_grid_is_one_line_and_no_run(tmp_path):
    done = snakemake(tmp_path, TINY | {"seed": [1]}, "--cores", "1")
    assert done.code == 2
    assert done.said.startswith("analysis: unknown option 'seed': did you mean 'seeds'? known: ")
    assert done.said.count("\n") == 1
    assert not (tmp_path / "out").exists()
