"""Populations of haloes and galaxies: parity with diffstar, diffmah, diffsky; branches, draws, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sps_reference import MAH, Reference

from galdiff.errors import InputError
from galdiff.populations import abundance, diffmahpop, diffstarpop, relations, transforms
from galdiff.populations.published import CALIBRATIONS, published
from galdiff.sfh.diffstar import NAMES

BURST = ("lgfburst", "lgyr_peak", "lgyr_max")
LAG = ("lgmcrit", "lgy_at_mcrit", "indx_lo", "indx_hi", "tau_dep")


@pytest.fixture(scope="module")
def shared(data_dir):
    return Reference.read(data_dir)


@pytest.fixture(scope="module")
def stored(data_dir):
    with np.load(data_dir / "sps" / "reference_population.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def place_of(stored):
    mu, host, since = stored["dsp_sat_inputs_lgmu_lgmhost_tinf"]
    like = jnp.zeros(stored["dsp_logmp0"].size)
    return diffstarpop.GalaxyPlace(
        log10_m0=jnp.asarray(stored["dsp_logmp0"]),
        t_peak=jnp.asarray(stored["dsp_tpeak"]),
        satellite=like,
        log10_mu=like + mu,
        log10_mhost=like + host,
        since_infall=like + since,
    )


def with_satellites(place):
    return diffstarpop.GalaxyPlace(**{**vars(place), "satellite": jnp.ones_like(place.satellite)})


@pytest.mark.parametrize(
    ("bounds", "names", "key"),
    [
        (transforms.DIFFMAH, MAH, "mah"),
        (transforms.DIFFSTAR, NAMES, "sfh"),
        (transforms.GAS_LAG, LAG, "lag_ms"),
        (transforms.BURST, BURST, "burst"),
        (transforms.UMZR, tuple(transforms.UMZR_NAMES.values()), "umzr"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unbounded_parameters_are_those_of_the_peers_and_come_back(shared, bounds, names, key):
    values = dict(zip(names, np.atleast_2d(shared[f"{key}_params"]).T, strict=True))
    u = dict(zip(names, np.atleast_2d(shared[f"{key}_u_params"]).T, strict=True))
    for name, found in transforms.bounded(bounds, u).items():
        np.testing.assert_allclose(found, values[name], rtol=1e-9, err_msg=name)
    for name, found in transforms.unbounded(bounds, values).items():
        np.testing.assert_allclose(found, u[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_parameters_without_bounds_or_without_their_bound_are_refused():
    with pytest.raises(InputError, match="parameter 'mass' has no bounds"):
        transforms.bounded(transforms.DIFFMAH, {"mass": 1.0})
    with pytest.raises(InputError, match="bounded by 'lg_drop', which is missing"):
        transforms.unbounded(transforms.DIFFSTAR, {"lg_rejuv": -0.2})


@pytest.mark.parametrize(("short", "name"), [("default", CALIBRATIONS[0]), ("tng", "tng")])
def test_means_deviations_and_quenched_shares_are_those_of_diffstarpop(stored, short, name):
    p, place = published(f"diffstarpop_{name}"), place_of(stored)
    np.testing.assert_allclose(diffstarpop.quenched_share(p, place), stored[f"dsp_{short}_fq_cen"], atol=1e-9)
    satellites = diffstarpop.quenched_share(p, with_satellites(place))
    np.testing.assert_allclose(satellites, stored[f"dsp_{short}_fq_sat"], atol=1e-9)
    main, quenched = diffstarpop.means(p, place.log10_m0, place.t_peak)
    np.testing.assert_allclose(main, stored[f"dsp_{short}_mu_ms"], atol=1e-9)
    np.testing.assert_allclose(quenched, stored[f"dsp_{short}_mu_q"], atol=1e-9)
    main, quenched = diffstarpop.deviations(p, place.log10_m0)
    for got, key in ((main, "ms"), (quenched[:, :4], "q_ms"), (quenched[:, 4:], "q_q")):
        expected = np.diagonal(stored[f"dsp_{short}_cov_{key}"], axis1=1, axis2=2)
        np.testing.assert_allclose(got**2, expected, atol=1e-9)


def test_a_clipped_line_is_regular_where_it_is_flat_and_stays_between_its_ends():
    m = jnp.linspace(9.0, 16.0, 29)
    line = lambda slope: diffstarpop.clipped_line(m, 0.3, slope, (-1.0, 2.0))  # noqa: E731
    np.testing.assert_allclose(line(0.0), 0.3, rtol=1e-9)
    np.testing.assert_allclose(line(1e-9), 0.3, rtol=1e-6)
    slopes = jax.jit(jax.jacfwd(line))(0.0)
    np.testing.assert_allclose(slopes, m - 12.5, atol=1e-6)
    for slope in (-5.0, 0.7, 40.0):
        assert ((line(slope) > -1.0) & (line(slope) < 2.0)).all()


def test_draws_of_galaxies_have_the_means_and_deviations_of_the_population(stored):
    p = published("diffstarpop_tng")
    place = jax.tree.map(lambda x: x[7], place_of(stored))
    noise = diffstarpop.sfh_noise(jax.random.key(1), (4000,))
    place = jax.tree.map(lambda x: jnp.broadcast_to(x, (4000,)), place)
    branches = jax.jit(diffstarpop.sfh_branches)(p, place, noise)
    u = transforms.unbounded(transforms.DIFFSTAR, vars(branches.quenched))
    mean, std = stored["dsp_tng_mu_q"][7], np.sqrt(np.diag(stored["dsp_tng_cov_q_ms"][7]))
    for i, name in enumerate(NAMES[:4]):
        np.testing.assert_allclose(u[name].mean(), mean[i], atol=5 * std[i] / np.sqrt(4000))
        np.testing.assert_allclose(u[name].std(), std[i], rtol=0.1)
    uniform = jax.random.uniform(jax.random.key(2), (4000,))
    drawn = diffstarpop.drawn_branch(branches, uniform)
    dead = np.asarray(drawn.lg_drop == branches.quenched.lg_drop)
    np.testing.assert_allclose(dead.mean(), branches.quenched_share[0], atol=0.04)
    assert np.unique(branches.main_sequence.lg_qt).size == 1  # of the main sequence nothing is quenched


def halo_of(n, satellite):
    like = jnp.zeros(n)
    return diffmahpop.ObservedHalo(
        log10_m=jnp.linspace(10.5, 15.0, n),
        time=like + jnp.linspace(3.0, 13.5, n)[::-1],
        t_today=like + 13.8,
        satellite=like + satellite,
    )


@pytest.mark.parametrize("satellite", [0.0, 1.0])
def test_histories_of_haloes_are_those_of_diffmahpop(satellite):
    package = pytest.importorskip("diffmah.diffmahpop_kernels.bimod_censat_params")
    from diffmah.diffmahpop_kernels import mc_bimod_cens, mc_bimod_sats
    from diffmah.diffmahpop_kernels.covariance_kernels import _get_diffmahpop_cov_vmap

    p, halo = published("diffmahpop_default"), halo_of(6, satellite)
    t_peak = jnp.linspace(1.0, 12.0, 6)
    peer = (mc_bimod_sats if satellite else mc_bimod_cens)._mean_diffmah_params_t_peak
    theirs = jax.vmap(lambda m, t, tp: peer(package.DEFAULT_DIFFMAHPOP_PARAMS, m, t, tp, jax.random.key(0)))
    early, late, share = theirs(halo.log10_m, halo.time, t_peak)
    for family, expected in (("early", early), ("late", late)):
        for name, value in diffmahpop.mean_params(p, halo, t_peak, family).items():
            np.testing.assert_allclose(value, getattr(expected, name), rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(diffmahpop.early_share(p, halo), share, rtol=1e-9)
    factor = diffmahpop.scatter_factor(p, halo.log10_m)
    cov = _get_diffmahpop_cov_vmap(package.DEFAULT_DIFFMAHPOP_PARAMS, halo.log10_m)
    np.testing.assert_allclose(factor @ jnp.swapaxes(factor, 1, 2), cov, rtol=1e-9, atol=1e-12)


def test_growth_ends_when_diffmahpop_says():
    cens = pytest.importorskip("diffmah.diffmahpop_kernels.t_peak_kernels.tp_pdf_cens_flex")
    from diffmah.diffmahpop_kernels.t_peak_kernels import tp_pdf_sats, utp_pdf_kernels

    p, u = published("diffmahpop_default"), jnp.linspace(0.02, 0.98, 49)
    halo = jax.tree.map(lambda x: jnp.broadcast_to(x[2], (49,)), halo_of(6, 0.0))
    below = cens._frac_peaked_vs_lgm(cens.DEFAULT_TPCENS_PARAMS, diffmahpop.peak_time(p, halo, u) / 13.8, 12.3, 9.3)
    m, t = float(halo.log10_m[0]), float(halo.time[0])
    below = cens._frac_peaked_vs_lgm(cens.DEFAULT_TPCENS_PARAMS, diffmahpop.peak_time(p, halo, u) / 13.8, m, t)
    inside = (below > u.min()) & (below < 0.98)
    shares = np.asarray(diffmahpop.peak_time(p, halo, u) / 13.8)
    free = (shares > 0.0501) & (shares < 0.9999)
    np.testing.assert_allclose(below[free], u[free], rtol=1e-6)
    assert inside.any()
    satellite = jax.tree.map(lambda x: jnp.broadcast_to(x[2], (49,)), halo_of(6, 1.0))
    kernel = utp_pdf_kernels.UTP_Params(
        tp_pdf_sats._get_utp_loc(tp_pdf_sats.DEFAULT_TP_SATS_PARAMS, m, t),
        tp_pdf_sats._get_utp_scale(tp_pdf_sats.DEFAULT_TP_SATS_PARAMS, m, t),
    )
    share = utp_pdf_kernels._tp_cdf_kern(diffmahpop.peak_time(p, satellite, u) / t, kernel)
    np.testing.assert_allclose(share, u, rtol=2e-3)


def test_drawn_haloes_have_the_mass_they_were_observed_with(shared):
    from galdiff.halo.diffmah import log10_mass

    p = published("diffmahpop_default")
    n = 500
    halo = jax.tree.map(lambda x: jnp.broadcast_to(x[3], (n,)), halo_of(6, 0.0))
    branches = jax.jit(diffmahpop.halo_branches)(p, halo, diffmahpop.halo_noise(jax.random.key(3), (n,)))
    drawn = diffmahpop.drawn_family(branches, jax.random.uniform(jax.random.key(4), (n,)))
    assert (drawn.late_index < drawn.early_index).all()
    found = log10_mass(drawn, halo.time, 13.8)
    assert abs(float(jnp.median(found) - halo.log10_m[0])) < 0.1  # the fit of the package is that good
    early = np.asarray(drawn.logtc == branches.early.logtc).mean()
    np.testing.assert_allclose(early, branches.early_share[0], atol=0.1)


@pytest.mark.parametrize("what", ["diffstarpop", "diffmahpop"])
def test_gradients_in_all_parameters_are_those_of_differences(stored, what):
    if what == "diffstarpop":
        p = published("diffstarpop_smdpl_dr1")
        place = with_satellites(jax.tree.map(lambda x: x[:6], place_of(stored)))
        noise = diffstarpop.sfh_noise(jax.random.key(0), (6,))
        make = lambda q: diffstarpop.sfh_branches(q, place, noise)  # noqa: E731
    else:
        p, noise = published("diffmahpop_default"), diffmahpop.halo_noise(jax.random.key(5), (6,))
        halo = halo_of(6, 0.5)
        make = lambda q: diffmahpop.halo_branches(q, halo, noise)  # noqa: E731
    names = list(p)
    x = jnp.asarray(list(p.values()))

    @jax.jit
    @jax.value_and_grad
    def both(x):
        return sum(jnp.sum(jnp.tanh(leaf)) for leaf in jax.tree.leaves(make(dict(zip(names, x, strict=True)))))

    gradient = both(x)[1]
    assert jnp.isfinite(gradient).all()
    for i in range(0, len(names), 9):
        step = 1e-6 * jnp.zeros_like(x).at[i].set(1.0)
        slope = (both(x + step)[0] - both(x - step)[0]) / 2e-6
        np.testing.assert_allclose(gradient[i], slope, rtol=2e-4, atol=2e-6, err_msg=names[i])


def test_parameters_that_are_missing_and_calibrations_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="diffstarpop has 88 parameters; missing or unknown"):
        diffstarpop.DiffstarPopulation(parameters={"mean_uqt_xtp": 12.0})
    with pytest.raises(InputError, match="diffmahpop has 113 parameters"):
        diffmahpop.DiffmahPopulation(parameters={})
    with pytest.raises(InputError, match="calibration of diffstarpop is 'eagle'; choose one of smdpl"):
        diffstarpop.diffstar_population(calibration="eagle")
    with pytest.raises(
        InputError, match="published parameters 'dusty' are not there; choose one of diffstarpop_bounds"
    ):
        published("dusty")


def test_counts_and_bias_of_haloes_are_those_of_diffsky(stored):
    p, m = published("halo_mass_function"), stored["hmf_logm"]
    z = stored["hmf_z"][:, None]
    np.testing.assert_allclose(abundance.log10_cumulative(p, m, z), stored["hmf_lg_cuml"], atol=1e-9)
    np.testing.assert_allclose(abundance.density(p, m, z), stored["hmf_diff"], rtol=1e-7)
    sub = abundance.log10_subhaloes(published("subhaloes"), stored["ccshmf_lgmhost"][:, None], stored["ccshmf_lgmu"])
    np.testing.assert_allclose(sub, stored["ccshmf_lg"], atol=1e-9)
    bias = [abundance.log10_bias(published("halo_bias"), stored["halobias_lgm"], z) for z in stored["halobias_z"]]
    np.testing.assert_allclose(bias, stored["halobias_lgb"], atol=1e-8)


def test_dust_bursts_sizes_and_mergers_are_those_of_diffsky(stored):
    m, s = stored["pop_logsm"], stored["pop_logssfr"]
    p, bursts = published("dust"), published("bursts")
    a_v = relations.attenuation(p, m[:, None], s[:, None], 0.4, stored["pop_lgage"])
    np.testing.assert_allclose(a_v, stored["dustpop_av_z0p4"], atol=1e-9)
    np.testing.assert_allclose(relations.dust_slope(p, m, s), stored["dustpop_delta"], atol=1e-9)
    np.testing.assert_allclose(relations.unobscured_share(p, s), stored["dustpop_funo"], atol=1e-9)
    np.testing.assert_allclose(relations.burst_share(bursts, m, s), stored["burstpop_fburst"], atol=1e-9)
    np.testing.assert_allclose(relations.burst_frequency(bursts, m, s), stored["burstpop_freq"], atol=1e-9)
    at = stored["size_logsm"], stored["size_z"][:, None]
    np.testing.assert_allclose(relations.log10_bulge_size(*at), stored["size_lgr50_bulge"], atol=1e-9)
    np.testing.assert_allclose(relations.log10_disc_size(*at), stored["size_lgr50_disk"], atol=1e-9)
    np.testing.assert_allclose(
        relations.merged_share(published("merging"), *stored["merge_in_lgmsub_lgmhost_tobs_tinf"].T), stored["merge_p"]
    )
    share = relations.disc_share(jnp.array([8.0, 12.5]), jnp.array([-9.0, -12.5]))
    assert share[0] > 0.85
    assert share[1] < 0.02
