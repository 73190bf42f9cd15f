"""The initial mass function: what a generation returns, leaves and gives, and one mass function in every config."""

import h5py
import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

from galdiff import imf, units
from galdiff.arguments import check_kinds
from galdiff.build import build
from galdiff.errors import InputError
from galdiff.runtime import project_dir
from galdiff.sps.analytic import evolution
from galdiff.sps.library import load_ssp

NAMES = ("salpeter", "kroupa", "kroupa_revised", "chabrier")
AGES = np.array([0.005, 0.02, 0.1, 1.0, 10.0])  # Gyr
returned, left = jax.jit(imf.return_fraction), jax.jit(imf.remnant_fraction)


def by_trapezoids(law, weight, first):
    """Integral of weight(m) dN/dm from `first` [Msun], on a fine grid."""
    m = np.geomspace(first, 100.0, 400_001)
    values = weight(m) * np.asarray(imf.number_density(law, jnp.asarray(m))) * m
    return np.trapezoid(values, np.log(m))


def remnant(m):
    return np.where(m < 8.5, 0.48 + 0.077 * m, np.where(m < 40.0, 1.4, 0.5 * m))


def metals(m):
    return np.where(m < 40.0, 2.09 * 4.586e-4 * m**2.721 + 1.06 * 2.802e-4 * m**1.864, 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_integrals_are_those_of_a_fine_grid(name):
    law = imf.named_imf(name)
    first = np.asarray(imf.turnoff_mass(AGES))
    lost = [by_trapezoids(law, lambda m: m - remnant(m), m) for m in first]
    np.testing.assert_allclose(returned(law, AGES), lost, rtol=3e-5)
    np.testing.assert_allclose(left(law, AGES), [by_trapezoids(law, remnant, m) for m in first], rtol=3e-5)
    np.testing.assert_allclose(imf.mean_mass(law), 1 / by_trapezoids(law, np.ones_like, 0.1), rtol=1e-5)
    np.testing.assert_allclose(imf.supernova_rate(law), by_trapezoids(law, np.ones_like, 8.0), rtol=1e-6)
    np.testing.assert_allclose(imf.metal_yield(law), by_trapezoids(law, metals, 8.0), rtol=1e-4)
    erg_per_msun = float(imf.supernova_energy(law)) * 1e10 * units.MSUN_G
    assert erg_per_msun == pytest.approx(1e51 * float(imf.supernova_rate(law)))


@pytest.mark.parametrize(
    ("name", "share", "supernovae"), [("salpeter", 0.28, 0.7), ("kroupa", 0.40, 1.0), ("chabrier", 0.43, 1.2)]
)
def test_returns_and_supernovae_are_those_of_the_literature(name, share, supernovae):
    law = imf.named_imf(name)
    assert float(returned(law, 10.0)) == pytest.approx(share, abs=0.02)
    assert 100 * float(imf.supernova_rate(law)) == pytest.approx(supernovae, rel=0.15)  # per 100 Msun
    assert 0.01 < float(imf.metal_yield(law)) < 0.04


@pytest.mark.parametrize("name", NAMES)
def test_mass_is_kept_and_returns_grow_with_age(name):
    law = imf.named_imf(name)
    ages = np.geomspace(3e-3, 14.0, 40)
    share = np.asarray(returned(law, ages))
    assert (np.diff(share) >= 0).all()
    alive = 1 - share - np.asarray(left(law, ages))
    expected = [1 - by_trapezoids(law, lambda m: m, m) for m in np.minimum(imf.turnoff_mass(ages[[0, 20, 39]]), 99.999)]
    np.testing.assert_allclose(alive[[0, 20, 39]], expected, atol=2e-5)


def test_stars_die_when_the_tracks_say():
    for z in (0.001, 0.008, 0.02):
        m = np.asarray(imf.turnoff_mass(AGES, z))
        times = evolution.giant_branch_time(m, evolution.track_zeta(np.array(z)))
        np.testing.assert_allclose(times, AGES, rtol=0.25)
    assert imf.turnoff_mass(1e-4) == imf.turnoff_mass(1e-3) > 100.0
    assert (np.diff(imf.remnant_mass(np.array([0.2, 1.0, 5.0, 20.0, 60.0]))) > 0).all()
    assert imf.remnant_mass(0.3) == 0.3  # a star leaves no more than it had


def value(x, kind):
    law = imf.broken_power_law(x[:2], x[2:3], m_lo=x[3], m_hi=x[4])
    found = {
        "return": lambda: imf.return_fraction(law, x[5]),
        "remnants": lambda: imf.remnant_fraction(law, x[5]),
        "mean mass": lambda: imf.mean_mass(law),
        "energy": lambda: imf.supernova_energy(law) / 1e5,
        "metals": lambda: imf.metal_yield(law),
    }
    return found[kind]()


@pytest.mark.parametrize("kind", ["return", "remnants", "mean mass", "energy", "metals"])
def test_gradients_in_slopes_break_cut_offs_and_age_are_differences(kind):
    run = jax.jit(value, static_argnums=1)
    x = jnp.array([1.3, 2.35, 0.5, 0.1, 90.0, 4.0])
    gradient = np.asarray(jax.jit(jax.grad(value), static_argnums=1)(x, kind))
    steps = jnp.diag(1e-5 * x)
    differences = [(run(x + step, kind) - run(x - step, kind)) / (2 * step.sum()) for step in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-8)
    assert (np.abs(gradient[:2]) > 0).all()


def test_gradients_of_the_log_normal_are_differences():
    law = imf.chabrier()
    one = lambda s: imf.return_fraction(  # noqa: E731
        imf.LognormalPowerLaw(**{**{n: getattr(law, n) for n in ("m_peak", "m_join", "m_lo", "m_hi")}, **s})
    )
    at = {"slope": jnp.asarray(2.3), "sigma": jnp.asarray(0.69)}
    gradient = jax.grad(one)(at)
    for name in at:
        up, down = ({**at, name: at[name] + step} for step in (1e-5, -1e-5))
        np.testing.assert_allclose(gradient[name], (one(up) - one(down)) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Kroupa universal 1.30", "kroupa"),
        ("kroupa_revised", "kroupa_revised"),
        ("Kroupa revised ('kb' in MILES file names), 0.1-100 Msun", "kroupa_revised"),
        ("Chabrier 2003", "chabrier"),
        ("unimodal 1.30", "salpeter"),
        ("bimodal 1.30", "kroupa"),
        ("bimodal 3.30", "bimodal 3.30"),
        ("not stated", ""),
        ("", ""),
    ],
)
def test_the_words_of_libraries_are_understood(words, expected):
    assert imf.family(words) == expected


def test_light_and_recycling_of_another_mass_function_warn_once():
    with pytest.warns(UserWarning, match=r"IMF 'Chabrier 2003', the run 'kroupa'.*give imf=") as caught:
        imf.warn_other_imf(imf.kroupa(), "Chabrier 2003", "SSP library x.h5")
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="f_recycle is 0.4, but stars of the IMF 'salpeter' return 0.289"):
        imf.warn_recycling(imf.salpeter(), 0.4)
    with pytest.warns(UserWarning, match="has the IMF 'Kroupa revised 1.30', the run 'kroupa'"):
        imf.warn_other_imf(imf.kroupa(), "Kroupa revised 1.30", "a library")  # 0.2 mag
    imf.warn_other_imf(imf.kroupa_revised(), "Kroupa revised 1.30", "a library")  # silent: warnings are errors here
    imf.warn_other_imf(imf.kroupa(), "Kroupa universal 1.30", "a library")
    imf.warn_recycling(imf.kroupa(), 0.4)


def test_a_library_that_states_another_mass_function_warns_where_it_is_loaded(tmp_path):
    with h5py.File(tmp_path / "chabrier.h5", "w") as file:
        file.update(ssp_wave=np.linspace(4000.0, 5000.0, 9), ssp_lg_age_gyr=[-1.0, 0.0, 1.0], ssp_lgmet=[-2.0, -1.7])
        file["ssp_flux"] = np.full((2, 3, 9), 1e-16)  # Lsun/Hz/Msun
        file.attrs.update(resolution_fwhm_angstrom=2.5, imf="Chabrier 2003")
    with pytest.warns(UserWarning, match=r"chabrier.h5 has the IMF 'Chabrier 2003', the run 'kroupa'"):
        grid = load_ssp(tmp_path / "chabrier.h5", run_imf=imf.kroupa())
    assert grid.imf == "Chabrier 2003"
    load_ssp(tmp_path / "chabrier.h5", run_imf=imf.chabrier())  # says nothing: warnings are errors here
    load_ssp(tmp_path / "chabrier.h5")


@pytest.mark.parametrize("name", ["salpeter", "kroupa", "chabrier", "own"])
@pytest.mark.parametrize("config", ["simulate", "recover_maps", "recover_spectrum", "train"])
def test_a_run_has_one_mass_function_whichever_is_chosen(config, name):
    chosen = ["output=here", f"imf={name}"]
    chosen += ["experiment=ssp_emulator"] if config == "train" else []
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        composed = hydra.compose(config, overrides=chosen)
    resolved = OmegaConf.to_container(composed, resolve=True)
    library = resolved["case"]["library"] if config == "train" else resolved["ssp"]
    assert library["imf"] == resolved["imf"]
    assert build(library["imf"]).name == name


def test_recycling_can_be_taken_from_the_mass_function_of_the_run():
    line = "baryons.yields.f_recycle={_target_: galdiff.imf.return_fraction, imf: ${imf}}"
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        composed = hydra.compose("populate", overrides=["output=here", "imf=chabrier", line])
    check_kinds(composed, "populate")  # a number may be computed
    stage = build(composed.baryons, path="baryons")
    assert stage.parameters().yields.f_recycle == pytest.approx(0.4388, abs=1e-3)


def test_slopes_and_breaks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="2 slopes and 0 breaks"):
        build({"_target_": "galdiff.imf.broken_power_law", "slopes": [1.3, 2.3], "breaks": []})
