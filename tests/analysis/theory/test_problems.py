import pytest
import torch

from analysis.theory.toys import problems
from analysis.theory.toys.problems import Logistic, NotConvergedError, Ridge, solvable
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import gradient, hessian, toy


def random_weights(n: int) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def weighted_gradient(problem, weights, theta):
    def weighted(at):
        return (weights * problem.losses(at)).mean() + problem.decay / 2 * at.square().sum()

    return gradient(weighted, theta), hessian(weighted, theta)


@pytest.mark.parametrize("make", [problems.ridge, problems.logistic, problems.student], ids=lambda make: make.__name__)
def test_same_seed_same_bits(make):
    first, second, other = make(4), make(4), make(5)
    losses = first.losses(first.start)
    assert torch.equal(losses, second.losses(second.start))
    assert not torch.equal(losses, other.losses(other.start))
    assert losses.dtype == torch.float64
    assert bool((losses >= 0).all())


@toy
def test_minimiser_has_no_gradient_left(toy):
    weights = random_weights(40)
    left, _ = weighted_gradient(toy, weights, toy.minimise(weights))
    assert float(left.norm()) <= 1e-12


@toy
def test_curvature_bounds_the_hessian(toy):
    weights = random_weights(40)
    _, bend = weighted_gradient(toy, weights, toy.start)
    assert float(torch.linalg.eigvalsh(bend)[-1]) <= toy.curvature(weights) * (1 + 1e-12)


def test_no_minimiser_is_said():
    bare = Ridge(torch.zeros(2).double(), 0.0, torch.eye(2).double(), torch.ones(2).double())
    with pytest.raises(NotConvergedError, match="no unique solution: sum v = 0"):
        bare.minimise(torch.zeros(2).double())
    separable = Logistic(torch.zeros(1).double(), 0.0, torch.tensor([[1.0], [2.0]]).double())
    with pytest.raises(NotConvergedError, match="did not reach a minimum"):
        separable.minimise(torch.ones(2).double(), most=200)
    flat = Ridge(torch.zeros(2).double(), 0.0, torch.tensor([[1.0, 1.0], [0.3, 0.3]]).double(), torch.ones(2).double())
    with pytest.raises(NotConvergedError, match="no unique solution: sum v = 2"):
        flat.minimise(torch.ones(2).double())


def test_newton_says_when_it_ran_out_of_steps():
    toy = problems.logistic(0)
    with pytest.raises(NotConvergedError, match="in 1 steps"):
        toy.minimise(torch.ones(200).double(), most=1)


def test_student_is_not_solvable():
    with pytest.raises(ConfigError, match="problem = 'StudentProblem' is not allowed"):
        solvable(problems.student(0))


def test_batch_statistics_couple_the_samples():
    rows = torch.arange(8)
    plain, normed = (problems.student(0, batch_norm=norm) for norm in (False, True))
    assert torch.allclose(plain.losses_on(plain.start, rows), plain.losses(plain.start)[rows], atol=1e-15)
    assert not torch.allclose(normed.losses_on(normed.start, rows), normed.losses(normed.start)[rows], atol=1e-3)


@pytest.mark.parametrize("make", [problems.ridge, problems.logistic, problems.student], ids=lambda make: make.__name__)
def test_jacobian_has_a_row_for_each_loss(make):
    toy = make(4, n=10)
    rows = torch.stack([gradient(lambda theta, k=k: toy.losses(theta)[k], toy.start) for k in range(10)])
    assert torch.allclose(toy.jacobian(toy.start), rows, rtol=0, atol=1e-14)


def test_corruption_exchanges_teachers():
    clean, corrupted = problems.student(0), problems.student(0, corrupted=0.25)
    changed = (clean.teacher != corrupted.teacher).any(1)
    assert int(changed.sum()) == 16
    assert torch.equal(clean.start, corrupted.start)


def test_points():
    toy = problems.points(0.0, 10.0, start=1.0)
    assert toy.losses(toy.start).tolist() == [0.5, 40.5]


@pytest.mark.parametrize(("call", "line"), [
    (lambda: problems.ridge(outliers=1.0), "share of bad samples = 1.0"),
    (lambda: problems.ridge(n=3, d=5), "n = 3"),
    (lambda: problems.logistic(decay=-1.0), "decay = -1.0"),
    (lambda: problems.student(temperature=0.0), "temperature = 0.0"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
