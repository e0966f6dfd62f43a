import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
import torch

from cudfkd import data
from cudfkd.cli import doctor
from cudfkd.cli.doctor import Finding, Report
from cudfkd.data import fashion_mnist

TEACHER = "fashion-mnist lenet5-seed1"


@pytest.fixture(autouse=True)
def _bare(tmp_path, monkeypatch):
    """A machine that has no data sets and may not download anything."""
    monkeypatch.delenv("CUDFKD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "none")
    for name in data.names():
        monkeypatch.setattr(type(data.source(name)), "read", refuse_to_read(type(data.source(name)).read))


def refuse_to_read(read):
    def checked(self, split, data_root):
        assert (self.info.name, split) in (("fashion-mnist", "dev"), ("fashion-mnist", "test")), "read a data set"
        return read(self, split, data_root)

    return checked


def found(report: Report, subject: str) -> Finding:
    (finding,) = (entry for entry in report.findings if entry.subject == subject)
    return finding


def test_this_machine_is_healthy_though_data_sets_are_missing(tmp_path):
    report = doctor.examine(out=tmp_path)
    assert report.healthy
    for subject in ("cudfkd", "python", "torch", "torchvision", "cpu", "fashion-mnist dev", TEACHER, "output"):
        assert found(report, subject).state == "ok", subject
    assert found(report, "torch").text == torch.__version__
    for name in ("cifar10", "cifar100", "fashion-mnist train", "fashion-mnist-32 train", "svhn", "tiny-imagenet"):
        assert found(report, name).state == "missing"
        assert "CUDFKD_DATA" in found(report, name).text


def test_lines_are_the_report_one_finding_a_line(tmp_path):
    text, healthy = doctor.lines(out=tmp_path)
    report = doctor.examine(out=tmp_path)
    assert healthy is True
    assert len(text) == len(report.findings)
    assert all("\n" not in line for line in text)
    assert [line.split()[0] for line in text] == [finding.state for finding in report.findings]


def test_nothing_is_left_behind(tmp_path):
    doctor.examine(tmp_path, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


# Data sets


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_data_sets_are_found_without_being_read(tmp_path):
    put(tmp_path, *(f"cifar-10-batches-py/{name}" for name in ("batches.meta", "test_batch")))
    put(tmp_path, *(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)))
    put(tmp_path, "svhn/train_32x32.mat", "svhn/test_32x32.mat")
    put(tmp_path, "tiny-imagenet-200/train/x", "tiny-imagenet-200/val/x")
    put(tmp_path, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte")
    report = doctor.examine(tmp_path)
    assert found(report, "data root") == Finding("ok", "data root", str(tmp_path))
    assert found(report, "cifar10") == Finding("ok", "cifar10", f"in {tmp_path}")
    assert found(report, "svhn") == Finding("ok", "svhn", f"in {tmp_path / 'svhn'}")
    assert found(report, "tiny-imagenet").text == f"in {tmp_path / 'tiny-imagenet-200'}"
    assert found(report, "fashion-mnist train").text == f"in {tmp_path}"
    assert found(report, "cifar100").state == "missing"
    assert "downloaded" not in found(report, "cifar100").text  # a folder was asked for
    assert report.healthy


def test_an_incomplete_data_set_names_what_is_missing(tmp_path, monkeypatch):
    put(tmp_path, "cifar-100-python/train", "cifar-100-python/meta")
    monkeypatch.setenv("CUDFKD_DATA", str(tmp_path))
    report = doctor.examine()
    finding = found(report, "cifar100")
    assert finding.state == "missing"
    assert f"{tmp_path / 'cifar-100-python/test'} is not there" in finding.text
    assert report.healthy


def test_what_can_be_downloaded_is_said_where_it_would_be():
    report = doctor.examine()
    for name in ("cifar10", "cifar100", "svhn", "fashion-mnist train"):
        assert found(report, name).text.startswith("downloaded at first use; or ")
    assert "it is not downloaded for you" in found(report, "tiny-imagenet").text


@pytest.mark.parametrize("kind", ["file", "absent"])
def test_a_data_root_that_is_no_folder_is_bad(tmp_path, kind):
    root = tmp_path / "data"
    if kind == "file":
        root.touch()
    report = doctor.examine(root)
    assert found(report, "data root").state == "bad"
    assert str(root) in found(report, "data root").text
    assert not report.healthy


# Assets


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """A copy of the shipped files; the doctor checks the copy in their place."""
    folder = tmp_path / "assets"
    shutil.copytree(data.ASSETS, folder)
    monkeypatch.setattr(data, "ASSETS", folder)
    monkeypatch.setattr(fashion_mnist, "ASSETS", folder)
    assert doctor.examine().healthy
    return folder / "fashion-mnist"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def turn(path: Path) -> None:
    path.unlink()
    path.mkdir()


SHIPPED = [
    ("lenet5-seed1.safetensors", TEACHER),
    ("lenet5-seed1.json", TEACHER),
    ("dev-images-idx3-ubyte.gz", "fashion-mnist dev"),
    ("dev-labels-idx1-ubyte.gz", "fashion-mnist dev"),
    ("t10k-images-idx3-ubyte.gz", "fashion-mnist test"),
    ("t10k-labels-idx1-ubyte.gz", "fashion-mnist test"),
]


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"[]"),
        lambda path: turn(path),
    ],
    ids=["bit-flipped", "missing", "empty", "something else", "a folder"],
)
@pytest.mark.parametrize(("name", "subject"), SHIPPED)
def test_an_altered_asset_is_bad_and_named(assets, name, subject, damage):
    if name.endswith("json") and damage is flip:
        (assets / name).write_text((assets / name).read_text().replace('"sha256": "', '"sha256": "0'))
    else:
        damage(assets / name)
    report = doctor.examine()
    assert [finding.subject for finding in report.findings if finding.state == "bad"] == [subject]
    assert name.split(".")[0] in found(report, subject).text
    assert not report.healthy


def test_no_teachers_at_all_is_bad(assets):
    for path in assets.glob("lenet5*"):
        path.unlink()
    assert found(doctor.examine(), "teachers").state == "bad"


# Broken parts of an installation


def test_a_torchvision_that_does_not_import_is_bad_and_its_cause_is_named(tmp_path, monkeypatch):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms\\ndoes not exist')"
    )
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    report = doctor.examine()
    finding = found(report, "torchvision")
    assert finding.state == "bad"
    assert "operator torchvision::nms does not exist" in finding.text
    assert "CPU-only torch" in finding.text
    assert found(report, TEACHER).state == "ok"


def test_without_scipy_it_says_what_needs_it(monkeypatch):
    def absent(name):
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", absent)
    report = doctor.examine()
    assert found(report, "scipy").state == "missing"
    assert "SVHN" in found(report, "scipy").text
    assert report.healthy


# Devices


def test_without_cuda_the_reason_is_given(monkeypatch):
    def old_driver():
        warnings.warn("CUDA initialization: the NVIDIA driver\nis too old", UserWarning, stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", old_driver)
    finding = found(doctor.examine(), "cuda")
    assert finding.state == "missing"
    assert finding.text.startswith("CUDA initialization: the NVIDIA driver is too old")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert found(doctor.examine(), "cuda").text == "this torch is built without it: runs go on the CPU"


def test_each_cuda_device_with_its_name_and_memory(monkeypatch):
    def memory(index):
        if index == 1:
            raise RuntimeError("CUDA error:\nall devices are busy")
        return 30_000_000_000, 80_000_000_000

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"card {index}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    report = doctor.examine()
    assert found(report, "cuda:0") == Finding("ok", "cuda:0", "card 0, 30.0 GB of 80.0 GB free")
    assert found(report, "cuda:1").state == "bad"
    assert "all devices are busy" in found(report, "cuda:1").text
    assert not report.healthy


def test_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 16_000_000_000)
    assert found(doctor.examine(), "mps").text == "up to 16.0 GB"


# Where runs are written


@pytest.mark.parametrize("inside", ["", "a/b"])
def test_output_that_can_be_written(tmp_path, inside):
    finding = found(doctor.examine(out=tmp_path / inside), "output")
    assert finding.state == "ok"
    assert str(tmp_path) in finding.text
    assert "GB free" in finding.text


def test_output_below_a_file_is_bad(tmp_path):
    (tmp_path / "file").touch()
    report = doctor.examine(out=tmp_path / "file" / "runs")
    assert found(report, "output").state == "bad"
    assert str(tmp_path / "file" / "runs") in found(report, "output").text
    assert not report.healthy


def test_output_on_a_full_disk_is_bad(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    finding = found(doctor.examine(out=tmp_path), "output")
    assert (finding.state, "No space left on device" in finding.text) == ("bad", True)


def test_output_on_an_almost_full_disk_is_bad(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=50_000_000))
    finding = found(doctor.examine(out=tmp_path), "output")
    assert (finding.state, "0.1 GB free" in finding.text) == ("bad", True)
