"""How well scaling relations constrain the rates of winds: standard errors of nodes of ln(rate) over V_vir."""

import dataclasses
import typing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.cases.cycle_histories import histories_of
from galdiff.core.correction import Chain, Correction
from galdiff.observables.scaling import relations_of

RATES = ("eta_mass", "eta_energy")
NODES = tuple(np.linspace(-0.65, 0.5, 8).tolist())  # log10 V_vir/(125 km/s)


@typing.final
class Bumps(Correction):
    """ln(gain) of the two rates as a polyline in log10 V_vir, to ask what data say about each node of it."""

    def __init__(self, heights: Float[Array, "rate node"]) -> None:
        self.heights = nnx.Param(heights)

    def __call__(self, flows: Any, drivers: Array) -> Any:
        """Rates with their gains."""
        gains = [jnp.exp(jnp.interp(drivers[..., 0], jnp.asarray(NODES), row)) for row in self.heights[...]]
        return dataclasses.replace(
            flows, **{name: getattr(flows, name) * gain for name, gain in zip(RATES, gains, strict=True)}
        )


def rate_constraint(case: Any, truth: nnx.Module) -> np.ndarray:
    """Standard error of ln(rate) [1] at each of `NODES` that the data allow, the other nodes free, (rate, node).

    From the Fisher information of the points, with a weak Gaussian prior of width 3.
    """

    def means(heights: Any) -> tuple:
        model = nnx.merge(*nnx.split(truth))
        model.correction = Chain([model.correction, Bumps(heights)])  # type: ignore[attr-defined]
        found = relations_of(histories_of(model, case.tables["fitted"]), case.observed.x)
        return found.mean, found.standard_error

    flat = jnp.zeros((len(RATES), len(NODES)))
    jacobian, error = jax.jit(jax.jacfwd(means, has_aux=True))(flat)
    sigma = jnp.sqrt(case.observed.error**2 + error**2)
    return np.asarray(node_errors(jacobian.reshape(sigma.size, -1), sigma.ravel())).reshape(flat.shape)


def node_errors(jacobian: Float[Array, "point number"], error: Float[Array, "point"]) -> Float[Array, "number"]:
    """Marginal standard errors of numbers [their unit] from points of given error."""
    scaled = jacobian / error[:, None]
    information = scaled.T @ scaled + jnp.eye(jacobian.shape[1]) / 9.0
    return jnp.sqrt(jnp.diag(jnp.linalg.inv(information)))
