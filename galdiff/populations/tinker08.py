"""Number of haloes in any flat universe: Tinker et al. (2008, ApJ 688, 709), differentiable in the cosmology."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.hermite import hermite
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.populations.linear_power import growth, mean_density, sigma
from galdiff.populations.mass_function import MassFunction

# Table 2: overdensity over the mean matter, A, a, b, c at redshift 0.
FIT = (
    (200.0, 0.186, 1.47, 2.57, 1.19),
    (300.0, 0.200, 1.52, 2.25, 1.27),
    (400.0, 0.212, 1.56, 2.05, 1.34),
    (600.0, 0.218, 1.61, 1.87, 1.45),
    (800.0, 0.248, 1.87, 1.59, 1.58),
    (1200.0, 0.255, 2.13, 1.51, 1.80),
    (1600.0, 0.260, 2.30, 1.46, 1.97),
    (2400.0, 0.260, 2.53, 1.44, 2.24),
    (3200.0, 0.260, 2.66, 1.41, 2.44),
)
FITTED_TO = 3.0  # redshift; beyond it the multiplicity is that at 3
MASSES, N_MASSES = (6.0, 17.0), 133  # log10 of the masses of the table of sigma, and how many
RULE = np.polynomial.legendre.leggauss(48)


def multiplicity(
    scatter: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."], overdensity: float = 200.0
) -> Float[Array, "..."]:
    """Share of the matter in haloes per ln(1/sigma) [1] (eqs. 3, 5-8), of shapes that broadcast.

    Args:
      scatter: sigma at that redshift [1]; redshift: redshift [1].
      overdensity: of the haloes over the mean matter [1], 200 to 3200; between those fitted, straight lines in its log.
    """
    table = np.log([row[0] for row in FIT]), np.asarray([row[1:] for row in FIT])
    a0, a1, b0, c0 = (float(np.interp(np.log(overdensity), table[0], column)) for column in table[1].T)
    z1 = 1 + jnp.minimum(jnp.asarray(redshift), FITTED_TO)
    alpha = 10 ** -((0.75 / np.log10(overdensity / 75)) ** 1.2)
    ratio = jnp.asarray(scatter) / (b0 * z1**-alpha)
    return a0 * z1**-0.14 * (ratio ** -(a1 * z1**-0.06) + 1) * jnp.exp(-c0 / jnp.asarray(scatter) ** 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinkerMassFunction(MassFunction):
    """Haloes by mass inside 200 times the mean matter, or another overdensity.

    Attributes:
      cosmology: the universe; sigma8: scatter in spheres of 8 Mpc/h today [1]; n_s: slope of the first spectrum [1].
      overdensity: of haloes over the mean matter [1].
    """

    cosmology: Cosmology
    sigma8: Float[ArrayLike, ""]
    n_s: Float[ArrayLike, ""]
    overdensity: float = 200.0

    def __post_init__(self) -> None:
        for name, low, high in (("sigma8", 0.1, 2.0), ("n_s", 0.5, 1.5), ("overdensity", 200.0, 3200.0)):
            value = getattr(self, name)
            if not isinstance(value, jax.core.Tracer) and not low <= value <= high:
                raise InputError(f"{name} of the mass function is {value}; give {low:g} to {high:g}")

    def _table(self) -> tuple[Array, Array, Array]:
        """log10 of masses, ln of sigma today, and its slope, shapes (node,)."""
        nodes = jnp.linspace(*MASSES, N_MASSES)
        ln_sigma = lambda m: jnp.log(sigma(m, self.cosmology, self.sigma8, self.n_s))  # noqa: E731
        return nodes, *jax.jvp(ln_sigma, (nodes,), (jnp.ones_like(nodes),))

    def _density(self, table: tuple, log10_m: Array, redshift: Array, grown: Array) -> Array:
        ln_sigma, slope = hermite(log10_m, *table)
        share = multiplicity(jnp.exp(ln_sigma) * grown, redshift, self.overdensity)
        return -slope * share * mean_density(self.cosmology) * 10**-log10_m

    def density(self, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Number per dex of mass [1/Mpc^3/dex] (eq. 2), at masses [dex(Msun)] and redshifts that broadcast."""
        m, z = (jnp.asarray(x, float) for x in (log10_m, redshift))
        return self._density(self._table(), m, z, growth(self.cosmology, z))

    def log10_cumulative(
        self, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]
    ) -> Float[Array, "..."]:
        """log10 of the number above a mass [dex(1/Mpc^3)], at masses [dex(Msun)] and redshifts that broadcast."""
        m, z = (jnp.asarray(x, float)[..., None] for x in (log10_m, redshift))
        # Numbers fall by powers, then exponentially: nodes are dense where the mass is small.
        at, weight = ((RULE[0] + 1) / 2).astype(m.dtype), (RULE[1] / 2).astype(m.dtype)
        span = MASSES[1] - m
        found = self._density(self._table(), m + span * at**2, z, growth(self.cosmology, z))
        return jnp.log10((found * span * 2 * at * weight).sum(-1))
