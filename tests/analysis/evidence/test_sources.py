"""A result becomes stale if the code that its notebook imports changes, and for no other reason."""

import json

import pytest

from analysis.evidence import sources

CELLS = ["%matplotlib inline\nfrom cudfkd import near\nimport numpy", "from analysis.room import deep"]


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A project: near imports far; the package's __init__ imports all; deep is in a room; nothing imports lonely."""
    for name, text in {
        "cudfkd/__init__.py": "from cudfkd.near import a\nfrom cudfkd.lonely import b",
        "cudfkd/near.py": "def late():\n    from cudfkd import far",
        "cudfkd/far.py": "import torch",
        "cudfkd/lonely.py": "b = 1",
        "analysis/__init__.py": "",
        "analysis/room/__init__.py": "from analysis.room import deep",
        "analysis/room/deep.py": "import cudfkd.far",
        "analysis/studies/__init__.py": "",
        "analysis/studies/records.py": "",
        "analysis/records/drift.json": "1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(sources, "CODE", tmp_path)
    monkeypatch.setattr(sources, "NOTEBOOKS", tmp_path / "notebooks")
    save(tmp_path, CELLS, "prose")
    return tmp_path


def save(house, code, prose):
    cells = [{"cell_type": "markdown", "source": prose}]
    cells += [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in code]
    (house / "notebooks" / "04_a.ipynb").write_text(json.dumps({"cells": cells}))


def names(house, code):
    return {path.relative_to(house).as_posix() for path in sources.imported(code)}


def test_imports_are_followed_at_any_depth(house):
    assert names(house, "from cudfkd import near") == {"cudfkd/near.py", "cudfkd/far.py"}
    assert names(house, "import analysis.room.deep as d") == {"analysis/room/deep.py", "cudfkd/far.py"}
    assert names(house, "import numpy\nfrom scipy import stats") == set()


def test_a_package_counts_where_a_name_is_taken_from_it(house):
    assert "cudfkd/lonely.py" in names(house, "import cudfkd")
    assert "cudfkd/lonely.py" in names(house, "from cudfkd import a")
    assert "cudfkd/__init__.py" not in names(house, "from cudfkd import near")


def test_names_that_are_imported_at_their_first_use_stand_in_the_stub(house):
    (house / "cudfkd/__init__.py").write_text("import lazy_loader")
    (house / "cudfkd/__init__.pyi").write_text("from . import near as near\nfrom .lonely import b as b")
    four = {"cudfkd/__init__.py", "cudfkd/__init__.pyi", "cudfkd/near.py", "cudfkd/lonely.py"}
    assert names(house, "import cudfkd") == four | {"cudfkd/far.py"}
    assert names(house, "from cudfkd import near") == {"cudfkd/near.py", "cudfkd/far.py"}


def test_the_front_door_leads_to_the_engine():
    files = {path.name for path in sources.imported("import cudfkd")}
    assert {"loop.py", "cmi.py", "training.py", "evaluation.py"} <= files


@pytest.mark.parametrize(
    ("changed", "other"),
    [("cudfkd/near.py", True), ("cudfkd/far.py", True), ("analysis/room/deep.py", True), ("cudfkd/lonely.py", False)],
)
def test_a_change_counts_if_the_notebook_meets_it(house, changed, other):
    before = sources.fingerprint("04")
    path = house / changed
    path.write_text(path.read_text() + "\n# a change\n")
    assert (sources.fingerprint("04") != before) == other


def test_records_count_if_the_notebook_meets_what_reads_them(house):
    path = house / "analysis" / "records" / "drift.json"
    for cells, counts in ((CELLS, False), ([*CELLS, "from analysis.studies import records"], True)):
        save(house, cells, "prose")
        path.write_text("1")
        before = sources.fingerprint("04")
        path.write_text("2")
        assert (sources.fingerprint("04") != before) == counts


@pytest.mark.parametrize("gone", ["analysis/studies/records.py", "analysis/records/drift.json"])
def test_records_that_moved_are_missed_loudly(house, gone):
    """A reader or record that has moved raises an error: it must not drop out of the hash silently."""
    save(house, [*CELLS, "from analysis.studies import records"], "prose")
    sources.fingerprint("04")
    (house / gone).unlink()
    with pytest.raises(AssertionError, match="name"):
        sources.fingerprint("04")


def test_code_cells_count_and_prose_does_not(house):
    before = sources.fingerprint("04")
    save(house, CELLS, "better prose")
    assert sources.fingerprint("04") == before
    save(house, [*CELLS, "x = 1"], "prose")
    assert sources.fingerprint("04") != before
