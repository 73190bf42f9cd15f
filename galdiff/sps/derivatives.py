"""Derivatives of a population's spectrum by autodiff, against differences that are extrapolated to a step of zero.

A star may sit on a node of the library, where the second derivative of the interpolant jumps, so the error of a central
difference has all powers of its step h, and differences at h, h/2, ... h/16 remove h to h^4. All steps stay between
the neighbouring nodes. The check is that of RUBIX's figure 2 (Schaible et al. 2025, arXiv:2511.17110).
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from galdiff.errors import InputError

LARGEST_STEP = 0.01  # relative to the value
CLOSE = 1e-9  # relative; a node that close is the value itself


class DerivativeComparison(NamedTuple):
    """Two derivatives of a spectrum, per unit of the value."""

    autodiff: np.ndarray  # (wave,)
    differences: np.ndarray  # (wave,)
    error: np.ndarray  # (wave,), their difference over the largest derivative
    step: float  # the largest of the differences [unit of the value]


def first_step(value: float, nodes: Float[np.ndarray, "node"]) -> float:
    """Largest step [unit of value] that stays clear of the nodes next to value (one at value itself does not count)."""
    gaps = np.abs(nodes - value)
    gaps = gaps[gaps > CLOSE * value]
    return float(min(0.9 * gaps.min(), LARGEST_STEP * value)) if gaps.size else LARGEST_STEP * value


def richardson(f: Callable, value: float, step: float, levels: int = 5) -> np.ndarray:
    """Derivative of f at value: central differences at step / 2^k, k < levels, extrapolated in all powers of step.

    In the shape of f [unit of f per unit of value].
    """
    steps = step / 2.0 ** np.arange(levels)
    table = [(np.asarray(f(value + h)) - np.asarray(f(value - h))) / ((value + h) - (value - h)) for h in steps]
    for power in range(1, levels):
        table = [(2**power * fine - coarse) / (2**power - 1) for coarse, fine in itertools.pairwise(table)]
    return table[0]


def compare_derivatives(
    f: Callable[[float], Float[Array, "wave"]], value: float, nodes: Float[np.ndarray, "node"]
) -> DerivativeComparison:
    """Both derivatives of a spectrum [its unit per unit of value].

    Args:
      f: spectrum of a value; differentiable.
      value: where, positive; nodes: of the library along it, in the same unit.

    Raises:
      InputError: the spectrum does not change there.
    """
    autodiff = np.asarray(jax.jit(jax.jacfwd(f))(value))
    step = first_step(value, nodes)
    differences = richardson(jax.jit(f), value, step)
    scale = float(np.abs(autodiff).max())
    if scale == 0.0:
        raise InputError(f"the spectrum does not change at {value:g}; choose a star inside the library")
    return DerivativeComparison(autodiff, differences, (autodiff - differences) / scale, step)
