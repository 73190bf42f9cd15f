"""Scaling relations of a population by Gaussian kernel regression (Nadaraya 1964; Watson 1964), differentiable.

The same estimator serves model and data: the mean of y among galaxies near x0, its scatter, and the error of the mean.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.records import BaryonHistory
from galdiff.units import Z_SUN

LOW, HIGH = 5.0, 95.0  # percentiles of x between which centres lie
LN_2_PI = 1.8378770664093453
_TINY = 1e-30  # keeps roots and logarithms of nothing finite


@record
class Relation:
    """Mean and scatter of y at centres in x."""

    x: Float[Array, "centre"] = quantity("", "centres, in the unit of x")
    mean: Float[Array, "centre"] = quantity("", "mean of y")
    std: Float[Array, "centre"] = quantity("", "scatter of y about its mean")
    n_eff: Float[Array, "centre"] = quantity("", "effective number of galaxies: 1 / sum of squared weights")
    standard_error: Float[Array, "centre"] = quantity("", "std / sqrt(n_eff)")


def scott_bandwidth(x: Float[ArrayLike, "galaxy"], use: Bool[ArrayLike, "galaxy"] | None = None) -> Float[Array, ""]:
    """Width of the kernel h = std(x) n^(-1/5) (Scott 1992), std about the mean of all n [unit of x]."""
    x, w = _masked(x, use)
    n = jnp.sum(w)
    variance = jnp.sum(w * (x - jnp.sum(w * x) / n) ** 2) / n
    return jnp.sqrt(variance + _TINY) * n**-0.2


def centres_between(
    x: Float[ArrayLike, "galaxy"], n_centres: int, use: Bool[ArrayLike, "galaxy"] | None = None
) -> Float[Array, "centre"]:
    """So many centres, uniform from the 5th to the 95th percentile of x [unit of x]; under jit too."""
    x = jnp.asarray(x)
    x = x if use is None else jnp.where(jnp.asarray(use), x, jnp.nan)
    lo, hi = jnp.nanpercentile(x, jnp.asarray([LOW, HIGH], x.dtype))
    return lo + (hi - lo) * jnp.linspace(0.0, 1.0, n_centres, dtype=x.dtype)


def centres_in_steps(
    x: Float[ArrayLike, "galaxy"], step: float | None = None, use: Bool[ArrayLike, "galaxy"] | None = None
) -> Float[np.ndarray, "centre"]:
    """Centres from the 5th percentile of x up to the 95th in steps, by default of the bandwidth [unit of x].

    Their number depends on the data, so x must be concrete: make them once, before `jax.jit`.
    """
    x = np.asarray(x)[... if use is None else np.asarray(use, bool)]
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise InputError(
            f"x has shape {x.shape}{'' if np.isfinite(x).all() else ' and holds NaN'}; centres need two or more finite"
            " values along one axis: leave galaxies without a solution out with `use`"
        )
    step = float(scott_bandwidth(x)) if step is None else step
    lo, hi = np.percentile(x, [LOW, HIGH])
    if not hi - lo > 1e-12 * abs(hi):  # all galaxies alike
        return np.array([lo], x.dtype)
    if not (step > 0 and hi - lo < 1e5 * step):
        raise InputError(f"step between centres is {step}; give a positive number in the unit of x")
    return np.arange(lo, hi, step).astype(x.dtype)


def kernel_regression(
    x: Float[ArrayLike, "galaxy"],
    y: Float[ArrayLike, "galaxy"],
    centres: Float[ArrayLike, "centre"],
    bandwidth: Float[ArrayLike, ""] | None = None,
    use: Bool[ArrayLike, "galaxy"] | None = None,
) -> Relation:
    """Mean of y against x with Gaussian weights w_i = K((x0 - x_i)/h) / sum K.

    mean = sum w y; std^2 = sum w (y - mean)^2; n_eff = 1 / sum w^2; standard error = std / sqrt(n_eff).

    Args:
      x, y: of the galaxies [any unit].
      centres: x0, in the unit of x; those of the data, `centres_in_steps` or `centres_between`.
      bandwidth: h, in the unit of x; None for `scott_bandwidth`.
      use: galaxies that count; the others may hold NaN, and carry no gradient. None for all.

    Returns:
      Relation at the centres. Far from all galaxies it follows the nearest ones, n_eff falling to 1.
    """
    x, w = _masked(x, use)
    y, _ = _masked(y, use)
    centres = jnp.asarray(centres, x.dtype)
    h = scott_bandwidth(x, use) if bandwidth is None else jnp.asarray(bandwidth, x.dtype)
    # As a softmax, the weights of centres far from all galaxies do not underflow to 0/0.
    logs = jnp.where(w > 0, -0.5 * ((centres[:, None] - x) / h) ** 2, -jnp.inf)
    weights = jax.nn.softmax(logs, axis=-1)
    mean = weights @ y
    std = jnp.sqrt(jnp.sum(weights * (y - mean[:, None]) ** 2, -1) + _TINY)
    n_eff = 1 / jnp.sum(weights**2, -1)
    return Relation(x=centres, mean=mean, std=std, n_eff=n_eff, standard_error=std / jnp.sqrt(n_eff))


def log_likelihood(
    relation: Relation, data: Float[ArrayLike, "centre"], error: Float[ArrayLike, "centre"]
) -> Float[Array, ""]:
    """log L = -1/2 sum [(mean - d)^2 / s^2 + ln 2 pi s^2], s^2 = error^2 + standard error^2; relations add up.

    Args:
      relation: at the centres of the data.
      data: mean of the data there.
      error: its standard error, positive.
    """
    variance = jnp.asarray(error) ** 2 + relation.standard_error**2
    return -0.5 * jnp.sum((relation.mean - jnp.asarray(data)) ** 2 / variance + jnp.log(variance) + LN_2_PI)


def log10_summary(history: BaryonHistory, name: str) -> Float[Array, "... t"]:
    """Logarithm of what relations are made of, at all output times.

    Args:
      history: of one or many galaxies.
      name: mvir, mstar [Msun]; mstar_over_mvir, mism_over_mstar, baryons_over_mvir; zstar, zism, zcgm [0.02];
        sfr [Msun/yr].
    """
    mass = history.contents["mass"]
    metal = {"zstar": "stars", "zism": "ism", "zcgm": "cgm"}
    if name in metal:
        return jnp.log10(history.metallicity(metal[name]) / Z_SUN)
    made = {
        "mvir": lambda: history.m_vir,
        "mstar": lambda: history.m_star,
        "sfr": lambda: history.sfr * 1e-9,
        "mstar_over_mvir": lambda: history.m_star / history.m_vir,
        "mism_over_mstar": lambda: history.m_ism / history.m_star,
        "baryons_over_mvir": lambda: sum(mass[n] for n in ("stars", "ism", "cgm") if n in mass) / history.m_vir,
    }
    if name not in made:
        raise InputError(f"summary is '{name}'; choose one of {', '.join([*made, *metal])}")
    return jnp.log10(made[name]())


def _masked(x: ArrayLike, use: ArrayLike | None) -> tuple[Array, Array]:
    """Values with 0 for galaxies that do not count, and 1 or 0."""
    x = jnp.asarray(x)
    x = x.astype(jnp.result_type(x, float)) if not jnp.issubdtype(x.dtype, jnp.floating) else x
    if use is None:
        return x, jnp.ones_like(x)
    use = jnp.asarray(use, bool)
    return jnp.where(use, x, 0.0), use.astype(x.dtype)
