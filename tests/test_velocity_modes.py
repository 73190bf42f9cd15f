"""Modes of velocity in place of nodes: the same image out of fewer spectra, as exact as the basis."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ifu_reference import load_reference

from galdiff.ifu import stages
from galdiff.ifu import velocity_modes as velocity_modes_file
from galdiff.ifu.accuracy import sampled_accuracy
from galdiff.ifu.bank import prefilter
from galdiff.ifu.basis import LANES
from galdiff.ifu.engine import choose_engine
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.plan import TOLERANCE
from galdiff.ifu.spectrograph import blurred_nodes
from galdiff.ifu.spread_functions import PSF
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
    few = dict(
        to_channels=[m[:, :3] for m in plan.modes.to_channels], of_templates=[m[:3] for m in plan.modes.of_templates]
    )
    coarse = dataclasses.replace(plan.modes, **few)
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


def test_what_is_kept_of_a_mode_are_its_strongest_combinations_of_templates(case):
    modes = case[1].modes
    kept = np.array(modes.kept)
    assert kept[0] == len(case[1].templates)  # all of the mode that a spectrum at rest has
    assert kept[-1] < kept[0]
    for to_channels, of_templates in zip(modes.to_channels, modes.of_templates, strict=True):
        np.testing.assert_allclose(of_templates @ to_channels, np.eye(len(of_templates)), atol=1e-6)  # a projection


def test_large_fields_are_turned_row_after_row(case, monkeypatch):
    modes = case[1].modes
    coef = jax.random.normal(jax.random.key(0), (3, 2, len(modes.from_nodes), 8))
    whole = modes.coefficients(coef)
    monkeypatch.setattr(velocity_modes_file, "LARGE", 1)
    np.testing.assert_allclose(modes.coefficients(coef), whole, rtol=1e-9, atol=1e-12)


def test_a_library_that_few_templates_reproduce_has_few_by_default(case):
    reference = case[0]
    plan = reference.plan()
    assert len(plan.templates) < 40
    assert plan.basis.rms <= TOLERANCE
    assert len(plan.templates) % LANES == 0
    assert reference.plan(rank=max(len(plan.templates) - LANES, 1)).basis.rms > TOLERANCE
    assert plan.n_channels < 0.7 * len(plan.bins.v_nodes) * len(plan.templates)
    some = jax.tree.map(lambda x: x[:12], reference.stars)
    assert sampled_accuracy(plan, some)["rms"] < 3 * TOLERANCE


def test_the_order_of_blurring_and_turning_into_modes_is_no_matter(case, monkeypatch):
    reference, plan, _ = case
    gaussian = PSF(kind="gaussian", fwhm_arcsec=2.5)
    plan, moffat, many = (
        reference.plan(instrument=dataclasses.replace(plan.instrument, psf=psf, n_x=4, n_y=3), rank=8)
        for psf in (gaussian, PSF(kind="moffat", fwhm_arcsec=2.5), dataclasses.replace(gaussian, power=8.0))
    )
    assert blurred_nodes(plan)  # whose margin is wide against the field
    assert not blurred_nodes(moffat)
    assert not blurred_nodes(many)  # each of several wavelengths would turn them anew
    first = image_of(reference, plan)[0]
    monkeypatch.setattr(stages, "blurred_nodes", lambda plan: False)
    np.testing.assert_allclose(image_of(reference, plan)[0], first, rtol=1e-9, atol=1e-12 * first.max())
