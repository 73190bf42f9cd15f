"""Absorption-line indices and the 4000 Angstrom break.

Lick indices: Worthey et al. (1994, ApJS 94, 687), bands of Trager et al. (1998, ApJS 116, 1); H-delta_A: Worthey &
Ottaviani (1997, ApJS 111, 377). Breaks: Bruzual (1983, ApJ 273, 105) and, narrow, Balogh et al. (1999, ApJ 527, 54).
Bands are in air and converted here; spectra are in vacuum. No Lick resolution is imposed: smooth the spectrum first.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.air import air_to_vacuum

Band = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class LineIndex:
    """Feature band between two pseudo-continuum bands, limits in air [Angstrom]."""

    feature: Band
    blue: Band
    red: Band
    in_mag: bool = False  # molecular indices are in magnitudes, others are equivalent widths [Angstrom]


LINE_INDICES = {
    "Hdelta_A": LineIndex((4083.500, 4122.250), (4041.600, 4081.500), (4128.500, 4161.000)),
    "G4300": LineIndex((4281.375, 4316.375), (4266.375, 4282.625), (4317.625, 4335.125)),
    "Hbeta": LineIndex((4847.875, 4876.625), (4827.875, 4847.875), (4876.625, 4891.625)),
    "Mgb": LineIndex((5160.125, 5192.625), (5117.700, 5142.700), (5191.375, 5206.375)),
    "Fe5270": LineIndex((5245.650, 5285.650), (5233.150, 5248.150), (5285.650, 5318.150)),
    "Fe5335": LineIndex((5312.125, 5352.125), (5304.625, 5317.250), (5353.375, 5363.375)),
    "NaD": LineIndex((5876.875, 5909.375), (5860.625, 5875.675), (5922.125, 5948.125)),
    "TiO2": LineIndex((6189.625, 6272.125), (6066.625, 6141.625), (6372.625, 6415.125), in_mag=True),
}
BREAKS = {"Dn4000": ((3850.0, 3950.0), (4000.0, 4100.0)), "D4000": ((3750.0, 3950.0), (4050.0, 4250.0))}


def band_weights(wave: Float[Array, "wave"], band: Band) -> Float[Array, "wave"]:
    """Width of each pixel [Angstrom] that lies inside a band; wave in vacuum, band in air [Angstrom].

    Pixels reach halfway to their neighbours.
    """
    lo, hi = (float(air_to_vacuum(np.asarray(edge))) for edge in band)
    middle = (wave[1:] + wave[:-1]) / 2
    left = jnp.concatenate([2 * wave[:1] - middle[:1], middle])
    right = jnp.concatenate([middle, 2 * wave[-1:] - middle[-1:]])
    return jnp.maximum(jnp.minimum(right, hi) - jnp.maximum(left, lo), 0.0)


def line_index(wave: Float[Array, "wave"], flux: Float[Array, "... wave"], name: str) -> Float[Array, "..."]:
    """Index `name` of LINE_INDICES: equivalent width [Angstrom], or [mag] for TiO2; positive in absorption.

    Args:
      wave: vacuum wavelength [Angstrom], increasing, covering the bands.
      flux: flux per unit wavelength, any unit.
      name: one of LINE_INDICES.
    """
    index = LINE_INDICES[name]
    mean, centre = [], []
    for band in (index.blue, index.red):
        weight = band_weights(wave, band)
        mean.append((flux * weight).sum(-1) / weight.sum())
        centre.append((wave * weight).sum() / weight.sum())
    slope = (mean[1] - mean[0]) / (centre[1] - centre[0])
    continuum = mean[0][..., None] + slope[..., None] * (wave - centre[0])
    weight = band_weights(wave, index.feature)
    inside = weight > 0
    depth = 1 - flux / jnp.where(inside, continuum, 1.0)
    width = (jnp.where(inside, depth, 0.0) * weight).sum(-1)
    return -2.5 * jnp.log10(1 - width / weight.sum()) if index.in_mag else width


def break_index(wave: Float[Array, "wave"], flux: Float[Array, "... wave"], name: str) -> Float[Array, "..."]:
    """Break `name` of BREAKS [1]: mean flux per frequency redwards of 4000 Angstrom over that bluewards.

    Args:
      wave: vacuum wavelength [Angstrom], increasing, covering the bands.
      flux: flux per unit wavelength, any unit.
      name: Dn4000 or D4000.
    """
    mean = []
    for band in BREAKS[name]:
        weight = band_weights(wave, band)
        mean.append((flux * wave**2 * weight).sum(-1) / weight.sum())
    return mean[1] / mean[0]


def spectral_index(wave: Float[Array, "wave"], flux: Float[Array, "... wave"], name: str) -> Float[Array, "..."]:
    """Any index of LINE_INDICES or BREAKS by name, in its unit [Angstrom, mag or 1]."""
    return (break_index if name in BREAKS else line_index)(wave, flux, name)
