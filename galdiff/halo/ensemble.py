"""Populations of halo histories: masses, diffmah histories, concentrations and spins with their scatter."""

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.signatures import Within, check_ranges
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.diffmah_population import sample_params
from galdiff.halo.history import HistorySettings, from_diffmah
from galdiff.halo.spin import sample_spin
from galdiff.records import HaloHistory

MOST = 1_000_000_000  # haloes


def masses(log10_mvir: Float[ArrayLike, "..."], n: int | None) -> Float[Array, "halo"]:
    """log10 masses [dex Msun]: those given, one value n times, or n values uniform from a low to a high one.

    Raises:
      InputError: where n and log10_mvir do not go together.
    """
    given = jnp.atleast_1d(jnp.asarray(log10_mvir, float))
    if n is None:
        return given
    if not 1 <= n <= MOST or given.size > 2:
        raise InputError(
            f"population has n={n} and {given.size} values of log10_mvir [dex(Msun)]; give n from 1 to 1e9 with one"
            " mass or a range [low, high], or leave n out and give one mass per halo"
        )
    # Midpoints of equal strata: no clumps, and the same range for every n.
    return given[0] + (given[-1] - given[0]) * (jnp.arange(n) + 0.5) / n


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
    key_mah, key_c, key_spin = jax.random.split(jax.random.key(seed), 3)
    histories = from_diffmah(
        sample_params(key_mah, mass),
        cosmology=cosmology,
        observed_redshift=observed_redshift,
        settings=settings,
        spin=sample_spin(key_spin, mass.size) if spins else None,
    )
    factor = 10 ** (concentration_scatter * jax.random.normal(key_c, (mass.size, 1)))
    return dataclasses.replace(histories, c_nfw=histories.c_nfw * factor)
