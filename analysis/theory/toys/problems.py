"""Toy problems: n losses l_i(theta) >= 0 of one parameter vector, and the ridge term decay / 2 |theta|^2.

An objective adds the ridge term to the weighted mean of the losses. All numbers are float64 and drawn from explicit
seeds. Ridge and Logistic know the curvature of their weighted mean and minimise it exactly. A student network knows
neither, so only line searches apply to it.
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
    """Raised where a solver does not reach its tolerance; its last iterate is not returned."""


@dataclass(frozen=True, eq=False)
class Problem(ABC):
    """A toy problem.

    start: the first theta, (d,).
    decay: the factor of the ridge term R(theta) = decay / 2 |theta|^2.

    Raises:
        ConfigError: a start that is not a vector, a negative decay; tensors with a dtype or shape that does not fit the
            start.
    """

    start: Theta
    decay: float

    def __post_init__(self) -> None:
        validate.floats(start=self.start)
        validate.shape("start", self.start, None)
        validate.at_least("decay", self.decay, 0)

    @abstractmethod
    def losses(self, theta: Theta) -> Losses:
        """The losses l_i(theta) of the full frozen sample, (n,), differentiable."""

    def losses_on(self, theta: Theta, rows: Tensor) -> Losses:
        """The losses l_i of some rows of the sample: losses(theta)[rows], except with batch statistics."""
        return self.losses(theta)[rows]

    def jacobian(self, theta: Theta) -> Float[Tensor, "n d"]:
        """The matrix (n, d) with the gradient of l_i as row i."""
        variable = theta.detach().requires_grad_()
        losses = self.losses(variable)
        each = torch.eye(len(losses), dtype=losses.dtype)
        return torch.autograd.grad(losses, variable, each, is_grads_batched=True)[0]


class Solvable(Problem):
    """A problem with a weighted mean of known curvature and a minimiser that can be computed."""

    @abstractmethod
    def curvature(self, weights: Losses) -> float:
        """An upper bound L of the curvature of mean v_i l_i + R, for all theta."""

    @abstractmethod
    def minimise(self, weights: Losses) -> Theta:
        """The minimiser of mean v_i l_i + R at fixed weights.

        Raises:
            ConfigError: weights (n,) that are negative or not finite, or with another dtype or shape than the losses.
            NotConvergedError: the minimiser does not exist, is not unique, or was not reached.
        """


@dataclass(frozen=True, eq=False)
class Ridge(Solvable):
    """Linear least squares: l_i = (x_i theta - y_i)^2 / 2.

    inputs: the rows x_i, (n, d).
    targets: the numbers y_i, (n,).
    """

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
        """The minimiser (X^T V X / n + decay)^-1 X^T V y / n.

        Raises:
            NotConvergedError: the matrix X^T V X / n + decay is singular up to rounding.
        """
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
    """Logistic regression: l_i = ln(1 + e^(-x_i theta)).

    inputs: the rows x_i, (n, d), already multiplied by the sign of their label.
    """

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
        """The minimiser by Newton's method. A step is halved while it would raise the objective.

        A small gradient alone does not show a minimum. On separable labels without decay the gradient vanishes while
        theta runs away, one unit per step. The Newton step must therefore be small, too.

        Raises:
            NotConvergedError: within `most` steps the gradient did not fall to `tolerance` with a Newton step of at
                most 1e-6 max(1, |theta|).
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
        value = self._weighted(theta, weights)
        while self._weighted(theta - step, weights) > value + 1e-12 * max(1.0, abs(value)):
            step = step / 2
        return step

    def _weighted(self, theta: Theta, weights: Losses) -> float:
        return float((weights * self.losses(theta)).mean() + self.decay / 2 * theta.square().sum())

    def _hessian(self, weights: Losses) -> Float[Tensor, "d d"]:
        identity = torch.eye(self.inputs.shape[1], dtype=self.inputs.dtype)
        return self.inputs.T @ (weights[:, None] * self.inputs) / len(weights) + self.decay * identity


@dataclass(frozen=True, eq=False)
class StudentProblem(Problem):
    """A student network: tanh, one hidden layer, l_i = T^2 KL(teacher(x_i) || student(x_i)) at temperature T.

    inputs: the samples x_i, (n, p).
    teacher: the teacher's log-probabilities at temperature T, (n, c).
    hidden: number of hidden units.
    temperature: T.
    batch_norm: normalise the hidden layer by the statistics of the current batch (train mode). On the full frozen batch
        l_i is still a function of theta alone; on changing batches it is not.
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
        answer = log_softmax(logits / self.temperature, dim=1)
        divergence = (teacher.exp() * (teacher - answer)).sum(1)
        return self.temperature**2 * divergence.clamp(min=0)  # rounding can leave -1e-17


def solvable(problem: Problem) -> Solvable:
    """The problem itself. A network is refused: it has no global curvature bound and no exact minimiser."""
    if not isinstance(problem, Solvable):
        validate.refuse("problem", type(problem).__name__, "a Ridge or Logistic here; for a network take Armijo steps")
    return problem


def ridge(seed: int = 0, n: int = 200, d: int = 5, outliers: float = 0.2, decay: float = 1e-3) -> Ridge:
    """A linear model with noise 0.1. The targets of a share of outliers are off by about 5.

    The start is near the truth: the truth plus 0.3 times a standard normal vector.

    Raises:
        ConfigError: n < d, a share outside [0, 1), a negative decay.
    """
    # the random bits depend on the order of the draws: inputs, truth, noise, outliers, start
    rng = _generator(seed, n, d, outliers, decay)
    inputs, truth = _normal(rng, n, d), _normal(rng, d)
    off = (torch.arange(n) < round(outliers * n)).double()
    targets = inputs @ truth + 0.1 * _normal(rng, n) + off * (5 + _normal(rng, n))
    return Ridge(truth + 0.3 * _normal(rng, d), decay, inputs, targets)


def logistic(seed: int = 0, n: int = 200, d: int = 5, flipped: float = 0.15, decay: float = 1e-2) -> Logistic:
    """A linear classifier of two labels. A share of the labels is flipped. The start is random.

    Raises:
        ConfigError: n < d, a share outside [0, 1), a negative decay.
    """
    # the random bits depend on the order of the draws: inputs, truth, start
    rng = _generator(seed, n, d, flipped, decay)
    inputs, truth = _normal(rng, n, d), 2 * _normal(rng, d)
    labels = torch.sign(inputs @ truth) * torch.where(torch.arange(n) < round(flipped * n), -1.0, 1.0)
    return Logistic(_normal(rng, d), decay, labels[:, None] * inputs)


def points(*targets: float, start: float = 0.0, decay: float = 0.0) -> Ridge:
    """A problem of one parameter with l_i = (theta - y_i)^2 / 2, for the counterexamples on a line.

    Arguments:
        targets: the points y_i.

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
) -> StudentProblem:
    """A student of 8 inputs and 5 classes, with a random teacher network, on frozen Gaussian samples.

    Arguments:
        corrupted: share of samples that get the teacher's answer to another sample.

    Raises:
        ConfigError: a share outside [0, 1), a temperature <= 0, n < 2, hidden < 1.
    """
    validate.positive("temperature", temperature)
    validate.count("hidden", hidden)
    # the random bits depend on the order of the draws: inputs, the teacher's two layers, the student's two layers
    rng = _generator(seed, n, 2, corrupted, 0.0)
    inputs = _normal(rng, n, 8)
    logits = torch.tanh(inputs @ _normal(rng, 8, 32)) @ _normal(rng, 32, 5) / 2
    wrong = round(corrupted * n)
    order = torch.cat([torch.arange(wrong).roll(1), torch.arange(wrong, n)])
    first, second = _normal(rng, 8 * hidden) / 8**0.5, _normal(rng, hidden * 5) / hidden**0.5
    ones, zeros = torch.ones(hidden, dtype=torch.float64), torch.zeros(hidden + 5, dtype=torch.float64)
    start = torch.cat([first, ones, zeros[:hidden], second, zeros[hidden:]])
    teacher = log_softmax(logits[order] / temperature, dim=1)
    return StudentProblem(start, 0.0, inputs, teacher, hidden, temperature, batch_norm)


def _generator(seed: int, n: int, d: int, share: float, decay: float) -> torch.Generator:
    validate.count("n", n, d)
    validate.within("share of bad samples", share, 0, 1)
    validate.at_least("decay", decay, 0)
    return torch.Generator().manual_seed(validate.seed(seed))


def _weights(weights: Losses, losses: Losses) -> Losses:
    """The weights for `minimise`: one per sample, finite, not negative."""
    validate.alike(losses=losses, weights=weights)
    return validate.losses(weights, "weights")


def _normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)
