"""Modes of velocity in place of nodes: the same image out of fewer spectra, as exact as the basis."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ifu_reference import load_reference

from galdiff.ifu.accuracy import sampled_accuracy
from galdiff.ifu.bank import prefilter
from galdiff.ifu.engine import choose_engine
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.stages import Spectrograph, Templates
from galdiff.ifu.velocity_modes import SHARE, velocity_modes

pytestmark = pytest.mark.filterwarnings("ignore:instrument reference. the wavelength step")


@pytest.fixture(scope="module")
def case(request):
    """A reference, its plan with modes, and the same plan with nodes."""
    reference = load_reference(request.config.rootpath / "tests/data/ifu_reference_synthetic.npz")
    plan = reference.plan(rank=8)
    return reference, plan, dataclasses.replace(plan, modes=None)


def image_of(reference, plan):
    """Flux and the slopes of its weighted sum in velocity and mass."""

    @jax.jit
    def both(stars):
        def light(stars):
            where = reference.placement
            flux = Spectrograph(plan=plan)(PerStar(plan=plan)(stars, where), Templates(plan=plan)(where), where).flux
            return jnp.sum(flux * jnp.cos(jnp.arange(flux.size)).reshape(flux.shape)), flux

        return jax.grad(light, has_aux=True)(stars)

    slopes, flux = both(reference.stars)
    return np.asarray(flux), slopes


def test_modes_give_the_image_of_the_nodes_and_its_slopes_with_fewer_spectra(case):
    reference, plan, nodes = case
    assert plan.n_channels < 0.8 * nodes.n_channels
    (found, slopes), (expected, true) = image_of(reference, plan), image_of(reference, nodes)
    rms = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert 0 < rms < 2 * SHARE * plan.basis.rms
    for name, limit in dict(mass=1e-6, v_los=1e-5).items():
        a, b = getattr(slopes, name), getattr(true, name)
        assert jnp.abs(a - b).max() < limit * jnp.abs(b).max(), name


def test_the_accuracy_of_a_run_counts_what_modes_leave_out(case):
    reference, plan, nodes = case
    some = jax.tree.map(lambda x: x[:12], reference.stars)
    with_modes, without = (sampled_accuracy(each, some)["rms"] for each in (plan, nodes))
    assert without < with_modes < without * np.hypot(1, 2 * SHARE)
    coarse = dataclasses.replace(plan.modes, kept=tuple(min(n, 3) for n in plan.modes.kept))
    assert sampled_accuracy(dataclasses.replace(plan, modes=coarse), some)["rms"] > 2 * without


def test_a_basis_that_leaves_nothing_out_keeps_its_nodes(case):
    plan = case[1]
    exact = dataclasses.replace(plan.basis, rms=0.0)
    arguments = plan.templates, plan.bins, prefilter(len(plan.bins.v_nodes)), plan.grid.stride, 0.7
    assert velocity_modes(exact, *arguments) is None
    kept = [sum(velocity_modes(plan.basis, *arguments[:-1], sigma).kept) for sigma in (0.7, 8.0)]
    assert kept[1] < kept[0]  # a broader line spread has fewer wiggles in velocity


def test_the_direct_engine_is_left_for_fewer_stars_where_modes_save_the_work(case):
    counts = np.unique(np.geomspace(1, 1e5, 60).astype(int))
    first = [next(n for n in counts if choose_engine(int(n), plan) != "direct") for plan in case[1:]]
    assert first[0] <= first[1]
