"""Laws that are used where they were not fitted are named once, by the stars that form there; defaults are not."""

import math
import runpy
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from galdiff.baryons.cooling import TableCooling
from galdiff.baryons.laws.cooling_time import CoolingTime
from galdiff.baryons.laws.imf_yields import ImfYields
from galdiff.baryons.laws.logistic import Logistic
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.pandya23 import Pandya23, published
from galdiff.baryons.regulator import Regulator
from galdiff.core.fitted import Range, fitted_on, ranges_of
from galdiff.cosmology import Cosmology
from galdiff.describe import describe
from galdiff.front import run
from galdiff.halo import concentration
from galdiff.halo.history import HistorySettings
from galdiff.imf import kroupa
from galdiff.io.cooling_tables import CoolingTable
from galdiff.light_records import StellarHistory
from galdiff.observing import grown_stars
from galdiff.observing.outside_fits import (
    Fit,
    Outside,
    baryon_fits,
    formed,
    halo_fits,
    of_history,
    warn_metals,
    warn_outside,
)
from galdiff.presets import folders
from galdiff.runtime import project_dir
from galdiff.sfh.gas_metallicity import AndrewsMartini13, Maiolino08
from galdiff.sfh.metallicity import OneMetallicity
from galdiff.units import Z_SUN

sensitivity = runpy.run_path(str(project_dir("experiments") / "sensitivity.py"))
SETTINGS = {"_target_": "galdiff.halo.history.HistorySettings", "concentration": "dutton14"}
POPULATION = {"_target_": "galdiff.halo.ensemble.diffmah_population", "settings": SETTINGS}
TODAY = Range("m_vir", "Msun", 1e10, 1e12, "a paper", at_end=True)
EVER = TODAY._replace(at_end=False)


def history(m_vir=(1e10, 1e11, 1e12), redshift=(3.0, 1.0, -1e-12), sfr=(1.0, 2.0, 1.0), temperature=3e5, zsun=0.5):
    """What a history of baryons has that fits are about: axes (t,) or (galaxy, t)."""
    shape = np.shape(m_vir)
    return SimpleNamespace(
        time=np.broadcast_to([2.0, 6.0, 13.8], shape),
        m_vir=np.asarray(m_vir),
        redshift=np.broadcast_to(redshift, shape),
        sfr=np.broadcast_to(np.asarray(sfr, float), shape),
        diagnostics=SimpleNamespace(temperature=np.full(shape, temperature)),
        metallicity=lambda reservoir: np.full(shape, zsun * Z_SUN),
    )


def test_a_range_holds_its_ends_and_round_off_and_says_its_unit_and_source():
    np.testing.assert_array_equal(
        TODAY.outside([0.9e10, 1e10, 1e12, 1.1e12, np.nan]), [True, False, False, True, False]
    )
    assert not Range("redshift", "", 0.0, 5.0, "").outside(np.float32(-1e-7))
    assert TODAY.words() == "m_vir at the end from 1e+10 to 1e+12 Msun (a paper)"
    assert TODAY._replace(high=math.inf, at_end=False).words() == "m_vir from 1e+10 Msun on (a paper)"
    assert not TODAY._replace(high=math.inf).outside(1e15)


def test_stars_count_by_the_mass_that_forms_in_the_time_around_each_output():
    two = history(m_vir=np.array([[1e9, 1e11, 1e12], [1e11, 1e12, 1e13]]))
    np.testing.assert_allclose(formed(two), [[4.0, 2 * (4.0 + 7.8) / 2, 7.8]] * 2)
    everything = formed(two).sum()
    counted = Outside([Fit("key", "law", EVER), Fit("key", "law", TODAY)])
    counted.add_history(two)
    np.testing.assert_allclose(counted.mass, [4.0 + 7.8, everything / 2])
    np.testing.assert_array_equal(counted.galaxies, [2, 1])
    assert formed(SimpleNamespace(time=np.array([[13.8]]), sfr=np.array([[5.0]]))).tolist() == [[5.0]]


def test_batches_add_up_and_galaxies_without_a_solution_count_nothing():
    masses = np.array([[1e11, 1e12, 1e13], [1e10, 1e11, 1e12]])
    together, apart = (Outside([Fit("baryons.z_inflow", "PowerLaw", TODAY)]) for _ in range(2))
    together.add_history(history(m_vir=masses))
    for row in masses:
        apart.add_history(history(m_vir=row[None]))
    apart.add_history(history(m_vir=masses[:1], sfr=np.nan))
    assert apart.mass == together.mass
    assert apart.total == together.total
    assert together.words() == (
        "50% of the stars (1 of 2 galaxies) form outside of m_vir at the end from 1e+10 to 1e+12 Msun (a paper), fitted"
        " range of PowerLaw (baryons.z_inflow)"
    )


def test_one_warning_on_one_line_names_all_laws_and_few_stars_are_not_worth_one():
    fits = [*halo_fits(POPULATION), *baryon_fits(published())]
    with pytest.warns(UserWarning, match="z_inflow") as said:
        warn_outside(history(m_vir=(1e12, 1e13, 1e16)), fits)
    assert len(said) == 1
    text = str(said[0].message)
    assert "\n" not in text
    for name in ("diffmah_population (halo)", "dutton14 (halo.settings.concentration)", "PowerLaw (baryons.z_inflow)"):
        assert name in text
    with warnings.catch_warnings(action="error"):
        warn_outside(history(sfr=(0.01, 2.0, 1.0), m_vir=(1e8, 1e11, 1e12)), fits)  # an early, small progenitor
        warn_outside(history(m_vir=(1e11, 1e13, 1e14)), baryon_fits(Pandya23()))  # levels off beyond 10^12 Msun


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (dict(redshift=(12.0, 11.0, 10.0)), "the UV background (baryons)"),
        (
            dict(temperature=1e9),
            "1e+04 to 3.16e+08 K (Sutherland & Dopita 1993, ApJS 88, 253), fitted range of Cooling",
        ),
        (dict(zsun=10.0), "metallicity.cgm"),
        (dict(m_vir=(1e7, 1e8, 1e9)), "Logistic (baryons.prevent)"),
    ],
)
def test_each_law_of_the_cycle_is_watched_in_its_own_quantity(changed, named):
    with pytest.warns(UserWarning, match="outside of") as said:
        warn_outside(history(**changed), baryon_fits(Pandya23()))
    assert named in str(said[0].message)


def test_ranges_are_data_of_laws_functions_and_settings():
    assert ranges_of(HistorySettings(concentration="duffy08")) == concentration.FITTED["duffy08"]
    assert set(concentration.FITTED) == set(concentration.MODELS)
    assert ranges_of(PowerLaw(log10_a=0.0, alpha0=-1.0, log10_a_range=(-2.0, 1.0))) == ()
    assert ranges_of(fitted_on(TODAY)(lambda: None)) == (TODAY,)
    assert ranges_of(Logistic())[0].high == math.inf
    assert ranges_of(ImfYields(imf=kroupa()))[0].quantity == "metallicity.ism"
    table = CoolingTable(
        log10_t=np.array([4.0, 7.0]), log10_z_solar=np.array([-1.0, 0.0]), log10_lambda=np.full((2, 2), -22.0)
    )
    temperature, metals = ranges_of(CoolingTime(function=TableCooling(table=table)))
    assert (temperature.low, temperature.high) == (1e4, 1e7)
    assert metals.high / metals.low == pytest.approx(10)
    assert [fit.key for fit in baryon_fits(Regulator())] == ["baryons.prevent", "baryons"]


def test_halos_that_are_read_or_built_have_no_fits_of_their_own():
    read = {**POPULATION, "_target_": "galdiff.io.halo_tables.table_history"}
    assert halo_fits(read) == halo_fits(object()) == halo_fits(None) == []


def test_growing_a_galaxy_warns_once(monkeypatch):
    monkeypatch.setattr(run, "grow", lambda *args: ("galaxy", history(m_vir=(1e12, 1e13, 1e14))))
    monkeypatch.setattr(run, "uncorrected_history", lambda *args: None)
    settings = SimpleNamespace(plain=lambda key: POPULATION, build=lambda key: kroupa())
    source = Regulator()  # any stage
    with pytest.warns(UserWarning, match="PowerLaw") as said:
        target = run.target_of(settings, source, (None, published()), lambda name: warnings.catch_warnings())
    assert (len(said), target.galaxy) == (1, "galaxy")


def test_light_of_a_grown_galaxy_warns_once(monkeypatch):
    monkeypatch.setattr(grown_stars, "history_of", lambda *args: history(m_vir=(1e12, 1e13, 1e14)))
    monkeypatch.setattr(grown_stars, "BirthRates", lambda history: "rates")
    monkeypatch.setattr(grown_stars, "BirthMetallicity", lambda history, scatter: "metals")
    with pytest.warns(UserWarning, match="baryons.z_inflow") as said:
        made = [f(halo=None, baryons=published(), **more) for f, more in MAKERS]
    assert (len(said), made) == (1, ["rates", "metals"])


MAKERS = ((grown_stars.grown_rates, {}), (grown_stars.grown_metals, {"scatter": 0.1}))


def test_a_population_is_counted_as_its_chunks_pass():
    outside = Outside(baryon_fits(published()))
    chunks = [(history(m_vir=np.array([[1e11, m, m]])), "report") for m in (1e12, 1e13)]
    assert list(outside.counting(iter(chunks))) == chunks
    assert "(1 of 2 galaxies)" in outside.words()


def test_jacobians_warn_of_heavy_halos_outside():
    cfg = OmegaConf.create({"halo": POPULATION})
    shown = SimpleNamespace(m_vir=np.array([[1e10, 1e11], [1e12, 1e13]]), redshift=np.array([[2.0, 0.0]] * 2))
    with pytest.warns(UserWarning, match=r"\(1 of 2 galaxies\) form outside of m_vir at the end .* PowerLaw") as said:
        sensitivity["warn_of_halos"](cfg, published(), shown)
    assert len(said) == 1
    with warnings.catch_warnings(action="error"):
        sensitivity["warn_of_halos"](cfg, Pandya23(), shown)


def test_metals_of_relations_are_watched_in_mass_and_time_of_birth():
    age = np.array([1.0, 6.0, 13.0])
    stars = StellarHistory(age=age, mass=np.array([1e11, 1e11, 1e11]), time=np.array(13.8))
    with pytest.warns(UserWarning, match=r"birth from 1.8\d to 12.9 Gyr .* Maiolino08 \(metallicity\)"):
        warn_metals(Maiolino08(cosmology=Cosmology()), stars)
    with pytest.warns(UserWarning, match=r"100% of the stars form outside of m_star .* AndrewsMartini13"):
        warn_metals(AndrewsMartini13(), stars)
    with warnings.catch_warnings(action="error"):
        warn_metals(OneMetallicity(), stars)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["simulate", "baryons.z_inflow.alpha0", "baryons=pandya26"], "m_vir at the end from 1e+10 to 1e+12 Msun"),
        (["simulate", "baryons.cooling"], f"metallicity.cgm from {1e-3 * Z_SUN:.3g} to "),
        (["populate", "halo"], "m_vir at the end from 1e+11 to 1e+15 Msun (Hearin et al. 2021"),
        (["simulate", "halo.settings.concentration"], "redshift from 0 to 5 (Dutton & Maccio 2014"),
    ],
)
def test_describe_says_where_a_law_was_fitted(args, said):
    told = describe(args, ("simulate", "populate"), folders(project_dir("conf")))
    assert any(line.startswith(f"  fitted on {said}") for line in told)


def test_laws_that_share_a_range_are_said_together():
    loading = PowerLaw(log10_a=0.0, alpha0=-1.0, log10_a_range=(-2.0, 1.0), fitted_log10_m=(10.5, 14.5))
    fits = baryon_fits(Pandya23(eta_mass=loading, eta_metal=loading))
    with pytest.warns(
        UserWarning, match=r"fitted range of PowerLaw \(baryons.eta_mass\), PowerLaw \(baryons.eta_metal"
    ):
        warn_outside(history(m_vir=(1e12, 1e13, 1e15)), fits)


def test_quantities_are_read_by_their_names_where_the_history_has_them():
    one = history(temperature=2e5, zsun=0.5)
    np.testing.assert_array_equal(of_history(one, "m_vir"), [1e10, 1e11, 1e12])
    np.testing.assert_array_equal(of_history(one, "diagnostics.temperature"), 2e5)
    np.testing.assert_allclose(of_history(one, "metallicity.cgm"), 0.5 * Z_SUN)
    with pytest.raises(AttributeError, match="spin"):
        of_history(one, "diagnostics.spin")


def test_halos_by_config_are_fits_of_the_concentration_that_is_chosen():
    for name in concentration.MODELS:
        chosen = {**SETTINGS, "concentration": name, "definition": "bn98" if name == "dutton14" else "200c"}
        population, *fits = halo_fits({**POPULATION, "settings": chosen})
        assert (population.key, population.law) == ("halo", "diffmah_population")
        assert {fit.law for fit in fits} == {name}
        assert tuple(fit.range for fit in fits) == concentration.FITTED[name]
        assert "_target_" in chosen  # nothing of the config was taken out


def test_just_enough_stars_are_not_said_and_a_bound_of_zero_allows_round_off():
    for share, said in ((0.049, ""), (0.051, "5% of the stars form outside of m_vir from")):
        counted = Outside([Fit("key", "law", EVER)])
        counted.add(np.array([share, 1 - share]), lambda name: [1e13, 1e11])
        assert counted.words().startswith(said)
        assert bool(counted.words()) == bool(said)
    zero = Range("redshift", "", 0.0, 5.0, "a paper")
    np.testing.assert_array_equal(zero.outside([-2e-4, -5e-5, 5.0004, 5.01]), [True, False, False, True])
    assert Outside([Fit("key", "law", zero)]).words() == ""  # nothing was counted
    assert zero.words() == "redshift from 0 to 5 (a paper)"
