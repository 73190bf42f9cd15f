"""Numbers of a galaxy's light: masses, rates, power of dust, breaks and slopes, only where they exist."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.imf import chabrier, kroupa, return_fraction
from galdiff.light_records import Epoch, Spectrum
from galdiff.observing.sed_summary import sed_summary
from galdiff.sfh.constant import Constant
from galdiff.sfh.model import FormStars
from galdiff.sfh.panels import AgePanels

AGES = AgePanels(lg_age_gyr=tuple(np.log10([0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 8.0, 14.0])))
EPOCH = Epoch(time=jnp.asarray(9.0), redshift=jnp.asarray(0.4), luminosity_distance=jnp.asarray(2000.0))
STARS = FormStars(law=Constant(log10_mformed=10.0, t_start=1.0), ages=AGES)(EPOCH)


def seen(wave, power=0.0):
    """What a summary reads of a galaxy: a power law with a step at 4000 Angstrom."""
    lum = (wave / 1500.0) ** -1.5 * jnp.where(wave > 3975.0, 1.3, 1.0)
    spectrum = Spectrum(wave=wave, lum=lum, dust_power=jnp.asarray(power))
    return types.SimpleNamespace(stars=STARS, spectrum=spectrum, attenuated=spectrum)


def test_masses_and_rates_are_those_of_the_history():
    known = sed_summary(seen(jnp.arange(1000.0, 9000.0, 2.0)), kroupa(), AGES)
    assert known["log10_mass_formed"] == pytest.approx(10.0, abs=1e-6)
    assert known["sfr_10myr"] == pytest.approx(1e10 / 8e9, rel=1e-3)
    assert known["sfr_100myr"] == pytest.approx(1e10 / 8e9, rel=1e-3)
    assert known["mean_age_gyr"] == pytest.approx(4.0, rel=1e-3)
    ages = np.linspace(0.001, 8.0, 4001)
    left = float(np.mean(1 - np.asarray(return_fraction(kroupa(), ages))))
    assert 10 ** (known["log10_mass"] - known["log10_mass_formed"]) == pytest.approx(left, rel=2e-3)
    other = sed_summary(seen(jnp.arange(1000.0, 9000.0, 2.0)), chabrier(), AGES)
    assert other["log10_mass"] < known["log10_mass"]  # more massive stars, more gas back


def test_breaks_and_slopes_are_there_where_the_spectrum_is():
    known = sed_summary(seen(jnp.arange(1000.0, 9000.0, 2.0), power=1e10), kroupa(), AGES)
    assert known["uv_slope"] == pytest.approx(-1.5, abs=5e-3)
    step = 1.3 * (4050.0 / 3900.0) ** 0.5  # per frequency
    assert known["dn4000"] == pytest.approx(step, rel=2e-3)
    assert known["log10_dust_power"] == pytest.approx(10.0)
    red = sed_summary(seen(jnp.arange(3800.0, 9000.0, 2.0)), kroupa(), AGES)
    assert "uv_slope" not in red
    assert "dn4000" in red
    assert "log10_dust_power" not in red
    infrared = sed_summary(seen(jnp.arange(9000.0, 20000.0, 10.0)), kroupa(), AGES)
    assert "dn4000" not in infrared
