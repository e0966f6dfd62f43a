"""`cudfkd teacher`, `distill` and `evaluate` on a folder of images, from one end to the other."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import cudfkd
from cudfkd import data
from cudfkd.cli import main
from cudfkd.data import folder
from tests.cudfkd.data.pictures import make, picture, write

TINY = "--student lenet5-half --epochs 1 --steps-per-epoch 2 --round-steps 2 --batch-size 4 --generator-width 2"
WEIGHTS = "teachers/lenet5-half-seed0.safetensors"


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Folders of images, and a teacher of one of them: mine/ has splits, only/ its test images alone."""
    at = tmp_path_factory.mktemp("world")
    make(at / "mine", {"train": 10, "test": 4}, size=28, channels=1)
    shutil.copytree(at / "mine" / "test", at / "only" / "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(at / "cache"))
        command = f"teacher --data {at}/mine --model lenet5-half --epochs 1 --batch-size 8 --out {at}/teachers"
        assert main(command.split()) == 0
    return at


@pytest.fixture
def at(world, tmp_path, monkeypatch) -> Path:
    """A copy of the world, and the working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setattr(folder, "_KNOWN", {})
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(line: str, capsys) -> str:
    capsys.readouterr()
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def description(run: str) -> dict:
    return json.loads(Path(run, "config.json").read_text())


def test_the_card_says_what_the_folder_says(at):
    card, about = json.loads(Path(WEIGHTS).with_suffix(".json").read_text()), data.info("mine")
    assert (card["data"], card["data_sha256"], card["classes"]) == ("mine/", about.sha256, ["ant", "bee", "eel"])
    assert (card["mean"], card["std"]) == (list(about.mean), list(about.std))
    assert str(at) not in json.dumps(card)


def test_distill_and_evaluate_on_dev(at, capsys):
    assert main(f"distill {TINY} --data mine --teacher {WEIGHTS} --out run".split()) == 0
    assert "accuracy of the last epoch on dev" in capsys.readouterr().out
    assert main(["evaluate", "run"]) == 0
    assert "n = 3\n" in capsys.readouterr().out
    assert main(["evaluate", "run", "--split", "test"]) == 0
    assert "n = 12\n" in capsys.readouterr().out
    about, written = data.info("mine"), description("run")
    assert (written["distill"]["mean"], written["distill"]["std"]) == (list(about.mean), list(about.std))
    names = json.loads(Path("run", "experiment.json").read_text())
    assert (names["data"], names["data_content"]) == ("mine", about.sha256)


@pytest.mark.filterwarnings("ignore:only has no dev")
def test_a_test_split_alone_is_enough(at, capsys):
    assert main(f"distill {TINY} --data only --teacher {WEIGHTS} --out run".split()) == 0
    assert "accuracy of the last epoch on test" in capsys.readouterr().out
    assert description("run")["distill"]["mean"] == list(data.info("mine").mean)
    assert main(["evaluate", "run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("only has no dev: evaluation is on its images in test/\n")
    assert "n = 12\n" in said
    with pytest.warns(UserWarning, match="only has no dev: evaluation is on its images in test/"):
        assert main(f"distill {TINY} --data only --teacher {WEIGHTS}".split()) == 0


def test_plain_weights_need_mean_and_std_where_there_is_no_train(at, capsys):
    torch.save(cudfkd.teachers.read_teacher(Path("teachers/lenet5-half-seed0")).state_dict(), "plain.pth")
    line = f"distill {TINY} --data only --teacher plain.pth --teacher-arch lenet5-half"
    assert "mean and std are unknown: only has no train/ to compute them from" in refused(line, capsys)
    with pytest.warns(UserWarning, match="only has no dev"):
        assert main(f"{line} --mean 0.5 --std 0.25 --out run".split()) == 0
    assert description("run")["distill"]["mean"] == [0.5]


def test_another_size_is_asked_for(at, capsys):
    make(at / "big", {"train": 10, "test": 4}, size=36, channels=1)
    command = "--model lenet5-half --epochs 1 --batch-size 8 --out of-big --image-size 28"
    assert main(f"teacher --data big {command}".split()) == 0
    mine = "--data big --teacher of-big/lenet5-half-seed0.safetensors"
    line = refused(f"distill {TINY} {mine}", capsys)
    assert "takes 1 x 28 x 28 (channels and pixels), and big has 1 x 36 x 36: bring its images to that size" in line
    assert main(f"distill {TINY} {mine} --image-size 28 --out run".split()) == 0
    assert main(["evaluate", "run"]) == 0
    assert "image_size = 28 is not allowed: fashion-mnist has 28" in refused(f"teacher {command}", capsys)
    assert "image_size = 'x' is not allowed" in refused(f"teacher --data big {command[:-2]}x", capsys)


def test_a_teacher_of_other_classes_is_refused(at, capsys):
    make(at / "other", {"test": 4}, classes=("ant", "bee", "fly"), size=28, channels=1)
    line = f"distill {TINY} --data other --teacher {WEIGHTS} --out run"
    assert "was trained on other classes than other has (first difference: fly)" in refused(line, capsys)
    line = f"distill {TINY} --teacher {WEIGHTS}"
    assert "was trained on mine/, not on fashion-mnist: name that data set" in refused(line, capsys)
    line = f"distill {TINY} --data mine --teacher lenet5"
    assert "none ships for mine, so train one (cudfkd teacher --data mine --model lenet5)" in refused(line, capsys)
    assert not Path("run").exists()


def test_a_resumed_run_has_the_images_of_its_beginning(at, capsys):
    line = f"distill {TINY.replace('epochs 1', 'epochs 2')} --data mine --teacher {WEIGHTS} --out run"
    assert main(f"{line} --stop-after 1e-9".split()) == 0
    dev = data.load("mine", "dev").pixels[0, 0].numpy().tobytes()
    held_out = next(n for n in range(30) if picture(n, 28, 1).tobytes() == dev)
    path = Path("mine", "train", ("ant", "bee", "eel")[held_out // 10], f"{held_out % 10}.png")
    kept = path.read_bytes()
    write(path, picture(990, 28, 1))
    assert "run holds a run with other images or labels in evaluate_on" in refused(f"{line} --resume", capsys)
    path.write_bytes(kept)
    assert main(f"{line} --resume".split()) == 0
    write(path, picture(990, 28, 1))
    assert "mine holds other images than in the run run: name it with --data" in refused("evaluate run", capsys)
    assert main(f"evaluate run --data mine --teacher {WEIGHTS}".split()) == 0


def test_a_teacher_goes_on_with_the_images_of_its_beginning(at, capsys):
    line = "teacher --data mine --model lenet5-half --epochs 2 --batch-size 8 --out half"
    assert main(f"{line} --stop-after 1e-9".split()) == 0
    kept = Path("mine/test/ant/0.png").read_bytes()
    write(Path("mine/test/ant/0.png"), picture(991, 28, 1))
    assert "holds a run with data_sha256 = " in refused(f"{line} --resume", capsys)
    Path("mine/test/ant/0.png").write_bytes(kept)
    assert main(f"{line} --resume".split()) == 0


def test_the_key_follows_the_content_and_not_the_path(at):
    def key(where: str) -> str:
        return cudfkd.Experiment(data=where, teacher=WEIGHTS, student="lenet5-half").key

    first = key("mine")
    shutil.copytree("mine", "moved")
    assert key(str(at / "moved")) == key("./mine") == first
    write(Path("moved/train/ant/0.png"), picture(992, 28, 1))
    assert key("moved") != first


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--data ./none", "there is no folder none: name the folder of the images"),
        (f"--data {WEIGHTS}", f"{WEIGHTS} is a file: name the folder of the images"),
        ("--data teachers", "teachers/lenet5-half-seed0.json"),
        ("--data mine --data-root .", "mine is the folder of the images itself"),
        ("--data mnie", "unknown data set 'mnie'"),
    ],
)
def test_a_refused_folder_leaves_nothing_behind(at, words, told, capsys):
    before = sorted(at.rglob("*"))
    line = refused(f"distill {TINY} --teacher {WEIGHTS} --out run {words}", capsys)
    assert told in line or words == "--data teachers"
    assert [path for path in sorted(at.rglob("*")) if "cache" not in path.parts] == [
        path for path in before if "cache" not in path.parts
    ]
