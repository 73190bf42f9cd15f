"""What every method is, and what the methods share: numbers of a density around one point."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result

WEAK = 1.0  # Fisher information of a direction, in widths of the prior, below which the prior knows more
NAMED = 0.3  # share in a direction above which an unknown is named


class Method(abc.ABC):
    """Finds a posterior; it knows a density and its residuals, and nothing of galaxies."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def __call__(self, posterior: Posterior, seed: int = 0) -> Result:
        """Draws from the posterior, with their diagnostics."""


@record
class Around:
    """A density around one point, in standard normal numbers of the priors."""

    at: Float[Array, "unknown"] = quantity("", "the point")
    log_density: Float[Array, ""] = quantity("", "ln of the density there")
    gradient: Float[Array, "unknown"] = quantity("", "of minus the ln of the density")
    hessian: Float[Array, "unknown unknown"] = quantity("", "second derivatives of it, exact")
    fisher: Float[Array, "unknown unknown"] = quantity("", "of the data, from the slopes of their residuals")

    @property
    def covariance(self) -> Float[Array, "unknown unknown"]:
        """Inverse of the second derivatives [1]; of those of a fit by least squares where the point is no maximum."""
        eye = jnp.eye(self.at.shape[0], dtype=self.at.dtype)
        least = self.fisher + eye
        peaked = (jnp.linalg.eigvalsh(self.hessian) > 1e-3).all()
        return jnp.linalg.inv(jnp.where(peaked & jnp.isfinite(self.hessian).all(), self.hessian, least))


def around(posterior: Posterior, u: Float[Array, "unknown"]) -> Around:
    """The density around a point in standard normal numbers [1]."""
    minus = lambda v: -posterior.log_density(v)  # noqa: E731
    value, gradient = jax.value_and_grad(minus)(u)
    return Around(
        at=u, log_density=-value, gradient=gradient, hessian=jax.hessian(minus)(u), fisher=information(posterior, u)
    )


def information(posterior: Posterior, u: Float[Array, "unknown"]) -> Float[Array, "unknown unknown"]:
    """Fisher information [1] of the data at standard normal numbers, from the slopes of their residuals."""
    slopes = jax.jacfwd(lambda v: posterior.likelihood.residuals(posterior.predicted(v), posterior.data))(u)
    return slopes.T @ slopes


def condition(hessian: Float[np.ndarray, "unknown unknown"]) -> float:
    """Largest over smallest second derivative [1]; infinite where one is not above zero."""
    values = np.linalg.eigvalsh(np.asarray(hessian, float))
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def degeneracies(posterior: Posterior, fisher: Float[np.ndarray, "unknown unknown"]) -> tuple[str, ...]:
    """Directions, as sums of names, of which the data know less [1] than the prior."""
    values, vectors = np.linalg.eigh(np.asarray(fisher, float))
    names = posterior.unknowns.names
    found = []
    for value, vector in zip(values, vectors.T, strict=True):
        if value < WEAK:
            strong = [i for i in np.argsort(-np.abs(vector)) if abs(vector[i]) > NAMED]
            said = " ".join(f"{'+' if vector[i] > 0 else '-'} {abs(vector[i]):.2f} {names[i]}" for i in strong)
            found.append(f"the data know less than the prior of {said.removeprefix('+ ')}")
    return tuple(found)


def result_of(
    method: str,
    posterior: Posterior,
    numbers: Float[Array, "chain draw unknown"],
    log_density: Float[Array, "chain draw"],
    diagnostics: dict[str, float],
    reasons: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> Result:
    """A result from standard normal numbers [1] and what is known of them."""
    return Result(
        method=method,
        each=posterior.unknowns.each,
        draws=np.asarray(_values(posterior, numbers), float),
        numbers=np.asarray(numbers, float),
        log_density=np.asarray(log_density, float),
        diagnostics=diagnostics,
        reasons=reasons,
        notes=notes,
    )


@jax.jit
def _values(posterior: Posterior, numbers: Array) -> Array:
    return posterior.unknowns.values(numbers)
