"""The comparison of grown galaxies with observed ones: its table, its figures, and the relations that it draws."""

import dataclasses
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.core.cumulative import gross
from galdiff.observables import observed
from galdiff.plotting.motions_figure import plot_motions
from galdiff.runtime import project_dir


@dataclasses.dataclass
class Gas:
    """As much of a history as the turbulent halos are drawn from."""

    time: np.ndarray
    redshift: np.ndarray
    contents: dict
    diagnostics: object


@pytest.fixture(scope="module")
def compare():
    return runpy.run_path(str(project_dir("experiments") / "compare_galaxies.py"))


@pytest.fixture(scope="module")
def turbulent():
    return runpy.run_path(str(project_dir("experiments") / "turbulent_halos.py"))


def drawn(n=20):
    mass = np.linspace(9.0, 11.5, n)
    motions = dict(turns=np.asarray(observed.log10_v_reyes11(mass)), sigma=np.full(n, 2.2))
    return {"one": dict(stars=mass, baryons=mass + 0.1, forms=mass < 10.9, **motions)}


def test_each_panel_shows_the_galaxies_that_its_relation_is_of():
    panels = plot_motions(drawn()).axes
    assert len(panels) == 3
    lines = [{line.get_label(): line for line in ax.lines} for ax in panels]
    assert [len(found) for found in lines] == [2, 2, 2]
    forming, quiescent = lines[0]["one"].get_xdata(), lines[2]["one"].get_xdata()
    assert forming.max() < 10.9 <= quiescent.min()
    assert len(forming) + len(quiescent) == 20
    fit = lines[0]["Reyes et al. (2011)"]
    np.testing.assert_allclose(np.interp(10.102, fit.get_xdata(), fit.get_ydata()), 2.142, atol=1e-3)


def test_relations_of_motion_are_the_published_ones():
    np.testing.assert_allclose(observed.log10_v_reyes11(10.102), 2.142)
    np.testing.assert_allclose(10 ** observed.log10_v_mcgaugh12(np.log10(47.0 * 200.0**4)), 200.0, rtol=1e-5)
    np.testing.assert_allclose(10 ** observed.log10_sigma_zahid16(10.26), 118.3, rtol=1e-3)
    slopes = np.diff(observed.log10_sigma_zahid16(np.array([9.0, 10.0, 10.5, 11.5])))[::2] / 1.0
    np.testing.assert_allclose(slopes, [0.403, 0.293], rtol=1e-4)


def test_bins_hold_five_or_say_nothing(compare):
    x = np.array([10.0] * 5 + [11.0] * 4)
    assert compare["binned"](x, np.arange(9.0), (10.0, 11.0, 12.0)) == "2.00 - -"
    assert compare["binned"](x, x > 9, (10.0,), np.mean) == "1.00"


def test_the_table_has_a_column_for_each_cycle(compare):
    lines = compare["table"](
        {"M*": {"pandya23": "0.1", "calibrated": "0.2"}, "hole": {"calibrated": "0.3"}}
    ).splitlines()
    assert lines[2:] == ["| M* | 0.1 | 0.2 |", "| hole | - | 0.3 |"]
    assert all(line.count("|") == 4 for line in lines)


def test_times_are_picked_from_what_has_times(compare):
    found = compare["picked"]({"mass": np.arange(6.0).reshape(2, 3), "spin": np.ones(2)}, [0, 2])
    np.testing.assert_array_equal(found["mass"], [[0, 2], [3, 5]])
    np.testing.assert_array_equal(found["spin"], np.ones(2))


def test_a_halo_is_thermalised_once_heat_stays_above_turbulence(turbulent):
    share = np.array([[0.9, 0.6, 0.2, 0.1], [0.9, 0.2, 0.6, 0.7], [0.1, 0.2, 0.3, 0.1]])
    shape = np.broadcast_to
    energy = {"turbulence": share, "heat": 1 - share}
    times = type("Times", (), dict(t_cool=2 * np.ones((3, 4)), t_ff=np.ones((3, 4))))
    z = shape(np.array([4.0, 2.0, 1.0, 0.0]), (3, 4))
    gas = Gas(shape(np.arange(1.0, 5.0), (3, 4)), z, {"energy": energy}, times)
    assert turbulent["thermalised"](gas) == [1.0, None, 4.0]
    np.testing.assert_allclose(turbulent["share"](gas), share)
    np.testing.assert_array_equal(turbulent["ratio"](gas), 2.0)


def test_what_went_in_is_what_stays_over_the_share_that_stays():
    """Exactly where the share never changes, and to second order where it does; NumPy stays NumPy."""
    time = np.linspace(0.0, 1.0, 201)
    kept = 0.6 * np.exp(-time)  # of a rate of one
    net = 0.6 * (1 - np.exp(-time))
    found = gross(net, kept, np.ones_like(time))
    np.testing.assert_allclose(found, time, atol=2e-5)
    np.testing.assert_allclose(gross(0.6 * time, 0.6 + 0 * time, 1 + 0 * time), time, rtol=1e-12)
    assert isinstance(found, np.ndarray)
    of_jax = gross(jnp.asarray(net), jnp.asarray(kept), jnp.ones(201))
    np.testing.assert_allclose(of_jax, found, rtol=1e-12)
    still = gross(np.ones((2, 3)), np.zeros((2, 3)), np.zeros((2, 3)))  # nothing ever formed
    np.testing.assert_array_equal(still, np.ones((2, 3)))


def test_what_was_there_at_first_counts_with_its_share_and_galaxies_do_not_mix():
    net, kept, fed = np.array([[3.0, 4.0, 4.0], [1.0, 1.0, 2.0]]), np.array([[0.5] * 3, [0.25] * 3]), np.ones((2, 3))
    np.testing.assert_allclose(gross(net, kept, fed), [[6.0, 8.0, 8.0], [4.0, 4.0, 8.0]])
    np.testing.assert_allclose(gross(net[1], kept[1], fed[1]), [4.0, 4.0, 8.0])
    slope = jax.jit(jax.grad(lambda k: gross(jnp.asarray(net[0]), k, jnp.ones(3))[-1]))(jnp.zeros(3))
    np.testing.assert_array_equal(slope, 0.0)  # where nothing grows, and not NaN
