"""Small problems and the ten regularizers, each with a lambda in its domain, for the tests beside this file."""

import pytest
import torch

from analysis.theory.toys.problems import Problem, logistic, ridge
from cudfkd.regularizers import ALL, JiangLog, Mixture, Polynomial, Regularizer

TEN: list[Regularizer] = [kind() for kind in ALL]
SHAPED = [*TEN, Polynomial(t=1.5), Polynomial(t=2.0), Polynomial(t=8.0), Mixture(ratio=0.1), Mixture(ratio=0.9)]
TOYS: dict[str, Problem] = {"ridge": ridge(3, n=40, d=3), "logistic": logistic(3, n=40, d=3)}

every = pytest.mark.parametrize("reg", TEN, ids=lambda reg: reg.name)
toy = pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS)


def gradient(function, theta: torch.Tensor) -> torch.Tensor:
    variable = theta.detach().requires_grad_()
    return torch.autograd.grad(function(variable), variable)[0]


def hessian(function, theta: torch.Tensor) -> torch.Tensor:
    return torch.autograd.functional.hessian(function, theta)  # type: ignore[return-value]


def pace(reg: Regularizer) -> float:
    return 0.7 if isinstance(reg, JiangLog) else 1.5


def paces(reg: Regularizer) -> list[float]:
    return [0.1, 0.4, 0.6] if isinstance(reg, JiangLog) else [0.5, 1.0, 2.0, 3.0]
