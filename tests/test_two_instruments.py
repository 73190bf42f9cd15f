"""A drawn disc galaxy through two instruments: its light and its numbers are those of its stars, behind either PSF."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest
from test_instruments import load
from test_point_sources import energies, setup_of

from galdiff.galaxy.disc import disc_galaxy
from galdiff.galaxy.view import StarView
from galdiff.ifu.instrument import from_mapping
from galdiff.ifu.plan import Precision
from galdiff.ifu.spread_functions import psf_fwhm
from galdiff.kinematics.star_summary import star_summary
from galdiff.kinematics.summary import spaxel_grid
from galdiff.observing import layout as laying
from galdiff.observing.render import render
from galdiff.observing.sampling import measure_stars
from galdiff.observing.sky import Seen
from galdiff.records import Placement

SIZES = {"muse_wfm": 41, "manga_127": 31}  # spaxels of 0.2 arcsec behind a Moffat profile, 0.5 behind a Gaussian
KPC_PER_ARCSEC = 3.0
PLACE = {"redshift": 0.05, "luminosity_distance": 200.0, "kpc_per_arcsec": KPC_PER_ARCSEC, "pointing": np.zeros(2)}


def sky(n):
    return StarView(orientation="none")(disc_galaxy(n_stars=n, n_gas=0))


def instrument_of(name):
    """A preset with a small field and few wavelengths."""
    n, small = SIZES[name], setup_of("gaussian", 1.0).instrument
    spectral = {key: getattr(small, key) for key in ("grid", "wave_start", "wave_step", "n_wave", "medium", "lsf")}
    return dataclasses.replace(from_mapping(load(name)), n_x=n, n_y=n, aperture="square", **spectral)


def seen(name, stars):
    """An instrument, the galaxy's image by it, and the sum of its stars through the profile [share of all light]."""
    setup = setup_of("gaussian", 1.0)
    library = dataclasses.replace(setup.ssp, ssp_flux=np.ones_like(setup.ssp.ssp_flux))  # light goes with mass alone
    instrument = instrument_of(name)
    setup = dataclasses.replace(setup, instrument=instrument, ssp=library)
    layout = laying.lay_out(setup, Precision(rank=1, v_max_kms=500.0, h_v_kms=250.0), len(stars.mass))
    placement = Placement(**{key: jnp.asarray(value) for key, value in PLACE.items()})
    made = np.asarray(render(layout, Seen(stars, placement))[0].flux, np.float64).mean(-1)
    fwhm = float(psf_fwhm(instrument.psf, 5195.0))
    places = [
        np.asarray(at) / KPC_PER_ARCSEC / spaxel + SIZES[name] / 2
        for at, spaxel in ((stars.y, instrument.spaxel_y_arcsec), (stars.x, instrument.spaxel_x_arcsec))
    ]
    images = (energies(instrument, fwhm, *place, SIZES[name], SIZES[name]) for place in zip(*places, strict=True))
    return instrument, made, sum(images) / len(stars.mass)


@pytest.fixture(scope="module")
def images():
    stars = sky(200)
    return {name: seen(name, stars) for name in SIZES}


@pytest.mark.parametrize("name", SIZES)
def test_the_image_of_a_galaxy_is_the_sum_of_its_stars_through_the_profile(images, name):
    _, made, true = images[name]
    share = made / made.sum() * true.sum()
    np.testing.assert_allclose(share, true, atol=1e-3 * true.max())


def test_two_instruments_record_the_same_light_in_the_same_place(images):
    total = {name: made.sum() / true.sum() for name, (_, made, true) in images.items()}
    assert total["muse_wfm"] == pytest.approx(total["manga_127"], rel=3e-4)
    centres = []
    for instrument, made, _ in images.values():
        x, y = spaxel_grid(made.shape, instrument.spaxel_x_arcsec)
        centres.append([np.sum(made * x) / made.sum(), np.sum(made * y) / made.sum()])
    np.testing.assert_allclose(*centres, atol=0.02)


def test_the_numbers_of_a_galaxy_do_not_depend_on_the_instrument():
    stars, many = sky(20_000), sky(200_000)
    true = star_summary(*map(np.asarray, (many.x, many.y, many.v_los, many.mass)), resamples=2)
    placement = Placement(**{key: jnp.asarray(value) for key, value in PLACE.items()})
    for name, n in (("muse_wfm", 150), ("manga_127", 60)):  # 30 arcsec each
        instrument = dataclasses.replace(instrument_of(name), n_x=n, n_y=n)
        layout = types.SimpleNamespace(whole=types.SimpleNamespace(instrument=instrument, wave=np.array([5195.0])))
        found = measure_stars(layout, stars, placement, np.asarray(stars.mass), 1.0)
        for fact in ("lambda_r", "v_over_sigma", "r_half", "ellipticity"):
            assert abs(found[fact] - true[fact]) < max(3 * found[f"{fact}_error"], 0.03 * true[fact]), (name, fact)
