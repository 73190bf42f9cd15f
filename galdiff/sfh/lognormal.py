"""Star formation lognormal in cosmic time (Gladders et al. 2013, ApJ 770, 64; Diemer et al. 2017, ApJ 839, 26)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.variables import physical
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.model import LOG10_MASS, SfhLaw
from galdiff.units import YR_PER_GYR


class Lognormal(SfhLaw):
    """exp(-(ln t - t0)^2 / 2 tau^2) / t, normalised to the mass formed up to the epoch; given by peak and width."""

    def __init__(self, *, log10_mformed: float = 10.5, t_peak: float = 4.0, fwhm: float = 5.0) -> None:
        """log10_mformed: all that ever formed [dex(Msun)]; t_peak: time of the peak, fwhm: full width there [Gyr]."""
        self.log10_mformed = physical(log10_mformed, lo=LOG10_MASS[0], hi=LOG10_MASS[1], unit="dex(Msun)")
        self.t_peak = physical(t_peak, lo=0.05, hi=50.0, unit="Gyr")
        self.fwhm = physical(fwhm, lo=0.05, hi=100.0, unit="Gyr")

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape."""
        # Diemer et al., eq. 3: fwhm = 2 t_peak sinh(sqrt(2 ln 2) tau); the peak is at exp(t0 - tau^2).
        tau = jnp.arcsinh(self.fwhm.bounded / (2 * self.t_peak.bounded)) / jnp.sqrt(2 * jnp.log(2.0))
        centre = jnp.log(self.t_peak.bounded) + tau**2
        u, u_end = ((jnp.log(t) - centre) / tau for t in (time, epoch.time))
        # logarithms, as a galaxy that has hardly begun at the epoch has a tiny share of its final mass
        ln_rate = jax.scipy.stats.norm.logpdf(u) - jnp.log(tau * time) - jax.scipy.stats.norm.logcdf(u_end)
        return 10 ** (self.log10_mformed.bounded - jnp.log10(YR_PER_GYR)) * jnp.exp(ln_rate)
