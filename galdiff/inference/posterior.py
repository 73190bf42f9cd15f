"""A posterior: unknowns, the pipeline that predicts, and the likelihood of some data."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.pipeline import Pipeline
from galdiff.core.priors import Prior
from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Likelihood
from galdiff.inference.unknowns import Unknowns, free


@record
class Posterior:
    """Density of the unknowns, given data; made by `make_posterior`.

    A pytree whose arrays are the data and what the model is told: one compiled method serves all galaxies of a
    catalogue, and `stacked` ones go through `jax.vmap`.
    """

    inputs: Any = quantity("", "records that the pipeline is given, by name")
    data: Any = quantity("", "what the likelihood compares with")
    fixed: Any = quantity("", "state of the pipeline without what is free")
    unknowns: Unknowns = static("free parameters and their priors")
    likelihood: Likelihood = static("how prediction and data compare")

    def predicted(self, u: Float[Array, "unknown"], wanted: Sequence[str] = ()) -> dict[str, Any]:
        """Records [by name] at standard normal numbers [1]; those of the likelihood, or others that are wanted."""
        model = self.unknowns.model(u, self.fixed)
        names = tuple(wanted) or self.likelihood.wanted
        if isinstance(model, Pipeline):
            return model(wanted=names, **self.inputs)
        return {names[0]: model(**self.inputs)}

    def log_likelihood(self, u: Float[Array, "unknown"]) -> Float[Array, ""]:
        """ln of the density of the data [1 / units of them]."""
        return self.likelihood.log_density(self.predicted(u), self.data)

    def log_density(self, u: Float[Array, "unknown"]) -> Float[Array, ""]:
        """ln of the density of data and unknowns [1]; minus infinity where the model has no finite prediction."""
        value = self.log_likelihood(u) + self.unknowns.log_prior(u)
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def residuals(self, u: Float[Array, "unknown"]) -> Float[Array, "residual"]:
        """r [1] of data and prior together, with -sum(r^2) / 2 = `log_density` as far as residuals know it."""
        return jnp.concatenate([self.likelihood.residuals(self.predicted(u), self.data), u])


def make_posterior(
    model: nnx.Module,
    *,
    unknowns: Sequence[str],
    likelihood: Likelihood,
    data: Any,
    inputs: Mapping[str, Any] | None = None,
    priors: Mapping[str, Prior] | None = None,
) -> Posterior:
    """A posterior of parameters of a model.

    Args:
      model: a `Pipeline`, or a module called with the inputs that makes the one record which the likelihood wants.
      unknowns: patterns of its parameters, as in trainings, such as ["*.tau", "*.a_v"].
      likelihood: with its noise; data: as it wants them.
      inputs: records that the pipeline is given, by name.
      priors: instead of those of the parameters, by pattern.

    Raises:
      InputError: patterns, priors or data that cannot be, or a density that is not finite in the middle of the prior.
    """
    free_ones, fixed = free(model, unknowns, priors)
    made = Posterior(inputs=dict(inputs or {}), data=data, fixed=fixed, unknowns=free_ones, likelihood=likelihood)
    check_posterior(made)
    return made


def check_posterior(posterior: Posterior) -> None:
    """Refuse, not traced, data that say nothing and a density that is nowhere finite.

    Raises:
      InputError: with the remedy.
    """
    posterior.likelihood.check(posterior.data)
    some = np.stack([np.zeros(len(posterior.unknowns)), *posterior.unknowns.latin_hypercube(0, 4)])
    values = _log_densities(posterior, jnp.asarray(some, float))
    if not np.isfinite(np.asarray(values)).any():
        raise InputError(
            f"the density is finite nowhere in the prior of {', '.join(posterior.unknowns.names)}; look at the data and"
            " at what the model predicts in the middle of the priors"
        )


@jax.jit
def _log_densities(posterior: Posterior, u: Array) -> Array:
    return jax.lax.map(posterior.log_density, u)


def stacked(posteriors: Sequence[Posterior]) -> Posterior:
    """Posteriors of one model and likelihood as one, with a leading axis of galaxies in inputs and data.

    Raises:
      InputError: they are of several models or likelihoods.
    """
    first = posteriors[0]
    if any(p.unknowns is not first.unknowns or p.likelihood is not first.likelihood for p in posteriors):
        raise InputError("posteriors of several models cannot be stacked; make them of one with dataclasses.replace")
    stack = lambda *arrays: jnp.stack([jnp.asarray(a) for a in arrays])  # noqa: E731
    inputs, data = jax.tree.map(stack, *((p.inputs, p.data) for p in posteriors))
    return Posterior(inputs=inputs, data=data, fixed=first.fixed, unknowns=first.unknowns, likelihood=first.likelihood)


def galaxy_axis(posterior: Posterior) -> Posterior:
    """The axes of `stacked` posteriors, for `in_axes` of `jax.vmap`."""
    return Posterior(inputs=0, data=0, fixed=None, unknowns=posterior.unknowns, likelihood=posterior.likelihood)
