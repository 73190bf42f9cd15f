"""Populations of halo histories: masses, diffmah histories, concentrations and spins with their scatter."""

import dataclasses
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from galdiff.core.buildable import buildable
from galdiff.core.compiled import quickly
from galdiff.core.fitted import fitted_on
from galdiff.core.signatures import Within, check_ranges
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.diffmah import DiffmahParams
from galdiff.halo.diffmah_population import FITTED, sample_params
from galdiff.halo.history import HistorySettings, from_diffmah
from galdiff.halo.spin import sample_spin
from galdiff.records import HaloHistory

MOST = 1_000_000_000  # haloes


def masses(log10_mvir: Float[ArrayLike, "..."], n: int | None) -> Float[Array, "halo"]:
    """log10 masses [dex Msun]: those given, one value n times, or n values uniform from a low to a high one.

    Raises:
      InputError: where n and log10_mvir do not go together.
    """
    given = np.atleast_1d(np.asarray(log10_mvir, jnp.result_type(float)))  # on the host, where it needs no program
    if n is None:
        return jnp.asarray(given)
    if not 1 <= n <= MOST or given.size > 2:
        raise InputError(
            f"population has n={n} and {given.size} values of log10_mvir [dex(Msun)]; give n from 1 to 1e9 with one"
            " mass or a range [low, high], or leave n out and give one mass per halo"
        )
    # Midpoints of equal strata: no clumps, and the same range for every n.
    middle = (np.arange(n) + 0.5).astype(given.dtype)
    return jnp.asarray(given[0] + (given[-1] - given[0]) * middle / given.dtype.type(n))


@fitted_on(*FITTED)
@buildable
def diffmah_population(
    *,
    log10_mvir: Float[ArrayLike, "..."],
    n: Annotated[int | None, Within(1, 1e9, "", True)] = None,
    seed: int = 0,
    observed_redshift: float = 0.0,
    cosmology: Cosmology,
    settings: HistorySettings = HistorySettings(),  # noqa: B008 - frozen
    concentration_scatter: Annotated[float, Within(0.0, 1.0, "dex")] = 0.11,
    spins: bool = True,
) -> HaloHistory:
    """Random histories of haloes of given mass today (Hearin et al. 2021), with a leading axis on every leaf.

    Args:
      log10_mvir: log10 of the virial mass at redshift 0 [Msun]: one per halo, or with n one value or [low, high].
      n: number of haloes, where log10_mvir is a value or a range.
      seed: of the random numbers; the same seed gives the same haloes.
      observed_redshift, cosmology, settings: as in `from_diffmah`.
      concentration_scatter: log-normal scatter of a halo's concentration [dex]; 0.11 in Dutton & Maccio (2014). It is
        the same at all times of one halo.
      spins: draw spins (Bullock et al. 2001).

    Returns:
      Smooth histories.
    """
    check_ranges(diffmah_population, {"concentration_scatter": concentration_scatter})
    mass = masses(log10_mvir, n)
    if not np.isfinite(np.asarray(mass)).all():
        raise InputError("population log10_mvir [dex(Msun)] holds values that are not finite; drop them")
    params, spin, factor = _draws(jax.random.key(seed), mass, concentration_scatter)
    histories = from_diffmah(
        params,
        cosmology=cosmology,
        observed_redshift=observed_redshift,
        settings=settings,
        spin=spin if spins else None,
    )
    return dataclasses.replace(histories, c_nfw=histories.c_nfw * factor)


@quickly
def _draws(key: PRNGKeyArray, mass: Array, scatter: Any) -> tuple[DiffmahParams, Array, Array]:
    """Parameters, spins and factors on the concentration of all haloes, in one program."""
    key_mah, key_c, key_spin = jax.random.split(key, 3)
    factor = 10 ** (scatter * jax.random.normal(key_c, (mass.size, 1)))
    return sample_params(key_mah, mass), sample_spin(key_spin, mass.size), factor
