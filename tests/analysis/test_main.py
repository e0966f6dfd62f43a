"""The commands of `python -m analysis`, as a user types them. Bad input is in tests/test_bad_input."""

import json
import re

import nbformat
import pytest

from analysis.__main__ import main
from analysis.evidence import reproduce

RECORDED = {
    *("09/parts", "09/tracking", "09/dead", "09/pace_linear", "09/pace_log", "10/modes", "11/best", "11/curves"),
    *("13/accuracies", "13/effort", "13/races", "13/studied", "13/terms"),
}

AXES = ("xlabel", "ylabel")


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
    """Its own, or that of a panel which shares it: see `provenance.plotted`."""
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
