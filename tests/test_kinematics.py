"""Kinematic and population maps from the mass distribution, and their summaries."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.core.interpolation import expand_nodes, node_weights
from galdiff.core.kernels import bspline_weights
from galdiff.errors import InputError
from galdiff.galaxy.disc import Disc, disc_galaxy
from galdiff.galaxy.view import StarView
from galdiff.kinematics import summary
from galdiff.kinematics.gauss_hermite import fit_gauss_hermite, gauss_hermite_profile
from galdiff.kinematics.maps import MapMaker, kinematic_maps, node_tables
from galdiff.kinematics.moments import moments
from galdiff.records import MassDistribution

LG_AGES, LGMETS = np.linspace(-1.0, 1.15, 12), np.array([-3.0, -2.3, -1.7, -1.4])
V_NODES = np.arange(-15, 16) * 40.0


def deposit(*, cell, v, mass, n_cells, v_nodes=V_NODES, ages=None, mets=None, interpolation="linear"):
    """Mass in [cell, v, node] by plain summation; one population node unless ages are given."""
    index, weight = (
        np.asarray(a) for a in bspline_weights((v - v_nodes[0]) / (v_nodes[1] - v_nodes[0]) + 0.5, "cubic")
    )
    if ages is None:
        node, share, n_node = np.zeros((len(v), 1), int), np.ones((len(v), 1)), 1
    else:
        node, share = node_weights(np.log10(ages), np.log10(mets), LG_AGES, LGMETS, interpolation)
        n_node = LG_AGES.size * LGMETS.size * (4 if interpolation == "cubic" else 1)
    total = np.zeros((n_cells, len(v_nodes), n_node))
    where = (cell[:, None, None], index[:, :, None], np.asarray(node)[:, None, :])
    np.add.at(total, where, mass[:, None, None] * weight[:, :, None] * np.asarray(share)[:, None, :])
    return total


def distribution(total, shape, v_nodes=V_NODES, dtype=np.float64):
    mass = jnp.asarray(total.reshape(*shape, len(v_nodes), -1, 1), dtype)
    zero = jnp.zeros((), dtype)
    return MassDistribution(mass=mass, v_nodes=jnp.asarray(v_nodes, dtype), lost=zero, clipped=zero)


def sky_light(sky, *, half_width, n, v_nodes=V_NODES):
    """Nearest-spaxel mass distribution of stars on the sky, one population node."""
    x, y, v, mass = (np.asarray(getattr(sky, name), float) for name in ("x", "y", "v_los", "mass"))
    ix, iy = (np.floor((a + half_width) * n / (2 * half_width)).astype(int) for a in (x, y))
    keep = (ix >= 0) & (ix < n) & (iy >= 0) & (iy < n)
    total = deposit(cell=(iy * n + ix)[keep], v=v[keep], mass=mass[keep], n_cells=n * n, v_nodes=v_nodes)
    return distribution(total, (n, n), v_nodes)


def true_profiles(parameters, v_nodes=V_NODES):
    """B-spline weights of Gauss-Hermite profiles, by a fine sum over velocity that shares nothing with the fit."""
    fine = np.linspace(-1000.0, 1000.0, 8001)
    step = v_nodes[1] - v_nodes[0]
    index, weight = (np.asarray(a) for a in bspline_weights((fine - v_nodes[0]) / step + 0.5, "cubic"))
    inside = (index >= 0) & (index < len(v_nodes))
    out = []
    for p in parameters:
        value = np.asarray(gauss_hermite_profile(jnp.asarray(fine), jnp.asarray(p))) * (fine[1] - fine[0])
        total = np.zeros(len(v_nodes))
        np.add.at(total, index[inside], (value[:, None] * weight)[inside])
        out.append(total)
    return np.array(out)


GRID = np.array(
    [
        (2.0, 0.0, 100.0, 0.0, 0.0),
        (1.0, 73.0, 60.0, 0.1, 0.05),
        (5e9, -120.0, 80.0, -0.12, 0.1),
        (3.0, 31.0, 45.0, 0.0, -0.08),
        (0.1, 200.0, 120.0, 0.08, -0.1),
        (1.0, 11.0, 30.0, 0.0, 0.0),
    ]
)


@jax.jit
def fit_sum(profile):
    """A number that depends on all parameters of all fits."""
    values = jnp.stack(fit_gauss_hermite(profile, jnp.asarray(V_NODES)), -1)
    return jnp.sum(jnp.where(jnp.isnan(values), 0, np.array([1.0, 0.01, 0.01, 1.0, 1.0]) * values))


fit_slope = jax.jit(jax.grad(fit_sum))


def test_moments_of_particles_are_exact():
    rng = np.random.default_rng(0)
    v, mass = rng.normal(30.0, 25.0, 500), rng.uniform(0.5, 2.0, 500)
    total, mean, sigma = moments(deposit(cell=np.zeros(500, int), v=v, mass=mass, n_cells=1)[0, :, 0], V_NODES)
    expected = np.average(v, weights=mass)
    np.testing.assert_allclose(total, mass.sum())
    np.testing.assert_allclose(mean, expected, rtol=1e-10)
    np.testing.assert_allclose(sigma, np.sqrt(np.average((v - expected) ** 2, weights=mass)), rtol=1e-10)


def test_maps_of_the_reference_galaxy(data_dir):
    with np.load(data_dir / "ifu" / "reference_shared.npz") as ref_file:
        ref = {k: ref_file[k] for k in ref_file if k.startswith(("map", "kpc", "coords", "velocity", "mass"))}
    edges, pos, v = ref["kpc_edges"], ref["coords_kpc"], ref["velocity_kms"][:, 2].astype(float)
    ix, iy = (np.searchsorted(edges, pos[:, k], side="right") - 1 for k in (0, 1))
    n = len(edges) - 1
    keep = (ix >= 0) & (ix < n) & (iy >= 0) & (iy < n)
    v_nodes = np.arange(-32, 33) * 15.0
    total = deposit(cell=(iy * n + ix)[keep], v=v[keep], mass=ref["mass_msun"][keep], n_cells=n * n, v_nodes=v_nodes)
    maps = kinematic_maps(distribution(total, (n, n), v_nodes), node_tables([0.0], [-2.0]), gauss_hermite=False)
    filled = ref["map_n"] > 0
    np.testing.assert_allclose(maps.flux, ref["map_mass"], rtol=1e-5)
    np.testing.assert_allclose(maps.v[filled], ref["map_v_massw"][filled], rtol=1e-5, atol=1e-3)
    several = ref["map_n"] > 1
    np.testing.assert_allclose(maps.sigma[several], ref["map_sigma_massw"][several], rtol=1e-4, atol=1e-3)
    assert np.isnan(maps.v[~filled]).all()


def test_known_gauss_hermite_profiles_are_recovered():
    found = np.stack(fit_gauss_hermite(true_profiles(GRID), V_NODES), -1)
    np.testing.assert_allclose(found[:, 0], GRID[:, 0], rtol=1e-4)
    np.testing.assert_allclose(found[:, 1:3], GRID[:, 1:3], atol=0.02)
    np.testing.assert_allclose(found[:, 3:], GRID[:, 3:], atol=2e-4)


def test_fits_agree_in_single_precision():
    profile = true_profiles(GRID[:5])
    double, single = (
        fit_gauss_hermite(profile, V_NODES),
        fit_gauss_hermite(profile.astype(np.float32), V_NODES.astype(np.float32)),
    )
    assert single[1].dtype == jnp.float32
    for got, expected, atol in zip(single[1:], double[1:], (0.05, 0.05, 1e-3, 1e-3), strict=True):
        np.testing.assert_allclose(got, expected, atol=atol)


def test_gradient_of_a_fit_is_that_of_its_solution():
    rng = np.random.default_rng(2)
    profile = true_profiles(GRID[:5])
    profile /= profile.sum(-1, keepdims=True)
    profile = profile + 2e-3 * rng.normal(
        size=profile.shape
    )  # a residual is left: the Hessian needs second derivatives
    profile = np.concatenate([profile, 0 * profile[:1]])  # and an empty spaxel
    step = 1e-7 * rng.normal(size=profile.shape) * (profile != 0)
    grad, expected = fit_slope(profile), (fit_sum(profile + step) - fit_sum(profile - step)) / 2
    np.testing.assert_allclose(jnp.sum(grad * step), expected, rtol=1e-4)
    np.testing.assert_array_equal(grad[-1], 0.0)


def test_one_star_and_no_star_do_not_spoil_a_fit():
    v, cell = np.array([13.0, -60.0, 70.0]), np.array([0, 1, 1])
    profile = deposit(cell=cell, v=v, mass=np.ones(3), n_cells=6)[:, :, 0]
    found = np.stack(fit_gauss_hermite(profile, V_NODES), -1)
    assert found[0, 1] == pytest.approx(13.0, abs=10.0)
    assert found[0, 2] == pytest.approx(20.0, abs=1e-3)  # the bound: half a node
    assert np.isnan(found[2]).all()
    assert jnp.isfinite(fit_slope(profile)).all()


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_population_maps_are_means_over_stars(interpolation):
    rng = np.random.default_rng(1)
    n = 600
    ages, mets = 10 ** rng.uniform(-0.9, 1.1, n), 10 ** rng.uniform(-2.9, -1.5, n)
    mass, cell = rng.uniform(0.5, 2, n), rng.integers(0, 3, n)
    total = deposit(cell=cell, v=np.zeros(n), mass=mass, n_cells=4, ages=ages, mets=mets, interpolation=interpolation)
    light = distribution(total, (2, 2))
    band = 10 ** (-0.8 * LG_AGES[None, :] - 0.2 * LGMETS[:, None])  # Lsun/Msun
    band_nodes = np.asarray(expand_nodes(band, LG_AGES, LGMETS, interpolation))
    grid = (np.log10(ages), np.log10(mets), LG_AGES, LGMETS, interpolation)
    node, share = (np.asarray(a) for a in node_weights(*grid))
    star_light = mass * np.sum(band_nodes[node] * share, -1)
    for weight, star_weight, tight in (
        (None, mass, 1e-10),
        (band_nodes, star_light, 0.01 if interpolation == "cubic" else 0.09),
    ):
        for average in ("log", "linear"):
            tables = node_tables(LG_AGES, LGMETS, interpolation=interpolation, weight=weight, average=average)
            maps = kinematic_maps(light, tables, gauss_hermite=False)
            rough = interpolation == "linear" and average == "linear"  # chords: up to (0.7 ln 10)^2 / 8 in Z
            for k in range(3):
                here = cell == k
                for value, star in ((maps.age, ages), (maps.metallicity, mets)):
                    x = np.log10(star) if average == "log" else star
                    expected = np.average(x[here], weights=star_weight[here])
                    expected = 10**expected if average == "log" else expected
                    rtol = 0.35 if rough else tight if average == "log" else max(tight, 6e-3)
                    np.testing.assert_allclose(value.reshape(-1)[k], expected, rtol=rtol)
                np.testing.assert_allclose(maps.flux.reshape(-1)[k], star_weight[here].sum(), rtol=1e-10)
            assert np.isnan(maps.age[1, 1])
            assert maps.flux[1, 1] == 0


def test_map_maker_is_a_stage_with_finite_gradients():
    rng = np.random.default_rng(3)
    ages, mets = 10 ** rng.uniform(-0.9, 1.1, 300), 10 ** rng.uniform(-2.9, -1.5, 300)
    total = deposit(
        cell=rng.integers(0, 3, 300), v=rng.normal(0, 90, 300), mass=np.ones(300), n_cells=4, ages=ages, mets=mets
    )
    light = distribution(total, (2, 2), dtype=np.float32)
    maker = MapMaker(tables=node_tables(LG_AGES, LGMETS))
    maps = jax.jit(maker)(light)
    assert {getattr(maps, f.name).dtype for f in dataclasses.fields(maps)} == {jnp.dtype("float32")}
    assert maker.reads() == {"mass_distribution": MassDistribution}

    def loss(mass):
        return sum(jnp.nansum(x) for x in jax.tree.leaves(maker(dataclasses.replace(light, mass=mass))))

    grad = jax.jit(jax.grad(loss))(light.mass)
    assert jnp.isfinite(grad).all()
    assert (grad != 0).any()


def test_tables_that_do_not_fit_are_refused():
    light = distribution(np.zeros((4, len(V_NODES), 1)), (2, 2))
    with pytest.raises(InputError, match="same SSP grid"):
        kinematic_maps(light, node_tables(LG_AGES, LGMETS))
    with pytest.raises(InputError, match="needs 48"):
        node_tables(LG_AGES, LGMETS, weight=np.ones((7, 1)))
    with pytest.raises(InputError, match="choose one of linear, log"):
        node_tables(LG_AGES, LGMETS, average="median")
    with pytest.raises(InputError, match="choose linear or cubic"):
        node_tables(LG_AGES, LGMETS, interpolation="nearest")


@pytest.fixture(scope="module")
def cold_disc():
    disc = Disc(bulge_fraction=0.0, sigma_disc=3.0, height=0.01, r_turn=0.5)
    return disc_galaxy(disc, n_stars=40000, n_gas=0)


def test_lambda_r_of_a_cold_disc_is_one(cold_disc):
    sky = StarView(inclination=60.0, position_angle=215.0, orientation="none")(cold_disc)
    maps = kinematic_maps(sky_light(sky, half_width=24.0, n=40), node_tables([0.0], [-2.0]), gauss_hermite=False)
    found = summary.summarise(maps, 1.2)
    assert found.lambda_r > 0.93
    assert found.v_over_sigma > 2.5
    assert found.ellipticity == pytest.approx(0.5, abs=0.04)
    assert found.position_angle == pytest.approx(35.0, abs=2.0)
    assert found.kinematic_angle == pytest.approx(215.0, abs=2.0)
    assert found.r_half == pytest.approx(1.678 * 3.5, rel=0.05)


def test_lambda_r_of_a_dispersion_supported_sphere_is_zero():
    sphere = disc_galaxy(Disc(bulge_fraction=1.0, r_bulge=4.0), n_stars=40000, n_gas=0)
    sky = StarView(inclination=60.0, orientation="none")(sphere)
    maps = kinematic_maps(sky_light(sky, half_width=24.0, n=40), node_tables([0.0], [-2.0]), gauss_hermite=False)
    found = summary.summarise(maps, 1.2)
    assert found.lambda_r < 0.08
    assert found.v_over_sigma < 0.08


def test_kappa_rot_tells_discs_from_spheres(cold_disc):
    stars = cold_disc.stars
    assert summary.kappa_rot(stars.pos, stars.vel, stars.mass) > 0.95
    sphere = disc_galaxy(Disc(bulge_fraction=1.0), n_stars=20000, n_gas=0).stars
    args = (sphere.pos, sphere.vel, sphere.mass)
    assert summary.kappa_rot(*args) == pytest.approx(1 / 3, abs=0.01)  # one of three equal directions
    assert summary.kappa_rot(*args, corotating=True) == pytest.approx(1 / 6, abs=0.01)
    on_axis = summary.kappa_rot(jnp.zeros((2, 3)), jnp.ones((2, 3)), jnp.ones(2))
    assert on_axis == 0
