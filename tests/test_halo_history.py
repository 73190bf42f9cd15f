"""Histories of haloes: mass is the integral of the rate, gradients, batches, tables, matrices, bad input."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baryon_reference import stored

from galdiff.core.hermite import hermite
from galdiff.core.record import check
from galdiff.cosmology import Cosmology, age, radiation_density
from galdiff.errors import InputError
from galdiff.halo import diffmah
from galdiff.halo.ensemble import diffmah_population
from galdiff.halo.history import HistorySettings, diffmah_history, from_diffmah, stack
from galdiff.halo.slopes import MIN_SLOPE
from galdiff.halo.tabulated import HaloTable, from_matrix, from_table

PLANCK = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
TIME = np.linspace(0.5, 13.5, 40)  # Gyr
MASS = 1e12 * (TIME / 13.5) ** 2


def curve(history, time):
    """ln m and d ln m / d ln t of a smooth history, as its record declares them."""
    slopes = history.mdot_vir * history.time / history.m_vir
    return hermite(jnp.log(time), jnp.log(history.time), jnp.log(history.m_vir), slopes)


@pytest.fixture(scope="module")
def milky_way():
    return diffmah_history(log10_mvir=12.1, cosmology=PLANCK, spin=0.03)


def test_a_diffmah_history_is_complete_and_on_diffmah_between_its_nodes(milky_way):
    check(milky_way)
    params = diffmah.DiffmahParams(logm0=12.1, logtc=0.3, early_index=2.4, late_index=0.3)
    history = from_diffmah(params, cosmology=PLANCK)
    time = np.geomspace(0.2, 13.7, 333)
    today = age(PLANCK, 0.0)
    ln_m, slope = curve(history, time)
    np.testing.assert_allclose(ln_m / np.log(10), diffmah.log10_mass(params, time, today), atol=1e-8)
    rate = slope * jnp.exp(ln_m) / time
    np.testing.assert_allclose(rate, diffmah.accretion_rate(params, time, today), rtol=1e-5)
    assert history.time[-1] == pytest.approx(float(today), rel=1e-14)
    np.testing.assert_allclose(history.m_vir[-1], 10**12.1, rtol=1e-12)


def test_mass_is_the_integral_of_the_rate(milky_way):
    nodes, weights = np.polynomial.legendre.leggauss(5)
    edges = np.asarray(milky_way.time)
    time = (edges[1:, None] + edges[:-1, None] + nodes * np.diff(edges)[:, None]) / 2
    ln_m, slope = curve(milky_way, time)
    gained = np.sum(weights * np.exp(ln_m) * slope / time * np.diff(edges)[:, None] / 2)
    np.testing.assert_allclose(gained, milky_way.m_vir[-1] - milky_way.m_vir[0], rtol=1e-10)


def test_gradients_of_a_history_match_central_differences():
    def summary(values):
        params = diffmah.DiffmahParams(
            **dict(zip(("logm0", "logtc", "early_index", "late_index"), values, strict=True))
        )
        h = from_diffmah(params, cosmology=dataclasses.replace(PLANCK, h0=values[0] * 6))
        middle = curve(h, 3.0)
        return jnp.stack([h.t_start, jnp.log(h.m_vir[60]), jnp.log(h.mdot_vir[90]), h.c_nfw[100], h.r_vir[5], *middle])

    point = jnp.array([10.6, 0.2, 2.8, 0.2])
    exact = jax.jacobian(jax.jit(summary))(point)
    assert float(jnp.abs(exact[0]).min()) > 1e-3, "the start must depend on every parameter here"
    step = 1e-5
    for i in range(4):
        up, down = point.at[i].add(step), point.at[i].add(-step)
        np.testing.assert_allclose(exact[:, i], (summary(up) - summary(down)) / (2 * step), rtol=2e-6, atol=1e-8)


def test_the_start_is_where_the_mass_first_exceeds_its_threshold():
    small = diffmah_history(log10_mvir=10.0, early_index=3.0, late_index=0.2, logtc=0.5, cosmology=PLANCK)
    np.testing.assert_allclose(curve(small, small.t_start)[0], np.log(10**7.5), rtol=1e-12)
    large = diffmah_history(log10_mvir=14.0, early_index=2.0, late_index=0.2, logtc=0.2, cosmology=PLANCK)
    assert large.t_start == large.time[0]


def test_growth_after_the_peak_is_a_positive_trickle():
    params = diffmah.DiffmahParams(t_peak=5.0)
    history = from_diffmah(params, cosmology=PLANCK)
    time = np.linspace(1.0, 13.7, 2000)
    ln_m, slope = curve(history, time)
    assert slope.min() >= 0.2 * MIN_SLOPE
    late = time > 6.0
    np.testing.assert_allclose(slope[late], MIN_SLOPE, rtol=1e-6)
    assert ln_m[-1] - ln_m[late][0] < 0.001


def test_populations_batch_haloes_of_different_starts_and_stack_likewise():
    haloes = diffmah_population(log10_mvir=[9.5, 13.0], n=6, seed=1, cosmology=PLANCK)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(haloes)} == {6}
    assert haloes.m_vir.shape == (6, 128)
    np.testing.assert_allclose(np.log10(haloes.m_vir[:, -1]), 9.5 + 3.5 * (np.arange(6) + 0.5) / 6, rtol=1e-12)
    assert len(np.unique(haloes.t_start)) > 2
    ages = jax.vmap(lambda h: age(h.cosmology, 0.0) - h.t_start)(haloes)
    assert (ages > 0).all()
    again = stack([jax.tree.map(lambda leaf, i=i: leaf[i], haloes) for i in range(6)])
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(haloes), jax.tree.leaves(again), strict=True))
    for i in range(6):
        check(jax.tree.map(lambda leaf, i=i: leaf[i], haloes))
    other = diffmah_population(log10_mvir=[9.5, 13.0], n=6, seed=2, cosmology=PLANCK)
    assert (other.c_nfw != haloes.c_nfw).all()


def test_single_precision_histories_follow_double():
    double = diffmah_history(log10_mvir=11.5, early_index=2.5, late_index=0.2, logtc=0.4, cosmology=PLANCK)
    with jax.enable_x64(False):
        single = diffmah_history(log10_mvir=11.5, early_index=2.5, late_index=0.2, logtc=0.4, cosmology=PLANCK)
        assert {jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(single)} == {jnp.dtype("float32")}
        slopes = curve(single, jnp.linspace(0.3, 13.7, 500, dtype=jnp.float32))[1]
    for name in ("m_vir", "mdot_vir", "r_vir", "v_vir", "c_nfw", "t_start"):
        np.testing.assert_allclose(getattr(single, name), getattr(double, name), rtol=3e-5, err_msg=name)
    assert slopes.min() > 0


def test_a_table_keeps_its_masses_and_gets_their_derivative():
    history = from_table(HaloTable(time=TIME, m_vir=MASS), cosmology=PLANCK)
    check(history)
    np.testing.assert_allclose(history.m_vir, MASS, rtol=1e-12)
    np.testing.assert_allclose(history.mdot_vir, 2 * MASS / TIME, rtol=1e-9)
    given = from_table(HaloTable(time=TIME, m_vir=MASS, mdot_vir=1.5 * MASS / TIME), cosmology=PLANCK)
    np.testing.assert_allclose(given.mdot_vir, 1.5 * MASS / TIME, rtol=1e-12)
    moved = from_table(HaloTable(time=TIME, m_vir=MASS), cosmology=PLANCK, resample=True)
    np.testing.assert_allclose(moved.m_vir, 1e12 * (moved.time / 13.5) ** 2, rtol=1e-9)
    assert moved.time.shape == (128,)


def test_a_noisy_table_grows_everywhere_and_smoothing_keeps_its_ends():
    rng = np.random.default_rng(0)
    noisy = MASS * 10 ** (0.1 * rng.standard_normal((3, 40)))
    time = np.linspace(0.5, 13.5, 5001)
    roughness = []
    for smoothing in (0.0, 0.2):
        with pytest.warns(UserWarning, match=r"such among 3\), .* times the table's final mass"):
            history = from_table(HaloTable(time=TIME, m_vir=noisy), cosmology=PLANCK, smoothing=smoothing)
        slopes = jax.vmap(lambda h: curve(h, time)[1])(history)
        assert slopes.min() >= 0.2 * MIN_SLOPE
        roughness.append(float(jnp.log10(slopes).std()))
        np.testing.assert_allclose(history.m_vir[:, -1], noisy.max(1), rtol=0.01)
    assert roughness[1] < 0.7 * roughness[0]


def test_haloes_that_lose_mass_or_stop_keep_the_largest_and_trickle():
    mass = MASS.copy()
    mass[20:25] *= 0.5
    history = from_table(HaloTable(time=TIME, m_vir=mass), cosmology=PLANCK)
    np.testing.assert_allclose(history.m_vir[20:25], mass[19] * (TIME[20:25] / TIME[19]) ** MIN_SLOPE, rtol=1e-12)
    with pytest.raises(InputError, match=r"m_vir \[Msun\] falls from .* after snapshot 19 .*running_maximum"):
        from_table(HaloTable(time=TIME, m_vir=mass), cosmology=PLANCK, mass_loss="error")
    idle = from_table(HaloTable(time=TIME, m_vir=np.full(40, 1e11), mdot_vir=np.zeros(40)), cosmology=PLANCK)
    np.testing.assert_allclose(idle.mdot_vir * idle.time / idle.m_vir, MIN_SLOPE, rtol=1e-6)


def test_a_spike_is_named_and_can_be_mended(recwarn):
    time = np.linspace(1, 13.7, 60)
    smooth = 1e12 * (time / 13.7) ** 2
    spike = np.where(np.arange(60) == 30, 8 * smooth, smooth)
    message = r"falls from 2.*e\+12 at snapshot 30 to 3.*e\+11 at the next \(87% lost; halo 0, 1 of 1 such among 1\)"
    with pytest.warns(UserWarning, match=rf"{message}.* 2\.37 times .* final mass; .* mass_loss=interpolate"):
        kept = from_table(HaloTable(time=time, m_vir=spike), cosmology=PLANCK)
    assert kept.m_vir[-1] == pytest.approx(2.37e12, rel=2e-3)
    early = np.where(np.arange(60) == 3, 8 * smooth, smooth)  # overgrown later
    with pytest.warns(UserWarning, match=r"at snapshot 3 to .* ends with 1 times"):
        from_table(HaloTable(time=time, m_vir=np.stack([smooth, early])), cosmology=PLANCK)
    recwarn.clear()
    for odd, factor in (((30,), 8), ((30, 31), 8), ((30,), 0.1), ((20, 21), 0.1), ((0,), 8), ((58,), 8), ((9, 40), 8)):
        m_vir, c_nfw, rate = smooth.copy(), np.full(60, 7.0), 2 * smooth / time
        for column, change in ((m_vir, factor), (c_nfw, 0.3), (rate, -50.0)):
            column[list(odd)] *= change
        table = HaloTable(time=time, m_vir=np.stack([smooth, m_vir]), c_nfw=np.stack([c_nfw] * 2), mdot_vir=None)
        mended = from_table(table, cosmology=PLANCK, mass_loss="interpolate")
        apart = np.abs(np.asarray(mended.m_vir[1]) / smooth - 1)
        assert np.delete(apart, odd).max() < 1e-12, (odd, factor)
        assert apart[[i for i in odd if i]].max(initial=0) < 0.03, (odd, factor)
        np.testing.assert_allclose(mended.c_nfw[1], 7.0, rtol=1e-12)
        np.testing.assert_allclose(mended.m_vir[0], smooth, rtol=1e-12)
        with_rates = HaloTable(time=time, m_vir=m_vir, mdot_vir=rate)
        slope = from_table(with_rates, cosmology=PLANCK, mass_loss="interpolate").mdot_vir * time / smooth
        np.testing.assert_allclose(slope[2:], 2.0, rtol=0.1, err_msg=str((odd, factor)))
    assert not recwarn.list


def test_a_dip_leaves_the_rest_of_the_history_as_it_is(recwarn):
    for odd in ([20], [20, 21]):
        dip = MASS.copy()
        dip[odd] *= 0.1
        history = from_table(HaloTable(time=TIME, m_vir=dip), cosmology=PLANCK)
        np.testing.assert_allclose(np.delete(history.m_vir, odd), np.delete(MASS, odd), rtol=1e-12)
    assert not recwarn.list


def test_a_mass_lost_for_good_is_named_also_where_outliers_are_mended():
    stripped = np.where(np.arange(40) >= 30, 0.5 * MASS, MASS)
    for choice in ("running_maximum", "interpolate"):
        with pytest.warns(UserWarning, match=r"at snapshot 29 to .* 1\.\d+ times the table's final mass"):
            from_table(HaloTable(time=TIME, m_vir=stripped), cosmology=PLANCK, mass_loss=choice)


def test_redshifts_serve_as_times():
    redshift = np.array([8.0, 4.0, 2.0, 1.0, 0.0])
    history = from_table(HaloTable(redshift=redshift, m_vir=np.geomspace(1e9, 1e12, 5)), cosmology=PLANCK)
    np.testing.assert_allclose(history.time, age(PLANCK, redshift), rtol=1e-12)


def test_matrices_are_read_as_they_stand_or_made_consistent(data_dir):
    data = stored(data_dir / "baryons/halos_2000.npz")
    rows, time = data["halo_matrix"][::250], data["ts_full"]
    cosmology = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486, omega_r=radiation_density(67.74))
    backward = from_matrix(rows, time, data["halo_tinit"][::250], cosmology=cosmology)
    assert backward.interpolation == "backward"
    np.testing.assert_allclose(backward.mdot_vir, 10 ** rows[:, 0] * 1e9, rtol=1e-12)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(backward)} == {8}
    smooth = from_matrix(rows, time, None, cosmology=cosmology, interpolation="smooth")
    np.testing.assert_allclose(smooth.m_vir, 10 ** rows[:, 1], rtol=1e-6)
    np.testing.assert_allclose(smooth.c_nfw, 10 ** rows[:, 4], rtol=1e-12)
    np.testing.assert_allclose(smooth.r_vir, 10 ** rows[:, 2], rtol=2e-4)
    calm = ~data["bursty"][::250]
    inner = slice(5, -5)  # away from the ends, where one-sided slopes of a coarse table are rough
    ratio = np.asarray(smooth.mdot_vir / backward.mdot_vir)[calm][:, inner]
    assert abs(np.log10(ratio)).max() < 0.02
    np.testing.assert_allclose(smooth.t_start, data["halo_tinit"][::250], rtol=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log10_mvir": 16.0}, r"log10_mvir is 16 dex\(Msun\); give 8 to 15\.5"),
        ({"log10_mvir": 7.0}, r"log10_mvir is 7 dex"),
        ({"log10_mvir": np.nan}, r"log10_mvir is nan dex"),
        ({"early_index": 0.1, "late_index": 1.0}, "late_index .* above early_index"),
        ({"early_index": -1.0}, "early_index is -1; give 0 to 100"),
        ({"observed_redshift": 25.0}, "below first_redshift = 20"),
        ({"observed_redshift": -0.5}, "must be at least 0"),
        ({"log10_mvir": 8.0, "observed_redshift": 10.0}, "ends with log10 m_vir .* log10_m_start"),
    ],
)
def test_diffmah_refuses_what_makes_no_history(change, message):
    with pytest.raises(InputError, match=message):
        diffmah_history(**{"log10_mvir": 12.0, "cosmology": PLANCK, **change})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": TIME[::-1]}, r"time \[Gyr\] goes from 13.5 to .* at snapshot 1; .*sort or reverse"),
        ({"time": np.where(np.arange(40) == 7, TIME[6], TIME)}, "without repeats"),
        ({"m_vir": np.where(np.arange(40) == 3, np.nan, MASS)}, r"m_vir \[Msun\] holds nan at \(3,\)"),
        ({"m_vir": np.where(np.arange(40) == 0, 0.0, MASS)}, r"m_vir \[Msun\] holds 0.0 at \(0,\).*drop the snapshots"),
        ({"m_vir": -MASS}, r"40 such values of 40"),
        ({"m_vir": MASS * 1e5}, r"log10 m_vir = 17 dex\(Msun\).*check the unit"),
        ({"m_vir": MASS[:10]}, r"time \[Gyr\] has shape \(40,\)"),
        ({"mdot_vir": np.full(40, np.inf)}, r"mdot_vir \[Msun/Gyr\] holds inf"),
        ({"c_nfw": np.zeros(40)}, r"c_nfw \[1\] holds 0.0"),
        ({"redshift": np.zeros(40)}, "both or neither"),
        ({"m_vir": MASS[:2], "time": TIME[:2]}, "2 snapshots"),
    ],
)
def test_tables_name_the_bad_column_and_value(columns, message):
    with pytest.raises(InputError, match=message):
        from_table(HaloTable(**{"time": TIME, "m_vir": MASS, **columns}), cosmology=PLANCK)


def test_settings_options_and_matrices_are_checked():
    table = HaloTable(time=TIME, m_vir=MASS)
    with pytest.raises(InputError, match=r"smoothing is 5\.0"):
        from_table(table, cosmology=PLANCK, smoothing=5.0)
    with pytest.raises(InputError, match="mass_loss is 'ignore'"):
        from_table(table, cosmology=PLANCK, mass_loss="ignore")
    with pytest.raises(InputError, match=r"ends with log10 m_vir = 12 .* at or below"):
        from_table(table, cosmology=PLANCK, settings=HistorySettings(log10_m_start=12.5))
    with pytest.raises(InputError, match="n_nodes is 2; give 3 to"):
        HistorySettings(n_nodes=2)
    with pytest.raises(InputError, match="first_redshift is -1"):
        HistorySettings(first_redshift=-1.0)
    with pytest.raises(InputError, match="log10_m_start is 20"):
        HistorySettings(log10_m_start=20.0)
    with pytest.raises(InputError, match="n=0"):
        diffmah_population(log10_mvir=12.0, n=0, cosmology=PLANCK)
    with pytest.raises(InputError, match="not finite"):
        diffmah_population(log10_mvir=[12.0, np.nan], cosmology=PLANCK)
    with pytest.raises(InputError, match="concentration_scatter is -1"):
        diffmah_population(log10_mvir=12.0, concentration_scatter=-1.0, cosmology=PLANCK)
    with pytest.raises(InputError, match="0 kinds"):
        stack([])
    matrix = np.zeros((2, 5, 40))
    with pytest.raises(InputError, match=r"shape \(2, 5, 40\); it needs \(halo, 5, 39\)"):
        from_matrix(matrix, TIME[1:], None, cosmology=PLANCK)
    with pytest.raises(InputError, match=r"t_start \[Gyr\].*start after the end"):
        from_matrix(matrix, TIME, np.array([1.0, 20.0]), cosmology=PLANCK)
    with pytest.raises(InputError, match=r"holds nan at \(halo, column, node\) \(1, 2, 3\)"):
        from_matrix(np.where(np.arange(400).reshape(2, 5, 40) == 283, np.nan, matrix), TIME, None, cosmology=PLANCK)
    with pytest.raises(InputError, match="interpolation is 'linear'"):
        from_matrix(matrix, TIME, None, cosmology=PLANCK, interpolation="linear")
