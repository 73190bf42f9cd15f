"""Emission lines as a property of young stars: their luminosity per mass formed, at the nodes of an SSP library."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from galdiff import units
from galdiff.core.stage import Stage
from galdiff.core.variables import table
from galdiff.errors import InputError
from galdiff.light_records import IonisingPhotons, LineTable
from galdiff.nebular.byler17 import OLDEST
from galdiff.nebular.continuum import LOG10_PHOTONS
from galdiff.nebular.h_ii_regions import LOG10_Z_SUN, HIIRegions
from galdiff.records import SSPGrid

SPAN = 10.0**OLDEST  # Gyr: stars up to this age ionise gas


class LinesPerMass(Stage):
    """Lines of the gas around stars of each age and metallicity, from the photons of these stars.

    Args of the constructor:
      regions: properties of the gas; where they give it no metallicity of its own, it has that of the stars.
      library: whose stars ionise it.
      ionising: photons of its populations.
      steady: whether the table is that of stars which form at a constant rate, per mass formed in `SPAN`: one age
        then stands for all.
    """

    def __init__(
        self, *, regions: HIIRegions, library: SSPGrid, ionising: IonisingPhotons, steady: bool = False
    ) -> None:
        lg_age = np.asarray(library.ssp_lg_age_gyr, np.float64)
        young = lg_age <= OLDEST + 1e-4
        if not young.any():
            raise InputError(
                f"the youngest stars of library '{library.name}' are {1e3 * 10 ** lg_age[0]:.3g} Myr old, and stars"
                f" older than {1e3 * SPAN:g} Myr ionise no gas; choose another library (ssp=analytic), or gas=none"
            )
        kept = slice(0, int(young.sum()) + 1)  # and one age in which they are dark
        self.regions, self.steady, self.library = regions, steady, library.name
        self.log10_rate = table(np.asarray(ionising.log10_rate)[0, :, kept], jnp.result_type(float))
        self.lg_age, self.lgmet = (table(x, jnp.result_type(float)) for x in (lg_age[kept], library.ssp_lgmet))
        shares = time_shares(10 ** lg_age[kept]) / SPAN
        self.shares = table(np.where(young[kept], shares, 0.0), jnp.result_type(float))

    @property
    def metallicities(self) -> tuple[float, float]:
        """Least and largest metal mass fraction [1] that the table tells from its edge."""
        grid, lgmet = self.regions.grid.get_value().log_z + LOG10_Z_SUN, self.lgmet[...]
        return float(10 ** max(grid[0], lgmet[0])), float(10 ** min(grid[-1], lgmet[-1]))

    def __call__(self) -> LineTable:
        """All of `galdiff.nebular.lines.LINES`, in their order."""
        lg_age, lgmet = self.lg_age[...], self.lgmet[...]
        per_photon = self.regions.lines_per_photon(self.regions.log_z(lgmet), lg_age)
        dark = lg_age > OLDEST + 1e-4
        taken = jnp.where(dark, 0.0, (1 - self.regions.escape.bounded) * 10 ** (self.log10_rate[...] - LOG10_PHOTONS))
        lum = taken[..., None] * per_photon
        if self.steady:
            lum, lg_age = jnp.einsum("a,zal->zl", self.shares[...], lum)[:, None], lg_age[:1]
        return LineTable(lum=lum, lg_age=lg_age, lgmet=lgmet)


def time_shares(age: Float[np.ndarray, "age"]) -> Float[np.ndarray, "age"]:
    """Time [Gyr] that each age stands for in an integral over time of what is linear in log age between them.

    What is younger than the first counts as that age: int y dt = sum_a shares[a] y[a].

    Args:
      age: increasing, above zero [Gyr].
    """
    step = np.diff(age)
    upper = age[1:] - step / np.diff(np.log(age))
    shares = np.zeros(len(age))
    shares[0] = age[0]
    shares[1:] += upper
    shares[:-1] += step - upper
    return shares


def thermal_sigma(mass: Float[np.ndarray, "line"], temperature: float = 1e4) -> Float[np.ndarray, "line"]:
    """Thermal velocity dispersion along one axis [km/s], sqrt(k T / m).

    Args:
      mass: of the atoms [u]; temperature: of the gas [K].
    """
    return np.sqrt(units.BOLTZMANN_ERG_K * temperature / (np.asarray(mass) * units.ATOMIC_MASS_G)) / 1e5
