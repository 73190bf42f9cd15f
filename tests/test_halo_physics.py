"""Virial sizes, NFW profiles, concentrations and diffmah histories: limits, published numbers, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baryon_reference import stored
from diffmah.diffmah_kernels import DiffmahParams as PeerParams
from diffmah.diffmah_kernels import mah_singlehalo

from galdiff.core import nfw
from galdiff.cosmology import Cosmology, radiation_density
from galdiff.errors import InputError
from galdiff.halo import concentration, diffmah, diffmah_population, spin, virial

PLANCK = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
TODAY = 13.8  # Gyr


def test_virial_overdensity_is_that_of_an_independent_code():
    # colossus 1.4.0, deltaVir, with radiation; within 0.1% of a universe without.
    np.testing.assert_allclose(
        virial.overdensity_bn98(PLANCK, np.array([0.0, 1.0, 3.0])),
        [102.16518547, 157.72475423, 174.72722175],
        rtol=1e-3,
    )
    np.testing.assert_allclose(virial.overdensity_bn98(PLANCK, 1e4), 18 * np.pi**2, rtol=1e-9)


def test_virial_radii_match_the_reference_haloes_and_astropy(data_dir):
    data = stored(data_dir / "baryons/halos_2000.npz")
    _, mass, radius, velocity, _ = np.moveaxis(10 ** data["halo_matrix"][::400], 1, 0)
    cosmology = Cosmology(h0=67.74, omega_m=0.3075, omega_r=radiation_density(67.74))
    np.testing.assert_allclose(virial.virial_radius(mass, data["z_full"], cosmology), radius, rtol=2e-4)
    np.testing.assert_allclose(virial.virial_velocity(mass, radius), velocity, rtol=1e-12)
    astropy = pytest.importorskip("astropy.cosmology")
    oracle = astropy.FlatLambdaCDM(H0=67.74, Om0=0.3075)
    for definition in virial.DEFINITIONS:
        rho = oracle.critical_density(1.5).to_value("Msun/kpc3")
        x = oracle.Om(1.5) - 1
        overdensity = {"bn98": 18 * np.pi**2 + 82 * x - 39 * x**2, "200c": 200.0, "200m": 200 * oracle.Om(1.5)}
        np.testing.assert_allclose(
            virial.mean_density(PLANCK, 1.5, definition), overdensity[definition] * rho, rtol=1e-6
        )


def test_radius_holds_its_mass_at_the_mean_density():
    radius = virial.virial_radius(1e12, 0.7, PLANCK, "200c")
    np.testing.assert_allclose(4 / 3 * np.pi * radius**3 * virial.mean_density(PLANCK, 0.7, "200c"), 1e12, rtol=1e-12)


def test_nfw_mass_is_smooth_through_the_centre_and_its_series():
    y = np.array([1e-8, 1e-4, 0.049999, 0.050001, 0.3, 10.0])
    exact = [
        float(np.longdouble(v) ** 2 * (0.5 - 2 * np.longdouble(v) / 3 + 0.75 * np.longdouble(v) ** 2)) for v in y[:2]
    ]
    np.testing.assert_allclose(nfw.mu(y)[:2], exact, rtol=1e-11)
    np.testing.assert_allclose(nfw.mu(y)[2:], np.log1p(y[2:]) - y[2:] / (1 + y[2:]), rtol=1e-11)
    np.testing.assert_allclose(jax.vmap(jax.grad(nfw.mu))(y), y / (1 + y) ** 2, rtol=1e-11)
    np.testing.assert_allclose(nfw.mu(y.astype(np.float32)), nfw.mu(y), rtol=2e-5)


def test_nfw_rotation_curve_peaks_at_r_max_and_ends_at_v_vir():
    c, v_vir = 9.0, 150.0
    assert nfw.nfw_velocity(1.0, c, v_vir) == pytest.approx(v_vir, rel=1e-12)
    peak = nfw.radius_of_maximum(200.0, c) / 200.0
    assert abs(jax.grad(nfw.nfw_velocity)(peak, c, v_vir)) < 1e-3
    assert jax.grad(nfw.nfw_velocity)(0.0, c, v_vir) == 0.0
    assert nfw.mass_fraction(1.0, c) == pytest.approx(1.0, rel=1e-14)


def test_nfw_force_and_density_follow_from_potential_and_mass():
    x, c, v = 0.37, 7.0, 180.0
    force = jax.grad(nfw.potential)(x, c, v)
    np.testing.assert_allclose(force, nfw.nfw_velocity(x, c, v) ** 2 / x, rtol=1e-12)
    shell = jax.grad(nfw.mass_fraction)(x, c) * 1e12 / 200.0
    np.testing.assert_allclose(4 * np.pi * (x * 200) ** 2 * nfw.density(x, c, 1e12, 200.0), shell, rtol=1e-12)
    np.testing.assert_allclose(nfw.potential(0.0, c, v), nfw.potential(1e-9, c, v), rtol=1e-7)


def test_concentrations_are_the_published_fits(data_dir):
    mass, redshift = 10.0 ** np.array([10.0, 12.0, 14.0]), np.array([[0.0], [2.0], [4.0]])
    # colossus 1.4.0 for h = 0.6774; rows: redshift, columns: mass.
    golden = {
        ("duffy08", "200c"): [[9.20729, 6.25362, 4.24748], [5.49395, 3.73151, 2.53446], [4.32131, 2.93505, 1.99350]],
        ("duffy08", "200m"): [[16.07396, 11.06937, 7.62295], [5.29945, 3.64948, 2.51322], [3.16347, 2.17853, 1.50025]],
        ("dutton14", "200c"): [[13.30714, 8.35766, 5.24910], [5.23199, 4.17510, 3.33171], [3.37027, 3.41715, 3.46469]],
        ("dutton14", "bn98"): [[17.19523, 11.00039, 7.03733], [5.62661, 4.49000, 3.58300], [3.62148, 3.60484, 3.58828]],
    }
    for (model, definition), expected in golden.items():
        ours = concentration.concentration(mass, redshift, PLANCK, model, definition)
        np.testing.assert_allclose(ours, expected, rtol=4e-6)
    data = stored(data_dir / "baryons/halos_2000.npz")
    rows = data["halo_matrix"][::500]
    duffy = concentration.concentration(10 ** rows[:, 1], data["z_full"], PLANCK, "duffy08")
    np.testing.assert_allclose(duffy, 10 ** (rows[:, 4] - data["dlog10c"][::500, None]), rtol=1e-12)


def test_concentration_stays_finite_at_the_edges_of_redshift():
    slope = jax.grad(lambda z: concentration.dutton14(1e12, z, 0.7))
    assert all(np.isfinite(slope(z)) for z in (-1e-8, 0.0, 1e-8, 5.0, 20.0))
    assert concentration.dutton14(1e8, 20.0, 0.7) == concentration.dutton14(1e8, 5.0, 0.7)


def test_unknown_definitions_and_models_are_named():
    with pytest.raises(InputError, match="halo definition is '500c'; choose one of bn98"):
        virial.virial_radius(1e12, 0.0, PLANCK, "500c")
    with pytest.raises(InputError, match="concentration model is 'zhao09'; choose"):
        concentration.concentration(1e12, 0.0, PLANCK, "zhao09")
    with pytest.raises(InputError, match="dutton14 has no fit for the halo definition '200m'"):
        concentration.concentration(1e12, 0.0, PLANCK, "dutton14", "200m")


@pytest.mark.parametrize(
    "values", [(12.0, 0.05, 2.6, 0.13, 14.0), (11.3, -0.3, 1.0, 0.19, 7.5), (14.5, 0.9, 4.0, 1.2, 20.0)]
)
def test_diffmah_is_that_of_its_authors(values):
    time = np.linspace(0.1, 14.0, 200)
    params = diffmah.DiffmahParams(**dict(zip(PeerParams._fields, values, strict=True)))
    rate, log_mass = mah_singlehalo(PeerParams(*values), time, np.log10(TODAY))
    np.testing.assert_allclose(diffmah.log10_mass(params, time, TODAY), log_mass, rtol=1e-12)
    np.testing.assert_allclose(diffmah.accretion_rate(params, time, TODAY), np.asarray(rate) * 1e9, rtol=1e-10)


def test_diffmah_rate_is_the_derivative_of_its_mass():
    params, t = diffmah.DiffmahParams(logm0=12.3), 4.0
    mass = lambda t: 10 ** diffmah.log10_mass(params, t, TODAY)  # noqa: E731
    rate = diffmah.accretion_rate(params, t, TODAY)
    np.testing.assert_allclose(rate, jax.grad(mass)(t), rtol=1e-12)
    np.testing.assert_allclose(rate, (mass(t + 1e-4) - mass(t - 1e-4)) / 2e-4, rtol=1e-7)


def test_population_has_the_published_mean_and_scatter():
    # Moments of log10 M(t)/M(13.8 Gyr) at t = 1, 2, 4, 8 Gyr of 20,000 haloes each from mc_halo_population of
    # diffmah 0.4.3, the code of Hearin et al. (2021); the standard error of ours is below 0.01.
    golden = {
        11.0: ([-1.530, -0.879, -0.438, -0.155], [0.462, 0.342, 0.229, 0.102]),
        12.0: ([-1.867, -1.089, -0.536, -0.184], [0.445, 0.337, 0.238, 0.109]),
        14.0: ([-2.737, -1.728, -0.887, -0.300], [0.444, 0.292, 0.240, 0.129]),
    }
    time = np.array([1.0, 2.0, 4.0, 8.0])
    for log10_m0, (mean, scatter) in golden.items():
        params = diffmah_population.sample_params(jax.random.key(1), jnp.full(8000, log10_m0))
        growth = jax.vmap(lambda p: diffmah.log10_mass(p, time, TODAY))(params) - log10_m0
        np.testing.assert_allclose(growth.mean(0), mean, atol=0.02)
        np.testing.assert_allclose(growth.std(0), scatter, atol=0.02)
        assert (params.early_index >= params.late_index).all()


def test_population_agrees_with_the_present_package_in_the_mean():
    from diffmah.diffmahpop_kernels.bimod_censat_params import DEFAULT_DIFFMAHPOP_PARAMS
    from diffmah.diffmahpop_kernels.mc_bimod_cens import mc_cenpop

    n, time = 4000, jnp.array([2.0, 4.0, 8.0, TODAY])
    peer = mc_cenpop(
        DEFAULT_DIFFMAHPOP_PARAMS, time, jnp.full(n, 12.0), jnp.full(n, TODAY), jax.random.key(0), np.log10(TODAY)
    ).log_mah
    params = diffmah_population.sample_params(jax.random.key(2), jnp.full(n, 12.0))
    ours = jax.vmap(lambda p: diffmah.log10_mass(p, time[:3], TODAY))(params) - 12.0
    # Another calibration (other simulations, centrals with a time of peak mass): 0.1 dex in the mean.
    np.testing.assert_allclose(ours.mean(0), (peer[:, :3] - peer[:, 3:]).mean(0), atol=0.12)


def test_populations_repeat_with_their_key_and_vary_smoothly_with_mass():
    key, mass = jax.random.key(3), jnp.full(5, 12.0)
    first, second = diffmah_population.sample_params(key, mass), diffmah_population.sample_params(key, mass)
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))
    slope = jax.jacobian(lambda m: diffmah_population.sample_params(key, m).early_index)(mass)
    step = (
        diffmah_population.sample_params(key, mass + 1e-6).early_index
        - diffmah_population.sample_params(key, mass - 1e-6).early_index
    )
    np.testing.assert_allclose(jnp.diagonal(slope), step / 2e-6, rtol=1e-6)
    assert diffmah_population.sample_params(key, mass.astype(jnp.float32)).logtc.dtype == jnp.float32


def test_spins_are_log_normal():
    draw = spin.sample_spin(jax.random.key(0), 20000)
    assert np.median(draw) == pytest.approx(0.035, rel=0.02)
    assert np.log(draw).std() == pytest.approx(0.50, rel=0.02)
