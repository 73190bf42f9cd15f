"""Distances and times against astropy, limits, and gradients."""

import astropy.cosmology as ac
import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff import cosmology, units
from galdiff.core.record import check
from galdiff.cosmology import Cosmology

REDSHIFTS = np.array([1e-8, 1e-4, 0.003, 0.1, 0.5, 1.0, 2.3, 6.0, 15.0, 30.0])
CASES = [
    (67.66, 0.30966, -1.0),
    (70.0, 0.3, -1.0),
    (50.0, 0.999, -1.0),
    (73.0, 0.1, -1.0),
    (67.0, 0.3, -0.7),
    (70.0, 0.25, -1.4),
]


def pair(case):
    h0, omega_m, w = case
    theirs = ac.FlatwCDM(H0=h0 * u.km / u.s / u.Mpc, Om0=omega_m, w0=w, Tcmb0=0 * u.K, Neff=0)
    return Cosmology(h0=h0, omega_m=omega_m, w=w), theirs


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("efunc", lambda a, z: a.efunc(z)),
        ("hubble", lambda a, z: a.H(z).to_value("km / (s Mpc)")),
        ("age", lambda a, z: a.age(z).to_value("Gyr")),
        ("lookback_time", lambda a, z: a.lookback_time(z).to_value("Gyr")),
        ("comoving_distance", lambda a, z: a.comoving_distance(z).to_value("Mpc")),
        ("luminosity_distance", lambda a, z: a.luminosity_distance(z).to_value("Mpc")),
        ("angular_diameter_distance", lambda a, z: a.angular_diameter_distance(z).to_value("Mpc")),
        ("kpc_per_arcsec", lambda a, z: 1 / a.arcsec_per_kpc_proper(z).to_value("arcsec/kpc")),
        ("critical_density", lambda a, z: a.critical_density(z).to_value("Msun/kpc3")),
        ("matter_fraction", lambda a, z: a.Om(z)),
    ],
)
def test_agrees_with_astropy(name, expected, case):
    ours, theirs = pair(case)
    np.testing.assert_allclose(getattr(cosmology, name)(ours, REDSHIFTS), expected(theirs, REDSHIFTS), rtol=1e-5)


def test_the_default_is_planck_2018_within_its_neglected_radiation():
    np.testing.assert_allclose(cosmology.age(Cosmology(), 0.0), ac.Planck18.age(0).to_value("Gyr"), rtol=2e-3)
    check(Cosmology())


def test_small_redshifts_keep_their_precision_in_single_precision():
    z = np.float32(1e-6)
    with jax.enable_x64(False):
        names = ("comoving_distance", "lookback_time", "kpc_per_arcsec")
        # traced afresh: operations compiled in double precision must not be taken from JAX's cache
        distance, lookback, scale = jax.jit(lambda z: [getattr(cosmology, n)(Cosmology(), z) for n in names])(z)
    assert distance.dtype == jnp.float32
    np.testing.assert_allclose(distance, units.C_KMS * z / 67.66, rtol=3e-6)
    np.testing.assert_allclose(lookback, units.MPC_KMS_PER_GYR * z / 67.66, rtol=3e-6)
    np.testing.assert_allclose(scale, units.C_KMS * z / 67.66 * 1e3 / units.ARCSEC_PER_RADIAN, rtol=3e-6)


def test_age_and_lookback_time_add_up_and_distances_grow():
    z = jnp.linspace(0.0, 20.0, 60)
    cosmo = Cosmology(w=-0.9)
    total = cosmology.age(cosmo, z) + cosmology.lookback_time(cosmo, z)
    np.testing.assert_allclose(total, cosmology.age(cosmo, 0.0), rtol=1e-6)
    assert (jnp.diff(cosmology.comoving_distance(cosmo, z)) > 0).all()


def test_an_empty_cosmological_constant_gives_the_closed_forms_of_einstein_de_sitter():
    cosmo, z = Cosmology(h0=70.0, omega_m=1.0), np.array([0.0, 1.0, 5.0])
    age = 2 / 3 * units.MPC_KMS_PER_GYR / 70.0 * (1 + z) ** -1.5
    np.testing.assert_allclose(cosmology.age(cosmo, z), age, rtol=1e-10)
    distance = 2 * units.C_KMS / 70.0 * (1 - (1 + z) ** -0.5)
    np.testing.assert_allclose(cosmology.comoving_distance(cosmo, z), distance, rtol=1e-10, atol=1e-12)


def test_shapes_follow_the_redshift():
    for shape in ((), (3,), (2, 3)):
        for name in ("age", "lookback_time", "comoving_distance", "critical_density"):
            assert getattr(cosmology, name)(Cosmology(), jnp.full(shape, 0.5)).shape == shape


@pytest.mark.parametrize("name", ["age", "lookback_time", "luminosity_distance", "kpc_per_arcsec", "critical_density"])
@pytest.mark.parametrize("w", [-1.0, -0.8])
def test_gradients_are_central_differences(name, w):
    def value(x):
        return getattr(cosmology, name)(Cosmology(h0=x[0], omega_m=x[1], w=x[2]), x[3])

    x = jnp.array([68.0, 0.31, w, 0.7])
    gradient = jax.grad(value)(x)
    for i, step in enumerate([1e-3, 1e-6, 1e-6, 1e-6]):
        shift = jnp.zeros(4).at[i].set(step)
        np.testing.assert_allclose(
            gradient[i], (value(x + shift) - value(x - shift)) / (2 * step), rtol=1e-6, atol=1e-9
        )


def test_gradients_are_finite_today():
    for name in ("age", "lookback_time", "luminosity_distance", "kpc_per_arcsec"):
        assert np.isfinite(jax.grad(lambda z, n=name: getattr(cosmology, n)(Cosmology(), z))(0.0))
