"""Ionising photons of stellar populations: closed forms, float32, gradients, and what cannot be counted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff import units
from galdiff.errors import InputError
from galdiff.records import SSPGrid
from galdiff.sps import ionising

WAVE = np.concatenate([np.geomspace(50.0, 2000.0, 401), [25000.0]])


def library(flux, wave=WAVE, dtype=float):
    flux = jnp.asarray(flux, dtype)[None, :, :]
    return SSPGrid(
        ssp_wave=jnp.asarray(wave, dtype),
        ssp_lg_age_gyr=jnp.linspace(-3.0, -2.0, flux.shape[1], dtype=dtype),
        ssp_lgmet=jnp.asarray([-2.0], dtype),
        ssp_flux=flux,
        ssp_fwhm=jnp.asarray(wave / 100, dtype),
    )


def test_photons_of_a_linear_spectrum_are_counted_exactly_up_to_each_edge():
    a, b = 0.3, 2e-4
    rates = ionising.log10_photon_rates(library([a + b * WAVE]))
    for rate, edge in zip(rates[:, 0, 0], ionising.EDGES, strict=True):
        photons = a * (edge**2 - 50.0**2) / 2 + b * (edge**3 - 50.0**3) / 3  # of lambda L_lambda
        expected = np.log10(photons) + np.log10(units.LSUN_ERG_S / units.HC_ERG_ANGSTROM)
        assert float(rate) == pytest.approx(expected, abs=1e-12)


def test_hot_black_bodies_have_harder_light():
    flux = [WAVE**-5.0 / np.expm1(units.HC_K_ANGSTROM / WAVE / teff) for teff in (3e4, 5e4, 1e5)]
    rates = np.asarray(ionising.log10_photon_rates(library(np.array(flux) * 1e14)))[:, 0]
    assert (np.diff(rates, axis=0) < 0).all()  # each holds the next
    assert (np.diff(rates[1:] - rates[:1], axis=1) > 0).all()


def test_single_precision_counts_the_same_and_darkness_is_a_finite_floor():
    flux = np.stack([WAVE**2 * 1e-12 * np.exp(-400.0 / WAVE), np.zeros(WAVE.size), 1e-40 * WAVE, -1e-9 * WAVE])
    double, single = (ionising.log10_photon_rates(library(flux, dtype=d)) for d in (np.float64, np.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=2e-4)
    np.testing.assert_allclose(single[:, 0, 1:], ionising.FLOOR, atol=1e-3)


def test_gradients_are_those_of_central_differences_and_finite_in_the_dark():
    grid = library(np.stack([1e-3 * WAVE, np.zeros(WAVE.size)]), dtype=np.float64)
    total = lambda flux: ionising.log10_photon_rates(dataclasses.replace(grid, ssp_flux=flux)).sum()  # noqa: E731
    slope = jax.grad(total)(grid.ssp_flux)
    assert np.isfinite(np.asarray(slope)).all()
    step = 1e-4 * grid.ssp_flux.at[:, :, ::3].set(0.0)
    central = (total(grid.ssp_flux + step) - total(grid.ssp_flux - step)) / 2
    assert float((slope * step).sum()) == pytest.approx(float(central), rel=1e-6)


def test_a_library_without_ionising_light_is_refused():
    with pytest.raises(InputError, match=r"begins at 3500.0 Angstrom.*227.84"):
        ionising.log10_photon_rates(library([[1.0, 1.0, 1.0]], np.array([3500.0, 5000.0, 7000.0])))
