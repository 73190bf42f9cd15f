"""A correction of the spectra of an SSP library: what its stars or isochrones get wrong, learned from data."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.interpolation import linear_weights
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.records import SSPGrid

N_WAVE = 256


def hook(arguments: Mapping[str, Any]) -> Hook:
    """One factor for each of n_wave wavelengths, by the population."""
    return Hook(
        drivers=("log10 age/Gyr", "log10 Z"),
        offset=(0.0, -2.0),
        scale=(1.0, 0.5),
        n_out=int(arguments.get("n_wave") or N_WAVE),
        bound=0.5,
    )


class CorrectedSpectra(Stage):
    """A library whose spectra are multiplied by smooth factors of wavelength, age and metallicity.

    Factors stand at n_wave wavelengths, evenly spaced in their logarithm, and are linear in between; beyond the ends
    they stay as at the end.

    Args of the constructor:
      start, end: rest wavelengths between which spectra are corrected [Angstrom, vacuum].
      n_wave: how many factors; features narrower than their spacing cannot be corrected.
      lg_age, lgmet: ends of log10 age/Gyr and log10 Z that data speak of; populations beyond take the factors at the
        end. None for all.
      correction: of ones of shape (met, age, n_wave), of log10 age/Gyr and log10 Z.
    """

    hooks: ClassVar = {"correction": hook}

    def __init__(
        self,
        *,
        start: float = 3500.0,
        end: float = 9500.0,
        n_wave: int = N_WAVE,
        lg_age: Sequence[float] | None = None,
        lgmet: Sequence[float] | None = None,
        correction: Correction | None = None,
    ) -> None:
        if not 0 < start < end or n_wave < 2:
            raise InputError(
                f"start is {start} Angstrom, end {end}, n_wave {n_wave}; give 0 < start < end and n_wave of at least 2"
            )
        self.start, self.end, self.n_wave = float(start), float(end), int(n_wave)
        self.lg_age, self.lgmet = _ends(lg_age, "lg_age"), _ends(lgmet, "lgmet")
        self.correction = NoCorrection() if correction is None else correction

    def __call__(self, library: SSPGrid) -> SSPGrid:
        """The library with corrected `ssp_flux`; all else as it is."""
        flux = jnp.asarray(library.ssp_flux)
        factor = self.factor(library.ssp_lg_age_gyr, library.ssp_lgmet, library.ssp_wave)
        return dataclasses.replace(library, ssp_flux=flux * factor.astype(flux.dtype))

    def factor(
        self, lg_age: Float[ArrayLike, "age"], lgmet: Float[ArrayLike, "met"], wave: Float[ArrayLike, "wave"]
    ) -> Float[Array, "met age wave"]:
        """What spectra are multiplied with [1].

        Args:
          lg_age: log10(age/Gyr).
          lgmet: log10 of the metal mass fraction.
          wave: rest wavelengths [Angstrom, vacuum].
        """
        seen = [jnp.clip(jnp.asarray(x, float), *e) for x, e in ((lgmet, self.lgmet), (lg_age, self.lg_age))]
        mets, ages = jnp.meshgrid(*seen, indexing="ij")
        knots = self.correction(jnp.ones((*ages.shape, self.n_wave), ages.dtype), jnp.stack([ages, mets], -1))
        index, weight = linear_weights(jnp.log(jnp.asarray(wave, float)), self.ln_wave())
        return jnp.sum(knots[..., index] * weight.astype(knots.dtype), -1)

    def ln_wave(self) -> np.ndarray:
        """ln of the wavelengths (wave,) [Angstrom] of the factors."""
        return np.linspace(np.log(self.start), np.log(self.end), self.n_wave)


def _ends(ends: Sequence[float] | None, name: str) -> tuple[float, float]:
    found = (-np.inf, np.inf) if ends is None else tuple(float(x) for x in ends)
    if len(found) != 2 or not found[0] < found[1]:
        raise InputError(f"{name} is {ends}; give its lower and its upper end [dex], or null for all")
    return found
