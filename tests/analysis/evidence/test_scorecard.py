"""The scorecard reads the results of notebooks, validates them, and derives verdicts from them."""

import json
from contextlib import suppress
from dataclasses import replace

import matplotlib.pyplot as plt
import nbformat
import pytest

from analysis import plots
from analysis.__main__ import main
from analysis.checks import CheckError, check
from analysis.evidence import claims, reproduce, results, scorecard
from analysis.evidence.parameters import profile_parameters
from analysis.evidence.provenance import Record
from analysis.origin import NOTEBOOKS
from cudfkd.base.errors import DataError

NAMES = {path.name[:2]: path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}


def judged(name="falls", violations=(0.0,), without=(1.0,), theorem="T1", **more):
    return check(name, "a <= b", theorem, violations, ("left out", without), **more)


FAILS = judged("fails", [1e-3])
VOID = judged("void", [0.0], [0.0])
GUESS = judged("guess", [0.2], tolerance=0.0, exact=False)


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "OUT", tmp_path)
    return tmp_path / "smoke"


def write(out, number, *checks, findings=None, parameters=None, profile="smoke"):
    """Writes a result as notebook `number` writes it in the smoke profile."""
    values = {name: value for name, value in profile_parameters("smoke", number).items() if name != "profile"}
    record = Record(NAMES[number], profile, values | (parameters or {}), str(out / number))
    with suppress(CheckError):
        record.result({}, checks, findings)
    return out / number / "result.json"


def change(path, edit):
    plain = json.loads(path.read_text())
    edit(plain)
    path.write_text(json.dumps(plain))
    return path


def load(out):
    return scorecard.load("smoke", out)


def test_rows_are_in_the_order_of_the_theorems(out):
    theorems = ("T10", "live", "T5'", "T2", "axioms", "T6", "T5")
    write(out, "04", *(judged(f"of {theorem}", theorem=theorem) for theorem in theorems))
    assert list(load(out).rows()["theorem"]) == ["T2", "T5", "T5'", "T6", "T10", "axioms", "live"]


def test_a_row_shows_the_whole_check(out):
    write(out, "04", judged("wild", [-1.0, float("-inf")], [float("inf")], claims=("C2", "C4")), findings={"yes": True})
    card = load(out)
    (row,) = card.rows().to_dict("records")
    assert row == {
        "theorem": "T1", "claims": "C2, C4", "check": "wild", "statement": "a <= b", "verdict": "holds",
        "worst violation": -1.0, "tolerance": 1e-10, "n": 2, "control": "left out",
        "control's violation": float("inf"), "kind": "exact", "notebook": "04",
    }  # fmt: skip
    assert card.findings().to_dict("records") == [{"notebook": "04", "finding": "yes", "true": True}]
    assert card.state().loc[NAMES["04"], "state"] == "current"
    assert card.summary().startswith("smoke: 1 of 1 checks hold")


def test_what_holds_by_construction_is_called_no_evidence(out):
    write(out, "04", judged(by_construction=True))
    card = load(out)
    assert "no evidence" in card.rows()["kind"][0]
    assert card.theorems()["verdict"]["T1"] == "not tested yet"
    assert card.claims()["here"]["C4"] == "not tested yet"


@pytest.mark.parametrize(
    ("checks", "findings", "code", "said"),
    [
        ([judged()], {"yes": True}, 0, None),
        ([judged(), FAILS], {}, 1, "failed: 04 fails (fails, worst 0.001)"),
        ([VOID], {}, 1, "failed: 04 void (void, worst 0)"),
        ([judged()], {"sympy": False}, 1, "failed: 04 sympy (false)"),
        ([replace(FAILS, by_construction=True)], {}, 1, "failed: 04 fails"),
        ([GUESS], {}, 0, None),
    ],
    ids=["holds", "fails", "void", "finding", "construction", "statistical"],
)
def test_the_command_fails_where_something_exact_fails(out, capsys, checks, findings, code, said):
    write(out, "04", *checks, findings=findings)
    assert main(["scorecard", "--profile", "smoke"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("failed")] == ([] if said is None else [lines[1 + len(checks)]])
    assert said is None or lines[1 + len(checks)].startswith(said)
    for item in checks:
        assert sum(item.name in line and f" {item.verdict} " in line for line in lines[1 : 1 + len(checks)]) == 1
    assert f"not run: {NAMES['05']}" in lines
    assert not any(line.startswith("not run: 18") for line in lines)


@pytest.mark.parametrize(
    ("profile", "message"),
    [("smoke", "no results of profile smoke yet"), ("smok", "did you mean 'smoke'?")],
)
def test_nothing_to_read_is_one_line_and_exit_code_2(out, capsys, profile, message):
    assert main(["scorecard", "--profile", profile]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def spoil(name, value):
    return lambda plain: plain["checks"][0].__setitem__(name, value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda plain: plain.pop("checks"), "checks"),
        (lambda plain: plain.pop("code"), "code"),
        (lambda plain: plain.update(checks={"falls": True}), "checks"),
        (lambda plain: plain.update(findings={"yes": "perhaps"}), "findings.yes"),
        (lambda plain: plain.update(notebook="05_other"), "05_other"),
        (lambda plain: plain["checks"][0].pop("tolerance"), "checks.0.tolerance"),
        (lambda plain: plain["checks"][0].pop("verdict"), "verdict"),
        (lambda plain: plain["checks"][0]["control"].pop("name"), "checks.0.control.name"),
        (spoil("n", "many"), "checks.0.n"),
        (spoil("n", 0), "'falls' says 'holds'"),
        (spoil("verdict", "fails"), "'falls' says 'fails'"),
        (spoil("worst_violation", 1e-3), "'falls' says 'holds'"),
        (spoil("worst_violation", "nan"), "'falls' says 'holds'"),
        (spoil("control", {"name": "left out", "holds": False, "violation": 0.0}), "'falls' says 'holds'"),
    ],
)
def test_a_damaged_result_is_named_and_nothing_is_concluded(out, capsys, edit, message):
    change(write(out, "04", judged(), findings={"yes": True}), edit)
    assert main(["scorecard", "--profile", "smoke"]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert message in shown.err
    assert "04/result.json" in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '{"checks": 1}'])
def test_a_broken_file_is_named(out, text):
    path = write(out, "04", judged())
    path.write_text(text)
    with pytest.raises(DataError, match=r"04/result.json is damaged .*: run notebook 04 again"):
        results.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="is no JSON text"):
        results.read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        results.read(path)


@pytest.mark.parametrize(
    ("stale", "why"),
    [
        ({"parameters": {"lam": 9.0}}, "other parameters: lam = 9.0, the profile has"),
        ({"profile": "quick"}, "made with profile quick"),
        ({"code": "0" * 16}, "the code has changed since commit"),
    ],
    ids=["parameters", "profile", "code"],
)
def test_a_stale_result_is_marked_and_counts_for_nothing(out, stale, why):
    path = write(out, "04", judged(), **{name: value for name, value in stale.items() if name != "code"})
    if "code" in stale:
        change(path, lambda plain: plain.update(stale))
    write(out, "05", judged("other", theorem="T3"))
    card = load(out)
    assert card.stale["04"].startswith(why)
    assert set(card.stale) == {"04"}
    assert list(card.rows()["verdict"]) == ["holds (stale)", "holds"]
    assert card.theorems()["verdict"][["T1", "T3"]].tolist() == ["not tested yet", "proved"]
    assert card.claims()["rests on"]["C4"].startswith("1 exact")
    assert any(line.startswith("stale: 04, ") for line in card.lines())


@pytest.mark.parametrize(("checks", "code"), [([judged()], 0), ([FAILS], 1)])
def test_reproduce_ends_with_the_scorecard(out, capsys, monkeypatch, checks, code):
    monkeypatch.setattr(reproduce, "reproduce", lambda profile, say: [])
    write(out, "04", *checks)
    assert main(["reproduce", "--profile", "smoke"]) == code
    assert capsys.readouterr().out.startswith("smoke: ")


def test_a_stale_failure_still_fails_the_command(out, capsys):
    change(write(out, "04", FAILS), lambda plain: plain.update(code="0" * 16))
    assert main(["scorecard", "--profile", "smoke"]) == 1


def test_a_result_without_a_notebook_is_stale(out):
    path = write(out, "04", judged())
    (out / "99").mkdir()
    (out / "99" / "result.json").write_text(path.read_text().replace(NAMES["04"], "99_gone"))
    assert load(out).stale["99"] == "profile smoke has no notebook 99"


@pytest.mark.parametrize(
    ("claim", "checks", "word"),
    [
        ("C4", [], "not tested yet"),
        ("C5", [judged()], "not tested yet"),
        ("C4", [judged(by_construction=True)], "not tested yet"),
        ("C4", [judged()], "supported"),
        ("C4", [judged(), GUESS], "not supported"),
        ("C4", [judged(), VOID], "inconclusive"),
        ("C2", [judged(claims=("C2",))], "inconclusive"),
        ("C2", [judged(claims=("C2",)), judged("live", exact=False, claims=("C2",))], "supported"),
        ("C2", [judged("live", [1.0], exact=False, claims=("C2",))], "not supported"),
    ],
)
def test_what_the_checks_say_about_a_claim(claim, checks, word):
    (stated,) = (entry for entry in claims.CLAIMS if entry.id == claim)
    verdict = claims.here(stated, checks)
    assert verdict.word == word
    if word.endswith("supported"):
        assert stated.scope
        assert verdict.basis.endswith(f"; {stated.scope}")
    assert claims.as_claimed(stated).word == "out of reach"
    assert claims.sentence(claim, checks) == f"{claim}, {stated.text} Here: {word}; {verdict.basis}."


def test_no_claim_is_lost(out):
    assert list(load(out).claims().index) == [f"C{number}" for number in range(1, 10)]
    assert list(load(out).claims()["here"].unique()) == ["not tested yet"]


def test_theorems_are_judged_by_exact_checks(out):
    failing = judged("live", [1.0], theorem="T6", exact=False)
    write(out, "04", judged(), judged("bent", [1.0], theorem="T2"), judged("blind", [0.0], [0.0], theorem="T3"))
    write(out, "06", judged("drift", theorem="T6"), failing)
    shown = load(out).theorems()
    assert shown["verdict"].to_dict() == {
        "T1": "proved", "T2": "not supported", "T3": "inconclusive", "T6": "proved",
        **dict.fromkeys(("T4", "T5", "T5'", *(f"T{k}" for k in range(7, 15))), "not tested yet"),
    }  # fmt: skip
    assert shown.loc["T6", ["exact checks", "statistical", "checked in"]].tolist() == [1, "0 of 1 hold", "06"]
    assert set(shown["stated in"]) == {"02", "04", "05", "06", "07", "08", "09"}


def test_theorems_whose_algebra_is_open_are_only_supported(out, monkeypatch):
    table = scorecard.theorems.table().assign(**{"algebra proved": False})
    monkeypatch.setattr(scorecard.theorems, "table", lambda: table)
    write(out, "04", judged())
    assert load(out).theorems()["verdict"]["T1"] == "supported"


def drawn(card):
    ax = plots.scorecard(card.rows())
    dots = {line.get_marker(): line for line in ax.lines if line.get_marker() != "None"}
    title = ax.get_title(loc="left")
    plt.close(ax.figure)
    return dots, title


def test_the_picture_has_checks_left_and_controls_right_of_the_tolerance(out):
    write(out, "04", judged("small", [1e-16]), judged("none", [-1.0], [float("inf")]))
    dots, title = drawn(load(out))
    assert dots["o"].get_xdata()[0] <= 1e-10 < dots["D"].get_xdata()[0]
    assert title == "All 2 checks stay left of their tolerance, and their controls land right of it"


def test_the_picture_shows_a_failure_in_red_and_says_so(out):
    write(out, "04", FAILS)
    dots, title = drawn(load(out))
    assert dots["o"].get_color() == dots["D"].get_color() == "red"
    assert dots["o"].get_xdata()[0] > 1e-10
    assert title == "1 of 1 checks fail, are void or undecided"
    assert drawn(load(out / "empty"))[1] == "No checks yet"


def run_notebook(out):
    cells = nbformat.read(NOTEBOOKS / "18_scorecard.ipynb", as_version=4).cells
    names = {}
    for cell in cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
            names |= {"profile": "smoke", "out_dir": str(out / "18")}
    plt.close("all")
    return names["card"], json.loads((out / "18" / "result.json").read_text())


def test_the_notebook_alone_says_that_there_is_nothing_to_show(out):
    card, result = run_notebook(out)
    assert card.summary() == "no results of profile smoke yet: run make figures PROFILE=smoke first"
    assert (out / "18" / "scorecard.png").exists()
    assert NAMES["00"] in result["metrics"]["missing"]
    assert set(result["metrics"]["claims"].values()) == {"not tested yet"}
    assert load(out).results == ()  # the scorecard does not read its own result


def test_the_notebook_shows_failures_and_does_not_fail(out):
    write(out, "04", FAILS, VOID, judged())
    _, result = run_notebook(out)
    assert result["metrics"]["checks"] == {"fails": 1, "void": 1, "holds": 1}
    assert len(result["metrics"]["failed"]) == 2
