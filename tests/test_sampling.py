"""Effective stars behind a spaxel, and what its quality says."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.ifu.basis import no_attenuation
from galdiff.ifu.deposit import Bins
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.star_counts import effective_stars
from galdiff.observing.sampling import counts_of, measure_stars, quality_of, warn_few
from galdiff.records import KinematicMaps, Placement, SkyStars

BINS = Bins(
    n_y=32, n_x=32, spaxel_arcsec=(1.0, 1.0), v_nodes=np.linspace(-300.0, 300.0, 7), lg_ages=np.array([0.0, 1.0]),
    lgmets=np.array([-2.0, -1.0]), interpolation="linear", kernel="nearest", attenuation=no_attenuation(1),
)  # fmt: skip
ONE = jnp.asarray(1.0)
PLACE = Placement(redshift=ONE, luminosity_distance=ONE, kpc_per_arcsec=ONE, pointing=jnp.zeros(2))


def stars_at(x, y, smoothing=None):
    one = jnp.ones(len(x))
    return SkyStars(x=x, y=y, z=one, v_los=one, mass=one, age=one, metallicity=one, smoothing=smoothing)


def test_effective_stars_are_their_number_where_all_are_alike_and_one_where_one_outshines_all():
    place = jnp.full(7, 0.5)
    alike = effective_stars(stars_at(place, place), jnp.ones(7), PLACE, BINS)
    np.testing.assert_allclose(alike[16, 16], 7, rtol=1e-9)
    assert alike.sum() == pytest.approx(7, rel=1e-9)
    bright = effective_stars(stars_at(place, place), jnp.array([1e6, *[1.0] * 6]), PLACE, BINS)
    np.testing.assert_allclose(bright[16, 16], 1, rtol=1e-4)


def test_effective_stars_of_wide_ones_are_those_under_the_gaussian():
    density, sigma = 1.0, 3.0  # stars per spaxel; spaxels
    x, y = np.random.default_rng(0).uniform(-30, 30, (2, int(3600 * density)))
    stars = stars_at(jnp.asarray(x), jnp.asarray(y), jnp.full(len(x), sigma))
    found = effective_stars(stars, jnp.ones(len(x)), PLACE, dataclasses.replace(BINS, levels=2))
    np.testing.assert_allclose(found[8:24, 8:24].mean(), density * 4 * np.pi * sigma**2, rtol=0.2)


def test_quality_tells_empty_spaxels_failed_fits_and_few_stars_and_most_of_them_are_a_warning():
    v = np.array([[1.0, np.nan, 1.0, 1.0]])
    maps = KinematicMaps(**{f.name: v for f in dataclasses.fields(KinematicMaps)})
    maps = dataclasses.replace(maps, flux=np.array([[1.0, 1.0, 0.0, 1.0]]))
    effective = np.array([[50.0, 2.0, 0.0, 3.0]])
    quality = quality_of(maps, effective, np.ones((1, 4), bool))
    np.testing.assert_array_equal(quality, [[0, 6, 1, 4]])
    counts = counts_of(quality, effective)
    assert counts["spaxels_with_light"] == 3
    with pytest.warns(UserWarning, match="2 of 3 spaxels with light hold fewer than 10 effective stars"):
        warn_few(counts)


def test_a_galaxy_smaller_than_the_psf_is_called_unresolved_and_one_cut_by_the_field_is_not():
    instrument = make_instrument(
        name="small",
        n_x=8,
        n_y=8,
        spaxel_x_arcsec=0.2,
        wave=dict(grid="linear", start_angstrom=5000.0, end_angstrom=5010.0, step_angstrom=2.0, medium="air"),
        lsf=dict(kind="constant", fwhm_angstrom=5.0),
        psf=dict(kind="gaussian", fwhm_arcsec=2.0),
    )
    layout = types.SimpleNamespace(whole=types.SimpleNamespace(instrument=instrument, wave=np.array([5000.0, 5010.0])))
    x, y = jnp.asarray(np.random.default_rng(0).normal(size=(2, 400)))
    found = measure_stars(layout, stars_at(4 * x, 4 * y), PLACE, np.ones(400), 1.0)
    assert found["resolved"]
    assert found["r_half_error"] > 0
    with pytest.warns(UserWarning, match="the galaxy is unresolved: .* the PSF's FWHM 2"):
        assert not measure_stars(layout, stars_at(0.1 * x, 0.1 * y), PLACE, np.ones(400), 1.0)["resolved"]
    assert measure_stars(layout, stars_at(0.1 * x, 0.1 * y), PLACE, np.ones(400), 0.01)["resolved"]
