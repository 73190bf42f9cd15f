"""Where the rendered field lies on the sky, and stars made ready for it."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.ifu.plan import Plan
from galdiff.records import LightDistribution, Placement, SkyStars


def field_corner(plan: Plan, placement: Placement) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Lower-left corner (x, y) of the rendered field, margin included, and spaxel size (x, y) [kpc]."""
    instr, scale = plan.instrument, placement.kpc_per_arcsec
    corner = (
        (placement.pointing[0] - plan.bins.n_x / 2 * instr.spaxel_x_arcsec) * scale,
        (placement.pointing[1] - plan.bins.n_y / 2 * instr.spaxel_y_arcsec) * scale,
    )
    return corner, (instr.spaxel_x_arcsec * scale, instr.spaxel_y_arcsec * scale)


def with_a_v(stars: SkyStars, plan: Plan) -> SkyStars:
    """Stars with an attenuation, where the plan needs one: zero if none is given."""
    if plan.precision.a_v_max == 0.0 or stars.a_v is not None:
        return stars
    return dataclasses.replace(stars, a_v=jnp.zeros_like(stars.mass))


def without_margin(plan: Plan, light: LightDistribution) -> LightDistribution:
    """The light distribution inside the field of the instrument alone."""
    my, mx = plan.margin
    inner = light.mass[my : light.mass.shape[0] - my, mx : light.mass.shape[1] - mx]
    return dataclasses.replace(light, mass=inner)
