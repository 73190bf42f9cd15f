"""Where the rendered field lies on the sky, and stars made ready for it."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.ifu.deposit import Bins
from galdiff.ifu.plan import Plan
from galdiff.records import Placement, SkyStars

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


def spaxel_bins(plan: Plan) -> Bins:
    """Bins of the spaxels of the instrument, without the margin and the cells that its PSF needs.

    Stars are shared between velocity nodes by the cubic kernel, whose width `galdiff.kinematics` takes off.
    """
    instr = plan.instrument
    spaxel = instr.spaxel_x_arcsec, instr.spaxel_y_arcsec
    return dataclasses.replace(plan.bins, n_y=instr.n_y, n_x=instr.n_x, spaxel_arcsec=spaxel, v_kernel="cubic")
