"""Dust: curves against published values, the line-of-sight column against an exact sum, and the stages."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from flax import nnx

from galdiff.build import build
from galdiff.core.record import check
from galdiff.dust import curves
from galdiff.dust.attenuation import BirthCloudDust, DustScreen, GasColumnDust, birth_cloud_fraction
from galdiff.dust.column import (
    KAPPA_V,
    ColumnGrid,
    dust_mass,
    dust_to_gas,
    line_of_sight_av,
    line_of_sight_av_exact,
    oxygen_abundance,
)
from galdiff.dust.curves.modified_calzetti import ModifiedCalzetti
from galdiff.errors import InputError
from galdiff.records import SkyGas, SkyStars
from galdiff.runtime import project_dir
from galdiff.units import MSUN_G

WAVE = jnp.array([1500.0, 2175.0, 3000.0, 3700.0, 4400.0, 5500.0, 6563.0, 8000.0, 9000.0, 12000.0, 22000.0])
# A(wave)/A(V) printed by dust_extinction 1.7 (four digits); Calzetti from its formula
PUBLISHED = {
    ("ccm89", 3.1): [2.6639, 3.1851, 1.8182, 1.5455, 1.3245, 0.9989, 0.8177, 0.5975, 0.4788, 0.3012, 0.1135],
    ("ccm89", 5.0): [1.4960, 1.9743, 1.3742, 1.3252, 1.2011, 0.9992, 0.8524, 0.6674, 0.5553, 0.3494, 0.1317],
    ("odonnell94", 3.1): [2.6639, 3.1851, 1.8182, 1.5170, 1.3222, 0.9987, 0.8124, 0.6079, 0.4789, 0.3012, 0.1135],
    ("fitzpatrick99", 3.1): [2.6025, 3.0759, 1.7967, 1.5130, 1.3094, 0.9779, 0.7604, 0.5532, 0.4524, 0.2750, 0.1092],
    ("gordon23", 3.1): [2.8235, 3.2204, 1.8709, 1.5251, 1.3204, 0.9985, 0.8015, 0.5900, 0.4851, 0.2876, 0.1031],
    ("gordon23", 5.0): [1.5628, 2.1114, 1.4160, 1.3166, 1.2016, 0.9990, 0.8446, 0.6825, 0.5901, 0.3914, 0.1577],
    ("smc_bar", 3.1): [4.7670, 3.1311, 2.0173, 1.6720, 1.3740, 1.0000, 0.7904, 0.5795, 0.4661, 0.2679, 0.1099],
    ("calzetti00", 3.1): [2.5516, 2.0935, 1.7100, 1.4551, 1.2495, 0.9995, 0.8212, 0.6343, 0.5395, 0.3498, 0.0912],
}
CURVES = sorted(path.stem for path in (project_dir("conf") / "dust" / "curve").glob("*.yaml"))
GRID = ColumnGrid(half_width=4.0, half_depth=4.0, cell=0.5, cell_z=0.25)


def preset(name, **changes):
    """Curve of a file in conf/dust/curve."""
    node = yaml.safe_load((project_dir("conf") / "dust" / "curve" / f"{name}.yaml").read_text(encoding="utf-8"))
    return build(node | changes, path="dust.curve")


def stars_at(x, y, z, age=5.0):
    x, y, z = (jnp.asarray(q, float) for q in (x, y, z))
    one = jnp.ones_like(x)
    return SkyStars(x=x, y=y, z=z, v_los=0 * one, mass=one, age=age * one, metallicity=0.02 * one)


def gas_at(x, y, z, mass=1e8, **kwargs):
    x, y, z = (jnp.asarray(q, float) for q in (x, y, z))
    one = jnp.ones_like(x)
    return SkyGas(x=x, y=y, z=z, v_los=0 * one, mass=mass * one, metallicity=0.0134 * one, **kwargs)


@pytest.fixture(scope="module")
def disc():
    """200 stars and 4000 gas cells in a box that the grid holds, with their dust."""
    rng = np.random.default_rng(7)
    gas = gas_at(*rng.uniform(-3.0, 3.0, (3, 4000)), mass=1e6)
    return stars_at(*rng.uniform(-2.0, 2.0, (3, 200))), gas, dust_mass(gas)


@pytest.mark.parametrize(("name", "r_v"), PUBLISHED)
def test_a_curve_has_its_published_values(name, r_v):
    curve = preset(name, **({} if name in ("smc_bar", "calzetti00") else {"r_v": r_v}))
    np.testing.assert_allclose(jax.jit(lambda wave: curve(wave))(WAVE), PUBLISHED[name, r_v], atol=5.1e-5)


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_positive_finite_and_one_at_v_from_912_angstrom_to_5_micron(name):
    curve, wave = preset(name), np.geomspace(912.0, 5.2e4, 500, dtype=np.float32)
    k, slope = jax.jit(lambda w: (curve(w), jax.grad(lambda w: curve(w).sum())(w)))(wave)
    assert k.dtype == jnp.float32
    k, slope = np.asarray(k), np.asarray(slope)
    assert np.isfinite(k).all()
    assert (k > 0.0).all()
    assert np.isfinite(slope).all()
    at_v, *optical = jax.jit(lambda w: curve(w))(np.array([5500.0, *np.linspace(4000.0, 20000.0, 200)])).tolist()
    assert at_v == pytest.approx(1.0, abs=0.025)
    assert (np.diff(optical) < 0.0).all()


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_goes_on_smoothly_beyond_its_range(name):
    """Value and slope are continuous at both ends; far to the blue it is level, far to the red a power law."""
    curve = preset(name)
    slope = jax.jit(jax.vmap(jax.grad(lambda x: jnp.log(curve(jnp.exp(x))))))
    log = jnp.log
    for end in (curve.blue, curve.red):
        x = log(end) + jnp.array([-1e-6, 1e-6])
        np.testing.assert_allclose(*curve(jnp.exp(x)), rtol=2e-5)
        np.testing.assert_allclose(*slope(x), rtol=1e-4)
        assert abs(slope(x)[0]) > 0.1
    np.testing.assert_allclose(slope(log(curve.blue) - jnp.array([1.0, 2.0])), 0.0, atol=1e-6)
    np.testing.assert_allclose(*slope(log(curve.red) + jnp.array([1.0, 2.0])), rtol=1e-6)


SLOPED = ("power_law", "modified_calzetti", "salim18", "kriek_conroy13", "triweight")


@pytest.mark.parametrize("name", ["ccm89", "odonnell94", "fitzpatrick99", "gordon23", *SLOPED])
def test_gradients_in_the_parameter_of_a_curve_match_differences(name):
    key = "slope" if name in SLOPED else "r_v"
    at, h = (-0.5 if key == "slope" else 3.4), 1e-5
    start = preset(name)
    curve = jax.jit(lambda p: dataclasses.replace(start, **{key: p})(WAVE))
    difference = (curve(at + h) - curve(at - h)) / (2 * h)
    np.testing.assert_allclose(jax.jacfwd(curve)(at), difference, rtol=1e-7, atol=1e-8)


def test_the_bump_of_the_modified_curve_sits_at_2175_angstrom_and_the_slope_turns_it_about_v():
    wave = jnp.linspace(1600.0, 8000.0, 641)
    bump = ModifiedCalzetti(bump=2.0)(wave) - ModifiedCalzetti()(wave)
    assert wave[bump.argmax()] == pytest.approx(2175.0, abs=5.0)
    assert bump.max() == pytest.approx(2.0 / 4.05, rel=1e-3)
    ratio = ModifiedCalzetti(slope=-0.4)(wave) / ModifiedCalzetti()(wave)
    np.testing.assert_allclose(ratio, (wave / 5500.0) ** -0.4, rtol=1e-12)


def test_every_curve_has_a_file_of_its_own_and_a_preset_of_the_same_name():
    files = {p.stem for p in pathlib.Path(curves.__file__).parent.glob("[!_]*.py")}
    assert files == set(CURVES)
    assert all(type(preset(name)).__module__ == f"galdiff.dust.curves.{name}" for name in CURVES)


def test_a_parameter_outside_its_limits_and_the_former_spelling_are_refused():
    with pytest.raises(InputError, match=r"dust.curve.r_v of the dust curve is 9; give a number from 2 to 6"):
        preset("ccm89", r_v=9)
    with pytest.raises(InputError, match=r"dust.curve.slope: .*takes no 'slope'"):
        preset("ccm89", slope=-0.7)
    with pytest.raises(InputError, match="write dust/curve=calzetti00"):
        build({"_target_": "galdiff.dust.curves.make_curve", "name": "calzetti00"})


def test_the_opacity_is_that_of_grains_of_3_5_grams_per_cubic_centimetre():
    surface = 1e5 * MSUN_G / 3.0856775814913673e21**2  # g/cm^2
    a_v = 3 * np.pi * surface / (0.4 * np.log(10) * 5448e-8 * 3.5)
    assert pytest.approx(a_v, rel=1e-3) == KAPPA_V * 1e5


def test_solar_gas_has_one_part_of_dust_in_162():
    assert dust_to_gas(jnp.array([8.69]))[0] == pytest.approx(10**-2.21, rel=1e-3)
    assert dust_to_gas(jnp.array([8.69]), smooth=0.0)[0] == pytest.approx(10**-2.21)


@pytest.mark.parametrize("relation", ["metallicity_x_co", "milky_way_x_co"])
def test_the_smooth_dust_relation_follows_the_published_one_away_from_its_break(relation):
    x = jnp.concatenate([jnp.linspace(7.0, 7.75, 20), jnp.linspace(8.35, 9.2, 20)])
    sharp, smooth = (jnp.log10(dust_to_gas(x, relation, s)) for s in (0.0, 0.05))
    np.testing.assert_allclose(smooth, sharp, atol=0.03)
    slope = jax.vmap(jax.grad(lambda q: jnp.log10(dust_to_gas(q, relation))))(jnp.array([6.5, 9.2]))
    np.testing.assert_allclose(slope, [3.10 if relation == "metallicity_x_co" else 3.08, 1.0], atol=1e-3)


def test_oxygen_is_counted_by_number_and_scaled_from_z_where_it_is_not_known():
    known = gas_at([0.0], [0.0], [0.0], oxygen=jnp.array([0.00574]), hydrogen=jnp.array([0.7381]))
    assert oxygen_abundance(known)[0] == pytest.approx(8.69, abs=0.01)
    assert oxygen_abundance(gas_at([0.0], [0.0], [0.0]))[0] == pytest.approx(8.69)


def test_hot_gas_has_no_dust_unless_it_forms_stars():
    gas = gas_at([0.0] * 4, [0.0] * 4, [0.0] * 4, temperature=jnp.array([1e4, 1e6, 1e6, 0.0]))
    dust = np.asarray(dust_mass(gas))
    assert dust[1] < 1e-6 * dust[0]
    with_sfr = np.asarray(dust_mass(dataclasses.replace(gas, sfr=jnp.array([0.0, 0.0, 1.0, 0.0]))))
    np.testing.assert_allclose(with_sfr[[0, 2, 3]], dust_mass(gas, log10_t_max=None)[0], rtol=1e-4)


def test_gas_without_metals_or_mass_gives_finite_gradients():
    gas = dataclasses.replace(gas_at([0.0, 1.0], [0.0, 0.0], [0.0, 0.0]), metallicity=jnp.array([0.0, 1e-9]))
    gradient = jax.grad(lambda g: dust_mass(g).sum())(gas)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_only_gas_in_front_dims_a_star():
    gas = gas_at([0.1], [0.2], [0.0])
    a_v = line_of_sight_av(stars_at([0.1] * 3, [0.2] * 3, [-2.0, 0.0, 2.0]), gas, dust_mass(gas), GRID)
    assert a_v[0] == 0.0
    assert a_v[1] == pytest.approx(float(a_v[2]) / 2, rel=1e-6)
    assert a_v[2] > 0.0


def test_a_uniform_slab_gives_the_closed_form():
    x, y = (q.ravel() for q in np.meshgrid(*[np.arange(-3.875, 4, 0.25)] * 2))
    gas = gas_at(x, y, -1.0 + 0 * x, mass=1e6)
    dust = dust_mass(gas)
    a_v = line_of_sight_av(stars_at([0.0, 1.3], [0.0, -0.7], [1.0, 2.0]), gas, dust, GRID)
    np.testing.assert_allclose(a_v, KAPPA_V * dust[0] / 0.25**2, rtol=1e-6)


def test_the_column_agrees_with_the_exact_sum_in_the_mean(disc):
    stars, gas, dust = disc
    gridded = line_of_sight_av(stars, gas, dust, GRID)
    exact = line_of_sight_av_exact(stars, gas, dust, jnp.linspace(-4.0, 4.0, 9))
    assert float(jnp.corrcoef(gridded, exact)[0, 1]) > 0.9
    assert float(gridded.sum()) == pytest.approx(float(exact.sum()), rel=0.02)


def test_the_exact_column_equals_a_loop_over_stars_and_gas(disc):
    stars, gas, dust = disc
    edges = np.linspace(-1.5, 1.5, 7)  # some stars and gas are outside
    bins = [np.floor((np.asarray(q) + 1.5) / 0.5).astype(int) for q in (stars.x, stars.y, gas.x, gas.y)]
    same = (bins[0][:, None] == bins[2]) & (bins[1][:, None] == bins[3])
    front = same & (np.asarray(gas.z) < np.asarray(stars.z)[:, None])
    inside = (bins[0] >= 0) & (bins[0] < 6) & (bins[1] >= 0) & (bins[1] < 6)
    expected = np.where(inside, KAPPA_V * (front * np.asarray(dust)).sum(1) / 0.25, 0.0)
    got = line_of_sight_av_exact(stars, gas, dust, jnp.asarray(edges))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert 0 < inside.sum() < inside.size


def test_gas_at_the_depth_of_a_star_does_not_dim_it_in_the_exact_sum():
    gas = gas_at([0.1], [0.1], [1.0])
    assert line_of_sight_av_exact(stars_at([0.1], [0.1], [1.0]), gas, dust_mass(gas), jnp.array([0.0, 1.0]))[0] == 0.0


def test_gas_in_front_of_the_box_still_counts_and_stars_beside_it_have_none():
    gas = gas_at([0.0, 9.0], [0.0, 0.0], [-50.0, 0.0])
    a_v = line_of_sight_av(stars_at([0.0, 9.0], [0.0, 0.0], [0.0, 50.0]), gas, dust_mass(gas), GRID)
    assert a_v[0] > 0.0
    assert a_v[1] == 0.0


def test_gradients_of_the_column_match_differences_in_all_inputs(disc):
    stars, gas, dust = disc
    stars = jax.tree.map(lambda q: q[:20], stars)
    weight = jnp.asarray(np.random.default_rng(0).normal(size=20))
    inputs = {"sx": stars.x, "sy": stars.y, "sz": stars.z, "gx": gas.x, "gy": gas.y, "gz": gas.z, "m": dust}

    @jax.jit
    def loss(p):
        s = dataclasses.replace(stars, x=p["sx"], y=p["sy"], z=p["sz"])
        g = dataclasses.replace(gas, x=p["gx"], y=p["gy"], z=p["gz"])
        return (weight * line_of_sight_av(s, g, p["m"], GRID, 1e-3)).sum()

    gradient = jax.jit(jax.grad(loss))(inputs)
    rng = np.random.default_rng(1)
    for name, value in inputs.items():
        direction = jnp.asarray(rng.normal(size=value.shape)) * (dust[0] if name == "m" else 1.0)
        h = 1e-6
        difference = (loss(inputs | {name: value + h * direction}) - loss(inputs | {name: value - h * direction})) / (
            2 * h
        )
        np.testing.assert_allclose((gradient[name] * direction).sum(), difference, rtol=1e-5, err_msg=name)


def test_the_column_does_not_depend_on_how_particles_are_chunked(disc, monkeypatch):
    stars, gas, dust = disc
    whole = line_of_sight_av(stars, gas, dust, GRID)
    monkeypatch.setattr("galdiff.dust.column.CHUNK", 97)
    np.testing.assert_allclose(line_of_sight_av(stars, gas, dust, GRID), whole, rtol=1e-10, atol=1e-14)


def test_a_screen_adds_to_the_dust_a_star_has():
    stars = stars_at([0.0, 1.0], [0.0, 0.0], [0.0, 0.0])
    once = DustScreen(a_v=0.5)(stars)
    np.testing.assert_allclose(once.a_v, 0.5, rtol=1e-6)
    np.testing.assert_allclose(DustScreen(a_v=0.25)(once).a_v, 0.75, rtol=1e-6)
    check(once)


def test_young_stars_sit_in_birth_clouds():
    stage = BirthCloudDust(a_v=0.5, a_v_birth=1.0, t_birth=0.01, width=0.1)
    ages = jnp.array([0.0, 1e-3, 0.01, 0.1, 10.0])
    stars = dataclasses.replace(stars_at(*jnp.zeros((3, 5))), age=ages)
    np.testing.assert_allclose(stage(stars).a_v, [1.5, 1.5, 1.0, 0.5, 0.5], atol=1e-4)
    sharp = birth_cloud_fraction(ages, jnp.asarray(0.01), 0.0)
    np.testing.assert_array_equal(sharp, [1, 1, 0, 0, 0])
    gradient = jax.grad(lambda a: birth_cloud_fraction(a, jnp.asarray(0.01), 0.1).sum())(ages)
    assert jnp.isfinite(gradient).all()
    with pytest.raises(InputError, match="width"):
        BirthCloudDust(a_v=0.5, a_v_birth=1.0, t_birth=0.01, width=-1.0)


def test_the_gas_stage_reads_stars_and_gas_and_can_do_without_gas(disc):
    stars, gas, dust = disc
    stage = GasColumnDust(grid=GRID)
    assert set(stage.reads()) == {"sky_stars", "sky_gas"}
    assert stage.optional() == {"sky_gas"}
    assert stage.makes() is SkyStars
    mixture = 0.7394e-5  # mag kpc^2/Msun, of Draine et al. (2014)
    np.testing.assert_allclose(stage(stars, gas).a_v, line_of_sight_av(stars, gas, dust, GRID, mixture), rtol=1e-6)
    assert (stage(stars).a_v == 0.0).all()
    assert (stage(stars, None).a_v == 0.0).all()


def test_the_opacity_of_the_gas_stage_is_trainable_under_jit(disc):
    stars, gas, _ = disc
    graph, state = nnx.split(GasColumnDust(grid=GRID))
    total = jax.jit(jax.value_and_grad(lambda s: nnx.merge(graph, s)(stars, gas).a_v.sum()))
    value, gradient = total(state)
    assert value > 0.0
    assert jax.tree.leaves(gradient)[0] > 0.0


@pytest.mark.parametrize(
    "build", [lambda: GasColumnDust(relation="mw"), lambda: ColumnGrid(cell=0.0), lambda: ColumnGrid(kernel="sph")]
)
def test_wrong_settings_of_the_column_are_refused(build):
    with pytest.raises(InputError, match=r"choose one of|must be positive"):
        build()
