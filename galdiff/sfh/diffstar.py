"""Star formation from the growth of a halo: diffstar 1.x (Alarcon et al. 2023, MNRAS 518, 562, in its later units).

Gas is what the halo holds, f_b M_halo(t); the efficiency with which it forms stars is a power of the halo mass whose
slope rolls at a critical mass; quenching lowers the rate in a stretch of log time, after which it may recover.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.powers import exp10, log10
from galdiff.core.record import quantity, record
from galdiff.core.rolling import rolling_line, triweight_cdf
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.model import SfhLaw

ROLL = 9.0  # k of the efficiency: its slope changes within some 0.2 dex of the critical mass
SIGMAS = 12.0  # of the triweight kernel in a drop and its recovery
BARYONS = 0.156  # share of the baryons in the halo mass


@record
class DiffstarParams:
    """Parameters of one galaxy, or of many with a leading axis; the defaults are those of diffstar 1.0."""

    lgmcrit: Float[Array, ""] | float = quantity("dex(Msun)", "halo mass where the slope rolls", default=12.0)
    lgy_at_mcrit: Float[Array, ""] | float = quantity("dex(1/yr)", "stars per gas and time there", default=-10.0)
    indx_lo: Float[Array, ""] | float = quantity("", "slope of the efficiency at small halo masses", default=1.0)
    indx_hi: Float[Array, ""] | float = quantity("", "slope of the efficiency at large halo masses", default=-1.0)
    lg_qt: Float[Array, ""] | float = quantity("dex(Gyr)", "log10 of the time of the lowest rate", default=1.0)
    qlglgdt: Float[Array, ""] | float = quantity("dex", "log10 of the width of quenching in log10 t", default=-0.50725)
    lg_drop: Float[Array, ""] | float = quantity("dex", "lowest rate over that without quenching", default=-1.01773)
    lg_rejuv: Float[Array, ""] | float = quantity("dex", "rate after recovery, likewise", default=-0.212307)


NAMES = tuple(field.name for field in dataclasses.fields(DiffstarParams))


def log10_efficiency(p: DiffstarParams, log10_mass: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of the stars formed per gas mass and time [dex(1/yr)] in haloes of log10_mass [dex(Msun)], any shape."""
    return rolling_line(log10_mass, (p.lgmcrit, p.lgy_at_mcrit), p.lgmcrit, ROLL, (p.indx_lo, p.indx_hi))


def log10_quenched(p: DiffstarParams, time: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of the rate over that without quenching [dex] at cosmic times [Gyr], any shape."""
    y = (log10(time) - p.lg_qt) * (SIGMAS * exp10(-jnp.asarray(p.qlglgdt)))
    return p.lg_drop * triweight_cdf(y + 3) - (p.lg_drop - p.lg_rejuv) * triweight_cdf(y - 3)


def diffstar_sfr(
    p: DiffstarParams,
    time: Float[ArrayLike, "..."],
    log10_mass: Float[ArrayLike, "..."],
    *,
    quenching: bool = True,
    baryon_fraction: Float[ArrayLike, ""] = BARYONS,
) -> Float[Array, "..."]:
    """Star formation rate [Msun/yr].

    Args:
      p: parameters of the galaxy.
      time: cosmic time [Gyr]; log10_mass: of the halo then [dex(Msun)], of the same shape.
      quenching: False for the main sequence.
      baryon_fraction: gas over halo mass [1].
    """
    log10_sfr = log10_mass + log10_efficiency(p, log10_mass)
    return jnp.asarray(baryon_fraction) * exp10(log10_sfr + log10_quenched(p, time) if quenching else log10_sfr)


class Diffstar(SfhLaw):
    """Main sequence with quenching, driven by any halo."""

    needs_halo = True

    def __init__(
        self,
        *,
        lgmcrit: float = 12.0,
        lgy_at_mcrit: float = -10.0,
        indx_lo: float = 1.0,
        indx_hi: float = -1.0,
        lg_qt: float = 1.0,
        qlglgdt: float = -0.50725,
        lg_drop: float = -1.01773,
        lg_rejuv: float = -0.212307,
        quenching: bool = True,
        baryon_fraction: float = BARYONS,
    ) -> None:
        """Parameters as in `DiffstarParams`, within the bounds of diffstar; the others as in `diffstar_sfr`."""
        if not 0.0 < baryon_fraction < 1.0:
            raise InputError(f"baryon_fraction is {baryon_fraction}; give a share above 0 and below 1, as 0.156")
        self.lgmcrit = physical(lgmcrit, lo=9.0, hi=13.5, unit="dex(Msun)")
        self.lgy_at_mcrit = physical(lgy_at_mcrit, lo=-12.0, hi=-8.0, unit="dex(1/yr)")
        self.indx_lo = physical(indx_lo, lo=0.0, hi=5.0, unit="1")
        self.indx_hi = physical(indx_hi, lo=-5.0, hi=0.0, unit="1")
        self.lg_qt = physical(lg_qt, lo=0.1, hi=2.0, unit="dex(Gyr)")
        self.qlglgdt = physical(qlglgdt, lo=-3.0, hi=-0.01, unit="dex")
        self.lg_drop = physical(lg_drop, lo=-3.0, hi=0.0, unit="dex")
        self.lg_rejuv = physical(lg_rejuv, lo=-3.0, hi=0.0, unit="dex")
        self.quenching = quenching
        self.baryon_fraction = baryon_fraction

    def parameters(self) -> DiffstarParams:
        """Values of the parameters, in their units."""
        return DiffstarParams(**{name: getattr(self, name).bounded for name in NAMES})

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape."""
        assert halo is not None  # FormStars has looked
        return diffstar_sfr(
            self.parameters(),
            time,
            halo.log10_mass(time),
            quenching=self.quenching,
            baryon_fraction=self.baryon_fraction,
        )
