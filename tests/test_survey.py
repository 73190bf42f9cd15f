"""What a survey of Jacobians draws and says, on derivatives that are known."""

import dataclasses
import gzip

import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.baryons.parameters import V_0
from galdiff.errors import InputError
from galdiff.inference.sensitivity import Sensitivity
from galdiff.inference.survey import Galaxies, Survey, design, jacobians_in_chunks
from galdiff.inference.survey_summary import agreement, dead_stripes, dominance, pivot_mass, survey_summary
from galdiff.io.folder import write_files
from galdiff.io.jacobians import survey_tables

NAMES = ("eta_energy.log10_a", "eta_energy.alpha0", "yields.metal_yield")
OUTPUTS = ("stars", "gas")
MASSES = np.linspace(11.0, 13.0, 40)
V_VIR = V_0 * 10 ** ((MASSES - 12.0) / 3)  # the pivot is at 10^12 Msun


def survey_of(slopes, **changes) -> Survey:
    """A survey of 40 halos and two redshifts whose derivatives are given (galaxy, t, output, parameter)."""
    n = len(slopes)
    found = Sensitivity(
        redshift=jnp.tile(jnp.array([1.0, 0.0]), (n, 1)),
        v_vir=jnp.asarray(np.stack([V_VIR / 2, V_VIR], -1)),
        values=jnp.zeros((n, 2, 2)),
        jacobian=jnp.asarray(slopes),
        error=jnp.zeros(n),
        solved=jnp.ones(n, bool),
        outputs=OUTPUTS,
        parameters=NAMES,
        mode="forward",
        log10=True,
    )
    galaxies = Galaxies(np.arange(n), np.where(np.arange(n) < 4, 0, np.arange(n)), np.zeros((n, 3)))
    picks = np.array([5, 9])
    given = dict(masses=MASSES, redshifts=(1.0, 0.0), picks=picks, differences=slopes[picks] * (1 + 1e-6))
    return Survey(galaxies, found, **(given | changes))


@pytest.fixture
def slopes():
    """Amplitudes answer alike, slopes by log10(V/V_0), yields hardly."""
    by_slope = np.log10(V_VIR / V_0)
    return (
        np.stack([np.full(40, -0.5), -0.5 * by_slope, np.full(40, 0.01)], -1)[:, None, None].repeat(2, 1).repeat(2, 2)
    )


def test_every_halo_has_the_baseline_and_points_of_one_hypercube():
    box, baseline = np.array([[-1.0, 0.0], [1.0, 10.0]]), np.array([0.5, 2.0])
    halo, draw, values = design(3, 4, box, baseline, seed=1)
    assert np.bincount(halo).tolist() == [5, 5, 5]
    np.testing.assert_array_equal(values[draw == 0], np.tile(baseline, (3, 1)))
    strata = np.sort(np.floor((values[3:] - box[0]) / (box[1] - box[0]) * 12), 0)
    np.testing.assert_array_equal(strata, np.repeat(np.arange(12.0)[:, None], 2, 1))
    np.testing.assert_array_equal(values, design(3, 4, box, baseline, seed=1).values)
    assert (values[3:] != design(3, 4, box, baseline, seed=2).values[3:]).all()


def test_chunks_do_not_change_what_is_computed():
    tables, which, values = jnp.arange(4.0), np.array([3, 0, 1, 1, 2]), np.arange(5.0)
    parts = []
    found = jacobians_in_chunks(lambda t, v: 10 * t + v, tables, which, values, 2, lambda: parts.append(1))
    np.testing.assert_array_equal(found, [30.0, 1.0, 12.0, 13.0, 24.0])
    assert len(parts) == 3


def test_agreement_leaves_out_what_is_below_the_floor():
    exact, differences = np.array([1.0, 2.0, 1e-9, np.nan]), np.array([1.001, 2.0, 2e-9, 1.0])
    found, relative = agreement(exact, differences, 1e-6)
    assert (found["compared"], found["below_floor"]) == (2, 2)
    np.testing.assert_allclose(sorted(relative), [0.0, 1e-3 / 1.001])
    with pytest.raises(InputError, match=r"no derivative is above compare.floor = 10; lower it"):
        agreement(exact, differences, 10.0)


def test_parameters_are_ranked_by_the_size_of_their_derivatives():
    found = dominance(np.array([[0.1, 0.3, 0.2], [0.4, 0.1, 0.0]]), OUTPUTS, NAMES)
    assert list(found["all_outputs"]) == [NAMES[0], NAMES[1], NAMES[2]]
    assert found["by_output"] == {"stars": NAMES[1], "gas": NAMES[0]}


def test_a_slope_is_dead_where_the_velocity_is_the_pivot(slopes):
    survey = survey_of(slopes)
    np.testing.assert_allclose(pivot_mass(survey), 12.0, atol=1e-3)
    stripe = dead_stripes(MASSES, V_VIR, survey.at_end("stars"), NAMES)["eta_energy"]
    np.testing.assert_allclose([stripe["log10_mvir"], np.log10(stripe["v_vir_km_s"] / V_0)], [12.0, 0.0], atol=0.3)
    assert stripe["slope_over_amplitude"] < 0.1 < stripe["largest_slope_over_amplitude"]


def test_galaxies_without_finite_derivatives_are_counted_and_left_out(slopes):
    slopes[7, 0, 1, 2] = np.nan
    survey = survey_of(slopes)
    assert len(survey.kept) == 40 - 4 - 1  # four at the baseline
    alone = dataclasses.replace(survey.found, jacobian=survey.found.jacobian[0])  # one halo has no leading axis
    found = survey_summary(survey, alone, alone, "stars", 1e-5)
    assert found["without_finite_derivatives"] == 1
    assert next(iter(found["dominant"]["all_outputs"])) == "eta_energy.log10_a"
    np.testing.assert_allclose(found["agreement"]["relative"]["max"], 1e-6, rtol=1e-3)
    slopes[:] = np.nan
    with pytest.raises(InputError, match="none of 40 galaxies has finite derivatives"):
        _ = survey_of(slopes).kept


def test_tables_hold_every_derivative_and_their_means(slopes, tmp_path):
    write_files(tmp_path, survey_tables(survey_of(slopes)))
    with gzip.open(tmp_path / "jacobians.csv.gz", "rt") as file:
        rows = file.read().splitlines()
    assert len(rows) == 1 + slopes.size
    assert rows[1] == "0,11.0000,0,stars,1,eta_energy.log10_a,-0.5"
    means = (tmp_path / "means.csv").read_text().splitlines()
    assert means[1] == "stars,1.0,eta_energy.log10_a,-0.5,0,0.5,36"
    assert (
        (tmp_path / "draws.csv")
        .read_text()
        .startswith("draw,eta_energy.log10_a,eta_energy.alpha0,yields.metal_yield\n0,")
    )
