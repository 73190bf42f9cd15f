"""Distances and times against astropy, limits, gradients, and one cosmology in every config."""

import functools
import itertools

import astropy.cosmology as ac
import astropy.units as u
import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from galdiff import cosmology, units
from galdiff.build import build
from galdiff.core.record import check
from galdiff.cosmology import Cosmology, flat_cosmology
from galdiff.errors import InputError
from galdiff.ifu.placement import AtRedshift
from galdiff.runtime import project_dir

REDSHIFTS = np.array([1e-8, 1e-4, 0.003, 0.1, 0.5, 1.0, 2.3, 6.0, 15.0, 30.0])
CASES = [
    (67.66, 0.30966, -1.0),
    (70.0, 0.3, -1.0),
    (50.0, 0.999, -1.0),
    (73.0, 0.1, -1.0),
    (67.0, 0.3, -0.7),
    (70.0, 0.25, -1.4),
    (67.0, 0.3, -0.7, -0.9),
    (70.0, 0.28, -1.2, 0.8),
    (67.74, 0.3075, -1.0, 0.0, 2.7255),
    (69.0, 0.31, -0.85, -0.5, 2.7255),
]
CONF = project_dir("conf")
PRESETS = {"planck15": ac.Planck15, "planck18": ac.Planck18, "wmap9": ac.WMAP9}
INFERRED = ("sed", "relations")  # experiments of galdiff infer
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
HALOS = sorted(path.stem for path in (CONF / "halo").glob("*.yaml"))
INPUTS = ("disc", "file", "halo")
ENTRIES = [  # a config of the command line, and what is chosen in it
    *((path.stem, ()) for path in sorted(CONF.glob("*.yaml")) if path.stem != "interpolation_gradients"),
    *(("infer" if name in INFERRED else "train", (f"experiment={name}",)) for name in EXPERIMENTS),
    *(("simulate", (f"halo={halo}", f"input={name}")) for halo, name in itertools.product(HALOS, INPUTS)),
    *((name, ("halo=diffmah",)) for name in ("populate", "sensitivity")),
    ("predict", ("input=drivers",)),
]


def pair(case):
    h0, omega_m, w, wa, t_cmb = (*case, 0.0, 0.0)[:5] if len(case) < 5 else case
    kelvin = dict(Tcmb0=t_cmb * u.K, Neff=3.046 if t_cmb else 0)
    theirs = ac.Flatw0waCDM(H0=h0 * u.km / u.s / u.Mpc, Om0=omega_m, w0=w, wa=wa, **kelvin)
    omega_r = cosmology.radiation_density(h0, t_cmb) if t_cmb else 0.0
    return Cosmology(h0=h0, omega_m=omega_m, w=w, wa=wa, omega_r=omega_r), theirs


@functools.cache
def preset(name):
    return build(yaml.safe_load((CONF / "cosmology" / f"{name}.yaml").read_text(encoding="utf-8")), path=name)


def values(node, name):
    """All values of a key, wherever in a config."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [node[name]] if isinstance(node, dict) and name in node else []
    return own + [value for child in children for value in values(child, name)]


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


def test_the_default_is_planck_2015_within_its_neglected_radiation_and_neutrinos():
    np.testing.assert_allclose(cosmology.age(Cosmology(), 0.0), ac.Planck15.age(0).to_value("Gyr"), rtol=2e-3)
    check(Cosmology())
    assert preset("planck15") == Cosmology()


@pytest.mark.parametrize("name", ["planck18", "wmap9"])
def test_presets_are_those_of_astropy_with_massless_neutrinos(name):
    ours, theirs = preset(name), PRESETS[name]
    flat = ac.FlatLambdaCDM(H0=theirs.H0, Om0=theirs.Om0, Tcmb0=theirs.Tcmb0, Neff=theirs.Neff)
    z = np.linspace(0.0, 15.0, 31)  # radiation is given to four digits, which is 3e-8 of an age
    np.testing.assert_allclose(ours.omega_b, theirs.Ob0)
    np.testing.assert_allclose(cosmology.age(ours, z), flat.age(z).to_value("Gyr"), rtol=1e-6)
    np.testing.assert_allclose(cosmology.hubble(ours, z), flat.H(z).to_value("km / (s Mpc)"), rtol=1e-6)
    distance = cosmology.luminosity_distance(ours, z)
    np.testing.assert_allclose(distance, flat.luminosity_distance(z).to_value("Mpc"), rtol=1e-6)
    massive = theirs.luminosity_distance(z).to_value("Mpc")  # neutrinos of 0.06 eV are heavier than radiation
    np.testing.assert_allclose(distance, massive, rtol=2e-3)


def test_the_halos_of_the_default_are_those_of_planck_2015():
    ours, theirs = preset("planck15"), ac.Planck15
    assert (ours.h0, ours.omega_m, ours.omega_b) == (theirs.H0.value, theirs.Om0, theirs.Ob0)
    radiation = cosmology.radiation_density(ours.h0)
    text = (CONF / "cosmology" / "planck15.yaml").read_text(encoding="utf-8")
    assert f"{radiation:.3e}" == "9.117e-05"
    assert "9.117e-5" in text  # the comment says what is neglected
    other = Cosmology(omega_r=radiation)
    np.testing.assert_allclose(cosmology.age(ours, 0.0) / cosmology.age(other, 0.0) - 1, 4e-4, rtol=0.1)


@pytest.mark.parametrize("w", [(-1.0, 0.0), (-0.7, -0.9), (-1.2, 0.8)])
def test_redshift_at_age_inverts_age_with_growing_dark_energy_and_radiation(w):
    cosmo, z = Cosmology(w=w[0], wa=w[1], omega_r=9.1e-5), np.array([0.0, 0.4, 2.0, 8.0, 20.0])
    found = cosmology.redshift_at_age(cosmo, cosmology.age(cosmo, z))
    np.testing.assert_allclose(1 + found, 1 + z, rtol=1e-10)


@pytest.mark.parametrize("w", [(-1.0, 0.0), (-0.7, -0.9), (-3.0, 0.0)])
def test_many_ages_at_once_give_the_redshifts_of_one_and_their_gradients(w):
    @jax.jit
    def both(omega_m, h0, time):
        cosmo = Cosmology(omega_m=omega_m, h0=h0, w=w[0], wa=w[1], omega_r=9.1e-5)
        ln_a, slope = cosmology.ln_scale_at_ages(cosmo, time)
        return ln_a, -jnp.log1p(cosmology.redshift_at_age(cosmo, time)), slope

    for nodes in (np.geomspace(0.05, 12.0, 100), np.array([0.4, 5.0, 9.0])):
        many, one, _ = both(0.3, 70.0, nodes)
        np.testing.assert_allclose(many, one, rtol=0, atol=1e-10)
        slopes = jax.jit(jax.jacfwd(both, (0, 1, 2)))(0.3, 70.0, nodes)
        for found, expected in zip(*slopes[:2], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
        by_time = np.diagonal(slopes[0][2]) * nodes
        np.testing.assert_allclose(both(0.3, 70.0, nodes)[2], by_time, rtol=1e-8)
    reverse = jax.jit(jax.grad(lambda m, h, t: both(m, h, t)[0].sum(), (0, 1)))
    total = reverse(0.3, 70.0, nodes)
    np.testing.assert_allclose(total, [x.sum() for x in slopes[0][:2]], rtol=1e-9)


def test_a_universe_of_matter_alone_grows_as_the_two_thirds_of_time():
    cosmo, time = Cosmology(omega_m=1.0), np.array([0.5, 4.0])
    z = cosmology.redshift_at_age(cosmo, time)
    np.testing.assert_allclose(np.diff(np.log1p(z)), -2 / 3 * np.log(8.0), rtol=1e-10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"h0": 0.7}, r"h0 is 0.7 \[km/s/Mpc\]; give 10 to 200"),
        ({"omega_m": 0.0}, "omega_m is 0.0"),
        ({"omega_b": 0.4}, r"omega_b is 0.4 \[1\]; give 0 to 0.3"),
        ({"w": 0.5}, "w is 0.5"),
        ({"wa": 1.2}, "wa is 1.2 .*; give -3 to 1"),
        ({"h0": float("nan")}, "h0 is nan"),
        ({"omega_m": 1.0, "omega_r": 0.05}, "dark energy is the rest"),
    ],
)
def test_numbers_that_are_no_universe_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        flat_cosmology(**{"h0": 70.0, "omega_m": 0.3, "omega_b": 0.045, "omega_r": 0.0, "w": -1.0, "wa": 0.0, **change})


@pytest.mark.parametrize(("config", "overrides"), ENTRIES, ids=lambda x: x if isinstance(x, str) else "-".join(x))
def test_a_run_has_one_cosmology_whichever_is_chosen(config, overrides):
    for name in ("planck15", "planck18", "wmap9", "own"):
        own = [f"cosmology.{key}={value}" for key, value in (("h0", 71), ("omega_m", 0.27), ("omega_b", 0.05))]
        chosen = ["output=here", f"cosmology={name}", *(own if name == "own" else ())]
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            composed = hydra.compose(config, overrides=[*chosen, *overrides])
        resolved = OmegaConf.to_container(composed, resolve=True)
        for key in ("h0", "omega_m", "omega_b", "omega_r", "w", "wa"):
            assert set(values(resolved, key)) == {resolved["cosmology"][key]}
        assert all(node == resolved["cosmology"] for node in values(resolved, "cosmology"))


def test_nobody_writes_a_cosmology_into_a_config_but_the_presets():
    for path in CONF.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert path.parent.name == "cosmology" or not any(
            key in text for key in ("h0:", "omega_m:", "galdiff.cosmology")
        )


def test_a_placement_uses_all_numbers_of_the_cosmology():
    cosmo = Cosmology(h0=60.0, omega_m=0.4, omega_r=1e-3, w=-0.8, wa=-0.5)
    placed = AtRedshift(redshift=0.7, cosmology=cosmo)()
    np.testing.assert_allclose(placed.luminosity_distance, cosmology.luminosity_distance(cosmo, 0.7), rtol=1e-6)


def test_two_cosmologies_are_told_apart_by_what_differs():
    assert cosmology.difference(Cosmology(), Cosmology(h0=67.77, omega_m=0.307, omega_b=0.04)) == ""
    said = cosmology.difference(Cosmology(h0=71.0), Cosmology(w=-0.9))
    assert said == "h0 71 and 67.74 km/s/Mpc, w -1 and -0.9"


def test_small_redshifts_keep_their_precision_in_single_precision():
    z = np.float32(1e-6)
    with jax.enable_x64(False):
        names = ("comoving_distance", "lookback_time", "kpc_per_arcsec")
        # traced afresh: operations compiled in double precision must not be taken from JAX's cache
        distance, lookback, scale = jax.jit(lambda z: [getattr(cosmology, n)(Cosmology(), z) for n in names])(z)
    assert distance.dtype == jnp.float32
    np.testing.assert_allclose(distance, units.C_KMS * z / 67.74, rtol=3e-6)
    np.testing.assert_allclose(lookback, units.MPC_KMS_PER_GYR * z / 67.74, rtol=3e-6)
    np.testing.assert_allclose(scale, units.C_KMS * z / 67.74 * 1e3 / units.ARCSEC_PER_RADIAN, rtol=3e-6)


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
@pytest.mark.parametrize("w", [(-1.0, 0.0), (-0.8, -0.4)])
def test_gradients_are_central_differences(name, w):
    @jax.jit
    def value(x):
        cosmo = Cosmology(h0=x[0], omega_m=x[1], w=x[2], wa=x[3], omega_r=x[4])
        return getattr(cosmology, name)(cosmo, x[5])

    x = jnp.array([68.0, 0.31, *w, 1e-4, 0.7])
    gradient = jax.grad(value)(x)
    for i, step in enumerate([1e-3, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6]):
        shift = jnp.zeros(6).at[i].set(step)
        np.testing.assert_allclose(
            gradient[i], (value(x + shift) - value(x - shift)) / (2 * step), rtol=1e-6, atol=1e-9
        )


def test_gradients_are_finite_today():
    for name in ("age", "lookback_time", "luminosity_distance", "kpc_per_arcsec"):
        assert np.isfinite(jax.grad(lambda z, n=name: getattr(cosmology, n)(Cosmology(), z))(0.0))
