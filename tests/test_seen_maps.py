"""Maps through the PSF: light-weighted means of what the PSF mixes, and the bare maps where there is none."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from test_recorded_lsf import library  # noqa: F401

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.ifu.basis import MAG
from galdiff.ifu.blur import psf_kernel
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.stages import Deposit
from galdiff.observing.field import map_maker
from galdiff.observing.seen_maps import seen_stages
from galdiff.records import Placement, SkyStars

MAPS = {"h_v_kms": 20.0, "gauss_hermite": False}
FWHM = 1.5  # arcsec, and spaxels of 1 arcsec


def plan_of(ssp, psf, **precision):
    instrument = make_instrument(
        name="small",
        n_x=5,
        n_y=4,
        spaxel_x_arcsec=1.0,
        wave=dict(grid="linear", start_angstrom=5442.0, end_angstrom=5560.0, step_angstrom=1.5, medium="vacuum"),
        lsf=dict(kind="constant", fwhm_angstrom=4.0),
        psf=psf,
    )
    settings = {"rank": 1, "v_max_kms": 300.0, "h_v_kms": 60.0, "kernel": "nearest", **precision}
    return make_plan(ssp, instrument, 0.1, Precision(**settings), lambda wave: (5000.0 / wave) ** 0.7)


def two_stars(**changes) -> SkyStars:
    """One in spaxel (1, 1), one in (2, 3), of different age, metallicity, mass and velocity."""
    found = dict(x=[-1.0, 1.0], y=[-0.5, 0.5], z=[0.0, 0.0], v_los=[-120.0, 80.0], mass=[1.0, 3.0])
    found |= dict(age=[1.0, 10.0], metallicity=[10**-2.0, 10**-1.7]) | changes  # at nodes of the library
    return SkyStars(**{name: jnp.asarray(value) for name, value in found.items()})


PLACE = {"redshift": 0.1, "luminosity_distance": 1.0, "kpc_per_arcsec": 1.0, "pointing": np.zeros(2)}
PLACE = Placement(**{name: jnp.asarray(value) for name, value in PLACE.items()})


def seen(plan, ssp, stars, **changed):
    """Bare maps and maps through the PSF."""
    how = {**MAPS, **changed}
    bins, maker = map_maker(plan, ssp, weight="light", **how)
    stages = {"mass_distribution": Deposit(bins=bins), "maps": maker, **seen_stages(plan, ssp, **how, psf_scale=1.0)}
    run, state = compiled(
        Pipeline(stages=stages, inputs={"observed_stars": SkyStars, "placement": Placement}), ["maps", "seen_maps"]
    )
    return run(state, observed_stars=stars, placement=PLACE)


def test_the_psf_mixes_stars_by_their_light(library):  # noqa: F811
    plan = plan_of(library, dict(kind="gaussian", fwhm_arcsec=FWHM), kernel="cubic")
    maps = seen(plan, library, two_stars())["seen_maps"]
    share = np.asarray(psf_kernel(plan.instrument, FWHM, (4, 4)))
    one, other = share[4 - 1 : 8 - 1, 4 - 1 : 9 - 1], share[4 - 2 : 8 - 2, 4 - 3 : 9 - 3]
    light = one + 3 * other
    np.testing.assert_allclose(maps.flux / maps.flux.sum(), light / light.sum(), atol=2e-3)  # as good as the PSF
    np.testing.assert_allclose(maps.v, (-120 * one + 3 * 80 * other) / light, atol=2.0)
    np.testing.assert_allclose(maps.age, (one + 10 * 3 * other) / light, rtol=0.03)
    np.testing.assert_allclose(maps.metallicity, (10**-2.0 * one + 10**-1.7 * 3 * other) / light, rtol=0.01)
    spread = np.sqrt((120**2 * one + 3 * 80**2 * other) / light - np.asarray(maps.v) ** 2)
    np.testing.assert_allclose(maps.sigma[1:3, 2], spread[1:3, 2], rtol=0.02)


def test_without_a_psf_the_maps_are_the_bare_ones(library):  # noqa: F811
    plan = plan_of(library, dict(kind="none"), kernel="cubic", interpolation="cubic")
    made = seen(plan, library, two_stars())
    for field in dataclasses.fields(made["maps"]):
        bare, through = (np.asarray(getattr(made[kind], field.name)) for kind in ("maps", "seen_maps"))
        np.testing.assert_allclose(through, bare, rtol=1e-6, atol=1e-5, err_msg=field.name)


def test_dust_weighs_stars_by_the_light_that_it_lets_through(library):  # noqa: F811
    plan = plan_of(library, dict(kind="none"), a_v_max=2.0)
    stars = two_stars(x=[0.0, 0.0], y=[0.5, 0.5], a_v=[0.0, 1.5])
    maps = seen(plan, library, stars)["seen_maps"]
    through = 3 * np.exp(-MAG * 1.5)  # of the line at 5000 Angstrom, where the curve is one
    at = (2, 2)
    np.testing.assert_allclose(maps.v[at], (-120 + 80 * through) / (1 + through), atol=0.5)
    assert np.isnan(maps.v[0, 0])
    assert maps.flux[0, 0] == 0


@pytest.mark.parametrize("kind", ["gaussian", "moffat"])
def test_light_is_kept(library, kind):  # noqa: F811
    plan = plan_of(library, dict(kind=kind, fwhm_arcsec=0.5))
    made = seen(plan, library, two_stars(x=[0.0, 0.0]))
    np.testing.assert_allclose(made["seen_maps"].flux.sum(), made["maps"].flux.sum(), rtol=0.02)


def test_a_dispersion_on_its_floor_is_no_fit_through_the_psf_either(library):  # noqa: F811
    plan = plan_of(library, dict(kind="gaussian", fwhm_arcsec=FWHM), kernel="cubic")
    cold = seen(plan, library, two_stars(v_los=[-40.0, -40.0]), gauss_hermite=True)
    for maps in cold.values():
        assert np.isnan(maps.sigma).all()
        assert np.isnan(maps.v).all()
    assert (np.asarray(cold["seen_maps"].flux) > 0).all()
