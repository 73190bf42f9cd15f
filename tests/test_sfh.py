"""Star formation histories: parity with diffstar, exact masses, gradients, and weights on the nodes of a library."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sps_reference import Formula, Reference

from galdiff.core.correction import LogGain
from galdiff.cosmology import age as cosmology_age
from galdiff.cosmology import flat_cosmology
from galdiff.errors import InputError
from galdiff.halo import diffmah
from galdiff.imf import kroupa, return_fraction
from galdiff.light_records import Epoch
from galdiff.sfh import dsps_weights
from galdiff.sfh.bins import ContinuityBins
from galdiff.sfh.burst import BurstParams, RecentBurst, burst_weights
from galdiff.sfh.constant import Burst, Constant
from galdiff.sfh.delayed_tau import DelayedTau
from galdiff.sfh.diffstar import Diffstar, diffstar_sfr
from galdiff.sfh.double_power_law import DoublePowerLaw
from galdiff.sfh.gas_lag import DiffstarGasLag
from galdiff.sfh.gas_metallicity import AndrewsMartini13, Maiolino08, stars_of_oxygen
from galdiff.sfh.lognormal import Lognormal
from galdiff.sfh.metallicity import MassMetallicity, log10_formed_before, maiolino08, mass_metallicity
from galdiff.sfh.model import FormStars
from galdiff.sfh.panels import AgePanels
from galdiff.sfh.remaining import mean_sfr, remaining_mass
from galdiff.sfh.stochastic import Stochastic, regulator_covariance
from galdiff.sfh.tabulated import Tabulated
from galdiff.sfh.tabulated_metallicity import TabulatedMetallicity

AGES = tuple(np.log10([0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14]))
PANELS = AgePanels(lg_age_gyr=AGES)
EPOCH = Epoch(time=jnp.asarray(9.0), redshift=jnp.asarray(0.4), luminosity_distance=jnp.asarray(2000.0))
PLANCK15 = flat_cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486, omega_r=0.0, w=-1.0, wa=0.0)
HALO = Formula(diffmah.DiffmahParams(), 13.8)
LAWS = {
    "delayed_tau": DelayedTau,
    "lognormal": Lognormal,
    "double_power_law": DoublePowerLaw,
    "constant": functools.partial(Constant, t_start=1.13),
    "burst": functools.partial(Burst, log10_mformed=10.5, age=3.1, duration=0.53),
    "bins": functools.partial(ContinuityBins, log10_ratios=(0.3, -0.5, 0.1, 0.2, -0.1)),
}


@pytest.fixture(scope="module")
def reference(data_dir):
    return Reference.read(data_dir)


def history_at(reference, times):
    p = reference.halos
    return jax.vmap(lambda halo: diffmah.log10_mass(halo, times, reference.t_today))(p)


def tables(reference):
    log10_mass = history_at(reference, reference["t_table"])
    rates = jax.vmap(lambda p, m: diffstar_sfr(p, reference["t_table"], m, baryon_fraction=float(reference["fb"])))
    return jnp.maximum(rates(reference.galaxies, log10_mass), dsps_weights.SFR_MIN)


def test_rates_and_masses_are_those_of_diffstar(reference):
    sfr = tables(reference)
    np.testing.assert_allclose(sfr, reference["sfh"], rtol=1e-9)
    formed = jax.vmap(lambda s: 10 ** dsps_weights.log10_formed(reference["t_table"], s))(sfr)
    np.testing.assert_allclose(formed, reference["smh"], rtol=1e-9)


def test_rates_with_a_gas_lag_are_those_of_the_older_diffstar(reference):
    t, fb = reference["t_table"], float(reference["fb"])
    for i in (0, 3, 11):
        ms, q = reference["lag_ms_params"][i], reference["lag_q_params"][i]
        names = ("lgmcrit", "lgy_at_mcrit", "indx_lo", "indx_hi", "tau_dep", "lg_qt", "qlglgdt", "lg_drop", "lg_rejuv")
        law = DiffstarGasLag(**dict(zip(names, map(float, (*ms, *q)), strict=True)), baryon_fraction=fb)
        halo = Formula(jax.tree.map(lambda x, i=i: x[i], reference.halos), reference.t_today)
        got = np.maximum(law.sfr(jnp.asarray(t), EPOCH, halo), dsps_weights.SFR_MIN)
        np.testing.assert_allclose(got, reference["lag_sfh"][i], rtol=1e-9)


def test_weights_at_the_edges_of_dsps_are_its_own(reference):
    lgmet, lg_age = reference.nodes
    args = reference["t_table"], tables(reference), reference["t_obs"]
    ages = jax.vmap(lambda s, t: dsps_weights.dsps_age_weights(args[0], s, t, lg_age))(*args[1:])
    np.testing.assert_allclose(ages, reference["mdf_age_weights"], atol=1e-9)
    mets = dsps_weights.dsps_met_weights(reference["gal_lgmet"], reference["gal_lgmet_scatter"][:, None], lgmet)
    np.testing.assert_allclose(mets, reference["mdf_lgmet_weights"], atol=1e-9)
    joint = jax.vmap(
        lambda s, z, d, t: dsps_weights.dsps_joint_weights(args[0], s, z, d, t, (lgmet, lg_age)),
    )(args[1], reference["zt_lgmet_table"], reference["gal_lgmet_scatter"], args[2])
    np.testing.assert_allclose(joint, reference["zt_weights"], atol=1e-9)


def weights_of(reference, panels, dtype):
    """Age weights of the reference galaxies by quadrature, normalised."""

    def one(p, halo, time):
        points = panels.points_before(time)
        born = time - points.age
        sfr = diffstar_sfr(p, born, diffmah.log10_mass(halo, born, jnp.asarray(reference.t_today, dtype)))
        mass = panels.on_nodes(sfr * points.width, time)
        return mass / mass.sum()

    cast = jax.tree.map(lambda x: jnp.asarray(x, dtype), (reference.galaxies, reference.halos, reference["t_obs"]))
    return np.asarray(jax.jit(jax.vmap(one))(*cast), np.float64)


def test_weights_by_quadrature_converge_and_hold_in_single_precision(reference):
    lg_age = tuple(map(float, reference["ssp_lg_age_gyr"]))
    exact = weights_of(reference, AgePanels(lg_age_gyr=lg_age, widest=0.002, points=4), jnp.float64)
    panels = AgePanels(lg_age_gyr=lg_age)
    assert panels.n_points <= 366
    got = weights_of(reference, panels, jnp.float64)
    distance = np.abs(got - exact).sum(1) / 2
    assert np.median(distance) < 3e-6
    assert distance.max() < 2e-4
    assert np.sort(distance)[-3] < 1e-4  # the worst stop growing inside a panel
    single = weights_of(reference, panels, jnp.float32)
    assert (np.abs(single - got).sum(1) / 2).max() < 5e-6


@pytest.mark.parametrize("name", LAWS)
def test_all_the_mass_forms_and_the_rate_is_its_derivative(name):
    law = LAWS[name]()
    stars = jax.tree.map(np.asarray, jax.jit(FormStars(law=law, ages=PANELS))(EPOCH))
    np.testing.assert_allclose(stars.mass.sum(), 10**10.5, rtol=2e-4)
    assert (stars.mass >= 0).all()
    assert (np.diff(stars.age[stars.age < 8.9]) >= 0).all()
    times = np.linspace(1e-4, 9.0, 200_001)
    rate = np.asarray(jax.jit(lambda times: law.sfr(times, EPOCH))(times))
    np.testing.assert_allclose(np.trapezoid(rate, times) * 1e9, 10**10.5, rtol=2e-3)


@pytest.mark.parametrize("name", [*LAWS, "diffstar", "gas_lag", "stochastic"])
def test_gradients_are_those_of_differences(name):
    others = {
        "diffstar": Diffstar,
        "gas_lag": DiffstarGasLag,
        "stochastic": functools.partial(Stochastic, law=DelayedTau(), latent=(0.5, -1.0, 0.3, 0.8)),
    }
    stage = FormStars(law=(LAWS | others)[name](), ages=AgePanels(lg_age_gyr=AGES, widest=0.5))
    graph, params, rest = nnx.split(stage, nnx.Param, ...)
    flat, tree = jax.tree.flatten(params)
    age = stage.ages.points_before(EPOCH.time).age

    @jax.jit
    def mean_age(leaves):
        stars = nnx.merge(graph, jax.tree.unflatten(tree, leaves), rest)(EPOCH, HALO)
        return jnp.log(stars.mass @ (1 + age**2)) + jnp.log(stars.mass @ jnp.exp(-age))

    grads = jax.grad(mean_age)(flat)
    for i, leaf in enumerate(flat):
        step = jnp.zeros_like(leaf).reshape(-1).at[0].set(1e-5).reshape(leaf.shape)
        ends = [mean_age([*flat[:i], leaf + sign * step, *flat[i + 1 :]]) for sign in (1, -1)]
        expected = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(grads[i].reshape(-1)[0], expected, rtol=1e-5, atol=1e-7)
        assert jnp.isfinite(grads[i]).all()


def test_a_table_of_rates_gives_its_exact_mass():
    t, rate = (0.5, 2.0, 5.0, 8.0, 12.0), (0.0, 6.0, 1.0, 1.0, 3.0)
    stars = FormStars(law=Tabulated(time=t, sfr_table=rate), ages=PANELS)(EPOCH)
    until = np.array([0.5, 2.0, 5.0, 8.0, 9.0])
    expected = np.trapezoid(np.interp(until, t, rate), until) * 1e9
    np.testing.assert_allclose(stars.mass.sum(), expected, rtol=1e-12)


def test_a_correction_moves_mass_in_time_or_scales_it():
    def later(drivers):
        return -2.0 * drivers[..., :1]

    made = {}
    for keep in (True, False):
        stage = FormStars(law=DelayedTau(), ages=PANELS, correction=LogGain(net=later, bound=1.0), keep_mass=keep)
        made[keep] = stage(EPOCH)
    plain = FormStars(law=DelayedTau(), ages=PANELS)(EPOCH)
    np.testing.assert_allclose(made[True].mass.sum(), plain.mass.sum(), rtol=1e-12)
    assert abs(made[False].mass.sum() / plain.mass.sum() - 1) > 0.1
    assert made[True].mass @ plain.age < 0.9 * (plain.mass @ plain.age)


def test_a_burst_keeps_the_mass_and_is_as_young_as_asked():
    fine = AgePanels(lg_age_gyr=tuple(np.linspace(-4.5, 1.15, 114)))
    smooth = FormStars(law=DelayedTau(), ages=fine)(EPOCH)
    burst = RecentBurst(lgfburst=-1.5, lgyr_peak=7.0, lgyr_max=8.0)(smooth)
    np.testing.assert_allclose(burst.mass.sum(), smooth.mass.sum(), rtol=1e-12)
    extra = burst.mass - (1 - 10**-1.5) * smooth.mass
    np.testing.assert_allclose(extra.sum() / smooth.mass.sum(), 10**-1.5, rtol=1e-6)
    np.testing.assert_allclose(extra @ jnp.log10(smooth.age) / extra.sum(), -2.0, atol=0.02)


def test_burst_weights_are_those_of_diffburst(reference):
    lg_age = reference["burst_lg_age_gyr"]
    got = [
        burst_weights(BurstParams(lgfburst=p[0], lgyr_peak=p[1], lgyr_max=p[2]), jnp.asarray(w), lg_age)
        for p, w in zip(reference["burst_params"], reference["burst_smooth_age_weights"], strict=True)
    ]
    np.testing.assert_allclose(got, reference["burst_age_weights"], atol=1e-9)


def test_mass_metallicity_relations_are_those_of_diffsky(reference):
    names = ("level", "centre", "sharpness", "slope_lo", "slope_hi")
    names += ("drop_at", "drop_mass", "look_back", "rate_at", "rate_mass")
    mass, time = jnp.asarray(reference["mzr_logsm"]), jnp.asarray(reference["mzr_t"])[:, None]
    p = dict(zip(names, reference["mzr_params"], strict=True))
    np.testing.assert_allclose(mass_metallicity(mass, time, pivot=p["centre"], **p), reference["mzr_lgmet"], atol=1e-9)
    p |= dict(zip([n for n in names if n != "look_back"], reference["umzr_params"], strict=True)) | {"look_back": 8.44}
    np.testing.assert_allclose(mass_metallicity(mass, time, **p), reference["umzr_lgmet"], atol=1e-9)
    rows = [maiolino08(mass, z) for z in (0.07, 0.7, 2.2)]
    np.testing.assert_allclose(rows, reference["maiolino08_lgz"][:3], atol=1e-9)


def test_closed_mass_metallicity_relations_are_the_published_ones():
    np.testing.assert_allclose(maiolino08(11.18, 0.07), 9.04 - 12)
    np.testing.assert_allclose(maiolino08(10.0, 2.2), -0.0864 * (10 - 12.38) ** 2 + 8.99 - 12)
    law = MassMetallicity()
    assert law.relation(9.0, 13.0) < law.relation(11.0, 13.0) < 0.4 - 1.92
    assert law.relation(10.0, 1.0) < law.relation(10.0, 12.0)


def test_stars_of_a_growing_galaxy_get_more_metals_with_time():
    stars = FormStars(law=Constant(), ages=PANELS)(EPOCH)
    lgmet = MassMetallicity().lgmet(stars)
    formed = stars.mass > 1e3
    assert (jnp.diff(lgmet[formed]) <= 1e-6).all()


def test_the_regulator_varies_as_asked_and_less_the_longer_apart():
    lag = jnp.asarray([0.0, 0.1, 1.0, 5.0])
    same = regulator_covariance(lag, 0.3, jnp.asarray(0.5), jnp.asarray(0.5), 0.1, 0.02)
    near = regulator_covariance(lag, 0.3, jnp.asarray(0.5006), jnp.asarray(0.5), 0.1, 0.02)
    np.testing.assert_allclose(same[0], 0.3**2 + 0.1**2)
    np.testing.assert_allclose(near, same, rtol=1e-2)
    assert (jnp.diff(same) < 0).all()
    assert (same > 0).all()


def test_a_seed_makes_a_history_flicker_and_none_leaves_the_mean():
    time, epoch = jnp.linspace(2.0, 13.0, 30), Epoch(time=jnp.asarray(13.7), redshift=0.0, luminosity_distance=1e-5)
    calm, one, same, other = (
        jnp.log10(Stochastic(law=DelayedTau(), n_latent=8, seed=seed).sfr(time, epoch)) for seed in (None, 0, 0, 1)
    )
    np.testing.assert_allclose(calm, jnp.log10(DelayedTau().sfr(time, epoch)), rtol=1e-6)
    np.testing.assert_array_equal(one, same)
    assert 0.01 < jnp.std(one - calm) < 1.0
    assert jnp.abs(one - other).max() > 0.05


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: FormStars(law=Diffstar(), ages=PANELS)(EPOCH), "halo, which is missing"),
        (lambda: Tabulated(time=(1.0, 1.0), sfr_table=(1.0, 2.0)), "must be finite, from 0 on, and increase"),
        (lambda: Tabulated(time=(1.0, 2.0), sfr_table=(1.0, -2.0)), "sfr_table holds -2 Msun/yr"),
        (lambda: Tabulated(time=(1.0,), sfr_table=(1.0,)), "two or more of each"),
        (lambda: ContinuityBins(edges=(0.3, 0.1)), "positive ones that increase"),
        (lambda: ContinuityBins(log10_ratios=(0.1,)), "give 5 finite ones"),
        (lambda: AgePanels(lg_age_gyr=(0.0,)), "two or more ages"),
        (lambda: Diffstar(baryon_fraction=1.5), "baryon_fraction is 1.5"),
        (lambda: Stochastic(law=DelayedTau(), n_latent=1), "finite ones"),
        (lambda: Stochastic(law=DelayedTau(), seed=-1), "seed of the latent numbers is -1"),
    ],
)
def test_bad_input_is_told_on_one_line(build, said):
    with pytest.raises(InputError, match=said) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_stars_follow_the_oxygen_of_their_gas():
    law = AndrewsMartini13()
    published = [8.1192, 8.5275, 8.7195, 8.7587, 8.7787]  # 12 + log10(O/H) of the formula
    np.testing.assert_allclose(law.log_oh(jnp.asarray([8.0, 9.0, 10.0, 10.5, 11.0])), published, atol=1e-4)
    stars = FormStars(law=Constant(), ages=PANELS)(EPOCH)
    evolving = Maiolino08(cosmology=PLANCK15)
    for one in (law, evolving):
        lgmet = one.lgmet(stars)
        formed = stars.mass > 1e3
        assert (jnp.diff(lgmet[formed]) <= 1e-6).all()
        assert jnp.isfinite(
            jax.grad(lambda m, one=one: one.lgmet(dataclasses.replace(stars, mass=m)).sum())(stars.mass)
        ).all()
    mass = log10_formed_before(stars)
    old = jnp.argmin(jnp.abs(EPOCH.time - stars.age - cosmology_age(PLANCK15, 2.2)))
    want = stars_of_oxygen(maiolino08(mass[old], 2.2) + 12)
    np.testing.assert_allclose(evolving.lgmet(stars)[old], want, atol=0.05)


def test_the_relation_with_its_pivot_at_the_centre_is_mzr(reference):
    p = dict(zip(("level", "centre", "sharpness", "slope_lo", "slope_hi"), reference["mzr_params"][:5], strict=True))
    law = MassMetallicity(pivot=None, **{k: float(v) for k, v in p.items()})
    got = law.relation(p["centre"], 13.0)
    np.testing.assert_allclose(got, np.log10(0.012) + p["level"], atol=1e-9)


def test_what_remains_of_the_stars_follows_the_mass_function_of_the_run():
    stars = FormStars(law=Burst(log10_mformed=10.0, age=8.0, duration=0.1), ages=PANELS)(EPOCH)
    left = jax.jit(remaining_mass)(stars, kroupa())
    np.testing.assert_allclose(left.remaining / left.formed, 1 - return_fraction(kroupa(), 7.95), atol=1e-3)
    assert 0 < left.remnants < 0.3 * left.remaining
    young = FormStars(law=Burst(log10_mformed=10.0, age=0.01, duration=0.009), ages=PANELS)(EPOCH)
    assert remaining_mass(young, kroupa()).remaining > 0.9 * young.mass.sum()


def test_the_mean_rate_is_the_mass_of_the_last_years():
    stars = FormStars(law=Constant(log10_mformed=10.0, t_start=1.0), ages=PANELS)(EPOCH)
    for span in (0.01, 0.1, 1.0):
        np.testing.assert_allclose(mean_sfr(stars, PANELS, span), 1e10 / 8e9, rtol=0.02)


def test_a_table_of_metallicity_is_read_at_birth_and_solar_units_are_told():
    law = TabulatedMetallicity(time=(1.0, 5.0, 9.0), lgmet_table=(-3.0, -2.0, -1.8))
    stars = FormStars(law=Constant(), ages=PANELS)(EPOCH)
    want = np.interp(stars.time - stars.age, [1.0, 5.0, 9.0], [-3.0, -2.0, -1.8])
    np.testing.assert_allclose(law.lgmet(stars), want)
    for table in ((-1.5, 0.2), (-1.0, -0.5)):
        with pytest.raises(InputError, match=rf"holds {table[1]} dex.*relative to the sun"):
            TabulatedMetallicity(time=(1.0, 5.0), lgmet_table=table)
    with pytest.raises(InputError, match="increase"):
        TabulatedMetallicity(time=(5.0, 1.0), lgmet_table=(-2.5, -2.2))


def test_a_table_without_stars_or_with_stars_after_the_epoch_is_refused():
    with pytest.raises(InputError, match="only 0 Msun/yr"):
        Tabulated(time=(1.0, 5.0), sfr_table=(0.0, 0.0))
    with pytest.raises(InputError, match="holds inf Msun/yr"):
        Tabulated(time=(1.0, 5.0), sfr_table=(0.0, np.inf))
    late = Tabulated(time=(9.5, 11.0, 13.0), sfr_table=(0.0, 3.0, 1.0))
    with pytest.raises(InputError, match="first stars"):
        late.check_epoch(EPOCH)
    Tabulated(time=(1.0, 11.0, 13.0), sfr_table=(0.0, 3.0, 1.0)).check_epoch(EPOCH)


def test_a_burst_that_would_go_on_after_the_epoch_is_refused():
    with pytest.raises(InputError, match=r"duration is 0\.5 Gyr.*an age of 0\.1 Gyr"):
        Burst(age=0.1, duration=0.5).check_epoch(EPOCH)
    Burst(age=0.1, duration=0.1).check_epoch(EPOCH)
