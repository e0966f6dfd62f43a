"""A grid: every run of it is what the command line makes of its line, and nothing wrong in its file goes unnoticed."""

import shlex
from pathlib import Path

import pytest

from analysis import grid
from analysis.execute import ROOT
from cudfkd import ConfigError, CudfkdError, cli, experiments, models
from cudfkd.runs import Run

SMALL = {
    "name": "small",
    "methods": {"cudfkd": None, "dafl": {"lr": 0.05, "options": {"one_hot": 2.0, "store": "same"}}},
    "pairs": [{"teacher": "lenet5", "student": "lenet5-half"}, {"teacher": "lenet5", "student": "lenet5"}],
    "data": {"fashion-mnist": {"epochs": 3, "steps_per_epoch": 4, "keep_epochs": [1, 2], "lr": 0.2}},
    "seeds": [0, 7],
    "distill": {"round_steps": 2, "curriculum": {"granularity": "none"}, "weight_decay": 1.0e-5},
}
DATA = ("cifar10", "cifar100", "tiny-imagenet")


def test_every_method_pair_data_set_and_seed_is_one_run():
    found = grid.read(SMALL)
    assert len(found.cells) == 2 * 2 * 2
    assert list(found.groups()) == ["fashion-mnist/lenet5--lenet5-half", "fashion-mnist/lenet5--lenet5"]
    assert len({cell.folder for cell in found.cells.values()}) == 8


def test_a_methods_setting_beats_its_data_sets_which_beats_that_of_all():
    cells = grid.read(SMALL | {"distill": {"lr": 0.3, "momentum": 0.5}}).cells
    dafl, cudfkd = (cells[f"fashion-mnist/lenet5--lenet5/{name}-seed0"].distill() for name in ("dafl", "cudfkd"))
    assert (dafl.lr, cudfkd.lr, cudfkd.momentum) == (0.05, 0.2, 0.5)


def test_a_method_may_have_settings_for_one_data_set():
    found = grid.load(ROOT / "grids" / "paper.yaml").cells
    lambdas = {data: found[f"{data}/resnet34--resnet18/cudfkd-seed3"].distill().curriculum.lam_end for data in DATA}
    assert lambdas == {"cifar10": 12.0, "cifar100": 4.2, "tiny-imagenet": 4.2}


def test_the_command_line_runs_what_was_checked(monkeypatch):
    asked = []

    def run(experiment, out, **more) -> Run:
        asked.append((experiment, out, more["resume"]))
        return Run(experiment.distill, [], {"epoch": 1}, student=models.build("lenet5", 10, 1, 28, 0))

    monkeypatch.setattr(experiments, "run", run)
    cells = grid.read(SMALL).cells.values()
    for cell in cells:
        assert cli.main(["distill", *shlex.split(cell.arguments())]) == 0
    assert asked == [(cell.experiment(), cell.folder, True) for cell in cells]


def test_a_run_folder_is_that_of_its_description():
    """A changed length gets a new folder; the same run in another grid is the same folder."""
    name = "fashion-mnist/lenet5--lenet5/dafl-seed7"
    one, other = grid.read(SMALL).cells[name], grid.read(SMALL | {"name": "other", "seeds": [7]}).cells[name]
    longer = grid.read(SMALL | {"distill": {"epochs": 9}, "data": {"fashion-mnist": None}}).cells[name]
    assert one.folder == other.folder != longer.folder
    assert one.result != other.result


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"method": {}}, "unknown option 'method': did you mean 'methods'?"),
        ({"name": "a b"}, "name = 'a b' is not allowed"),
        ({"methods": {"dalf": {}}}, "/dalf-seed0: unknown method 'dalf': did you mean 'dafl'?"),
        ({"methods": {"dafl": {"options": {"onehot": 1.0}}}}, "unknown option 'onehot': did you mean 'one_hot'?"),
        ({"methods": {"dafl": {"epoch": 1}}}, "unknown setting 'epoch': did you mean 'epochs'?"),
        ({"methods": {"dafl": {"seed": 1}}}, "unknown setting 'seed'"),
        ({"methods": {}}, "methods = {} is not allowed"),
        ({"pairs": [{"teacher": "lenet5", "student": "lenet"}]}, "unknown model 'lenet'"),
        ({"pairs": [{"teacher": "vgg11-bn", "student": "lenet5"}]}, "unknown teacher 'fashion-mnist vgg11-bn seed 0'"),
        ({"data": {"mnist": {}}}, "unknown data set 'mnist'"),
        ({"data": {"fashion-mnist": {"epochs": 0}}}, "epochs = 0 is not allowed"),
        ({"methods": {"dafl": {"by_data": {"mnist": {}}}}}, "unknown data set in by_data 'mnist': "),
        ({"methods": {"dafl": {"by_data": 3}}}, "by_data = 3 is not allowed"),
        ({"seeds": [0, 0]}, "0 is named twice in a grid: name it once"),
        ({"seeds": [-1]}, "seeds = -1 is not allowed"),
        ({"teachers": "nowhere"}, "nowhere"),
        ({"resources": {"gpus": 1}}, "unknown option 'gpus': did you mean 'gpu'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, line):
    with pytest.raises(CudfkdError) as raised:
        grid.read(SMALL | wrong)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_gpu_is_asked_for_only_where_one_is_wanted():
    assert grid.Resources().declared() == {"mem_mb": 2000, "runtime": 60}
    assert grid.Resources(gpu=1).declared() == {"mem_mb": 2000, "runtime": 60, "gpu": 1, "gpu_manufacturer": "nvidia"}


def test_a_grid_for_a_gpu_is_made_on_a_machine_without():
    found = grid.read(SMALL | {"distill": {"device": "cuda:7"}})
    assert next(iter(found.cells.values())).experiment().distill.device == "cuda:7"


@pytest.mark.parametrize("path", sorted((ROOT / "grids").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_grids_that_ship_are_grids(path):
    found = grid.load(path)
    assert found.name == path.stem
    for cell in found.cells.values():
        cell.distill()


def test_the_papers_grid_has_its_methods_pairs_and_data_sets():
    found = grid.load(ROOT / "grids" / "paper.yaml")
    assert len(found.cells) == 9 * 5 * 3 * 10


def test_a_file_that_is_no_grid_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"Grid = \[1\] is not allowed"):
        grid.load(tmp_path / "list.yaml")
    with pytest.raises(ConfigError, match="is missing or not YAML"):
        grid.load(Path("nowhere.yaml"))
