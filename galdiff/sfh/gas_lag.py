"""Star formation from what a halo accretes, with a lag: diffstar 0.3 (Alarcon et al. 2023, MNRAS 518, 562, section 3).

Gas that falls in at some time is used up during the following depletion time, by a triweight kernel that leans to the
past; the efficiency is a share of the gas, not a rate.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.rolling import triweight_cdf
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.diffstar import BARYONS, NAMES, DiffstarParams, log10_efficiency, log10_quenched
from galdiff.sfh.model import SfhLaw
from galdiff.units import YR_PER_GYR

TAU_MAX = 20.0  # Gyr
N_ACCRETED = 50  # times of accretion
T_FIRST = 1e-3  # Gyr, of the first accretion


def consumption(time: Float[Array, "..."], accreted: Float[Array, "..."], dt: Array, tau: Array) -> Float[Array, "..."]:
    """Share of gas used up per time [1/Gyr].

    Args:
      time: cosmic time [Gyr]; accreted: when the gas came [Gyr], at most `time`; of shapes that broadcast.
      dt: spacing of the times of accretion [Gyr]; tau: depletion time [Gyr].
    """
    shift = tau**2 / (2 * TAU_MAX)
    width = (tau - shift) / 3
    norm = jnp.maximum(triweight_cdf((tau - shift) / width) - triweight_cdf(-shift / width), 0.01)
    since = time - accreted - shift
    return (triweight_cdf((since + dt) / width) - triweight_cdf(since / width)) / (norm * dt)


class DiffstarGasLag(SfhLaw):
    """Main sequence with quenching of accreted gas that waits; parameters and bounds of diffstar 0.3."""

    needs_halo = True

    def __init__(
        self,
        *,
        lgmcrit: float = 12.0,
        lgy_at_mcrit: float = -1.0,
        indx_lo: float = 1.0,
        indx_hi: float = -1.0,
        tau_dep: float = 2.0,
        lg_qt: float = 1.0,
        qlglgdt: float = -0.50725,
        lg_drop: float = -1.01773,
        lg_rejuv: float = -0.212307,
        quenching: bool = True,
        baryon_fraction: float = BARYONS,
    ) -> None:
        """Parameters as in `DiffstarParams`, but lgy_at_mcrit [dex] a share of gas; tau_dep: depletion time [Gyr]."""
        if not 0.0 < baryon_fraction < 1.0:
            raise InputError(f"baryon_fraction is {baryon_fraction}; give a share above 0 and below 1, as 0.156")
        self.tau_dep = physical(tau_dep, lo=0.01, hi=20.0, unit="Gyr")
        self.lgmcrit = physical(lgmcrit, lo=9.0, hi=13.5, unit="dex(Msun)")
        self.lgy_at_mcrit = physical(lgy_at_mcrit, lo=-3.0, hi=0.0, unit="dex")
        self.indx_lo = physical(indx_lo, lo=0.0, hi=5.0, unit="1")
        self.indx_hi = physical(indx_hi, lo=-5.0, hi=0.0, unit="1")
        self.lg_qt = physical(lg_qt, lo=0.1, hi=2.0, unit="dex(Gyr)")
        self.qlglgdt = physical(qlglgdt, lo=-3.0, hi=-0.01, unit="dex")
        self.lg_drop = physical(lg_drop, lo=-3.0, hi=0.0, unit="dex")
        self.lg_rejuv = physical(lg_rejuv, lo=-3.0, hi=0.0, unit="dex")
        self.quenching = quenching
        self.baryon_fraction = baryon_fraction

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape."""
        assert halo is not None  # FormStars has looked
        p = DiffstarParams(**{name: getattr(self, name).bounded for name in NAMES})
        tau = self.tau_dep.bounded
        first = jnp.minimum(jnp.maximum(time - tau, T_FIRST), 0.999 * time)
        share = np.linspace(0.0, 1.0, N_ACCRETED).astype(time.dtype)
        accreted = first[..., None] + (time - first)[..., None] * share
        dt = (time - first)[..., None] / (N_ACCRETED - 1)
        used = consumption(time[..., None], accreted, dt, tau) * halo.accretion_rate(accreted) / YR_PER_GYR
        gas = self.baryon_fraction * (used * dt).sum(-1)
        log10_share = log10_efficiency(p, halo.log10_mass(time))
        return gas * 10 ** (log10_share + log10_quenched(p, time) if self.quenching else log10_share)
