"""Redshift, distance and pointing of an observation."""

import dataclasses
from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from galdiff import cosmology, units
from galdiff.core.signatures import Within, check_ranges
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.records import Placement

MAX_REDSHIFT = 20.0


def place(cosmo: Cosmology, redshift: ArrayLike, pointing: Array | tuple[float, ...] = (0.0, 0.0)) -> Placement:
    """Placement at the distance of a redshift [1], a scalar, seen towards a pointing [arcsec] of shape (2,)."""
    redshift = jnp.asarray(redshift)
    return Placement(
        redshift=redshift,
        luminosity_distance=cosmology.luminosity_distance(cosmo, redshift),
        kpc_per_arcsec=cosmology.kpc_per_arcsec(cosmo, redshift),
        pointing=jnp.asarray(pointing, redshift.dtype),
    )


class AtRedshift(Stage):
    """Put the galaxy at a redshift; distance and redshift may be set independently.

    Args:
      redshift: systemic redshift, in (0, 20).
      cosmology: distances follow from it where they are not given.
      luminosity_distance_mpc: overrides the cosmological one; the angular diameter distance follows as D_L/(1+z)^2.
      kpc_per_arcsec: overrides the scale only.
      pointing_arcsec: centre of the field (East, North) seen from the galaxy's centre.
    """

    def __init__(
        self,
        *,
        redshift: float,
        cosmology: Cosmology | None = None,
        # from the nearest dwarf to far beyond that redshift; a kpc per arcsec is seen at 206 Mpc
        luminosity_distance_mpc: Annotated[float | None, Within(1e-3, 1e6, "Mpc", True)] = None,
        kpc_per_arcsec: Annotated[float | None, Within(1e-6, 1e3, "kpc/arcsec", True)] = None,
        pointing_arcsec: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if not 0 < redshift < MAX_REDSHIFT:
            raise InputError(
                f"redshift is {redshift}; give one in (0, {MAX_REDSHIFT:g}), or a small one and"
                " luminosity_distance_mpc for a nearby galaxy"
            )
        check_ranges(AtRedshift, {"luminosity_distance_mpc": luminosity_distance_mpc, "kpc_per_arcsec": kpc_per_arcsec})
        self.redshift = physical(redshift, lo=0.0, hi=MAX_REDSHIFT, unit="1")
        cosmo = cosmology if cosmology is not None else Cosmology()
        self.cosmology = tuple(float(x) for x in dataclasses.astuple(cosmo))
        self.luminosity_distance_mpc = luminosity_distance_mpc
        self.kpc_per_arcsec = kpc_per_arcsec
        self.pointing_arcsec = tuple(float(p) for p in pointing_arcsec)

    def __call__(self) -> Placement:
        redshift = self.redshift.bounded
        names = (field.name for field in dataclasses.fields(Cosmology))
        placed = place(Cosmology(**dict(zip(names, self.cosmology, strict=True))), redshift, self.pointing_arcsec)
        distance, scale = placed.luminosity_distance, placed.kpc_per_arcsec
        if self.luminosity_distance_mpc is not None:
            distance = jnp.asarray(self.luminosity_distance_mpc, redshift.dtype)
            scale = distance / (1 + redshift) ** 2 * 1e3 / units.ARCSEC_PER_RADIAN
        if self.kpc_per_arcsec is not None:
            scale = jnp.asarray(self.kpc_per_arcsec, redshift.dtype)
        return Placement(
            redshift=redshift, luminosity_distance=distance, kpc_per_arcsec=scale, pointing=placed.pointing
        )
