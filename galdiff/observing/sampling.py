"""How well stars sample the field: effective stars, quality of each spaxel, a warning where they are few."""

import warnings

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from galdiff.ifu.star_counts import effective_stars, star_light
from galdiff.observing.field import map_maker
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
    """Bits of each spaxel: 1 outside the aperture or without light, 2 no velocity fit (failed, or at its floor), 4
    fewer than 10 effective stars.
    """
    lit = np.asarray(inside) & (np.asarray(maps.flux) > 0)
    fit = np.isfinite(np.asarray(maps.v)) & np.isfinite(np.asarray(maps.sigma))
    few = lit & (effective < FEW)
    return (OUTSIDE * ~lit + NO_FIT * (lit & ~fit) + FEW_STARS * few).astype(np.uint8)


def counts_of(quality: UInt8[np.ndarray, "y x"], effective: Float[np.ndarray, "y x"]) -> dict[str, float]:
    """Numbers of lit spaxels, of those without a fit and with few stars, and the median of effective stars."""
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
