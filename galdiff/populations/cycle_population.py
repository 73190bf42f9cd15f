"""Star formation of a population by the cycle of its baryons, solved in each halo, trained corrections included.

A satellite is a galaxy whose halo stopped growing when it fell in: no more gas comes in, and what it has turns into
stars and winds. Nothing is stripped from it, and its wind comes back to it as that of a central does.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.population import Population
from galdiff.core.buildable import buildable
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.history import HistorySettings, from_diffmah
from galdiff.halo.spin import sample_spin
from galdiff.populations.growth import Former, GrownMember, StarFormation
from galdiff.records import HaloHistory
from galdiff.sfh.fractions import AgeFractions
from galdiff.sfh.from_births import FEWEST, at_times
from galdiff.units import YR_PER_GYR

CONCENTRATION_SCATTER = 0.11  # dex (Dutton & Maccio 2014)
QUENCHED = -11.0  # log10 of the specific star formation rate [1/yr] below which a galaxy counts as quenched
LEAST_Z = 1e-6  # of gas that has hardly any metals yet


@buildable
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CyclePopulation:
    """Star formation by a baryon cycle.

    Attributes:
      cycle: the model; n_times: of its histories, even in ln t; n_steps: of its grid.
      tolerance: error of the masses [dex] above which a galaxy takes steps of its own.
    """

    cycle: BaryonCycle
    n_times: int
    n_steps: int
    tolerance: float

    def __post_init__(self) -> None:
        if self.n_times < FEWEST:
            raise InputError(f"n_times is {self.n_times}; stars are read from {FEWEST} or more times (64 is usual)")

    def former(self, ages: AgeFractions, cosmology: Cosmology, size: int) -> Former:
        """Solves the cycle in the haloes of members, at ages in a universe, `size` together.

        Who has no solution has NaN everywhere, and so no light.
        """
        outputs = Outputs(n_times=self.n_times, n_steps=self.n_steps)
        solver = Population(self.cycle, outputs, tolerance=self.tolerance, chunk=size)
        read = jax.jit(jax.vmap(lambda *given: formed_by(ages, *given)))

        def form(grown: GrownMember, keys: PRNGKeyArray, redshift: float) -> StarFormation:
            haloes = haloes_of(grown, keys, cosmology, redshift)
            histories, _ = solver.solve(haloes)
            z = np.maximum(histories.metallicity("ism"), LEAST_Z)
            return read(grown.time, histories.time, histories.sfr, histories.m_star, z)

        return form


def haloes_of(grown: GrownMember, keys: PRNGKeyArray, cosmology: Cosmology, redshift: float) -> HaloHistory:
    """Histories of the haloes of members up to a redshift [1], with concentrations and spins of their own.

    Args:
      grown: members with a leading axis; keys: two of random numbers for each; cosmology: the universe.
    """
    spin, normal = _drawn(keys)
    haloes = from_diffmah(
        grown.halo, cosmology=cosmology, observed_redshift=redshift, settings=HistorySettings(), spin=spin
    )
    return dataclasses.replace(haloes, c_nfw=haloes.c_nfw * 10 ** (CONCENTRATION_SCATTER * normal[:, None]))


@jax.jit
def _drawn(keys: PRNGKeyArray) -> tuple[Array, Array]:
    return jax.vmap(lambda k: (sample_spin(k[0], 1)[0], jax.random.normal(k[1])))(keys)


def formed_by(
    ages: AgeFractions,
    time: Float[Array, ""],
    known: Float[Array, "t"],
    sfr: Float[Array, "t"],
    mass: Float[Array, "t"],
    metallicity: Float[Array, "t"],
) -> StarFormation:
    """Star formation of one galaxy at ages before a time [Gyr], zero before its history begins.

    Args:
      ages: as shares of the cosmic time; time: when the galaxy is seen [Gyr].
      known: times of the history [Gyr], increasing; sfr: stars formed [Msun/Gyr]; mass: of stars [Msun].
      metallicity: of the gas that they form from [1].
    """
    born, ln_t = time - ages.ages(time), jnp.log(known)
    rate, lgmet = (at_times(x, ln_t, born) for x in (jnp.log(sfr), jnp.log10(metallicity)))
    rate = jnp.where(born < known[0], 0.0, jnp.exp(rate) / YR_PER_GYR)
    log10_ssfr = jnp.log10(rate[0]) - at_times(jnp.log(mass), ln_t, time) / jnp.log(10.0)
    dead = 1.0 * (log10_ssfr < QUENCHED)
    return StarFormation(sfr=rate, quenched_share=dead, quenched=dead, lgmet=lgmet)
