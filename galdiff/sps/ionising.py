"""Ionising photons of stellar populations: integrals of L_nu / (h nu) below the edges of hydrogen and helium."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.records import SSPGrid
from galdiff.units import HC_ERG_ANGSTROM, LSUN_ERG_S

IONS = ("H I", "He I", "He II")
EDGES = (911.75, 504.26, 227.84)  # vacuum Angstrom: 13.598, 24.587 and 54.418 eV (NIST Atomic Spectra Database)
FLOOR = 25.0  # log10 photons/s per Msun formed where there are none: 1e-21 of a young population's
LOG10_UNIT = float(np.log10(LSUN_ERG_S / HC_ERG_ANGSTROM))  # photons/s in one Lsun, per Angstrom


def log10_photon_rates(library: SSPGrid) -> Float[Array, "ion met age"]:
    """Ionising photons that each population of a library emits, log10 [dex(photon/s/Msun)], per Msun formed.

    Exact for a spectrum that is linear in L_lambda between its wavelengths, hence differentiable in it; light beyond
    the library's first wavelength is not counted, samples below zero are no light. Safe in single precision.

    Args:
      library: any library that reaches below the edge of He II.

    Returns:
      Rates of photons that ionise H I, He I and He II, in the order of `IONS`: shorter than 911.75, 504.26 and 227.84
      Angstrom, so each holds the next. `FLOOR` is added to each, so that none is minus infinity.

    Raises:
      InputError: the library begins above 227.84 Angstrom.
    """
    check_reach(library)
    wave, flux = jnp.asarray(library.ssp_wave), jnp.maximum(jnp.asarray(library.ssp_flux), 0.0)
    photons = jnp.stack([flux @ photon_weights(wave, edge).astype(flux.dtype) for edge in EDGES])
    return jnp.log10(photons + 10.0 ** (FLOOR - LOG10_UNIT)) + LOG10_UNIT


def check_reach(library: SSPGrid) -> None:
    """Whether a library holds all ionising light.

    Raises:
      InputError: it begins above the edge of He II.
    """
    wave = library.ssp_wave
    if not isinstance(wave, jax.core.Tracer) and (first := float(np.asarray(wave)[0])) > EDGES[-1]:
        raise InputError(
            f"the SSP library '{library.name}' begins at {first:.1f} Angstrom; ionising photons need one that"
            f" begins below {EDGES[-1]} (rest frame, vacuum): choose another library (ssp=analytic), or do not cut it"
        )


def photon_weights(wave: Float[Array, "wave"], edge: float) -> Float[Array, "wave"]:
    """Weights [Angstrom^2] w with w @ L_lambda = integral of lambda L_lambda below an edge, L linear between samples.

    Args:
      wave: vacuum wavelength [Angstrom], increasing.
      edge: upper limit [Angstrom].
    """
    lo, hi = wave[:-1], wave[1:]
    end = jnp.clip(edge, lo, hi)
    width, share = end - lo, (end - lo) / (hi - lo)
    at_end = width * (lo + 2 * end) / 6  # weight of L at the end of what is used of the cell, and at its beginning
    at_start = width * (2 * lo + end) / 6
    none = jnp.zeros(1, wave.dtype)
    from_start = jnp.concatenate([at_start + at_end * (1 - share), none])
    return from_start + jnp.concatenate([none, at_end * share])
