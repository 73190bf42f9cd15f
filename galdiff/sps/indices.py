"""Absorption-line indices and the 4000 Angstrom break.

Lick indices: Worthey et al. (1994, ApJS 94, 687), bands of Trager et al. (1998, ApJS 116, 1); H-delta and H-gamma:
Worthey & Ottaviani (1997, ApJS 111, 377). Breaks: Bruzual (1983, ApJ 273, 105) and, narrow, Balogh et al. (1999, ApJ
527, 54). Ultraviolet slope: windows of Calzetti et al. (1994, ApJ 429, 582), in vacuum. All other bands are in air and
converted here; spectra are in vacuum. No Lick resolution is imposed: `at_lick_resolution` smooths the spectrum first.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

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
    "CN1": LineIndex((4142.125, 4177.125), (4080.125, 4117.625), (4244.125, 4284.125), in_mag=True),
    "CN2": LineIndex((4142.125, 4177.125), (4083.875, 4096.375), (4244.125, 4284.125), in_mag=True),
    "Ca4227": LineIndex((4222.250, 4234.750), (4211.000, 4219.750), (4241.000, 4251.000)),
    "Hdelta_A": LineIndex((4083.500, 4122.250), (4041.600, 4081.500), (4128.500, 4161.000)),
    "G4300": LineIndex((4281.375, 4316.375), (4266.375, 4282.625), (4317.625, 4335.125)),
    "Hdelta_F": LineIndex((4091.000, 4112.250), (4057.250, 4088.500), (4114.750, 4137.250)),
    "Hgamma_A": LineIndex((4319.750, 4363.500), (4283.500, 4319.750), (4367.250, 4419.750)),
    "Hgamma_F": LineIndex((4331.250, 4352.250), (4283.500, 4319.750), (4354.750, 4384.750)),
    "Fe4383": LineIndex((4369.125, 4420.375), (4359.125, 4370.375), (4442.875, 4455.375)),
    "Ca4455": LineIndex((4452.125, 4474.625), (4445.875, 4454.625), (4477.125, 4492.125)),
    "Fe4531": LineIndex((4514.250, 4559.250), (4504.250, 4514.250), (4560.500, 4579.250)),
    "C4668": LineIndex((4634.000, 4720.250), (4611.500, 4630.250), (4742.750, 4756.500)),
    "Hbeta": LineIndex((4847.875, 4876.625), (4827.875, 4847.875), (4876.625, 4891.625)),
    "Fe5015": LineIndex((4977.750, 5054.000), (4946.500, 4977.750), (5054.000, 5065.250)),
    "Mg1": LineIndex((5069.125, 5134.125), (4895.125, 4957.625), (5301.125, 5366.125), in_mag=True),
    "Mg2": LineIndex((5154.125, 5196.625), (4895.125, 4957.625), (5301.125, 5366.125), in_mag=True),
    "Mgb": LineIndex((5160.125, 5192.625), (5117.700, 5142.700), (5191.375, 5206.375)),
    "Fe5270": LineIndex((5245.650, 5285.650), (5233.150, 5248.150), (5285.650, 5318.150)),
    "Fe5335": LineIndex((5312.125, 5352.125), (5304.625, 5317.250), (5353.375, 5363.375)),
    "Fe5406": LineIndex((5387.500, 5415.000), (5376.250, 5387.500), (5415.000, 5425.000)),
    "Fe5709": LineIndex((5696.625, 5720.375), (5672.875, 5696.625), (5722.875, 5736.625)),
    "Fe5782": LineIndex((5776.625, 5796.625), (5765.375, 5775.375), (5797.875, 5811.625)),
    "NaD": LineIndex((5876.875, 5909.375), (5860.625, 5875.675), (5922.125, 5948.125)),
    "TiO1": LineIndex((5936.625, 5994.125), (5816.625, 5849.125), (6038.625, 6103.625), in_mag=True),
    "TiO2": LineIndex((6189.625, 6272.125), (6066.625, 6141.625), (6372.625, 6415.125), in_mag=True),
}
LICK_FWHM = ((4000.0, 4400.0, 4900.0, 5400.0, 6000.0), (11.5, 9.2, 8.4, 8.4, 9.8))  # Worthey & Ottaviani, table 8
UV_WINDOWS = (  # [Angstrom], free of strong lines of stars and gas (Calzetti et al. 1994, table 2)
    *((1268.0, 1284.0), (1309.0, 1316.0), (1342.0, 1371.0), (1407.0, 1515.0), (1562.0, 1583.0)),
    *((1677.0, 1740.0), (1760.0, 1833.0), (1866.0, 1890.0), (1930.0, 1950.0), (2400.0, 2580.0)),
)
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
    """Index `name` of LINE_INDICES: equivalent width [Angstrom], or [mag] if molecular; positive in absorption.

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


def _steps(wave: Array) -> Array:
    """Distance between the neighbours of each point, halved."""
    middle = (wave[1:] + wave[:-1]) / 2
    return jnp.diff(jnp.concatenate([wave[:1], middle, wave[-1:]]))


def at_lick_resolution(
    wave: Float[Array, "wave"], flux: Float[Array, "... wave"], fwhm: Float[ArrayLike, "*wave"]
) -> Float[Array, "... wave"]:
    """A spectrum smoothed to the resolution of the Lick/IDS system, as a matrix product.

    Args:
      wave: vacuum wavelength [Angstrom], increasing, at most some thousands: the matrix is square. Its ends, of some 30
        Angstrom, lack what lies beyond.
      flux: flux per unit wavelength, any unit; fwhm: its resolution [Angstrom], of shape () or (wave,).

    Returns:
      Flux of the same unit. Where the spectrum is broader than Lick already it stays as it is.
    """
    wave = jnp.asarray(wave)
    wanted = jnp.interp(wave, *map(np.asarray, LICK_FWHM))
    sigma = jnp.sqrt(jnp.maximum(wanted**2 - jnp.asarray(fwhm) ** 2, 0.0)) / 2.3548
    step = _steps(wave)
    narrow = sigma < 0.3 * step  # less than a pixel
    distance = (wave - wave[:, None]) / jnp.where(narrow, 1.0, sigma)[:, None]
    kernel = jnp.exp(-0.5 * distance**2) * step
    kernel = kernel / kernel.sum(1, keepdims=True)
    return jnp.where(narrow, flux, flux @ kernel.T)


def uv_slope(wave: Float[Array, "wave"], flux: Float[Array, "... wave"]) -> Float[Array, "..."]:
    """Ultraviolet slope beta [1] of flux ~ wave^beta: a straight line through the logarithms in ten windows.

    Args:
      wave: vacuum wavelength [Angstrom], increasing, covering 1268 to 2580.
      flux: flux per unit wavelength, any unit, positive.
    """
    weights = [jnp.where((wave >= lo) & (wave <= hi), _steps(wave), 0.0) for lo, hi in UV_WINDOWS]
    w = jnp.stack([weight / jnp.maximum(weight.sum(), 1e-30) for weight in weights])
    lit = w.sum(1) > 0  # a coarse spectrum may have no point in a window
    y = jnp.log10(jnp.where(lit, flux @ w.T, 1.0))
    x = jnp.log10(jnp.where(lit, w @ wave, 1.0))
    x = jnp.where(lit, x - (x * lit).sum() / lit.sum(), 0.0)
    return (y * x).sum(-1) / (x * x).sum()
