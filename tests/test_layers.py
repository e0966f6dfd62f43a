"""The layers of the code: which file or folder may import which. CONTRIBUTING shows the same table."""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from analysis.origin import ROOT

# From the ground up. A file or folder (room) may import rooms of lower floors, and no other room of its own floor.
FLOORS = {
    "cudfkd": [
        ["base"],
        ["regularizers", "losses", "data", "models"],
        ["curriculum", "boundary"],
        ["evaluation"],
        ["runs"],
        ["callbacks", "methods", "teachers"],
        ["config"],
        ["engine"],
        ["cli"],
    ],
    "analysis": [
        ["origin", "checks"],
        ["theory"],
        ["live", "evidence"],
        ["plots"],
        ["studies"],
        ["paper"],
        ["__main__"],
    ],
}
GRAPH = grimp.build_graph(*FLOORS, cache_dir=None)


def room(module: str) -> str:
    """The entry of `ls PACKAGE` that holds a module."""
    return module.split(".")[1] if "." in module else "__init__"


def arrows(package: str) -> set[tuple[str, str]]:
    """Pairs of rooms of one package; the first room imports the second."""
    pairs = {
        (room(module), room(imported))
        for module in GRAPH.modules if module.split(".")[0] == package
        for imported in GRAPH.find_modules_directly_imported_by(module) if imported.split(".")[0] == package
    }  # fmt: skip
    return {(above, below) for above, below in pairs if above != below}


def test_no_file_imports_itself_by_way_of_others():
    files = {module: GRAPH.find_modules_directly_imported_by(module) for module in GRAPH.modules}
    TopologicalSorter(files).prepare()
    files["cudfkd.base.errors"] = {"cudfkd.cli"}
    with pytest.raises(CycleError):
        TopologicalSorter(files).prepare()


@pytest.mark.parametrize("package", FLOORS)
def test_imports_lead_down(package):
    floor = {name: level for level, names in enumerate(FLOORS[package]) for name in names} | {"__init__": 99}
    assert [pair for pair in arrows(package) if floor[pair[0]] <= floor[pair[1]]] == []


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_has_its_floor(package):
    rooms = {room(module) for module in GRAPH.modules if module.split(".")[0] == package} - {"__init__"}
    assert {name for names in FLOORS[package] for name in names} == rooms


def test_contributing_shows_the_floors():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for package, floors in FLOORS.items():
        rows = [f"| {level} | {', '.join(f'`{name}`' for name in names)} |" for level, names in enumerate(floors, 1)]
        for row in rows:
            assert row in text, f"{package}: {row}"
