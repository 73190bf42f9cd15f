"""Where the rendered field lies on the sky, and stars made ready for it."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.ifu.deposit import Bins
from galdiff.records import MassDistribution, Placement, SkyStars

Pair = tuple[Array, Array]


def field_corner(bins: Bins, placement: Placement) -> tuple[Pair, Pair]:
    """Lower-left corner (x, y) of the rendered field, margin included, and spaxel size (x, y) [kpc]."""
    (sx, sy), scale, centre = bins.spaxel_arcsec, placement.kpc_per_arcsec, placement.pointing
    corner = ((centre[0] - bins.n_x / 2 * sx) * scale, (centre[1] - bins.n_y / 2 * sy) * scale)
    return corner, (sx * scale, sy * scale)


def with_a_v(stars: SkyStars, bins: Bins) -> SkyStars:
    """Stars with an attenuation, where the bins need one: zero if none is given."""
    if bins.attenuation.a_v_max == 0.0 or stars.a_v is not None:
        return stars
    return dataclasses.replace(stars, a_v=jnp.zeros_like(stars.mass))


def without_margin(mass_distribution: MassDistribution, margin: tuple[int, int]) -> MassDistribution:
    """The mass distribution inside the field of the instrument alone; margin (y, x) in spaxels."""
    my, mx = margin
    inner = mass_distribution.mass[my : mass_distribution.mass.shape[0] - my, mx : mass_distribution.mass.shape[1] - mx]
    return dataclasses.replace(mass_distribution, mass=inner)
