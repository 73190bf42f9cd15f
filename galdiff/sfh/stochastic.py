"""Star formation that flickers about any law: a Gaussian process in the log10 of the rate, with a power spectrum.

Two spectra: a damped random walk, PSD = sigma^2 / (1 + (tau f)^2) (Caplar & Tacchella 2019, MNRAS 487, 3845, slope 2),
and the extended regulator: gas inflow, equilibrium and molecular clouds (Tacchella, Forbes & Caplar 2020, MNRAS 497,
698; Iyer et al. 2024, ApJ 961, 53). The latent numbers have a standard normal prior and say what the galaxy did.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.priors import Normal
from galdiff.core.variables import Physical, physical
from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.model import SfhLaw

N_LIMITS = (2, 512)
YOUNGEST = 1e-3  # Gyr, of the first latent time
JITTER = 1e-6  # of the variance, so that its root exists in single precision


def regulator_covariance(
    lag: Float[Array, "..."], sigma: Array, tau_in: Array, tau_eq: Array, sigma_gmc: Array, tau_gmc: Array
) -> Float[Array, "..."]:
    """Covariance of log10 of the rate [dex^2] at a lag in time [Gyr] of any shape (Iyer et al. 2024, eqs. 2-4).

    Args:
      lag: zero or positive [Gyr].
      sigma: scatter from inflow [dex]; tau_in, tau_eq: correlation time of the inflow, equilibrium time [Gyr].
      sigma_gmc: scatter from clouds [dex]; tau_gmc: their lifetime [Gyr].
    """
    same = jnp.abs(tau_in - tau_eq) < 1e-3 * tau_eq
    gap = jnp.where(same, 1.0, tau_in - tau_eq)
    apart = (tau_in * jnp.exp(-lag / tau_in) - tau_eq * jnp.exp(-lag / tau_eq)) / gap
    together = (1 + lag / tau_eq) * jnp.exp(-lag / tau_eq)  # the limit of equal times
    return sigma**2 * jnp.where(same, together, apart) + sigma_gmc**2 * jnp.exp(-lag / tau_gmc)


class Stochastic(SfhLaw):
    """Another law times 10 to a Gaussian process.

    Args of the constructor:
      law: the mean, in log10 of the rate.
      sigma, tau_in, tau_eq, sigma_gmc, tau_gmc: as in `regulator_covariance`; with tau_in far below tau_eq
        the inflow is a damped random walk of correlation time tau_eq.
      latent: standard normal numbers, young to old; drawn with `seed` if None.
      n_latent: how many, where they are not given; seed: None for zeros, which leave the mean as it is.
    """

    def __init__(
        self,
        *,
        law: SfhLaw,
        sigma: float = 0.3,
        tau_in: float = 0.15,
        tau_eq: float = 0.5,
        sigma_gmc: float = 0.1,
        tau_gmc: float = 0.01,
        latent: tuple[float, ...] | None = None,
        n_latent: int = 64,
        seed: int | None = None,
    ) -> None:
        if seed is not None and seed < 0:
            raise InputError(f"seed of the latent numbers is {seed}; give a whole number from 0, or null for zeros")
        drawn = np.zeros(n_latent) if seed is None else np.random.default_rng(seed).normal(size=n_latent)
        numbers = drawn if latent is None else np.asarray(latent, float)
        if numbers.ndim != 1 or not N_LIMITS[0] <= numbers.size <= N_LIMITS[1] or not np.isfinite(numbers).all():
            raise InputError(
                f"latent numbers have the shape {numbers.shape}; give {N_LIMITS[0]} to {N_LIMITS[1]} finite ones,"
                " or n_latent"
            )
        self.law = law
        self.sigma = physical(sigma, lo=0.0, hi=3.0, unit="dex")
        self.tau_in = physical(tau_in, lo=1e-4, hi=14.0, unit="Gyr")
        self.tau_eq = physical(tau_eq, lo=1e-4, hi=14.0, unit="Gyr")
        self.sigma_gmc = physical(sigma_gmc, lo=0.0, hi=3.0, unit="dex")
        self.tau_gmc = physical(tau_gmc, lo=1e-4, hi=1.0, unit="Gyr")
        dtype = self.sigma[...].dtype
        self.latent = Physical(jnp.asarray(numbers, dtype), lo=None, hi=None, unit="1", prior=Normal(0.0, 1.0))

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape."""
        ln_age = jnp.log(jnp.clip(epoch.time - time, YOUNGEST, epoch.time))
        nodes = jnp.linspace(np.log(YOUNGEST), jnp.log(epoch.time), self.latent.shape[0])
        offset = jnp.interp(ln_age, nodes, self.offsets(jnp.exp(nodes)))
        return self.law.sfr(time, epoch, halo) * 10**offset

    def offsets(self, age: Float[Array, "node"]) -> Float[Array, "node"]:
        """log10 of the rate over that of the law [dex] at the ages of the latent numbers [Gyr]."""
        lag = jnp.abs(age[:, None] - age)
        scatter = (x.bounded for x in (self.sigma, self.tau_in, self.tau_eq, self.sigma_gmc, self.tau_gmc))
        covariance = regulator_covariance(lag, *scatter)
        covariance += JITTER * covariance[0, 0] * jnp.eye(len(age))
        return jnp.linalg.cholesky(covariance) @ self.latent.bounded
