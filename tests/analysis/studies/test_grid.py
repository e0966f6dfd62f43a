"""A grid: every run of it is what the command line makes of its line, and nothing wrong in its file goes unnoticed."""

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from analysis.origin import ROOT
from analysis.studies import cost, grid, run
from cudfkd import ConfigError, CudfkdError, DataError, cli, models
from cudfkd.curriculum import pace, ramp
from cudfkd.engine import experiments
from cudfkd.engine.run import Run
from cudfkd.teachers import recipes, training

SMALL = {
    "name": "small",
    "methods": {"cudfkd": None, "dafl": {"lr": 0.05, "options": {"one_hot": 2.0, "store": "same"}}},
    "pairs": [{"teacher": "lenet5", "student": "lenet5-half"}, {"teacher": "lenet5", "student": "lenet5"}],
    "data": {"fashion-mnist": {"epochs": 3, "steps_per_epoch": 4, "keep_epochs": [1, 2], "lr": 0.2}},
    "seeds": [0, 7],
    "distill": {"round_steps": 2, "curriculum": {"granularity": "none"}, "weight_decay": 1.0e-5},
}


def test_every_method_pair_data_set_and_seed_is_one_run():
    found = grid.read(SMALL)
    assert len(found.cells) == 2 * 2 * 2
    assert list(found.groups()) == ["fashion-mnist/lenet5--lenet5-half", "fashion-mnist/lenet5--lenet5"]
    assert len({cell.folder for cell in found.cells.values()}) == 8


def test_a_methods_setting_beats_its_data_sets_which_beats_that_of_all():
    cells = grid.read(SMALL | {"distill": {"lr": 0.3, "momentum": 0.5}}).cells
    dafl, cudfkd = (cells[f"fashion-mnist/lenet5--lenet5/{name}-seed0"].distill() for name in ("dafl", "cudfkd"))
    assert (dafl.lr, cudfkd.lr, cudfkd.momentum) == (0.05, 0.2, 0.5)


def test_settings_for_a_data_set_and_a_pair_beat_what_stands_beside_them():
    half, whole = "lenet5--lenet5-half", "lenet5--lenet5"
    found = grid.read(
        SMALL
        | {
            "data": {"fashion-mnist": {"epochs": 3, "lr": 0.2, "by_pair": {half: {"lr": 0.4, "epochs": 5}}}},
            "methods": {
                "cudfkd": {
                    "options": {"bn": 1.0, "one_hot": 1.0},
                    "by_data": {"fashion-mnist": {"options": {"bn": 2.0}, "by_pair": {half: {"options": {"bn": 3.0}}}}},
                },
                "dafl": {"lr": 0.05, "by_pair": {whole: {"lr": 0.06}}},
            },
        }
    ).cells
    distill = {name: found[f"fashion-mnist/{name}-seed0"].distill() for name in (
        f"{half}/cudfkd", f"{whole}/cudfkd", f"{half}/dafl", f"{whole}/dafl"
    )}  # fmt: skip
    assert [(one.epochs, one.lr) for one in distill.values()] == [(5, 0.4), (3, 0.2), (5, 0.05), (3, 0.06)]
    assert [one.options.bn for one in list(distill.values())[:2]] == [3.0, 2.0]
    assert {one.options.one_hot for one in list(distill.values())[:2]} == {1.0}  # put together value by value


# Of the authors' scripts: batch, epochs, loss, T, lambda from and to, adversarial weight from and to, its begin and end
R18, W161, W401 = "resnet34--resnet18", "wrn-40-2--wrn-16-1", "wrn-40-2--wrn-40-1"
SCRIPTS = {
    ("paper", f"cifar10/{R18}"): (512, 250, "l1", 20, 2, 12, 0, 62, 0.25, 0.75, 512),
    ("paper", f"cifar10/{W161}"): (1024, 250, "kl", 20, 2, 12, 0.5, 6.7, 0.25, 0.75, 512),
    ("paper", f"cifar100/{R18}"): (768, 400, "l1", 5, 1, 4.2, 0, 83.65, 0.2, 0.8, 512),
    ("paper", f"cifar100/{W401}"): (1024, 500, "kl", 2, 1, 5, 0, 32.88, 0.2, 0.75, 512),
    ("paper", f"tiny-imagenet/{R18}"): (512, 400, "l1", 5, 1, 4.2, 1, 33.85, 0.2, 0.75, 1024),
    ("paper-agg", f"cifar10/{R18}"): (768, 250, "kl", 20, None, None, 0, 0, None, None, 512),
    ("paper-mem", f"cifar10/{R18}"): (768, 250, "kl", 20, 2, 12, 1, 1, None, None, 512),
}
RISES = {  # of the adversarial weight an epoch, in how many epochs, as the scripts say them; of lambda a step
    f"cifar10/{R18}": (0.5, 124, 1e-4),
    f"cifar10/{W161}": (0.05, 124, 1e-4),
    f"cifar100/{R18}": (0.35, 239, 2e-5),
    f"cifar100/{W401}": (0.12, 274, 2e-5),
    f"tiny-imagenet/{R18}": (0.15, 219, 2e-5),
}


@pytest.mark.parametrize(("name", "group"), SCRIPTS)
def test_the_papers_grids_have_the_values_of_the_authors_scripts(name, group):
    one = grid.load(ROOT / "grids" / f"{name}.yaml").cells[f"{group}/cudfkd-seed0"].distill()
    c, o = one.curriculum, one.options
    found = (
        one.batch_size, one.epochs, o.loss, o.temperature, c.lam_start, c.lam_end, o.adv_start, o.adv_end,
        o.adv_begin, o.adv_finish, o.latent_dim,
    )  # fmt: skip
    wanted = SCRIPTS[name, group]
    assert [pair for pair in zip(found, wanted, strict=True) if pair[1] not in (None, pair[0])] == []
    assert c.granularity == ("none" if name == "paper-agg" else "sample")
    assert (one.lr, one.momentum, one.weight_decay, one.steps_per_epoch, one.round_steps) == (0.1, 0.9, 1e-4, 400, 10)
    assert (o.generator_lr, o.generator_schedule, o.generator_steps, o.generator_width) == (1e-3, "constant", 1, 64)
    assert (o.class_entropy, o.one_hot, o.bn, o.adv_temperature, o.store) == (20, 1, 1, 3, "fresh")


@pytest.mark.parametrize("group", RISES)
def test_lambda_and_the_ramp_rise_as_fast_as_in_the_scripts(group):
    one = grid.load(ROOT / "grids" / "paper.yaml").cells[f"{group}/cudfkd-seed0"].distill()
    o, (rise, epochs, alpha) = one.options, RISES[group]
    weights = [
        ramp(epoch, one.epochs, o.adv_start, o.adv_end, o.adv_begin, o.adv_finish) for epoch in range(one.epochs)
    ]
    steps = [after - before for before, after in pairwise(weights) if after != before]
    assert steps == pytest.approx([rise] * epochs)
    assert pace(one.curriculum, 1, one.total_steps) - pace(one.curriculum, 0, one.total_steps) == pytest.approx(alpha)


def test_a_pair_without_a_script_has_the_nearest_ones_values():
    found = grid.load(ROOT / "grids" / "paper.yaml").cells
    for data, pair, near in (
        ("cifar10", "vgg11-bn--resnet18", R18), ("cifar100", "vgg11-bn--resnet18", R18), ("cifar10", W401, W161),
        ("cifar10", "wrn-40-2--wrn-16-2", W161), ("cifar100", W161, W401), ("tiny-imagenet", W161, R18),
    ):  # fmt: skip
        assert found[f"{data}/{pair}/cudfkd-seed0"].distill() == found[f"{data}/{near}/cudfkd-seed0"].distill()


def test_on_fashion_mnist_the_values_are_cifar10s_lengths_apart():
    paper, fashion = (grid.load(ROOT / "grids" / f"{name}.yaml") for name in ("paper", "paper-fashion"))
    assert (fashion.pairs, fashion.methods.keys()) == (paper.pairs, paper.methods.keys())
    assert len(fashion.cells) == 9 * 5 * 3
    for cell in fashion.cells.values():
        one, other = cell.distill(), paper.cells[cell.name.replace("fashion-mnist-32", "cifar10")].distill()
        assert one.epochs == 30
        assert one.model_copy(update={"epochs": 250}) == other


def test_a_teacher_that_is_not_there_is_one_line_with_the_command_that_makes_it(tmp_path):
    wanted = {"teachers": str(tmp_path), "pairs": [{"teacher": "wrn-16-1", "student": "wrn-16-1"}]}
    with pytest.raises(DataError) as raised:
        grid.read(SMALL | wanted | {"data": {"fashion-mnist-32": {}}})
    assert str(raised.value) == (
        f"fashion-mnist-32/wrn-16-1--wrn-16-1/cudfkd-seed0: there is no"
        f" {tmp_path}/fashion-mnist-32/wrn-16-1-seed0.safetensors: make it with cudfkd teacher"
        f" --data=fashion-mnist-32 --model=wrn-16-1 --seed=0 --recipe=paper --out={tmp_path}/fashion-mnist-32 --resume"
    )


def test_that_command_is_one(monkeypatch):
    cell = next(iter(grid.load(ROOT / "grids" / "paper-fashion.yaml").cells.values()))
    asked = {}

    def train(*names, on_epoch, **more):
        on_epoch(1, 0.5, 0.9)
        asked.update(more, names=names)

    monkeypatch.setattr(training, "train_teacher", train)
    words = [word.replace("--device=cuda", "--device=cpu") for word in shlex.split(cell.lesson())]
    assert cli.main(["teacher", *words, "--stop-after", "1"]) == 0
    assert asked["names"] == ("fashion-mnist-32", "resnet34", 0)
    assert asked["out"] / "resnet34-seed0.safetensors" == Path(cell.teacher)
    assert asked["recipe"] == recipes.PAPER["fashion-mnist-32"]


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
        (
            {"methods": {"dafl": {"by_pair": {"lenet5": {}}}}},
            "unknown pair in by_pair 'lenet5': did you mean 'lenet5--",
        ),
        ({"distill": {"by_data": {"fashion-mnist": {"by_pair": {"x": {}}}}}}, "unknown pair in by_pair 'x': known: "),
        ({"distill": 3}, "is not allowed"),
        ({"seeds": [0, 0]}, "0 is named twice in a grid: name it once"),
        ({"seeds": [-1]}, "seeds = -1 is not allowed"),
        ({"teachers": "nowhere"}, "nowhere"),
        (
            {"pairs": [{"teacher": "lenet5", "teacher_arch": "lenet5", "student": "lenet5"}]},
            "/cudfkd-seed0: teacher_arch = 'lenet5' is not allowed: lenet5 has a card",
        ),
        (
            {"pairs": [{"teacher": "none.pt", "teacher_arch": "lenet5", "student": "lenet5"}]},
            "/cudfkd-seed0: there is no teacher none.pt",
        ),
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


@pytest.fixture
def weights(tmp_path) -> str:
    """A file of plain weights."""
    torch.save(models.build("lenet5").state_dict(), tmp_path / "plain.pth")
    return str(tmp_path / "plain.pth")


def test_a_pair_may_name_a_file_of_plain_weights(weights, tmp_path):
    pair = {"teacher": weights, "teacher_arch": "lenet5", "student": "lenet5-half"}
    pairs = [pair, {"teacher": "lenet5", "student": "lenet5-half"}]
    small = {"by_pair": {"plain.pth--lenet5-half": {"lr": 0.3}}}
    found = grid.read(SMALL | {"pairs": pairs[:1], "distill": small, "teachers": str(tmp_path / "elsewhere")})
    cell = found.cells["fashion-mnist/plain.pth--lenet5-half/cudfkd-seed7"]
    assert cell.distill().lr == 0.2  # of its data set, which beats that of all
    assert (cell.experiment().teacher, cell.experiment().teacher_arch) == (weights, "lenet5")
    assert found.study().cases[0].at["teacher"] == cost.kind_of(cell)["teacher"] == "lenet5"
    words = shlex.split(cell.arguments())
    assert {f"--teacher={weights}", "--teacher-arch=lenet5"} <= set(words)
    assert not any(
        word.startswith("--teacher-arch")
        for word in shlex.split(
            grid.read(SMALL | {"pairs": pairs[1:]}).cells["fashion-mnist/lenet5--lenet5-half/cudfkd-seed7"].arguments()
        )
    )


def test_the_command_of_a_file_of_plain_weights_gives_its_run(weights, tmp_path):
    tiny = {"fashion-mnist": {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4, "options": {"generator_width": 2}}}
    pair = {"teacher": weights, "teacher_arch": "lenet5", "student": "lenet5-half"}
    values = SMALL | {"methods": {"cudfkd": None}, "pairs": [pair], "data": tiny, "runs": str(tmp_path / "runs")}
    cell = next(iter(grid.read(values).cells.values()))
    assert cli.main(["distill", *shlex.split(cell.arguments())]) == 0
    record = run.of_folder(cell.folder)
    ((case, _, _),) = record.runs()
    assert case.at["teacher"] == grid.architecture_in(case.case["experiment"]) == "lenet5"
    assert list(record.cases) == [cell.case().key]


def test_two_files_of_one_name_are_not_taken_for_one(weights, tmp_path):
    other = tmp_path / "other" / "plain.pth"
    other.parent.mkdir()
    other.write_bytes(Path(weights).read_bytes())
    pairs = [{"teacher": str(file), "teacher_arch": "lenet5", "student": "lenet5"} for file in (weights, other)]
    with pytest.raises(ConfigError, match=r"plain\.pth.* is named twice in a grid: name it once"):
        grid.read(SMALL | {"pairs": pairs})


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
    with pytest.raises(ConfigError, match="is missing or not YAML"):
        grid.load(tmp_path / "list.yaml")
    with pytest.raises(ConfigError, match="is missing or not YAML"):
        grid.load(Path("nowhere.yaml"))
