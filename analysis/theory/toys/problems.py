"""Toy problems: n losses l_i(theta) >= 0 of one parameter vector, and decay / 2 |theta|^2 beside their weighted mean.

Everything is float64 and made from explicit seeds. Ridge and Logistic know the curvature of their weighted mean and
minimise it exactly; a student network knows neither, so only line searches apply to it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

from analysis.checks import validate
from cudfkd.base.errors import CudfkdError

Theta = Float[Tensor, " d"]
Losses = Float[Tensor, " n"]

SINGULAR = 1e-13  # a pivot this small, relative to the largest diagonal entry, is rounding


class NotConvergedError(CudfkdError):
    """A solver did not reach what it promises; its last iterate is not handed out."""


@dataclass(frozen=True, eq=False)
class Problem(ABC):
    """start: the first theta, (d,). decay: R(theta) = decay / 2 |theta|^2.

    Raises:
        ConfigError: a start that is not a vector, a negative decay; tensors of another dtype or shape than the start's.
    """

    start: Theta
    decay: float

    def __post_init__(self) -> None:
        validate.floats(start=self.start)
        validate.shape("start", self.start, None)
        validate.at_least("decay", self.decay, 0)

    @abstractmethod
    def losses(self, theta: Theta) -> Losses:
        """l_i(theta) for the whole frozen sample, differentiable."""

    def losses_on(self, theta: Theta, rows: Tensor) -> Losses:
        """l_i for some rows of the sample; differs from losses(theta)[rows] only with batch statistics."""
        return self.losses(theta)[rows]

    def jacobian(self, theta: Theta) -> Float[Tensor, "n d"]:
        """Row i is the gradient of l_i."""
        variable = theta.detach().requires_grad_()
        losses = self.losses(variable)
        each = torch.eye(len(losses), dtype=losses.dtype)
        return torch.autograd.grad(losses, variable, each, is_grads_batched=True)[0]


class Solvable(Problem):
    """A problem whose weighted mean has a known curvature and a minimiser that can be computed."""

    @abstractmethod
    def curvature(self, weights: Losses) -> float:
        """An upper bound L of the curvature of mean v_i l_i + R, for all theta."""

    @abstractmethod
    def minimise(self, weights: Losses) -> Theta:
        """The minimiser of mean v_i l_i + R at fixed weights.

        Raises:
            ConfigError: weights (n,) that are negative, not finite, or of another dtype or shape than the losses.
            NotConvergedError: it does not exist, is not unique, or was not found.
        """


@dataclass(frozen=True, eq=False)
class Ridge(Solvable):
    """l_i = (x_i theta - y_i)^2 / 2. inputs (n, d), targets (n,)."""

    inputs: Float[Tensor, "n d"]
    targets: Losses

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.same_dtype(start=self.start, inputs=self.inputs, targets=self.targets)
        validate.shape("inputs", self.inputs, None, len(self.start))
        validate.shape("targets", self.targets, len(self.inputs))

    def losses(self, theta: Theta) -> Losses:
        return (self.inputs @ theta - self.targets).square() / 2

    def curvature(self, weights: Losses) -> float:
        return float(torch.linalg.eigvalsh(self._gram(weights))[-1])

    def minimise(self, weights: Losses) -> Theta:
        """(X' V X / n + decay)^-1 X' V y / n. Raises NotConvergedError where that matrix is singular to rounding."""
        gram = self._gram(_weights(weights, self.targets))
        factor, failed = torch.linalg.cholesky_ex(gram)
        if int(failed) or float(factor.diagonal().min()) ** 2 <= SINGULAR * float(gram.diagonal().max()):
            raise NotConvergedError(
                f"the weighted least squares problem has no unique solution: sum v = {float(weights.sum()):g}"
            )
        moment = self.inputs.T @ (weights * self.targets) / len(weights)
        return torch.cholesky_solve(moment[:, None], factor)[:, 0]

    def _gram(self, weights: Losses) -> Float[Tensor, "d d"]:
        identity = torch.eye(self.inputs.shape[1], dtype=self.inputs.dtype)
        return self.inputs.T @ (weights[:, None] * self.inputs) / len(weights) + self.decay * identity


@dataclass(frozen=True, eq=False)
class Logistic(Solvable):
    """l_i = ln(1 + e^(-x_i theta)), the label's sign inside x_i. inputs (n, d)."""

    inputs: Float[Tensor, "n d"]

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.same_dtype(start=self.start, inputs=self.inputs)
        validate.shape("inputs", self.inputs, None, len(self.start))

    def losses(self, theta: Theta) -> Losses:
        return softplus(-(self.inputs @ theta))

    def curvature(self, weights: Losses) -> float:
        return float(torch.linalg.eigvalsh(self._hessian(weights / 4))[-1])

    def minimise(self, weights: Losses, tolerance: float = 1e-12, most: int = 50) -> Theta:
        """Newton's method, halved where a whole step would raise the objective.

        A small gradient alone is no minimum: on separable labels without decay the gradient vanishes while theta runs
        away, one unit a step. So the step must be small too.

        Raises:
            NotConvergedError: in `most` steps the gradient did not fall to `tolerance` with a step below 1e-6 |theta|.
        """
        weights, theta = _weights(weights, self.inputs[:, 0]), torch.zeros_like(self.start)
        for _ in range(most):
            q = torch.sigmoid(-(self.inputs @ theta))
            gradient = self.decay * theta - self.inputs.T @ (weights * q) / len(q)
            factor, failed = torch.linalg.cholesky_ex(self._hessian(weights * q * (1 - q)))
            if int(failed):
                break
            step = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            if float(gradient.norm()) <= tolerance and float(step.norm()) <= 1e-6 * max(1.0, float(theta.norm())):
                return theta
            theta = theta - self._damped(theta, step, weights)
        raise NotConvergedError(f"Newton's method did not reach a minimum (gradient {tolerance:g}) in {most} steps")

    def _damped(self, theta: Theta, step: Theta, weights: Losses) -> Theta:
        here = self._weighted(theta, weights)
        while self._weighted(theta - step, weights) > here + 1e-12 * max(1.0, abs(here)):
            step = step / 2
        return step

    def _weighted(self, theta: Theta, weights: Losses) -> float:
        return float((weights * self.losses(theta)).mean() + self.decay / 2 * theta.square().sum())

    def _hessian(self, weights: Losses) -> Float[Tensor, "d d"]:
        identity = torch.eye(self.inputs.shape[1], dtype=self.inputs.dtype)
        return self.inputs.T @ (weights[:, None] * self.inputs) / len(weights) + self.decay * identity


@dataclass(frozen=True, eq=False)
class Student(Problem):
    """A tanh network of one hidden layer that distils: l_i = T^2 KL(teacher(x_i) || student(x_i)), T the temperature.

    inputs (n, p); teacher (n, c), log-probabilities at temperature T. With `batch_norm` the hidden layer is normalised
    by the statistics of the batch it sees (train mode): on the full frozen batch l_i is still a function of theta
    alone, on changing batches it is not.
    """

    inputs: Float[Tensor, "n p"]
    teacher: Float[Tensor, "n c"]
    hidden: int
    temperature: float
    batch_norm: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.same_dtype(start=self.start, inputs=self.inputs, teacher=self.teacher)
        validate.shape("inputs", self.inputs, None, None)
        validate.shape("teacher", self.teacher, len(self.inputs), None)
        validate.positive("temperature", self.temperature)
        hidden, classes = validate.count("hidden", self.hidden), self.teacher.shape[1]
        validate.shape("start", self.start, hidden * (self.inputs.shape[1] + 2 + classes) + classes)

    def losses(self, theta: Theta) -> Losses:
        return self.losses_on(theta, torch.arange(len(self.inputs)))

    def losses_on(self, theta: Theta, rows: Tensor) -> Losses:
        x, teacher = self.inputs[rows], self.teacher[rows]
        sizes = [x.shape[1] * self.hidden, self.hidden, self.hidden, self.hidden * teacher.shape[1], teacher.shape[1]]
        first, scale, shift, second, bias = theta.split(sizes)
        inner = x @ first.reshape(-1, self.hidden)
        if self.batch_norm:
            inner = (inner - inner.mean(0)) / torch.sqrt(inner.var(0, correction=0) + 1e-5)
        logits = torch.tanh(inner * scale + shift) @ second.reshape(self.hidden, -1) + bias
        student = log_softmax(logits / self.temperature, dim=1)
        divergence = (teacher.exp() * (teacher - student)).sum(1)
        return self.temperature**2 * divergence.clamp(min=0)  # rounding can leave -1e-17


def solvable(problem: Problem) -> Solvable:
    """The problem, refused if it is a network: that has no global curvature bound and no exact minimiser."""
    if not isinstance(problem, Solvable):
        validate.refuse("problem", type(problem).__name__, "a Ridge or Logistic here; for a network take Armijo steps")
    return problem


def ridge(seed: int = 0, n: int = 200, d: int = 5, outliers: float = 0.2, decay: float = 1e-3) -> Ridge:
    """A linear model with noise 0.1; a share of the targets is off by about 5. The start is near the truth (0.3 off).

    Raises:
        ConfigError: n < d, a share outside [0, 1), a negative decay.
    """
    rng = _generator(seed, n, d, outliers, decay)
    inputs, truth = _normal(rng, n, d), _normal(rng, d)
    off = (torch.arange(n) < round(outliers * n)).double()
    targets = inputs @ truth + 0.1 * _normal(rng, n) + off * (5 + _normal(rng, n))
    return Ridge(truth + 0.3 * _normal(rng, d), decay, inputs, targets)


def logistic(seed: int = 0, n: int = 200, d: int = 5, flipped: float = 0.15, decay: float = 1e-2) -> Logistic:
    """A linear classifier of two labels, of which a share is flipped. The start is random.

    Raises:
        ConfigError: n < d, a share outside [0, 1), a negative decay.
    """
    rng = _generator(seed, n, d, flipped, decay)
    inputs, truth = _normal(rng, n, d), 2 * _normal(rng, d)
    labels = torch.sign(inputs @ truth) * torch.where(torch.arange(n) < round(flipped * n), -1.0, 1.0)
    return Logistic(_normal(rng, d), decay, labels[:, None] * inputs)


def points(*targets: float, start: float = 0.0, decay: float = 0.0) -> Ridge:
    """One parameter, l_i = (theta - a_i)^2 / 2: every counterexample that needs no more than a line.

    Raises:
        ConfigError: no target, a negative decay.
    """
    column = torch.ones(len(targets), 1, dtype=torch.float64)
    return Ridge(torch.tensor([start], dtype=torch.float64), decay, column, torch.tensor(targets, dtype=torch.float64))


def student(
    seed: int = 0,
    n: int = 64,
    hidden: int = 16,
    temperature: float = 2.0,
    batch_norm: bool = False,
    corrupted: float = 0.0,
) -> Student:
    """A student of 8 inputs and 5 classes beside a random teacher network on frozen Gaussian samples.

    corrupted: share of samples whose teacher answer is exchanged for another sample's.

    Raises:
        ConfigError: a share outside [0, 1), a temperature <= 0, n < 2, hidden < 1.
    """
    validate.positive("temperature", temperature)
    validate.count("hidden", hidden)
    rng = _generator(seed, n, 2, corrupted, 0.0)
    inputs = _normal(rng, n, 8)
    logits = torch.tanh(inputs @ _normal(rng, 8, 32)) @ _normal(rng, 32, 5) / 2
    wrong = round(corrupted * n)
    order = torch.cat([torch.arange(wrong).roll(1), torch.arange(wrong, n)])
    first, second = _normal(rng, 8 * hidden) / 8**0.5, _normal(rng, hidden * 5) / hidden**0.5
    ones, zeros = torch.ones(hidden, dtype=torch.float64), torch.zeros(hidden + 5, dtype=torch.float64)
    start = torch.cat([first, ones, zeros[:hidden], second, zeros[hidden:]])
    teacher = log_softmax(logits[order] / temperature, dim=1)
    return Student(start, 0.0, inputs, teacher, hidden, temperature, batch_norm)


def _generator(seed: int, n: int, d: int, share: float, decay: float) -> torch.Generator:
    validate.count("n", n, d)
    validate.within("share of bad samples", share, 0, 1)
    validate.at_least("decay", decay, 0)
    return torch.Generator().manual_seed(seed)


def _weights(weights: Losses, losses: Losses) -> Losses:
    """Weights as `minimise` takes them: one a sample, finite, not negative."""
    validate.alike(losses=losses, weights=weights)
    return validate.losses(weights, "weights")


def _normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)
