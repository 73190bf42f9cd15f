"""How well stars sample the field: effective stars, quality of each spaxel, a warning where they are few."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from galdiff.ifu.spread_functions import psf_fwhm
from galdiff.ifu.star_counts import effective_stars, star_light
from galdiff.kinematics.star_summary import size_of, star_summary
from galdiff.observing.field import map_maker, stars_in_field
from galdiff.observing.layout import Layout, Setup
from galdiff.records import KinematicMaps, Placement, SkyStars

FEW = 10.0  # effective stars below which a velocity distribution is shot noise
OUTSIDE, NO_FIT, FEW_STARS = 1, 2, 4  # bits of the quality


def count_in_spaxels(
    setup: Setup, layout: Layout, stars: SkyStars, placement: Placement
) -> tuple[Float[np.ndarray, "y x"], Float[np.ndarray, "star"]]:
    """Effective stars [1] of each spaxel of the whole field, and weight of each star in the maps [Msun or Lsun]."""
    bins, maker = map_maker(layout.whole, setup.ssp, **setup.maps)
    light = star_light(stars, bins, jnp.asarray(maker.weight[...]))
    return np.asarray(effective_stars(stars, light, placement, bins)), np.asarray(light)


def quality_of(
    maps: KinematicMaps, effective: Float[np.ndarray, "y x"], inside: Bool[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    """Bits of each spaxel [1], shape (y, x): 1 outside the aperture or without light, 2 no velocity fit (failed, or at
    its floor), 4 fewer than 10 effective stars.
    """
    lit = np.asarray(inside) & (np.asarray(maps.flux) > 0)
    fit = np.isfinite(np.asarray(maps.v)) & np.isfinite(np.asarray(maps.sigma))
    few = lit & (effective < FEW)
    return (OUTSIDE * ~lit + NO_FIT * (lit & ~fit) + FEW_STARS * few).astype(np.uint8)


def counts_of(quality: UInt8[np.ndarray, "y x"], effective: Float[np.ndarray, "y x"]) -> dict[str, float]:
    """Numbers [1] of lit spaxels, of those without a fit and with few stars, and the median of effective stars.

    `quality` and `effective` have the shape (y, x).
    """
    lit = (quality & OUTSIDE) == 0
    return {
        "spaxels_with_light": int(lit.sum()),
        "without_velocity_fit": int(((quality & NO_FIT) > 0).sum()),
        "below_10_effective_stars": int(((quality & FEW_STARS) > 0).sum()),
        "median_effective_stars": float(np.median(effective[lit])) if lit.any() else 0.0,
    }


def warn_few(counts: dict[str, float]) -> None:
    """Warn where most spaxels with light hold few stars."""
    few, lit = counts["below_10_effective_stars"], counts["spaxels_with_light"]
    if few > lit / 2:
        warnings.warn(
            f"{few} of {lit} spaxels with light hold fewer than {FEW:.0f} effective stars (median"
            f" {counts['median_effective_stars']:.1f}), so their kinematics are noise: smooth over more neighbours"
            " (smoothing.neighbours), take larger spaxels, or a galaxy with more particles",
            stacklevel=2,
        )


def measure_stars(
    layout: Layout, stars: SkyStars, placement: Placement, light: Float[np.ndarray, "star"], psf_scale: float
) -> dict[str, Any]:
    """Size, shape and rotation of the stars in the field, uncertainties, and whether the PSF resolves the galaxy.

    A galaxy is resolved where twice the half-light radius of all of its stars, also of those outside the field, is
    more than the PSF's smallest FWHM; a warning says where it is not.

    Args:
      layout: of the observation.
      stars: on the sky, concrete.
      placement: of the whole field.
      light: weight of each star [any unit].
      psf_scale: factor on the FWHM of the PSF.
    """
    instrument, scale = layout.whole.instrument, float(placement.kpc_per_arcsec)
    inside = stars_in_field(stars, placement, instrument)
    centre = np.asarray(placement.pointing) * scale
    x, y, v = (np.asarray(a, np.float64) for a in (stars.x, stars.y, stars.v_los))
    found = star_summary(x[inside] - centre[0], y[inside] - centre[1], v[inside], light[inside])
    whole = size_of(x, y, np.asarray(light, np.float64))[0] / scale
    sharp = instrument.psf.kind == "none"
    fwhm = 0.0 if sharp else float(np.min(psf_fwhm(instrument.psf, layout.whole.wave))) * psf_scale
    if not 2 * whole > fwhm:
        warnings.warn(
            f"the galaxy is unresolved: its half-light radius is {whole:.3g} arcsec and the PSF's FWHM {fwhm:.3g}, so"
            " r_half, ellipticity and rotation in the summary cannot be measured in the cube; take a lower redshift or"
            " a sharper instrument",
            stacklevel=2,
        )
    return {**found, "r_half_arcsec": found["r_half"] / scale, "resolved": bool(2 * whole > fwhm)}
