"""Laws of the baryon cycles: every preset keeps the contract of its slot, alone and in the cycle; so does a new one."""

import dataclasses
import functools
import importlib
import textwrap

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf
from test_baryons_budgets import N_RATES, drift, random_network

from galdiff import imf
from galdiff.baryons.cooling import SmoothCooling
from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Outputs, evolve_prepared, prepare
from galdiff.baryons.halo_state import HaloNow, halo_state_at
from galdiff.baryons.hot_gas import cooling_time
from galdiff.baryons.laws.cooling_radius import CoolingRadius
from galdiff.baryons.laws.imf_yields import ImfYields
from galdiff.baryons.laws.law import Law
from galdiff.baryons.laws.schmidt import Schmidt
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.regulator import Regulator
from galdiff.build import build
from galdiff.core.correction import LogGain
from galdiff.core.pipeline import Pipeline
from galdiff.core.variables import Physical
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.history import HistorySettings, diffmah_history
from galdiff.inference.sensitivity import leaves_by_name, named_values, replaced
from galdiff.records import HaloHistory
from galdiff.runtime import project_dir

OUTPUTS = Outputs(redshifts=(1.0, 0.0), n_steps=24)
COSMOLOGY = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
# The laws of baryons=calibrated are these with other numbers; that cycle is tested in test_black_hole.py.
FILES = sorted(path for path in project_dir("conf").glob("baryons/*/*.yaml") if path.stem != "calibrated")
PRESETS = {f"{path.parent.name}={path.stem}": path for path in FILES}
# For what needs a solution: star formation, and what is in no default cycle; the others are in each of these.
IN_EACH = ("cooling=cooling_time", "yields=constant", "yields=without_energy")
SOLVED = [
    name for name in PRESETS if name.startswith(("star_formation=", "cooling=", "yields=")) and name not in IN_EACH
]
SOLVED += ["prevent=none", "black_hole=croton06"]


def law_of(preset: str) -> Law:
    whole = OmegaConf.create({"law": OmegaConf.load(PRESETS[preset]), "imf": {"_target_": "galdiff.imf.kroupa"}})
    return build(whole.law, path=preset)


def compose(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("simulate", overrides=list(overrides))


@functools.cache
def extremes():
    """Dwarfs to clusters at redshift 0 to 15, with next to no gas, usual amounts and more; half without a spin."""
    m, z, ism = (x.ravel() for x in np.meshgrid([1e7, 1e11, 1e15], [0.0, 3.0, 15.0], [0.0, 1.0, 1e-4, 0.3]))
    ism = np.where(ism < 1, ism * m, ism)
    r = 260 * (m / 1e12) ** (1 / 3) / (1 + z)
    v = 2.07e-3 * np.sqrt(m / r)
    arrays = dict(time=13 / (1 + z) ** 1.5, redshift=z, m_vir=m, mdot_vir=0.1 * m, r_vir=r, v_vir=v, c_nfw=5 + 0 * m)
    halo = HaloNow(**{k: jnp.asarray(x) for k, x in arrays.items()}, spin=jnp.asarray(0.04 * (np.arange(len(m)) % 2)))
    mass = {"stars": halo.m_vir * 0.01, "ism": jnp.asarray(ism), "cgm": halo.m_vir * 0.05}
    contents = {
        "mass": mass,
        "metals": {k: 0.01 * x for k, x in mass.items()},
        "energy": {"heat": mass["cgm"] * halo.v_vir**2},
    }
    return halo_state_at(halo, COSMOLOGY), contents


def said(law, p, halo_state, contents):
    """What it says of the halo: one array, or a record of some."""
    return law(p, halo_state, contents if law.sees_contents else None)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_law_is_positive_and_finite_in_any_halo_with_any_gas(preset):
    law, (halo_state, contents) = law_of(preset), extremes()
    lowest = 0.0 if "none" in preset else np.finfo(np.float32).tiny
    unknown = dataclasses.replace(halo_state, halo=dataclasses.replace(halo_state.halo, spin=None))
    for rate in jax.tree.leaves(said(law, law.parameters(), halo_state, contents)):
        assert rate.shape == halo_state.t_dyn.shape
        assert np.isfinite(rate).all()
        assert (np.asarray(rate) >= lowest).all()
    for rate in jax.tree.leaves(said(law, law.parameters(), unknown, contents)):
        assert np.isfinite(rate).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_law_in_single_precision_stays_there(preset):
    law, (halo_state, contents) = law_of(preset), extremes()
    single = jax.tree.map(lambda x: x.astype(jnp.float32), (law.parameters(), halo_state, contents))
    double = said(law, law.parameters(), halo_state, contents)
    for rate, exact in zip(jax.tree.leaves(said(law, *single)), jax.tree.leaves(double), strict=True):
        assert rate.dtype == jnp.float32
        np.testing.assert_allclose(rate, exact, rtol=2e-4)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_law_answers_to_each_of_its_parameters_as_differences_say(preset):
    law, (halo_state, contents) = law_of(preset), extremes()
    own = law.parameters()
    names = tuple(leaves_by_name(own))
    assert set(names) == {name for name, x in vars(law).items() if isinstance(x, Physical)}
    if not names:
        return
    values = named_values(own, names)

    def rates(values, ism):
        here = {**contents, "mass": {**contents["mass"], "ism": ism}}
        return jnp.stack(jax.tree.leaves(said(law, replaced(own, names, values), halo_state, here)))

    exact = jax.jit(jax.jacfwd(rates))(values, contents["mass"]["ism"])
    step = 1e-5
    both = [
        jax.vmap(lambda d, s=s: rates(values + s * d, contents["mass"]["ism"]))(step * jnp.eye(len(names)))
        for s in (1, -1)
    ]
    np.testing.assert_allclose(
        exact, np.moveaxis(both[0] - both[1], 0, -1) / (2 * step), rtol=1e-5, atol=1e-9 * np.abs(exact).max()
    )
    by_gas = jax.grad(lambda ism: rates(values, ism).sum())(contents["mass"]["ism"])
    assert np.isfinite(by_gas).all()


@functools.cache
def halo():
    return diffmah_history(log10_mvir=12.0, cosmology=COSMOLOGY, settings=HistorySettings(n_nodes=24), spin=0.03)


@pytest.mark.parametrize("preset", SOLVED)
def test_in_the_cycle_a_law_keeps_budgets_and_gradients_with_and_without_a_correction(preset):
    slot, law = preset.split("=")[0], law_of(preset)
    net = random_network(4, N_RATES, 3)
    plain = Pandya23(**{slot: law})
    own = plain.parameters()
    names = tuple(n for n in leaves_by_name(own) if n.startswith(f"{slot}."))
    values = named_values(own, names) if names else jnp.zeros(0)
    prepared = prepare(plain.equations(), halo(), OUTPUTS)

    def run(values, size):
        cycle = Pandya23(**{slot: law_of(preset)}, correction=LogGain(net=lambda x: size * net(x), bound=2.0))
        history = evolve_prepared(cycle.equations(replaced(own, names, values)), prepared)
        out = jnp.log(jnp.stack([history.m_star, history.m_ism, history.metallicity("cgm")]))
        return out, (out, history)

    step = 1e-5
    shifts = step * jnp.concatenate([jnp.zeros((2, len(names))), jnp.eye(len(names)), -jnp.eye(len(names))])
    sizes = jnp.ones(len(shifts)).at[0].set(0.0)  # the first without a correction
    slopes, (out, histories) = jax.jit(jax.vmap(jax.jacfwd(run, has_aux=True)))(values + shifts, sizes)
    assert np.isfinite(histories.error).all()  # that is: finite and positive
    assert max(drift(histories).values()) < 1e-12
    assert all((np.asarray(f) >= 0).all() for flows in histories.flows.values() for f in flows.values())
    assert (histories.diagnostics.t_dep > 0).all()
    assert not np.allclose(out[0], out[1], rtol=1e-3)  # the correction did something
    up, down = out[2 : 2 + len(names)], out[2 + len(names) :]
    differences = np.moveaxis((up - down) / (2 * step), 0, -1)
    np.testing.assert_allclose(slopes[1], differences, rtol=1e-4, atol=1e-6)


def test_denser_gas_forms_stars_faster_as_kennicutt_says():
    """10 Msun/pc^2 everywhere would deplete in 10 / (2.5e-4 x 10^1.4) x 1e6 yr = 1.6 Gyr."""
    law, (halo_state, _) = Schmidt(slope=1.4), extremes()
    p = law.parameters()
    r_disc = np.sqrt(0.5) * 0.04 * halo_state.halo.r_vir
    gas = {"mass": {"ism": 10 * 1e6 * 2 * np.pi * r_disc**2}}
    rate = np.asarray(law(p, halo_state, gas))[1::2]  # those that know their spin
    np.testing.assert_allclose(1.4**2 * rate, 1 / 1.592, rtol=2e-3)
    np.testing.assert_allclose(
        law(p, halo_state, {"mass": {"ism": 32 * gas["mass"]["ism"]}})[1::2] / rate, 4.0, rtol=1e-6
    )


def test_gas_cools_from_within_the_radius_where_it_would_in_a_dynamical_time():
    """With n ~ r^-1.5 the local cooling time at R_vir is that of 1.5 n_0 k T / (n_0^2 Lambda): E/Edot x 3.57."""
    halo_state, contents = extremes()
    sharp = lambda x: jnp.maximum(x, 1.0)  # noqa: E731
    fit = SmoothCooling()
    ratio = np.asarray(cooling_time(fit, halo_state, contents))
    times = CoolingRadius(function=fit)(None, halo_state, contents, sharp)
    radii = np.linspace(0.1, 1.0, 20001)
    over = np.trapezoid(radii**0.5, radii) / np.trapezoid(1 / radii, radii)  # of int n r^2 dr over int n^2 r^2 dr
    r_cool = np.minimum((ratio / over) ** (-2 / 3), 1.0)
    np.testing.assert_allclose(times.arrival, np.asarray(halo_state.t_dyn) / r_cool, rtol=1e-6)
    np.testing.assert_array_equal(times.arrival, times.radiation)
    assert (np.asarray(times.arrival) >= np.asarray(halo_state.t_dyn)).all()


def test_stars_of_a_mass_function_give_back_what_its_integrals_say():
    law = ImfYields(imf=imf.salpeter(), age=5.0)
    stars = law.generation(law.parameters())
    np.testing.assert_allclose(stars.f_recycle, imf.return_fraction(imf.salpeter(), 5.0), rtol=1e-6)
    np.testing.assert_allclose(stars.metal_yield, imf.metal_yield(imf.salpeter()), rtol=1e-6)
    np.testing.assert_allclose(stars.energy_yield, imf.supernova_energy(imf.salpeter()), rtol=1e-6)
    rates = Pandya23(yields=law).equations().known_rates(extremes()[0])
    np.testing.assert_allclose(rates.locked, 1 - stars.f_recycle, rtol=1e-6)


def test_the_mass_function_of_the_run_is_that_of_its_yields():
    cycle = build(compose("imf=chabrier", "baryons/yields=imf").baryons, path="baryons")
    assert isinstance(cycle.yields, ImfYields)
    np.testing.assert_allclose(cycle.yields.generation(cycle.parameters().yields).f_recycle, 0.4388, atol=1e-3)


def test_older_names_of_yields_are_used_and_said_on_one_line():
    with pytest.warns(UserWarning, match=r"^f_recycle: this key is yields\.f_recycle now; its value is used$"):
        cycle = build(compose("baryons=pandya23", "baryons.f_recycle=0.3").baryons, path="baryons")
    stars = cycle.yields.generation(cycle.parameters().yields)
    np.testing.assert_allclose([stars.f_recycle, stars.metal_yield], [0.3, 0.02], rtol=1e-6)
    with pytest.raises(InputError, match="metal_yield is given beside yields, a ImfYields, which computes it; leave"):
        build(compose("baryons/yields=imf", "baryons.metal_yield=0.01").baryons, path="baryons")
    with pytest.raises(InputError, match=r"yields of Pandya23 give no energy_yield"):
        build(compose("baryons/yields=without_energy").baryons, path="baryons")
    function = SmoothCooling()
    assert Pandya23(cooling=function).cooling.function is function  # a cooling function alone, as it used to be


@pytest.mark.parametrize("kind", ["pandya23", "calibrated", "regulator"])
def test_one_word_on_the_command_line_takes_another_law_and_keeps_all_other_keys(kind):
    before = OmegaConf.to_container(compose(f"baryons={kind}").baryons)
    after = OmegaConf.to_container(compose(f"baryons={kind}", "baryons/star_formation=schmidt").baryons)
    assert {k: v for k, v in before.items() if k != "star_formation"} == {
        k: v for k, v in after.items() if k != "star_formation"
    }
    cycle = build(OmegaConf.create(after), path="baryons")
    assert isinstance(cycle, BaryonCycle)
    assert "star_formation.slope" in leaves_by_name(cycle.parameters())
    text = Pipeline(stages={"history": cycle}, inputs={"halo": HaloHistory}).describe()
    assert "star_formation: Schmidt(log10_a=-3.602 dex(Msun/yr/kpc^2), slope=1.4, size_of_spin=0.7071)" in text


NEW_LAW = '''
from galdiff.baryons.hot_gas import cooling_time
from galdiff.baryons.laws.cooling_radius import CoolingRadius
from galdiff.baryons.laws.imf_yields import ImfYields
from galdiff.baryons.laws.law import Law
from galdiff.core.variables import physical


class Constant(Law):
    """The same depletion time everywhere."""

    sees_contents = True

    def __init__(self, *, t_dep: float = 2.0):
        self.t_dep = physical(t_dep, unit="Gyr", lo=0.1, hi=20.0)

    def __call__(self, p, halo_state, contents):
        return 1 / p.t_dep + 0 * contents["mass"]["ism"]
'''


def test_a_law_in_a_file_of_its_own_fits_the_slots_of_both_cycles(tmp_path, monkeypatch):
    (tmp_path / "my_star_formation.py").write_text(textwrap.dedent(NEW_LAW))
    monkeypatch.syspath_prepend(tmp_path)
    law = importlib.import_module("my_star_formation").Constant
    halo_state, contents = extremes()
    for kind in (Pandya23, Regulator):
        cycle = kind(star_formation=law(t_dep=4.0))
        equations = cycle.equations(replaced(cycle.parameters(), ("star_formation.t_dep",), jnp.array([5.0])))
        flows, found = equations.flows(contents, equations.known_rates(halo_state))
        np.testing.assert_allclose(found["sfr"], contents["mass"]["ism"] / 5.0, rtol=1e-12)
        locked = 1 - cycle.yields.f_recycle.bounded
        np.testing.assert_allclose(flows["mass"]["star_formation"], locked * found["sfr"], rtol=1e-12)


def test_slots_of_the_halo_alone_refuse_a_law_that_sees_the_contents():
    with pytest.raises(InputError, match="prevent is Schmidt, which sees the contents; give a law of the halo alone"):
        Pandya23(prevent=Schmidt())
    with pytest.raises(InputError, match=r"value is -1\.0; what a law returns is zero or positive"):
        build({"_target_": "galdiff.baryons.laws.constant.Constant", "value": -1.0})


@pytest.mark.parametrize(("kind", "expected"), [(Regulator, 10.8114), (Pandya23, 10.6316)])
def test_a_halo_in_single_precision_gives_the_masses_of_one_in_double(kind, expected):
    double = diffmah_history(log10_mvir=12.1, cosmology=Cosmology())
    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), double)
    cycle = kind(outputs=Outputs(n_times=1, n_steps=128))
    mass, rounded = (np.log10(jax.jit(cycle.__call__)(each).m_star[-1]) for each in (double, single))
    np.testing.assert_allclose(mass, expected, atol=1e-3)
    np.testing.assert_allclose(rounded, mass, atol=2e-6)
