from math import log, sqrt

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

import cudfkd
from cudfkd import evaluation
from cudfkd.base.errors import ConfigError
from cudfkd.boundary.images import read
from cudfkd.evaluation import average, compare, jensen_shannon, loyalty, loyalty_published, predict

N = 300


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of a student and of a teacher that often agree, and labels."""
    teacher = 3 * torch.randn(N, 7)
    labels = torch.where(torch.rand(N) < 0.8, teacher.argmax(1), torch.randint(7, (N,)))
    return teacher + 1.5 * torch.randn(N, 7), teacher, labels


def probabilities(logits: torch.Tensor) -> list:
    return logits.double().softmax(1).tolist()


def logit(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows).double().log()


# The four measures


def wilson(hits: int, n: int) -> tuple[float, float, float]:
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return hits / n, interval.low, interval.high


def test_accuracy_and_agreement_against_loops_and_scipy():
    student, teacher, labels = case()
    said, taught = student.argmax(1).tolist(), teacher.argmax(1).tolist()
    right = sum(a == b for a, b in zip(said, labels.tolist(), strict=True))
    same = sum(a == b for a, b in zip(said, taught, strict=True))
    result = compare(student, teacher, labels)
    assert right != same
    assert result.accuracy == pytest.approx((*wilson(right, N), N), abs=1e-12)
    assert result.agreement == pytest.approx((*wilson(same, N), N), abs=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (3, 10), (9_500, 10_000), (10_000, 10_000)])
def test_proportion_is_wilsons(hits, n):
    estimate = evaluation.proportion(torch.arange(n) < hits)
    assert estimate == pytest.approx((*wilson(hits, n), n), abs=1e-12)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_loyalties_against_scipy():
    student, teacher, labels = case()
    pairs = list(zip(probabilities(student), probabilities(teacher), strict=True))
    by_definition = [1 - jensenshannon(p, q, base=2) for p, q in pairs]
    published = [1 - sqrt(jensenshannon(p, q)) for p, q in pairs]
    result = compare(student, teacher, labels)
    for estimate, values in ((result.loyalty, by_definition), (result.loyalty_published, published)):
        mean = sum(values) / N
        half = 1.959963984540054 * sqrt(sum((v - mean) ** 2 for v in values) / (N - 1)) / sqrt(N)
        assert estimate == pytest.approx((mean, mean - half, mean + half, N), rel=1e-7)


def test_loyalty_of_the_documented_example():
    p, q = logit((0.9, 0.1)), logit((0.6, 0.4))
    divergence = jensen_shannon(p, q)
    assert float(loyalty(divergence)) == pytest.approx(0.698, abs=5e-4)
    assert float(loyalty_published(divergence)) == pytest.approx(0.498, abs=5e-4)
    assert 1 - sqrt(float(divergence)) == pytest.approx(0.748, abs=5e-4)


def test_loyalty_of_equal_and_of_disjoint_predictions():
    a, b = 1e4 * torch.eye(2)[:1], 1e4 * torch.eye(2)[1:]
    assert float(loyalty(jensen_shannon(a, a))) == 1
    assert float(loyalty_published(jensen_shannon(a, a))) == 1
    assert float(jensen_shannon(a, b)) == pytest.approx(log(2))
    assert float(loyalty(jensen_shannon(a, b))) == pytest.approx(0, abs=1e-8)
    assert float(loyalty_published(jensen_shannon(a, b))) == pytest.approx(1 - log(2) ** 0.25)
    assert float(loyalty_published(jensen_shannon(a, b))) == pytest.approx(0.0876, abs=5e-5)


def test_jensen_shannon_is_symmetric_and_in_range():
    student, teacher, _ = case()
    divergence = jensen_shannon(student, teacher)
    torch.testing.assert_close(divergence, jensen_shannon(teacher, student))
    assert divergence.dtype == torch.float64
    assert divergence.min() >= 0
    assert divergence.max() <= log(2)


@pytest.mark.parametrize("noise", [0.0, 1e-7, 1e-6, 1e-3])
def test_logits_that_nearly_agree_give_no_nan(noise):
    teacher = 5 * torch.randn(2000, 10)
    divergence = jensen_shannon(teacher + noise * torch.randn(2000, 10), teacher)
    assert divergence.min() >= 0
    for measure in (loyalty, loyalty_published):
        assert measure(divergence).isfinite().all()
        assert measure(divergence).max() <= 1


def test_in_float32_the_divergence_would_be_below_0():
    teacher = 5 * torch.randn(2000, 10)
    p, q = teacher.softmax(1), (teacher + 1e-6 * torch.randn(2000, 10)).softmax(1)
    m = (p + q) / 2
    assert (0.5 * (p * (p / m).log() + q * (q / m).log()).sum(1)).min() < 0


def test_average_is_the_normal_interval():
    estimate = average(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    half = 1.959964 * sqrt(14 / 3) / 2
    assert estimate == pytest.approx((3, 3 - half, 3 + half, 4), rel=1e-6)


def test_average_of_one_has_no_interval():
    estimate = average(torch.tensor([2.0]))
    assert (estimate.value, estimate.n) == (2, 1)
    assert estimate.low != estimate.low


def test_an_estimate_reads_well():
    assert str(evaluation.Estimate(0.81234, 0.8, 0.825, 2000)) == "0.8123 [0.8000, 0.8250], n = 2000"


# From data to logits


class Pairs(Dataset):
    """A map-style data set that is no TensorDataset; labels are plain ints."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], int(self.labels[index])


def held_out(n: int = 700, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(n, channels, 4, 4), torch.randint(3, (n,))


def classifier(channels: int = 1, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16 * channels, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, classes)
    )


def test_evaluate_is_compare_of_the_logits():
    images, labels = held_out()
    student, teacher = classifier().eval(), classifier().eval()
    with torch.no_grad():
        slow = compare(student((images - 0.3) / 0.2), teacher((images - 0.3) / 0.2), labels)
    result = cudfkd.evaluate(student, teacher, TensorDataset(images, labels), mean=(0.3,), std=(0.2,))
    for estimate, expected in zip(result, slow, strict=True):
        assert estimate == pytest.approx(expected, abs=1e-6)
    unnormalised = cudfkd.evaluate(student, teacher, TensorDataset(images, labels))
    assert result.loyalty.value != pytest.approx(unnormalised.loyalty.value, abs=1e-4)


def test_each_channel_has_its_own_normalisation():
    images, labels = held_out(channels=3)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    by_hand = torch.stack([(images[:, c] - mean[c]) / std[c] for c in range(3)], 1)
    student, teacher = classifier(3).eval(), classifier(3).eval()
    found = cudfkd.evaluate(student, teacher, TensorDataset(images, labels), mean, std)
    with torch.no_grad():
        expected = compare(student(by_hand), teacher(by_hand), labels)
    for estimate, slow in zip(found, expected, strict=True):
        assert estimate == pytest.approx(slow, abs=1e-6)


def test_any_data_set_of_pairs_gives_the_same():
    images, labels = held_out()
    student, teacher = classifier(), classifier()
    expected = cudfkd.evaluate(student, teacher, TensorDataset(images, labels))
    assert cudfkd.evaluate(student, teacher, Pairs(images, labels)) == expected
    assert cudfkd.evaluate(student, teacher, Subset(Pairs(images, labels), range(700))) == expected
    result = cudfkd.evaluate(student, teacher, Subset(TensorDataset(images, labels), range(100)))
    assert result == cudfkd.evaluate(student, teacher, TensorDataset(images[:100], labels[:100]))
    assert result.accuracy.n == 100


def test_as_tensors_keeps_order_and_labels():
    images, labels = held_out()
    tensors = read(Pairs(images, labels))
    assert torch.equal(tensors[0], images)
    assert torch.equal(tensors[1], labels)


def test_predict_in_chunks_is_predict_in_one():
    images = torch.rand(2300, 1, 4, 4)
    network = classifier().eval()
    with torch.no_grad():
        torch.testing.assert_close(predict(network, images), network(images))


def test_predict_returns_float32_without_gradient():
    logits = predict(classifier().double(), torch.rand(5, 1, 4, 4).double())
    assert logits.dtype == torch.float32
    assert not logits.requires_grad


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


def mixed() -> nn.Sequential:
    """A network with some modules in training mode and some in eval mode."""
    network = classifier().train()
    network[2].eval()
    return network


def test_evaluate_gives_networks_back_as_they_came():
    student, teacher = mixed(), classifier().train()
    before = [{k: v.clone() for k, v in network.state_dict().items()} for network in (student, teacher)]
    wanted = [modes(student), modes(teacher)]
    cudfkd.evaluate(student, teacher, TensorDataset(*held_out()))
    assert [modes(student), modes(teacher)] == wanted
    for network, state in zip((student, teacher), before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
        assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_a_network_that_fails_is_given_back_as_it_came():
    network = mixed()
    wanted = modes(network)
    with pytest.raises(ConfigError, match=r"^the network does not take images of shape \(3, 9, 9\): RuntimeError"):
        predict(network, torch.rand(5, 3, 9, 9))
    assert modes(network) == wanted


def test_evaluate_takes_networks_in_eval_mode():
    """Dropout and batch statistics would make two evaluations differ."""
    student, teacher, data = classifier().train(), classifier().train(), TensorDataset(*held_out())
    assert cudfkd.evaluate(student, teacher, data) == cudfkd.evaluate(student, teacher, data)


@pytest.mark.gpu
def test_evaluate_gives_networks_back_to_their_device():
    student, teacher, data = classifier(), classifier(), TensorDataset(*held_out())
    on_cpu = cudfkd.evaluate(student, teacher, data)
    on_gpu = cudfkd.evaluate(student, teacher, data, device="cuda")
    assert on_gpu.loyalty.value == pytest.approx(on_cpu.loyalty.value, abs=1e-4)
    devices = {tensor.device.type for network in (student, teacher) for tensor in network.state_dict().values()}
    assert devices == {"cpu"}


# Bad input


def refused(dataset: Dataset, student: nn.Module | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        cudfkd.evaluate(student or classifier(), classifier(), dataset)
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("kind", [TensorDataset, Pairs])
def test_an_empty_data_set_is_refused(kind):
    assert "empty" in refused(kind(*held_out(0)))


def test_different_numbers_of_classes_are_refused():
    line = refused(TensorDataset(*held_out()), classifier(classes=4))
    assert "4" in line
    assert "3" in line


class Images(Dataset):
    def __init__(self, n: int) -> None:
        self.images = torch.rand(n, 1, 4, 4)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


@pytest.mark.parametrize(
    "dataset",
    [TensorDataset(torch.rand(5, 1, 4, 4)), TensorDataset(*held_out(5), torch.rand(5)), Images(2), Images(5)],
    ids=["tensors without labels", "three tensors", "two images without labels", "images without labels"],
)
def test_a_data_set_of_no_pairs_is_refused(dataset):
    assert "data set" in refused(dataset)


class Pictures(Dataset):
    """Images that are not tensors, as ImageFolder without a transform returns them."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[object, int]:
        return object(), 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (3 * x - 1, y), "images from -1"),
        (lambda x, y: (x * float("nan"), y), "images from nan"),
        (lambda x, y: ((255 * x).byte(), y), "images of torch.uint8"),
        (lambda x, y: (x, y + 1), "labels from 1 to 3: the teacher's classes are 0 to 2"),
        (lambda x, y: (x, y - 1), "labels from -1 to 1"),
        (lambda x, y: (x, y[:, None]), "labels of torch.int64 and shape (9, 1) for 9 images: give one whole number"),
        (lambda x, y: (x, torch.eye(9)), "labels of torch.float32 and shape (9, 9)"),
        (lambda x, y: (x, y.float()), "labels of torch.float32 and shape (9,)"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(change, message):
    images, labels = torch.rand(9, 1, 4, 4), torch.arange(9) % 3
    images[0, 0, 0, 0], images[0, 0, 0, 1] = 0.0, 1.0
    cudfkd.evaluate(classifier(), classifier(), TensorDataset(images, labels))
    assert message in refused(TensorDataset(*change(images, labels)))


def test_images_that_are_no_tensors_are_refused():
    assert "builtins.object, no tensors: make tensors" in refused(Pictures())
