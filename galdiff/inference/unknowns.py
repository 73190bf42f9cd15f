"""The unknown numbers of a model as one flat vector: names, units, priors, and the model at any value of them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.stats import qmc

from galdiff.core.patterns import matching
from galdiff.core.priors import Prior, values_of
from galdiff.core.variables import Physical, to_unbounded
from galdiff.errors import InputError

LN_2_PI = math.log(2 * math.pi)
ROOM = 8.0  # of the spacing of floating-point numbers, that a value keeps from its bounds


@dataclasses.dataclass(frozen=True)
class Unknown:
    """One number of the vector."""

    name: str  # dotted path, with the place in an array
    unit: str
    prior: Prior


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """A variable of the model that is free, all its numbers."""

    path: tuple
    shape: tuple[int, ...]
    variable: Any  # without its value
    prior: Prior

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Unknowns:
    """Free parameters of a model; made by `free`.

    A vector of them holds standard normal numbers: `values` are what they mean [units of `each`]. Two are the same
    only if they are one object, so that what is compiled with one is found again.
    """

    def __init__(self, graph: nnx.GraphDef, leaves: Sequence[_Leaf]) -> None:
        self._graph = graph
        self._leaves = tuple(leaves)
        self.each = tuple(
            Unknown(_name(leaf.path, i, leaf.shape), leaf.variable.unit, leaf.prior)
            for leaf in leaves
            for i in range(leaf.size)
        )

    def __len__(self) -> int:
        return len(self.each)

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted paths, as in patterns."""
        return tuple(one.name for one in self.each)

    def log_prior(self, u: Float[Array, "unknown"]) -> Float[Array, ""]:
        """ln of the density of standard normal numbers [1]: that of the prior, with the Jacobian."""
        return -0.5 * (u @ u + LN_2_PI * len(self))

    def values(self, u: Float[Array, "*draw unknown"]) -> Float[Array, "*draw unknown"]:
        """Values [units of `each`] of standard normal numbers, same shape."""
        return values_of([one.prior for one in self.each], u)

    def numbers(self, x: Float[Array, "*draw unknown"]) -> Float[Array, "*draw unknown"]:
        """Standard normal numbers [1] of values [units of `each`], same shape."""
        return jnp.stack([one.prior.number(x[..., i]) for i, one in enumerate(self.each)], -1)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n unknown"]:
        """Standard normal numbers [1] drawn from the prior."""
        return jax.random.normal(key, (n, len(self)), float)

    def latin_hypercube(self, seed: int, n: int) -> Float[np.ndarray, "n unknown"]:
        """Standard normal numbers [1] that fill the prior evenly along every axis."""
        shares = qmc.LatinHypercube(len(self), rng=np.random.default_rng(seed)).random(n)
        return np.asarray(ndtri(jnp.asarray(shares, float)))

    def model(self, u: Float[Array, "unknown"], fixed: nnx.State) -> Any:
        """The model at standard normal numbers [1], with the rest of its state."""
        flat, at, values = {}, 0, self.values(u)
        for leaf in self._leaves:
            x = values[at : at + leaf.size].reshape(leaf.shape)
            at += leaf.size
            flat[leaf.path] = leaf.variable.replace(_raw(x, leaf.variable.lo, leaf.variable.hi))
        return nnx.merge(self._graph, nnx.from_flat_state(flat), fixed)


def free(
    model: nnx.Module, patterns: Sequence[str], priors: Mapping[str, Prior] | None = None
) -> tuple[Unknowns, nnx.State]:
    """The unknowns of a model, and the rest of its state.

    Args:
      model: any module, a pipeline say.
      patterns: of dotted paths of its `physical` parameters, as in trainings; "stages." is left out in front.
      priors: instead of those that the parameters have, by patterns too, of which later ones count; those of parameters
        that are not free say nothing.

    Raises:
      InputError: a pattern that matches nothing; nothing free; a parameter without bounds and prior, or a prior that
        does not fit its bounds.
    """
    flat = dict(nnx.to_flat_state(nnx.state(model, Physical)))
    known = {_name(path): path for path in flat}
    names = matching([patterns] if isinstance(patterns, str) else list(patterns), list(known), "free")
    if not names:
        raise InputError("free: no parameter is left; give patterns of those that the data are to say something of")
    given: dict[str, Prior] = {}
    for pattern, prior in (priors or {}).items():
        if not isinstance(prior, Prior):
            raise InputError(f"priors: '{pattern}' is {prior!r}; give a prior, such as galdiff.core.priors.Normal")
        given |= dict.fromkeys(matching([pattern], list(known), "priors"), prior)
    leaves = []
    for name in names:
        variable = flat[known[name]]
        try:
            prior = given[name].within(variable.lo, variable.hi) if name in given else variable.believed()
        except InputError as error:
            raise InputError(f"{name} [{variable.unit}]: {error}") from error
        if prior is None:
            raise InputError(f"{name} [{variable.unit}] has neither bounds nor a prior; give one in priors")
        leaves.append(_Leaf(known[name], tuple(np.shape(variable[...])), variable, prior))
    chosen = {leaf.path for leaf in leaves}
    graph, *states = nnx.split(model, lambda path, _: tuple(path) in chosen, ...)
    return Unknowns(graph, leaves), states[1]


def _raw(x: Array, lo: float | None, hi: float | None) -> Array:
    """What a parameter stores for a value; one that came to lie on a bound, by round-off, is moved inside."""
    if lo is None or hi is None:
        return x
    room = ROOM * float(jnp.finfo(x.dtype).eps) * max(hi - lo, abs(lo), abs(hi))
    return to_unbounded(jnp.clip(x, lo + room, hi - room), lo, hi)


def _name(path: tuple, i: int = 0, shape: tuple[int, ...] = ()) -> str:
    place = "".join(f"[{k}]" for k in np.unravel_index(i, shape)) if shape else ""
    return ".".join(str(part) for part in path).removeprefix("stages.") + place
