"""Light of a galaxy whose baryons grow in a halo: masses, metals and gradients are those of the history."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from galdiff.baryons.evolve import Outputs
from galdiff.baryons.pandya23 import Pandya23
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.galaxy.births import births, mass_formed
from galdiff.halo.history import diffmah_history
from galdiff.light_records import Epoch, StellarHistory
from galdiff.observing.grown_stars import grown_rates
from galdiff.sfh.from_births import BirthMetallicity, BirthRates
from galdiff.sfh.model import FormStars
from galdiff.sfh.panels import AgePanels

PANELS = AgePanels(lg_age_gyr=tuple(np.linspace(-3.0, 1.15, 12)))


@pytest.fixture(scope="module")
def history():
    halo = diffmah_history(log10_mvir=12.0, cosmology=Cosmology())
    return jax.jit(Pandya23(outputs=Outputs(n_times=24, n_steps=64)))(halo)


@pytest.fixture(scope="module")
def epoch(history):
    return Epoch(time=history.time[-1], redshift=jnp.zeros(()), luminosity_distance=jnp.asarray(1e-5))


def test_the_mass_formed_and_its_mean_age_are_those_of_the_history(history, epoch):
    @jax.jit
    def read(history):
        nodes = (jnp.arange(20_000) + 0.5) / 20_000
        return FormStars(law=BirthRates(history=history), ages=PANELS)(epoch), births(history, nodes)

    stars, born = read(history)
    np.testing.assert_allclose(stars.mass.sum(), mass_formed(history), rtol=0.01)
    age = float(stars.mass @ stars.age / stars.mass.sum())
    np.testing.assert_allclose(age, born.mass @ born.age / born.mass.sum(), rtol=0.01)
    law = BirthRates(history=history)
    np.testing.assert_allclose(law.sfr(history.time, epoch) * 1e9, history.sfr, rtol=1e-9)
    assert law.sfr(history.time[:1] * 0.9, epoch)[0] == 0.0


def test_metals_at_birth_are_those_of_the_interstellar_medium(history):
    law = BirthMetallicity(history=history, scatter=0.05)
    stars = StellarHistory(age=history.time[-1] - history.time[:-1], mass=jnp.ones(23), time=history.time[-1])
    np.testing.assert_allclose(10 ** law.lgmet(stars), history.metallicity("ism")[:-1], rtol=1e-9)
    assert abs(float(law.spread()) - 0.05) < 1e-9


def test_gradients_flow_from_the_stars_into_the_history(history, epoch):
    def mean_age(ln_gain):
        diagnostics = dataclasses.replace(history.diagnostics, sfr=history.sfr * jnp.exp(ln_gain))
        law = BirthRates(history=dataclasses.replace(history, diagnostics=diagnostics))
        stars = FormStars(law=law, ages=PANELS)(epoch)
        return stars.mass @ stars.age / stars.mass.sum()

    both = jax.jit(jax.value_and_grad(mean_age))
    slope = both(jnp.zeros(24))[1]
    assert jnp.isfinite(slope).all()
    step = jnp.zeros(24).at[12].set(1e-4)
    np.testing.assert_allclose(slope[12], (both(step)[0] - both(-step)[0]) / 2e-4, rtol=1e-4)


def test_a_history_that_ends_before_the_epoch_or_holds_no_single_galaxy_is_refused(history, epoch):
    later = dataclasses.replace(epoch, time=epoch.time + 1.0)
    with pytest.raises(InputError, match="baryon history ends at a cosmic time of"):
        BirthRates(history=history).check_epoch(later)
    BirthRates(history=history).check_epoch(epoch)
    few = jax.tree.map(lambda x: x[:4] if jnp.ndim(x) else x, history)
    with pytest.raises(InputError, match="stars need one galaxy and 8 or more times"):
        BirthMetallicity(history=few, scatter=0.1)


def test_a_law_is_made_of_a_halo_and_its_baryons():
    halo = diffmah_history(log10_mvir=12.0, cosmology=Cosmology())
    law = grown_rates(halo=halo, baryons=Pandya23(outputs=Outputs(n_times=24, n_steps=64)))
    assert not law.needs_halo
    assert not jax.tree.leaves(nnx.state(law, nnx.Param))
