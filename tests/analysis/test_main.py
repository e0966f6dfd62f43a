"""The commands of `python -m analysis`, as a user types them. Bad input is in tests/test_bad_input."""

import json
import re
from inspect import signature
from math import comb
from pathlib import Path

import nbformat
import pytest

import tests
from analysis.__main__ import main
from analysis.checks import ranges
from analysis.evidence import form, reproduce
from analysis.origin import ROOT
from analysis.studies import catalog, records, verdicts
from analysis.theory import axioms, batch_weight, counterexamples, curriculum_axioms, majorization, minibatch, rates
from cudfkd import DistillConfig
from cudfkd.curriculum import DEAD_WEIGHT
from tests.numerals import numbers, unbacked

RECORDED = {
    *("09/parts", "09/tracking", "09/dead", "09/pace_linear", "09/pace_log", "10/modes", "11/best", "11/curves"),
    *("13/accuracies", "13/effort", "13/mended", "13/races", "13/studied", "13/terms", "13/on_test", "13/against"),
    *("14/course", "14/over_student_steps", "14/over_generator_steps", "14/over_total_seconds"),
    *("14/over_teacher_images", "14/time_to_90", "14/time_to_95", "14/steadiness", "14/leads", "14/again"),
    *(f"14/{name}" for name in ("target", "parts") if records.path_of(name).exists()),
    *("15/loyalties", "15/measures", "15/errors", "15/differences", "15/again"),
}

AXES = ("xlabel", "ylabel")


def default(function, name: str) -> float:
    """The default of an argument."""
    return signature(function).parameters[name].default


def steps(study: str) -> int:
    """Student steps of a recorded run."""
    return catalog.get(study).cases[0].experiment.distill.total_steps


BATCHES = [int(size) for size in re.findall(r"batch_size: (\d+)", (ROOT / "grids" / "paper.yaml").read_text())]
HELD = {  # numbers in the texts that the code of the analysis holds, and no cell
    "03": [len(axioms.LOSSES)],
    "04": [default(majorization.above, "points")],
    "05": rates.SHARES,
    "07": [default(curriculum_axioms.activity_grows, "problems"), len(curriculum_axioms.PACES)],
    "08": [DistillConfig().batch_size, comb(40, 2), default(minibatch.regression, "draws")],
    "09": [*map(steps, ("drift", "tracking", "map", "pace")), DEAD_WEIGHT, 100 * verdicts.MARGIN],
    "10": [default(batch_weight.as_learning_rate, "steps"), default(batch_weight.corrupted_pool, "share"),
           steps("granularity"), min(BATCHES), *numbers(counterexamples.scalar_weight().setting), 10**2 / 2],
    "12": [0.05],  # the meaning of q05
}  # fmt: skip


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """Runs all notebooks of the smoke profile into a separate folder."""
    out = tmp_path_factory.mktemp("out")
    patch = pytest.MonkeyPatch()
    patch.setattr(reproduce, "OUT", out)
    original = reproduce.profile_parameters

    def into_out(profile, number):
        return original(profile, number) | {"out_dir": str(out / profile / number)}

    patch.setattr(reproduce, "profile_parameters", into_out)
    lines = []
    failed = reproduce.reproduce("smoke", lines.append)
    patch.undo()
    return out / "smoke", failed, lines


def test_reproduce_runs_every_notebook_and_leaves_pages_figures_and_results(reproduced):
    out, failed, lines = reproduced
    assert failed == [], lines
    for notebook in reproduce.notebooks_of("smoke"):
        assert (out / notebook.name).exists()
        page = (out / notebook.with_suffix(".html").name).read_text()
        assert "data:image/png;base64," in page
        assert 'src="mathjax.js"' in page
        assert not re.search(r'(src|href)="(https?:)?//[^"]*\.(js|css)"', page)
        assert "<title>Notebook</title>" not in page
        result = json.loads((out / notebook.name[:2] / "result.json").read_text())
        assert result["profile"] == "smoke"
        assert all(check["verdict"] == "holds" for check in result["checks"] if check["exact"])
        assert all(result["findings"].values())
        assert list((out / notebook.name[:2]).glob("*.png"))


def test_folded_solutions_stay_folded_and_links_lead_to_pages(reproduced):
    page = (reproduced[0] / "01_one_sample_one_weight.html").read_text()
    assert re.search(r"<details><summary>Solutions</summary>.*linear in.*</details>", page, re.S)
    assert 'href="02_the_latent_loss.html"' in page
    assert (reproduced[0] / "mathjax.js").exists()


def test_the_scorecard_of_all_notebooks_is_clean(reproduced, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "OUT", reproduced[0].parent)
    assert main(["scorecard", "--profile", "smoke"]) == 0
    summary, *lines = capsys.readouterr().out.splitlines()
    assert summary.endswith("0 stale, 0 not run"), [line for line in lines if line.startswith(("stale", "not run"))]


def test_every_figure_has_its_pdf_and_its_data(reproduced):
    out = reproduced[0]
    pictures = sorted(out.glob("[0-9][0-9]/*.png"))
    assert pictures
    for picture in pictures:
        assert picture.with_suffix(".pdf").stat().st_size > 1000
        data = json.loads(picture.with_suffix(".json").read_text())
        assert data["story"]["profile"] == "smoke"
        drawn = [axes[kind] for axes in data["axes"] for kind in ("lines", "areas", "bars", "images")]
        assert any(drawn)


def test_every_axis_of_a_figure_has_a_label(reproduced):
    """Its own, or that of a panel which shares it: see `contents.plotted`."""
    bare = []
    for path in sorted(reproduced[0].glob("[0-9][0-9]/*.png")):
        panels = json.loads(path.with_suffix(".json").read_text())["axes"]
        bare += [(path.stem, panel["title"], name) for panel in panels for name in AXES if panel[name] == ""]
    assert bare == []


def test_figures_of_recorded_runs_name_their_studies(reproduced):
    """Hardware, n and seeds are then the record's. All other figures come from the execution itself."""
    named = [path for path in reproduced[0].glob("[0-9][0-9]/*.json") if path.name != "result.json"]
    told = {f"{path.parent.name}/{path.stem}" for path in named if "studies" in json.loads(path.read_text())["story"]}
    assert told == RECORDED


def test_notebooks_share_their_runs(reproduced):
    """Notebook 12 needs three runs; one of these runs belongs to notebook 00."""
    assert len(list((reproduced[0] / "runs").iterdir())) == 3


def test_executed_notebooks_show_no_errors_or_warnings(reproduced):
    for path in reproduced[0].glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error"
                assert output.get("name") != "stderr", output


def test_every_number_in_a_text_is_the_number_of_a_cell(reproduced):
    """Or it is held by the code that it speaks about. The level of all intervals is one number."""
    solved = Path(tests.__file__).with_name("test_exercises.py").read_text()
    missing = {}
    for path in sorted(reproduced[0].glob("*.ipynb")):
        own = re.search(rf"^# {path.name[:2]} .*?(?=^# \d\d |\Z)", solved, re.MULTILINE | re.DOTALL)[0]
        held = [ranges.LEVEL, *HELD.get(path.name[:2], [])]
        missing[path.stem] = unbacked(nbformat.read(path, as_version=4), held, own)
    assert len(missing) > 10
    assert not any(missing.values()), missing


def test_outputs_name_no_notebook_without_a_link(reproduced):
    for path in reproduced[0].glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert not form.MENTION.search(output.get("data", {}).get("text/markdown", "")), path.stem
