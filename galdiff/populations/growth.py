"""What passes between the steps of a mock: the halo of a member, where it lives, and the stars that form in it."""

from collections.abc import Callable

from jaxtyping import Array, Float, PRNGKeyArray

from galdiff.core.record import quantity, record
from galdiff.halo.diffmah import DiffmahParams


@record
class GalaxyPlace:
    """What star formation of a population follows: the halo of a galaxy, and where it lives."""

    log10_m0: Float[Array, ""] = quantity("dex(Msun)", "log10 of the halo mass today")
    t_peak: Float[Array, ""] = quantity("Gyr", "time when the halo stopped growing")
    satellite: Float[Array, ""] = quantity("", "1 for a satellite, 0 for a central")
    log10_mu: Float[Array, ""] = quantity("dex", "log10 of the mass of a satellite over that of its host, at infall")
    log10_mhost: Float[Array, ""] = quantity("dex(Msun)", "log10 of the mass of the host at infall")
    since_infall: Float[Array, ""] = quantity("Gyr", "time since infall")


@record
class GrownMember:
    """A member of a catalogue and the history of its halo."""

    halo: DiffmahParams = quantity("", "growth of the halo")
    place: GalaxyPlace = quantity("", "what star formation follows")
    log10_mass: Float[Array, "point"] = quantity("dex(Msun)", "mass of the halo at the birth of stars of each age")
    time: Float[Array, ""] = quantity("Gyr", "cosmic time when it is seen")
    merged: Float[Array, ""] = quantity("", "1 for a satellite that has merged with its central")


@record
class StarFormation:
    """Stars that formed in a galaxy, at fixed shares of the cosmic time when it is seen."""

    sfr: Float[Array, "point"] = quantity("Msun/yr", "star formation rate")
    quenched_share: Float[Array, ""] = quantity("", "chance of the galaxy to be quenched")
    quenched: Float[Array, ""] = quantity("", "1 where it is")
    lgmet: Float[Array, "point"] | None = quantity("dex", "log10 Z at birth; None for a law of mass", default=None)


# Of members with a leading axis, two keys of random numbers each, and a redshift below all of theirs
Former = Callable[[GrownMember, PRNGKeyArray, float], StarFormation]
