"""The commands of `python -m analysis`, as a user types them."""

import json

import nbformat
import pytest

from analysis import execute, reproduce
from analysis.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["execute", "notebooks/00_start_here.ipynb", "-p", "sede", "1"], "did you mean 'seed'"),
        (["execute", "notebooks/00_start_here.ipynb", "-p", "seed", "x"], "seed = 'x'"),
        (["execute", "notebooks/00_nothing.ipynb"], "there is no notebook"),
        (["execute", "notebooks/00_start_here.ipynb", "--profile", "smok"], "did you mean 'smoke'"),
        (["execute", "notebooks/00_start_here.ipynb", "-f", "nothing.yaml"], "nothing.yaml"),
        (["reproduce", "--profile", "quikc"], "did you mean 'quick'"),
        (["record", "--profile", "nothing"], "unknown profile 'nothing'"),
        (["execut"], "invalid choice: 'execut'"),
        ([], "COMMAND"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(reproduce, "OUT", tmp_path / "out")
    arguments = [str(execute.ROOT / a) if a.startswith("notebooks/") else a for a in arguments]
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """All notebooks of the smoke profile, into a folder of their own."""
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
        result = json.loads((out / notebook.name[:2] / "result.json").read_text())
        assert result["profile"] == "smoke"
        assert all(one["verdict"] == "holds" for one in result["checks"])
        assert all(result["findings"].values())
        assert list((out / notebook.name[:2]).glob("*.png"))


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


def test_notebooks_share_their_runs(reproduced):
    """Notebook 12 needs three runs, one of which is that of notebook 00."""
    assert len(list((reproduced[0] / "runs").iterdir())) == 3


def test_executed_notebooks_show_no_errors_or_warnings(reproduced):
    for path in reproduced[0].glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error"
                assert output.get("name") != "stderr", output
