"""The gas regulator: its closed forms, its laws, and that it can take the place of the other baryon cycle."""

import dataclasses
import functools
import io

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy.stats import qmc
from test_baryons_budgets import drift, random_network

from galdiff.baryons import population as population_module
from galdiff.baryons.evolve import Outputs, evolve_prepared, prepare
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.population import Population
from galdiff.baryons.regulator import MASS, METALS, Regulator, RegulatorKnown, RegulatorRates, flows
from galdiff.baryons.solve import grid_times, solve_on_grid, stage_times
from galdiff.build import build
from galdiff.core.correction import LogGain
from galdiff.errors import InputError
from galdiff.inference.sensitivity import leaves_by_name, named_values, replaced
from galdiff.io.histories import read_history, to_dataset, write_history
from galdiff.observables.history_columns import columns
from galdiff.plotting.history_figure import plot_history
from galdiff.runtime import project_dir

OUTPUTS = Outputs(n_times=12, n_steps=96)
N_RATES = len(dataclasses.fields(RegulatorRates))
PHI, ETA, R, YIELD, Z_IN = 6e9, 1.3, 0.4, 0.02, 3e-4  # inflow in Msun/Gyr
N_HALOS = 20
FIRST, LAST = 0.1, 13.8  # Gyr
START = {
    "mass": {"stars": 2e8, "ism": 3e9, "outside": 0.0},
    "metals": {"stars": 1e5, "ism": 4e6, "outside": 0.0, "nucleosynthesis": 0.0},
}


def compose(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("simulate", overrides=list(overrides))


@functools.cache
def halos():
    """The halo of the config, at masses from 10^10 to 10^13 Msun."""
    node = OmegaConf.to_container(compose().halo, resolve=True)
    grow = jax.vmap(lambda mass: build({**node, "log10_mvir": mass}, path="halo"))
    return jax.jit(grow)(jnp.linspace(10.0, 13.0, N_HALOS))


def one_halo(number=15):
    return jax.tree.map(lambda x: x[number], halos())


@functools.cache
def tables():
    """They serve any parameters of the model."""
    return jax.jit(jax.vmap(lambda halo: prepare(Regulator().equations(), halo, OUTPUTS)))(halos())


def one_table():
    return jax.tree.map(lambda x: x[15], tables())


def pre_enriched():
    return PowerLaw(log10_a=-2.5, alpha0=2.0, beta=-1.3, log10_a_range=(-4.0, -1.5), alpha0_range=(0.0, 4.0))


@functools.cache
def constant(n_steps):
    """(contents, flows, sfr) after numbers that do not change: f(t_dep [Gyr], growth of the inflow [1/Gyr], start)."""
    at, pace = stage_times(grid_times(jnp.array([FIRST, LAST]), (n_steps,)))

    def run(t_dep, growth, start):
        def known_rates(t):
            one = jnp.ones_like(t)
            rates = RegulatorRates(
                inflow=PHI * jnp.exp(growth * t),
                star_formation=one / t_dep,
                eta_mass=ETA * one,
                metal_yield=YIELD * one,
                recycling=R / (1 - R) * one,
            )
            return RegulatorKnown(halo_state=None, rates=rates, z_inflow=Z_IN * one)

        budgets = {"mass": MASS, "metals": METALS}
        contents, _ = solve_on_grid(lambda y, d: flows(y, d)[0], budgets, start, known_rates(at), pace, (n_steps,))
        contents = jax.tree.map(lambda x: x[-1], contents)
        return contents, *flows(contents, known_rates(jnp.asarray(LAST)))

    return jax.jit(run)


def run_constant(n_steps=1024, t_dep=1.0, growth=0.0, start=START):
    return constant(n_steps)(*jax.tree.map(jnp.asarray, (t_dep, growth, start)))


def closed_form(t, t_dep):
    """Contents after a time t [Gyr] of constant inflow: the linear equations, integrated by hand."""
    k, m, z = (1 - R + ETA) / t_dep, START["mass"], START["metals"]
    gone = np.exp(-k * t)
    steady, surplus = PHI / k, m["ism"] - PHI / k
    spent, lag = (1 - gone) / k, (1 - (1 + k * t) * gone) / k**2  # integrals of exp(-k t) and t exp(-k t)
    gas_time = steady * t + surplus * spent  # integral of the gas mass
    arrived = t - spent
    metal_time = z["ism"] * spent + Z_IN * steady * arrived + YIELD / t_dep * (steady / k * arrived + surplus * lag)
    metals = z["ism"] * gone + Z_IN * steady * (1 - gone) + YIELD / t_dep * (steady * spent + surplus * t * gone)
    return {
        "mass": {
            "stars": m["stars"] + (1 - R) / t_dep * gas_time,
            "ism": steady + surplus * gone,
            "outside": ETA / t_dep * gas_time - PHI * t,
        },
        "metals": {
            "stars": z["stars"] + (1 - R) / t_dep * metal_time,
            "ism": metals,
            "outside": ETA / t_dep * metal_time - Z_IN * PHI * t,
            "nucleosynthesis": -YIELD / t_dep * gas_time,
        },
    }


def test_constant_inflow_follows_the_closed_form_at_third_order():
    t_dep = 20.0  # slow: still far from its equilibrium at the end
    exact = closed_form(LAST - FIRST, t_dep)
    errors = [jax.tree.map(lambda a, b: abs(float(a) / b - 1), run_constant(n, t_dep)[0], exact) for n in (64, 1024)]
    for quantity, reservoirs in exact.items():
        for name in reservoirs:
            coarse, fine = (e[quantity][name] for e in errors)
            assert fine < 1e-7, (quantity, name)
            assert np.log2(coarse / fine) / 4 > 2.7, (quantity, name)


def metallicity(contents):
    return float(contents["metals"]["ism"] / contents["mass"]["ism"])


def test_a_trace_of_gas_forgets_how_it_started():
    with_trace, _, _ = run_constant(start=Regulator().equations().start(one_table().first, None))
    with_much, _, _ = run_constant()
    assert float(with_trace["mass"]["ism"]) == pytest.approx(float(with_much["mass"]["ism"]), rel=1e-6)
    assert metallicity(with_trace) == pytest.approx(metallicity(with_much), rel=1e-6)


def test_gas_and_metallicity_settle_where_lilly_et_al_say():
    contents, _, found = run_constant()
    assert found["sfr"] == pytest.approx(PHI / (1 - R + ETA), rel=1e-6)
    y = YIELD / (1 - R)  # theirs is per mass that stays in stars
    assert metallicity(contents) == pytest.approx(Z_IN + y / (1 + ETA / (1 - R)), rel=1e-6)


@pytest.mark.parametrize("growth", [-0.3, 0.5])
def test_growing_gas_is_diluted_and_dying_gas_enriched(growth):
    contents, flow, found = run_constant(growth=growth)
    settled = 1 - R + ETA + growth * 1.0  # times t_dep
    assert metallicity(contents) == pytest.approx(Z_IN + YIELD / settled, rel=5e-4)
    assert found["sfr"] / flow["mass"]["inflow"] == pytest.approx(1 / settled, rel=5e-4)


STAGES = {
    "plain": lambda: Regulator(),
    "pre-enriched": lambda: Regulator(z_inflow=pre_enriched()),
    "corrected": lambda: Regulator(
        z_inflow=pre_enriched(), correction=LogGain(net=random_network(4, N_RATES, 3), bound=2.0)
    ),
}


@functools.cache
def solve(name):
    """Histories of all halos."""
    e = STAGES[name]().equations()
    return jax.jit(jax.vmap(lambda t: evolve_prepared(e, t)))(tables())


@pytest.fixture(scope="module", params=STAGES)
def histories(request):
    return solve(request.param)


def test_flows_follow_from_what_the_history_holds(histories):
    mass, metals, d = histories.flows["mass"], histories.flows["metals"], histories.diagnostics
    np.testing.assert_allclose(histories.m_ism / d.t_dep, histories.sfr, rtol=1e-12)
    np.testing.assert_allclose(mass["wind"], d.eta_mass * histories.sfr, rtol=1e-12)
    assert (mass["star_formation"] < histories.sfr).all()
    for flow in ("wind", "star_formation"):
        np.testing.assert_allclose(metals[flow] / mass[flow], histories.metallicity("ism"), rtol=1e-12)
    np.testing.assert_allclose(metals["inflow"], d.z_inflow * mass["inflow"], rtol=1e-12)
    assert ((d.f_prevent > 0) & (d.f_prevent < 1)).all()
    assert d.t_cool is d.eta_energy is d.temperature is None


def test_totals_do_not_change_over_a_hubble_time(histories):
    assert histories.solved.all()
    assert set(histories.contents) == {"mass", "metals"}
    for quantity, change in drift(histories).items():
        assert change < 1e-12, quantity


def test_a_zero_correction_changes_nothing_and_each_gain_moves_its_rate():
    @jax.jit
    def run(gains):
        net = lambda x: gains * jnp.ones((*x.shape[:-1], 1))  # noqa: E731
        stage = Regulator(correction=LogGain(net=net, bound=1.0))
        return evolve_prepared(stage.equations(), one_table())

    plain = jax.tree.map(lambda x: x[15], solve("plain"))
    zero = run(jnp.zeros(N_RATES))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), zero, plain)
    moved = dict(
        inflow=("mass", "inflow"), star_formation=("mass", "star_formation"), eta_mass=("mass", "wind"),
        metal_yield=("metals", "enrichment"), recycling=("mass", "star_formation"),
    )  # fmt: skip
    assert list(moved) == [f.name for f in dataclasses.fields(RegulatorRates)]
    for index, (rate, (quantity, flow)) in enumerate(moved.items()):
        found = run(jnp.zeros(N_RATES).at[index].set(0.1))
        ratio = np.asarray(found.flows[quantity][flow]) / np.asarray(plain.flows[quantity][flow])
        assert np.abs(ratio - 1).max() > 1e-3, rate
        assert all(change < 1e-12 for change in drift(jax.tree.map(lambda x: x[None], found)).values())


RANGES = {
    "star_formation.log10_a": (0.0, 1.1),
    "star_formation.alpha0": (-4.0, 0.0),
    "eta_mass.log10_a": (-2.0, 1.0),
    "eta_mass.alpha0": (-4.0, 0.0),
    "yields.f_recycle": (0.0, 0.9),
    "yields.metal_yield": (1e-4, 0.1),
}


def drawn(n, seed=0):
    """Values of the parameters over their ranges, (draw, parameter)."""
    low, high = np.array(list(RANGES.values())).T
    return jnp.asarray(qmc.scale(qmc.LatinHypercube(len(low), rng=np.random.default_rng(seed)).random(n), low, high))


def test_no_reservoir_runs_dry_over_the_ranges_of_the_parameters():
    stage, n = Regulator(), 1000
    own = stage.parameters()

    def one(prepared, values):
        return evolve_prepared(stage.equations(replaced(own, tuple(RANGES), values)), prepared)

    found = jax.jit(jax.vmap(one))(jax.tree.map(lambda x: jnp.repeat(x, n // N_HALOS, 0), tables()), drawn(n))
    assert np.isfinite(found.error).all()  # that is: finite and positive
    for quantity in ("mass", "metals"):
        assert all((np.asarray(found.contents[quantity][name]) > 0).all() for name in ("stars", "ism"))
        assert all((np.asarray(f) >= 0).all() for f in found.flows[quantity].values())
    assert max(drift(found).values()) < 1e-12


def test_gradients_of_all_numbers_equal_central_differences_over_their_ranges():
    stage = STAGES["pre-enriched"]()
    own = stage.parameters()
    names = tuple(leaves_by_name(own))
    prepared = one_table()
    values = np.tile(named_values(own, names), (12, 1))
    values[1:, [names.index(n) for n in RANGES]] = drawn(11)

    def out(values):
        h = evolve_prepared(stage.equations(replaced(own, names, values)), prepared)
        return sum(jnp.log(x).sum() for x in (h.m_star, h.m_ism, h.metallicity("ism"), h.metallicity("stars"), h.sfr))

    steps = 1e-5 * np.maximum(np.abs(values), 0.1)
    steps[:, names.index("yields.metal_yield")] = 1e-4 * values[:, names.index("yields.metal_yield")]
    # Around each point: one number up or down at a time.
    around = values[:, None, None] + np.array([1, -1])[:, None, None] * np.eye(len(names)) * steps[:, None, None]
    up, down = jnp.moveaxis(jax.jit(jax.vmap(out))(around.reshape(-1, len(names))).reshape(around.shape[:3]), 1, 0)
    slopes = jax.jit(jax.vmap(jax.grad(out)))(values)
    np.testing.assert_allclose(slopes, (up - down) / (2 * steps), rtol=3e-5, atol=3e-6)


def test_either_baryon_cycle_grows_the_same_halos():
    masses = {}
    for name in ("pandya23", "regulator"):
        stage = build(compose(f"baryons={name}").baryons, path="baryons")
        equations = stage.equations()
        # What the halos impose is the same for both.
        found = jax.jit(jax.vmap(functools.partial(evolve_prepared, equations)))(tables())
        assert found.solved.all()
        masses[name] = np.asarray(found.m_star)[:, -1]
        share = masses[name] / np.asarray(found.m_vir)[:, -1]
        assert (share < 0.158).all()
        like_ours = np.abs(np.log10(found.m_vir[:, -1]) - 12.0) < 0.5
        assert like_ours.sum() > 4
        # The peak of abundance matching is near 0.025.
        assert (np.abs(np.log10(share[like_ours] / 0.025)) < np.log10(3)).all()
        assert np.median(share[like_ours]) > np.median(share[np.log10(found.m_vir[:, -1]) < 11.0])
    assert (np.abs(masses["pandya23"] / masses["regulator"] - 1) > 1e-3).all()


def test_the_config_spells_the_defaults():
    ours, theirs = (s.parameters() for s in (Regulator(), build(compose("baryons=regulator").baryons, path="baryons")))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_population_is_solved_and_refined(monkeypatch):
    monkeypatch.setattr(population_module, "GROUP", 4)
    few = jax.tree.map(lambda x: x[::5], halos())
    coarse = Outputs(n_times=OUTPUTS.n_times, n_steps=12)
    found, report = Population(Regulator(), coarse, tolerance=0.01, chunk=4).solve(few)
    assert report.n == 4
    assert report.failed == ()
    assert len(report.refined) > 0
    fine, late = solve("plain"), np.s_[:, -4:]
    for got, expected in ((found.m_star, fine.m_star), (found.m_ism, fine.m_ism)):
        np.testing.assert_allclose(np.log10(got[late]), np.log10(expected[::5][late]), atol=0.01)


@pytest.fixture(scope="module")
def history():
    return jax.tree.map(lambda x: x[15], solve("plain"))


def test_a_history_is_written_read_and_tabulated(history, tmp_path):
    write_history(history, tmp_path / "history.h5")
    back = read_history(tmp_path / "history.h5")
    jax.tree.map(np.testing.assert_array_equal, back, history)
    data = to_dataset(history, Regulator().parameters())
    assert {"m_stars", "m_ism", "mz_ism", "mdot_wind", "parameter_eta_mass_log10_a", "log10_z_ism"} <= set(data)
    assert not any("cgm" in name or "cool" in name or name.startswith("e_") for name in data)
    baryons = np.asarray(history.m_star + history.m_ism)
    np.testing.assert_allclose(data.baryon_fraction, baryons / np.asarray(history.m_vir), rtol=1e-12)
    assert not np.isnan(columns(history)["log10_z_ism"].values).any()


def test_a_history_is_drawn_without_what_the_model_lacks(history):
    figure = plot_history(history, title="a regulator")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    assert buffer.getvalue().startswith(b"\x89PNG")
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()]
    assert "masses" in titles
    assert "energy flows of the CGM" not in titles


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+baryons.eta_mas=1.0"], "baryons.eta_mas: .* did you mean 'eta_mass'"),
        (["+baryons.eta_energy=null"], "baryons.eta_energy: galdiff.baryons.regulator.Regulator takes no 'eta_energy'"),
        (
            ["baryons.eta_mass.log10_a=1.5"],
            "baryons.eta_mass.log10_a is 1.5 dex; give a number above -2 and below 1",
        ),
        (["baryons.f_recycle=1.0"], r"baryons.f_recycle is 1; give a number above 0 and below 0.9"),
        (["baryons.metal_yield=-0.01"], r"baryons.metal_yield is -0.01; give a number above 0 and below 0.1"),
    ],
)
def test_wrong_numbers_and_names_are_refused_when_built(overrides, message):
    cfg = compose("baryons=regulator", *overrides)
    with pytest.raises(InputError, match=message):
        build(cfg.baryons, path="baryons")


def test_outputs_before_the_start_are_refused():
    with pytest.raises(InputError, match="asked for at redshift 19"):
        Regulator(outputs=Outputs(redshifts=(19.0, 0.0)))(one_halo(0))
