"""Scaling relations by local linear regression (Fan 1992, JASA 87, 998): no bias where a relation is steep or ends."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from galdiff.observables.relations import Relation

_TINY = 1e-30
RIDGE = 1e-3  # of the variance of the kernel, so that a line through one galaxy is level


def local_linear(
    x: Float[ArrayLike, "galaxy"],
    y: Float[ArrayLike, "galaxy"],
    centres: Float[ArrayLike, "centre"],
    bandwidth: Float[ArrayLike, ""],
    weight: Float[ArrayLike, "galaxy"] | float = 1.0,
) -> Relation:
    """Mean of y against x: the value at x0 of the line that fits best about it, with Gaussian weights.

    Args:
      x, y: of the galaxies [any unit].
      centres: x0; bandwidth: width of the kernel, both in the unit of x and those of the data.
      weight: of the galaxies, 0 or more: their chance to be selected [1].

    Returns:
      Relation at the centres: n_eff is 1 / sum l^2 of the weights l of the mean, standard_error std / sqrt(n_eff).
    """
    x, y, centres = (jnp.asarray(a, float) for a in (x, y, centres))
    weight = jnp.broadcast_to(jnp.asarray(weight, x.dtype), x.shape)
    d = x - centres[:, None]
    seen = weight > 0
    logs = jnp.where(seen, -0.5 * (d / bandwidth) ** 2 + jnp.log(jnp.where(seen, weight, 1.0)), -jnp.inf)
    w = jax.nn.softmax(logs, axis=-1)  # whose weights of far centres do not underflow to 0/0
    s1, s2 = (w * d).sum(-1), (w * d**2).sum(-1)
    variance = s2 - s1**2 + RIDGE * jnp.asarray(bandwidth) ** 2
    share = w * (1 - (s1 / variance)[:, None] * (d - s1[:, None]))
    mean = share @ y
    slope = ((w * (d - s1[:, None])) @ y) / variance
    away = y - mean[:, None] - slope[:, None] * d
    std = jnp.sqrt((w * away**2).sum(-1) + _TINY)
    n_eff = 1 / (share**2).sum(-1)
    return Relation(x=centres, mean=mean, std=std, n_eff=n_eff, standard_error=std / jnp.sqrt(n_eff))
