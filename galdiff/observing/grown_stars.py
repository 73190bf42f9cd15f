"""Star formation and metals of a galaxy whose baryons grow in a halo."""

from galdiff.baryons.cycle import BaryonCycle
from galdiff.core.buildable import buildable
from galdiff.observing.grow import history_of
from galdiff.observing.outside_fits import baryon_fits, warn_outside
from galdiff.records import HaloHistory
from galdiff.sfh.from_births import BirthMetallicity, BirthRates


@buildable
def grown_rates(*, halo: HaloHistory, baryons: BaryonCycle) -> BirthRates:
    """The star formation of the baryons of one halo, a trained cycle's too.

    Raises:
      InputError: several haloes, or a cycle without a solution in this one.
    """
    history = history_of(halo, baryons)
    warn_outside(history, baryon_fits(baryons))
    return BirthRates(history=history)


@buildable
def grown_metals(*, halo: HaloHistory, baryons: BaryonCycle, scatter: float) -> BirthMetallicity:
    """The metals at birth in the same; scatter: standard deviation of log10 Z of stars of one age [dex].

    Raises:
      InputError: several haloes, or a cycle without a solution in this one.
    """
    return BirthMetallicity(history=history_of(halo, baryons), scatter=scatter)
