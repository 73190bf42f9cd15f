"""Stars as wide as the distance between them: light, width, slopes, and engines that agree."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ifu_reference import load_reference

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.errors import InputError
from galdiff.galaxy.neighbours import smoothing_lengths, smoothing_of
from galdiff.ifu.basis import no_attenuation
from galdiff.ifu.deposit import Bins, deposit
from galdiff.ifu.engine import ifu_stages
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.smoothing import levels_needed, variances
from galdiff.ifu.stages import Deposit, Synthesis
from galdiff.ifu.tiles import observe_in_tiles
from galdiff.records import Placement, SkyStars, StarParticles

N = 48
BINS = Bins(
    n_y=N, n_x=N, spaxel_arcsec=(1.0, 1.0), v_nodes=np.linspace(-300.0, 300.0, 7), lg_ages=np.array([0.0, 1.0]),
    lgmets=np.array([-2.0, -1.0]), interpolation="linear", kernel="cubic", attenuation=no_attenuation(1), levels=3,
)  # fmt: skip


def stars_at(x, y, smoothing):
    x, y, smoothing = (jnp.atleast_1d(jnp.asarray(q, float)) for q in (x, y, smoothing))
    one = jnp.ones_like(x)
    return SkyStars(x=x, y=y, z=one, v_los=0 * x, mass=one, age=3 * one, metallicity=0.02 * one, smoothing=smoothing)


@jax.jit
def image_of(stars):
    return deposit(stars, (0.0, 0.0), (1.0, 1.0), BINS).sum((2, 3, 4))


def moments_of(image):
    g = np.arange(N) + 0.5
    x = (image.sum(0) * g).sum(), (image.sum(1) * g).sum()
    return *x, (image.sum(0) * (g - x[0]) ** 2).sum(), (image.sum(1) * (g - x[1]) ** 2).sum()


@pytest.mark.parametrize("sigma", [0.0, 0.9, 1.2, 2.0, 3.3, 5.0])
def test_a_star_keeps_its_light_its_place_and_its_width(sigma):
    image = np.asarray(image_of(stars_at(23.3, 25.9, sigma)))
    np.testing.assert_allclose(image.sum(), 1.0, rtol=1e-12)
    x, y, xx, yy = moments_of(image)
    np.testing.assert_allclose([x, y], [23.3, 25.9], rtol=1e-12)
    np.testing.assert_allclose([xx, yy], 1 / 3 + max(sigma**2 - 1, 0), rtol=1e-9)
    assert (image >= 0).all()


def test_a_star_below_a_spaxel_is_deposited_as_without_smoothing():
    rng = np.random.default_rng(0)
    stars = stars_at(*rng.uniform(0, N, (2, 50)), rng.uniform(0, 1, 50))
    plain = deposit(stars, (0.0, 0.0), (1.0, 1.0), dataclasses.replace(BINS, levels=0)).sum((2, 3, 4))
    np.testing.assert_allclose(image_of(stars), plain, atol=1e-14)


def test_a_wide_star_is_nearly_a_gaussian():
    image, sigma = np.asarray(image_of(stars_at(24.0, 24.0, 2.95))), np.sqrt(1 / 3 + 2.95**2 - 1)
    g = np.arange(N) + 0.5 - 24.0
    gaussian = np.exp(-(g**2 + g[:, None] ** 2) / 2 / sigma**2) / (2 * np.pi * sigma**2)
    assert np.abs(image - gaussian).max() < 0.2 * gaussian.max()  # on a corner of coarse cells, where it is worst


def test_slopes_in_place_mass_and_width_are_those_of_differences():
    weight = jnp.asarray(np.random.default_rng(1).normal(size=(N, N)))
    rng = np.random.default_rng(2)
    stars = stars_at(*rng.uniform(10, 38, (2, 12)), np.linspace(1.1, 5.2, 12))
    value = jax.jit(lambda stars: jnp.sum(weight * image_of(stars) ** 2))
    slopes, step = jax.grad(value)(stars), 1e-5
    for name in ("x", "y", "mass", "smoothing"):
        for p in (0, 5, 11):
            up, down = (
                value(dataclasses.replace(stars, **{name: getattr(stars, name).at[p].add(d)})) for d in (step, -step)
            )
            scale = float(jnp.abs(getattr(slopes, name)).max())
            np.testing.assert_allclose((up - down) / 2 / step, getattr(slopes, name)[p], atol=1e-5 * scale)


def test_light_of_stars_beyond_the_edge_comes_in_as_if_the_field_were_larger():
    wide = dataclasses.replace(BINS, n_y=2 * N, n_x=2 * N)
    stars = stars_at([-1.5, 50.0, 20.0], [20.0, 47.0, -3.0], [3.0, 4.0, 2.0])
    large = deposit(dataclasses.replace(stars, x=stars.x + N / 2, y=stars.y + N / 2), (0.0, 0.0), (1.0, 1.0), wide)
    inner = large.sum((2, 3, 4))[N // 2 : -N // 2, N // 2 : -N // 2]
    np.testing.assert_allclose(image_of(stars), inner, atol=1e-12)


def test_levels_follow_the_widest_star_and_none_is_needed_below_a_spaxel():
    assert levels_needed(np.array([0.2, 1.0]), 50, 50) == 0
    for sigma in (1.01, 1.6, 2.9, 5.0, 9.0):
        levels = levels_needed(np.array([sigma]), 500, 500)
        known = variances(levels, "nearest")
        assert known[-1] >= sigma**2 - 1 > known[-2]
    assert levels_needed(np.array([1e9]), 8, 8) == 2
    assert levels_needed(np.array([]), 8, 8) == 0


@pytest.fixture(scope="module")
def reference(request):
    return load_reference(request.config.rootpath / "tests/data/ifu_reference_synthetic.npz")


@pytest.mark.filterwarnings("ignore:instrument reference. the wavelength step", "ignore:templates are broader")
def test_engines_and_tiles_agree_on_smoothed_stars(reference):
    plan = reference.plan(rank=16, h_v_kms=40, kernel="cubic", levels=2)
    cell = float(np.diff(reference.data["kpc_edges"])[0])
    n = len(reference.stars.mass)
    stars = dataclasses.replace(reference.stars, smoothing=jnp.linspace(0.5, 4.0, n) * cell)
    at = reference.placement
    light = Deposit(bins=plan.bins)(stars, at)
    coef = Synthesis(plan=plan)(light).coef
    np.testing.assert_allclose(PerStar(plan=plan)(stars, at).coef, coef, atol=1e-10 * float(jnp.abs(coef).max()))
    cubes = {}
    for engine in ("direct", "compressed"):
        stages = ifu_stages(plan=plan, engine=engine)
        inputs = {"observed_stars": SkyStars, "placement": Placement}
        run, state = compiled(Pipeline(stages=stages, inputs=inputs), ["cube"])
        cubes[engine] = np.asarray(run(state, observed_stars=stars, placement=at)["cube"].flux)
    assert np.abs(cubes["direct"] - cubes["compressed"]).max() < 1e-4 * cubes["direct"].max()
    instr = plan.instrument
    small = dataclasses.replace(plan.bins, n_y=5, n_x=5)
    deposit_tile = jax.jit(lambda s, p: Deposit(bins=small)(s, p).mass)
    for tile, made in observe_in_tiles(deposit_tile, stars, at, instr, small, 5):
        if tile.y.start % 4 == tile.x.start % 4 == 0:  # where coarse cells lie on those of the whole field
            expected = light.mass[tile.y, tile.x]
            np.testing.assert_allclose(made, expected, atol=1e-10 * float(light.mass.max()))


def test_a_smoothing_length_is_half_the_distance_to_the_neighbour():
    pos = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), -1).reshape(-1, 3)
    inner = 62  # (2, 2, 2)
    assert smoothing_lengths(pos, 6)[inner] == 0.5
    np.testing.assert_allclose(smoothing_lengths(pos, 7)[inner], np.sqrt(2) / 2)
    assert (smoothing_lengths(pos[:1], 32) == 0).all()
    assert (smoothing_lengths(pos, 1000) > 0).all()


def test_own_lengths_are_taken_where_known_and_wrong_ones_are_named():
    one = np.ones(3)
    stars = StarParticles(pos=np.eye(3), vel=np.eye(3), mass=one, age=one, metallicity=one, smoothing=2 * one)
    assert (smoothing_of(stars) == 2).all()
    assert (smoothing_of(stars, kind="none") == 0).all()
    np.testing.assert_allclose(smoothing_of(stars, kind="neighbours", neighbours=1), np.sqrt(0.5))
    with pytest.raises(InputError, match="smoothing of 1 stars is negative"):
        smoothing_of(dataclasses.replace(stars, smoothing=np.array([1.0, -1.0, 0.0])))
    with pytest.raises(InputError, match=r"smoothing\.kind is 'sky'"):
        smoothing_of(stars, kind="sky")
    with pytest.raises(InputError, match=r"smoothing\.neighbours is 0"):
        smoothing_of(stars, neighbours=0)
