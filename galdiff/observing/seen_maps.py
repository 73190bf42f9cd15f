"""Maps as the spectrograph sees the galaxy: of the light that a spaxel records, after the PSF, and before any LSF.

A spaxel's spectrum is a sum over stars, weighted by their light and blurred by the PSF; so are its velocity
distribution and its mean age and metallicity. What a full-spectrum fit returns is to be compared with these.
"""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np

from galdiff.core.stage import Stage
from galdiff.ifu.bank import velocity_nodes
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.plan import Plan
from galdiff.ifu.spectrograph import blur
from galdiff.kinematics.gauss_hermite import fit_gauss_hermite
from galdiff.kinematics.maps import above_floor, node_tables
from galdiff.kinematics.moments import blank, moments
from galdiff.observing.star_sums import sums_plan
from galdiff.records import KinematicMaps, SpectralCube, SSPGrid

DARK = 16  # spaxels fainter than this many times the round-off of the brightest one hold nothing but that


def seen_stages(plan: Plan, ssp: SSPGrid, *, h_v_kms: float, gauss_hermite: bool, psf_scale: float) -> dict[str, Stage]:
    """Stages that make `seen_maps` from `observed_stars` at a `placement`.

    Args:
      plan: the observation; its margin and its attenuation count.
      ssp: its library.
      h_v_kms: spacing of the velocity nodes [km/s].
      gauss_hermite: whether V, sigma, h3 and h4 are those of a fit, or V and sigma moments.
      psf_scale: factor on the FWHM of the PSF.
    """
    v_nodes = velocity_nodes(plan.precision.v_max_kms, h_v_kms)
    bins = dataclasses.replace(plan.bins, v_nodes=v_nodes, v_kernel="cubic")  # that of the maps, whose fits know it
    band = slice(*np.searchsorted(plan.node_wave, plan.wave_vacuum[[0, -1]] / (1 + plan.redshift)))
    dimmed = plan.nodes[:, None, band] * bins.attenuation.modes[:, band]
    tables = node_tables(
        ssp.ssp_lg_age_gyr,
        ssp.ssp_lgmet,
        interpolation=plan.precision.interpolation,
        weight=np.trapezoid(dimmed, plan.node_wave[band], axis=-1),  # Lsun/Msun in the recorded band, behind dust
    )
    light = sums_plan(plan, bins, tables)
    maker = SeenMaps(plan=light, gauss_hermite=gauss_hermite, psf_scale=psf_scale)
    return {"seen_light": PerStar(plan=light), "seen_maps": maker}


class SeenMaps(Stage):
    """Maps of light that is blurred by the PSF.

    Args:
      plan: the observation, with the velocity nodes of the light.
      gauss_hermite: V, sigma, h3 and h4 of a fit, or V and sigma of moments.
      psf_scale: factor on the FWHM of the PSF.
    """

    def __init__(self, *, plan: Plan, gauss_hermite: bool = True, psf_scale: float = 1.0) -> None:
        self.plan = plan
        self.gauss_hermite = gauss_hermite
        self.psf_scale = psf_scale

    def __call__(self, seen_light: SpectralCube) -> KinematicMaps:
        coef, plan = seen_light.coef, self.plan
        v_nodes = jnp.asarray(plan.bins.v_nodes, coef.dtype)
        channels = jnp.concatenate([coef[..., 0], coef[..., 1:].sum(2)], -1)  # light at each velocity, its age, its Z
        parts = blur(plan, channels, jnp.asarray(self.psf_scale, coef.dtype))
        # each anchor of the PSF with the share of the band that it serves
        blurred = functools.reduce(jnp.add, (image * (jnp.sum(weight) / len(plan.wave)) for image, _, weight in parts))
        profile, sums = blurred[..., :-2], blurred[..., -2:]
        flux = profile.sum(-1)
        lit = flux > DARK * jnp.finfo(flux.dtype).eps * flux.max()
        profile = jnp.where(lit[..., None], profile, 0)
        if self.gauss_hermite:
            v, sigma, h3, h4 = above_floor(fit_gauss_hermite(profile, v_nodes), v_nodes)
        else:
            _, v, sigma = moments(profile, v_nodes)
            h3 = h4 = jnp.full_like(v, jnp.nan)
        age, metallicity = (blank(sums[..., k] / jnp.where(lit, flux, 1), lit) for k in (0, 1))
        return KinematicMaps(
            flux=jnp.where(lit, flux, 0), v=v, sigma=sigma, h3=h3, h4=h4, age=age, metallicity=metallicity
        )
