"""Formulae of diffmah and diffstar fitted to tables: what they were made of comes back, and other curves come close."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sps_reference import Reference

from galdiff.errors import InputError
from galdiff.halo import diffmah
from galdiff.inference.fit_histories import fit_diffmah, fit_diffstar
from galdiff.sfh.diffstar import diffstar_sfr


@pytest.fixture(scope="module")
def reference(data_dir):
    return Reference.read(data_dir)


def test_histories_of_diffmah_are_found_again(reference):
    t = reference["t_table"][::4]
    fit = fit_diffmah(t, reference["log_mah"][:, ::4], reference.t_today)
    assert np.median(fit.rms) < 2e-3
    assert np.max(fit.rms) < 0.05  # growth that ends between two times is seen at one of them
    again = jax.vmap(lambda p: diffmah.log10_mass(p, t, reference.t_today))(fit.params)
    late = t > 1.0
    deviation = np.abs(again - reference["log_mah"][:, ::4])[:, late]
    assert np.median(deviation) < 2e-3


def test_histories_of_diffstar_are_found_again(reference):
    t = reference["t_table"][::4]
    halos = reference["log_mah"][:12, ::4]
    fit = fit_diffstar(t, reference["sfh"][:12, ::4], halos, baryon_fraction=float(reference["fb"]))
    assert np.median(fit.rms) < 0.01
    assert np.max(fit.rms) < 0.1
    again = jax.vmap(lambda p, m: diffstar_sfr(p, t, m, baryon_fraction=float(reference["fb"])))(fit.params, halos)
    assert np.isfinite(again).all()


def test_what_is_unknown_does_not_count(reference):
    t = reference["t_table"][::4]
    table = np.array(reference["log_mah"][:2, ::4])
    table[:, 3:6] = np.nan
    fit = fit_diffmah(t, table, reference.t_today)
    assert np.all(fit.rms < 0.05)


@pytest.mark.parametrize(
    ("time", "masses", "words"),
    [
        ([1.0, 5.0, 9.0], [[11.0, 12.0]], "give \\(galaxy, t\\)"),
        ([5.0, 1.0, 9.0], [[11.0, 12.0, 12.1]], "must increase"),
        ([0.2, 0.4, 0.9], [[11.0, 12.0, 12.1]], "beyond 1 Gyr"),
    ],
)
def test_tables_that_cannot_be_are_refused(time, masses, words):
    with pytest.raises(InputError, match=words):
        fit_diffmah(time, masses, 13.8)


def test_rates_below_zero_are_refused():
    t = jnp.asarray([1.0, 5.0, 9.0])
    with pytest.raises(InputError, match="zero or more"):
        fit_diffstar(t, [[0.0, -1.0, 1.0]], [[11.0, 11.5, 12.0]])
