"""The IFU engines against the reference cubes, each other, and finite differences."""

import dataclasses
import re

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ifu_reference import SHARPEST, load_reference

from galdiff.core.compiled import compiled
from galdiff.core.one_thread import one_thread, thread_functions
from galdiff.core.pipeline import Pipeline
from galdiff.core.variables import Physical
from galdiff.dust.curves.ccm89 import CCM89
from galdiff.dust.curves.power_law import PowerLaw
from galdiff.errors import InputError
from galdiff.ifu.accuracy import sampled_accuracy
from galdiff.ifu.blur import blur_kernel
from galdiff.ifu.direct import DirectSpectrograph
from galdiff.ifu.engine import choose_engine, ifu_stages
from galdiff.ifu.instrument import output_wave
from galdiff.ifu.rubix_rule import rubix_cube
from galdiff.ifu.spread_functions import psf_fwhm
from galdiff.ifu.stages import Deposit, Spectrograph
from galdiff.ifu.uncompressed import LibraryTemplates, NodeSpectra
from galdiff.records import Bank, Placement, SkyStars, SpectralCube, SSPGrid
from galdiff.units import FLUX_OF_ONE_LSUN_AT_ONE_MPC

pytestmark = pytest.mark.filterwarnings(
    "ignore:instrument reference. the wavelength step", "ignore:templates are broader"
)


@pytest.fixture(scope="module")
def synthetic(request):
    return load_reference(request.config.rootpath / "tests/data/ifu_reference_synthetic.npz")


@pytest.fixture(scope="module")
def shared(data_dir):
    return load_reference(data_dir / "ifu/reference_shared.npz", data_dir / "ssp/ssp_miles_basti_kb.h5")


def engine_of(plan, engine="compressed", curve=None, wanted="cube"):
    """The engine as a compiled function of stars and placement."""
    inputs = {"observed_stars": SkyStars, "placement": Placement}
    run, state = compiled(Pipeline(stages=ifu_stages(plan=plan, engine=engine, curve=curve), inputs=inputs), [wanted])
    return lambda stars, placement: run(state, observed_stars=stars, placement=placement)[wanted]


def observe(plan, stars, placement, engine="compressed", curve=None):
    """Cube by an engine."""
    return engine_of(plan, engine, curve)(stars, placement)


def errors(lum, expected):
    """RMS and largest error relative to the RMS and to the largest value, and largest relative pixel error."""
    expected = expected.astype(float)
    rms = np.sqrt(np.mean((lum - expected) ** 2) / np.mean(expected**2))
    lit = expected > 1e-3 * expected.max()
    return rms, np.abs(lum - expected).max() / expected.max(), np.abs(lum[lit] / expected[lit] - 1).max()


def made(ref, engine, **settings):
    plan = ref.plan(**settings)
    return ref.lum(observe(plan, ref.stars, ref.placement, engine))


MILKY_WAY = CCM89(r_v=3.1)
CUBES = [("cube_lsf", {}), ("cube_pixel", {"fwhm": SHARPEST}), ("cube_lsf_cic", {"kernel": "linear"})]


@pytest.mark.parametrize(("cube", "settings"), CUBES)
def test_the_direct_engine_reproduces_the_synthetic_cubes(synthetic, cube, settings):
    assert max(errors(made(synthetic, "direct", h_v_kms=40, **settings), synthetic.data[cube])) < 1e-4


@pytest.mark.parametrize(("cube", "settings"), CUBES)
def test_the_direct_engine_reproduces_the_miles_cubes(shared, cube, settings):
    assert max(errors(made(shared, "direct", h_v_kms=40, **settings), shared.data[cube])) < 1e-4


def test_the_compressed_engine_reproduces_the_synthetic_cube(synthetic):
    rms, largest, pixel = errors(made(synthetic, "compressed", rank=24, h_v_kms=40), synthetic.data["cube_lsf"])
    assert rms < 1e-5
    assert max(largest, pixel) < 1e-4


def test_the_compressed_engine_reproduces_the_miles_cube(shared):
    rms, largest, pixel = errors(made(shared, "compressed", rank=64, h_v_kms=40), shared.data["cube_lsf"])
    assert rms < 1e-4
    assert max(largest, pixel) < 1e-3


def particle_gradients(ref, **settings):
    """Gradients of the reference's weighted sum, relative errors by name."""
    plan, weight, index = ref.plan(kernel="linear", **settings), ref.data["grad_weight"], ref.data["grad_index"]
    to_lum = float(ref.placement.luminosity_distance) ** 2 / FLUX_OF_ONE_LSUN_AT_ONE_MPC
    run = engine_of(plan)
    g, s = jax.grad(lambda s: jnp.sum(weight * run(s, ref.placement).flux) * to_lum)(ref.stars), ref.stars
    found = dict(
        x=g.x, y=g.y, mass=g.mass, vlos=g.v_los,
        log10age=g.age * s.age * np.log(10), log10Z=g.metallicity * s.metallicity * np.log(10),
    )  # fmt: skip
    wanted = {name: ref.data[f"grad_{name}"] for name in found}
    return {name: np.abs(found[name][index] - w).max() / np.abs(w).max() for name, w in wanted.items()}


def test_gradients_agree_with_the_synthetic_reference(synthetic):
    errors = particle_gradients(synthetic, rank=24, h_v_kms=40)
    assert errors.pop("vlos") < 5e-3
    assert max(errors.values()) < 1e-5


def test_gradients_agree_with_the_miles_reference(shared):
    errors = particle_gradients(shared, rank=96, h_v_kms=40)
    assert errors["vlos"] < 2e-2
    assert max(errors["log10age"], errors["log10Z"]) < 5e-3
    assert max(errors["x"], errors["y"], errors["mass"]) < 1e-3


def test_the_rubix_rule_is_reproduced(shared):
    edges = shared.data["kpc_edges"]
    rule = jax.jit(lambda s: rubix_cube(s, shared.ssp, shared.data["wave_angstrom"], 0.05, (edges, edges)))
    rms, largest, pixel = errors(np.asarray(rule(shared.stars)), shared.data["cube_rubix_rule_f64"])
    assert max(rms, largest, pixel) < 1e-3


def test_dust_of_each_star_is_in_the_compressed_cube(shared):
    settings = dict(h_v_kms=40, a_v_max=float(shared.stars.a_v.max()), a_v_modes=6, curve=MILKY_WAY, rank=96)
    plan = shared.plan(**settings)
    for engine, bound in (("compressed", 1e-3), ("direct", 1e-4)):
        cube = observe(plan, shared.stars, shared.placement, engine, MILKY_WAY)
        rms, largest, _ = errors(shared.lum(cube), shared.data["cube_lsf_dust"])
        assert rms < bound / 2, engine
        assert largest < bound, engine


@pytest.mark.parametrize("kind", ["gaussian", "moffat"])
def test_the_psf_acts_on_light_from_outside_the_field_too(synthetic, kind):
    """The blurred field equals the convolution of a larger sharp field, cut to the field."""
    sharp = synthetic.instrument(synthetic.fwhm)
    blurred = dataclasses.replace(sharp, psf=dataclasses.replace(sharp.psf, kind=kind, fwhm_arcsec=2.5))
    plan = synthetic.plan(instrument=blurred, rank=24, h_v_kms=40)
    margin = plan.margin[0]
    wide = dataclasses.replace(sharp, n_x=5 + 2 * margin, n_y=5 + 2 * margin)
    unblurred = observe(synthetic.plan(instrument=wide, rank=24, h_v_kms=40), synthetic.stars, synthetic.placement)
    kernel = np.asarray(blur_kernel(blurred, 2.5, plan.wings, plan.precision.kernel))
    beyond = [(r - margin,) * 2 for r in plan.wings.radius]  # where nothing is rendered
    padded = np.pad(unblurred.flux, (*beyond, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape, axis=(0, 1))
    expected = np.einsum("yxkij,ij->yxk", windows, kernel)
    found = observe(plan, synthetic.stars, synthetic.placement).flux
    np.testing.assert_allclose(found, expected, atol=1e-9 * expected.max())


@pytest.mark.parametrize(("kind", "fwhm"), [("gaussian", 0.5), ("gaussian", 1.3), ("moffat", 1.0)])
def test_wide_spaxels_hold_the_light_of_the_narrow_ones_that_they_cover(synthetic, kind, fwhm):
    """A PSF that the spaxels do not resolve is as good as one that smaller spaxels resolve."""
    sharp = synthetic.instrument(synthetic.fwhm)
    wide = dataclasses.replace(sharp, psf=dataclasses.replace(sharp.psf, kind=kind, fwhm_arcsec=fwhm))
    k = 6
    narrow = dataclasses.replace(wide, n_x=5 * k, n_y=5 * k, spaxel_x_arcsec=1 / k, spaxel_y_arcsec=1 / k)
    few = jax.tree.map(lambda x: x[:6], synthetic.stars)  # of many, errors would average out
    plan, fine = (synthetic.plan(instrument=i, rank=4, kernel="cubic", v_max_kms=300.0) for i in (wide, narrow))
    found = observe(plan, few, synthetic.placement).flux.sum(-1)
    true = observe(fine, few, synthetic.placement).flux.sum(-1).reshape(5, k, 5, k).sum((1, 3))
    assert plan.wings.cells[0] > 1 == fine.wings.cells[0]
    np.testing.assert_allclose(found, true, atol=0.005 * float(true.max()))


def test_a_chromatic_psf_is_exact_at_its_anchors(synthetic):
    sharp = synthetic.instrument(synthetic.fwhm)
    psf = dataclasses.replace(sharp.psf, kind="gaussian", fwhm_arcsec=1.5, wave_ref=5000.0, power=-2.0)
    chromatic = dataclasses.replace(sharp, psf=psf)
    flux = observe(synthetic.plan(instrument=chromatic, rank=24, h_v_kms=40), synthetic.stars, synthetic.placement).flux
    fwhm = psf_fwhm(psf, output_wave(sharp))
    for k in (0, -1):
        plain = dataclasses.replace(sharp, psf=dataclasses.replace(psf, power=0.0, fwhm_arcsec=float(fwhm[k])))
        same = observe(synthetic.plan(instrument=plain, rank=24, h_v_kms=40), synthetic.stars, synthetic.placement).flux
        # margins differ, so kernels are cut at other radii
        np.testing.assert_allclose(flux[..., k], same[..., k], rtol=1e-4)


def test_a_bank_that_is_closed_over_stays_one_constant(synthetic):
    psf = dataclasses.replace(synthetic.instrument(synthetic.fwhm).psf, kind="gaussian", fwhm_arcsec=1.5, power=-2.0)
    chromatic = dataclasses.replace(synthetic.instrument(synthetic.fwhm), psf=psf)
    plan = synthetic.plan(instrument=chromatic, rank=24, h_v_kms=40)
    y, x, v = plan.bins.shape[:3]
    bank = Bank(response=jnp.arange(v * 24.0 * len(plan.wave)).reshape(v, 24, -1))
    render, spectra = Spectrograph(plan=plan), SpectralCube(coef=jnp.ones((y, x, v, 24)))
    program = jax.jit(lambda s: render(s, bank, synthetic.placement).flux).lower(spectra).compile().as_text()
    shapes = re.findall(r" f64\[([\d,]+)\]\S* constant\(", program)
    sizes = [np.prod([int(n) for n in shape.split(",")]) for shape in shapes]
    assert 1 <= sum(sizes) / bank.response.size < 1.5  # the bands of the anchors, multiplied out, are as many again


def test_the_basis_is_made_on_one_thread_which_is_undone_afterwards():
    functions = thread_functions()
    if functions is None:
        pytest.skip("NumPy's linear algebra is not OpenBLAS")
    count, set_count = functions
    before = count()
    set_count(2)
    with one_thread():
        inside = count()
    after = count()
    set_count(before)
    assert (inside, after) == (1, 2)


def test_rows_equal_deposit_and_synthesis(synthetic):
    plan = synthetic.plan(rank=24, h_v_kms=40, kernel="cubic", interpolation="cubic")
    a, b = (observe(plan, synthetic.stars, synthetic.placement, e).flux for e in ("compressed", "per_star"))
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * float(a.max()))


def of_library(plan):
    """The engine that compresses nothing, compiled, as a function of the library, stars and placement."""
    front = {"mass_distribution": Deposit(bins=plan.bins), "spectra": NodeSpectra()}
    stages = {**front, "bank": LibraryTemplates(plan=plan), "cube": Spectrograph(plan=plan)}
    inputs = {"observed_stars": SkyStars, "placement": Placement, "library": SSPGrid}
    return compiled(Pipeline(stages=stages, inputs=inputs), ["cube"])


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_every_node_a_template_is_exact_and_has_slopes_of_the_library(synthetic, interpolation):
    plan = synthetic.plan(rank=24, h_v_kms=40, interpolation=interpolation)
    run, state = of_library(plan)
    known = {"observed_stars": synthetic.stars, "placement": synthetic.placement}
    grid = jax.tree.map(jnp.asarray, synthetic.ssp)
    exact = observe(plan, synthetic.stars, synthetic.placement, "direct").flux
    cube = lambda flux: run(state, library=dataclasses.replace(grid, ssp_flux=flux), **known)["cube"].flux  # noqa: E731
    assert errors(np.asarray(cube(grid.ssp_flux)), np.asarray(exact))[1] < 1e-4
    weight = np.cos(np.arange(exact.size)).reshape(exact.shape)
    along = np.sin(np.arange(grid.ssp_flux.size)).reshape(grid.ssp_flux.shape) * grid.ssp_flux.mean()
    total = lambda size: jnp.sum(weight * cube(grid.ssp_flux + size * along))  # noqa: E731
    slope = jax.grad(total)(0.0)
    np.testing.assert_allclose(slope, (total(1e-6) - total(-1e-6)) / 2e-6, rtol=1e-6)
    with pytest.raises(InputError, match="planned with"):
        cube(grid.ssp_flux[:1])


def test_cubic_interpolation_agrees_between_engines(synthetic):
    plan = synthetic.plan(rank=40, h_v_kms=40, interpolation="cubic")
    a, b = (observe(plan, synthetic.stars, synthetic.placement, e).flux for e in ("compressed", "direct"))
    assert errors(np.asarray(a), np.asarray(b))[1] < 1e-4


PARTICLE = ("x", "y", "v_los", "mass", "age", "metallicity", "a_v")


def test_gradients_of_all_inputs_agree_with_central_differences(synthetic):
    """Particles, redshift, LSF and PSF width, A_V; smooth kernel, float64."""
    curve = PowerLaw(slope=-0.7)
    base = synthetic.instrument(synthetic.fwhm)
    instr = dataclasses.replace(base, psf=dataclasses.replace(base.psf, kind="gaussian", fwhm_arcsec=1.5, power=-0.2))
    plan = synthetic.plan(
        instrument=instr, rank=16, h_v_kms=40, kernel="cubic", interpolation="cubic", a_v_max=2.0, curve=curve
    )
    stars = jax.tree.map(lambda v: v[:24], dataclasses.replace(synthetic.stars, a_v=jnp.linspace(0.1, 1.9, 300)))
    weight = jax.random.normal(jax.random.key(0), (5, 5, len(plan.wave)))
    inputs = {"observed_stars": SkyStars, "placement": Placement}
    pipeline = Pipeline(stages=ifu_stages(plan=plan, engine="compressed"), inputs=inputs)
    graph, widths, tables = nnx.split(pipeline, Physical, ...)
    widths, unflatten = jax.flatten_util.ravel_pytree(widths)

    @jax.jit
    def loss(stars, redshift, *widths):
        placement = dataclasses.replace(synthetic.placement, redshift=redshift)
        pipeline = nnx.merge(graph, unflatten(jnp.stack(widths)), tables)
        return jnp.sum(weight * pipeline(observed_stars=stars, placement=placement, wanted=["cube"])["cube"].flux)

    point = (stars, jnp.asarray(0.0203), *widths)
    grad = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*point)
    rng = np.random.default_rng(1)
    for name in PARTICLE:
        value, g = getattr(stars, name), getattr(grad[0], name)
        step = 1e-5 * np.abs(np.asarray(value)).mean()
        toward = rng.normal(size=value.shape)
        moved = [loss(dataclasses.replace(stars, **{name: value + s * step * toward}), *point[1:]) for s in (1, -1)]
        check_slope(name, (moved[0] - moved[1]) / (2 * step), (g * toward).sum(), np.abs(g).max())
    for i, (name, step) in enumerate((("redshift", 1e-7), ("LSF or PSF", 1e-5), ("PSF or LSF", 1e-5)), start=1):
        up, down = list(point), list(point)
        up[i], down[i] = up[i] + step, down[i] - step
        check_slope(name, (loss(*up) - loss(*down)) / (2 * step), grad[i], abs(grad[i]))


def check_slope(name, numeric, exact, scale):
    assert abs(numeric - exact) < 1e-6 * max(abs(exact), scale), f"{name}: {numeric} by differences, {exact} exact"


def test_gradients_are_finite_at_the_edges(synthetic):
    """Stars outside the field, on spaxel edges, without mass, beyond the library and the velocity range."""
    plan = synthetic.plan(rank=16, h_v_kms=40, kernel="cubic", v_max_kms=200.0)
    edges = synthetic.data["kpc_edges"]
    n = 6
    stars = jax.tree.map(lambda v: v[:n], synthetic.stars)
    stars = dataclasses.replace(
        stars,
        x=jnp.array([edges[0], edges[1], 1e4, -1e4, 0.0, edges[-1]]),
        y=jnp.array([edges[0], edges[2], 0.0, 0.0, 0.0, edges[-1]]),
        v_los=jnp.array([0.0, 1e4, -1e4, 200.0, -200.0, 0.0]),
        mass=jnp.array([1.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
        age=jnp.array([1e-9, 1e3, 1.0, 0.0, 10 ** synthetic.ssp.ssp_lg_age_gyr[0], 1.0]),
        metallicity=jnp.array([0.0, 1.0, 0.02, 1e-9, 10 ** synthetic.ssp.ssp_lgmet[2], 0.01]),
    )
    for engine in ("compressed", "direct"):
        run = engine_of(plan, engine)
        value, grad = jax.value_and_grad(lambda s, run=run: run(s, synthetic.placement).flux.sum())(stars)
        assert jnp.isfinite(value)
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grad)), engine


def test_single_precision_agrees_with_double(synthetic):
    plan = synthetic.plan(rank=24, h_v_kms=40, kernel="cubic")

    def low(tree):
        return jax.tree.map(lambda v: v.astype(jnp.float32), tree)

    exact = observe(plan, synthetic.stars, synthetic.placement).flux
    with jax.enable_x64(False):
        single = observe(plan, low(synthetic.stars), low(synthetic.placement)).flux
    assert single.dtype == jnp.float32
    assert errors(np.asarray(single, float), np.asarray(exact))[1] < 1e-5


def test_mass_is_conserved_and_losses_are_counted(synthetic):
    plan = synthetic.plan(rank=16, h_v_kms=40, v_max_kms=100.0)
    stars = synthetic.stars
    light = Deposit(bins=plan.bins)(stars, synthetic.placement)
    np.testing.assert_allclose(light.mass.sum() + light.lost, stars.mass.sum(), rtol=1e-12)
    expected, _, _ = np.histogram2d(stars.y, stars.x, [synthetic.data["kpc_edges"]] * 2, weights=stars.mass)
    np.testing.assert_allclose(light.mass.sum((2, 3, 4)), expected, rtol=1e-9)
    inside = (np.abs(stars.x) < synthetic.data["kpc_edges"][-1]) & (np.abs(stars.y) < synthetic.data["kpc_edges"][-1])
    limit = plan.bins.v_max
    np.testing.assert_allclose(light.clipped, stars.mass[inside & (np.abs(stars.v_los) > limit)].sum(), rtol=1e-9)


def test_few_stars_take_the_direct_engine_and_many_the_compressed_one(shared):
    plan = shared.plan()
    assert choose_engine(10, plan) == "direct"
    assert choose_engine(1_000_000, plan) == "compressed"
    with pytest.raises(InputError, match="engine is 'fast'; choose one of"):
        ifu_stages(plan=plan, engine="fast")


def test_a_psf_far_wider_than_the_field_is_an_error_with_the_memory_it_would_need(synthetic):
    sharp = synthetic.instrument(synthetic.fwhm)
    wide = dataclasses.replace(sharp, psf=dataclasses.replace(sharp.psf, kind="moffat", fwhm_arcsec=500.0))
    with pytest.raises(InputError, match=r"instrument\.psf\.fwhm_arcsec is 500 arcsec .* field of .* [\d.]+ GB; give"):
        synthetic.plan(instrument=wide)


def test_a_library_that_does_not_cover_the_band_is_an_error(shared):
    instr = dataclasses.replace(shared.instrument(shared.fwhm), wave_start=3000.0, n_wave=2000)
    with pytest.raises(InputError, match=r"covers .* at redshift"):
        shared.plan(instrument=instr)
    with pytest.warns(UserWarning, match="pixels are cut off"):
        plan = shared.plan(instrument=instr, coverage="crop")
    assert plan.wave[0] > 3541 * 1.05
    assert DirectSpectrograph(plan=plan) is not None


@pytest.mark.parametrize("dusty", [False, True])
def test_the_accuracy_of_a_sample_is_that_of_the_engines(shared, dusty):
    """Each star alone in its spaxel: the estimate has the error that the two engines differ by."""
    curve, n = (MILKY_WAY if dusty else None), 9
    instr = dataclasses.replace(shared.instrument(shared.fwhm), n_x=3, n_y=3)
    plan = shared.plan(instrument=instr, curve=curve, h_v_kms=110.0, rank=24, a_v_max=1.0 if dusty else 0.0)
    size = float(shared.placement.kpc_per_arcsec)
    y, x = (jnp.asarray(v.ravel() * size, float) for v in np.mgrid[-1:2, -1:2])
    stars = dataclasses.replace(jax.tree.map(lambda v: v[:n], shared.stars), x=x, y=y, mass=jnp.ones(n))
    stars = dataclasses.replace(stars, a_v=jnp.linspace(0.0, 0.9, n) if dusty else None)
    made, exact = (observe(plan, stars, shared.placement, e, curve).flux for e in ("compressed", "direct"))
    scale = exact.max(-1, keepdims=True)
    found = sampled_accuracy(plan, stars, curve)
    rms = jnp.sqrt(jnp.mean(((made - exact) / scale) ** 2) / jnp.mean((exact / scale) ** 2))
    assert found["stars"] == n
    assert found["rms"] == pytest.approx(float(rms), rel=0.2)
    assert found["largest"] == pytest.approx(float(jnp.abs(made / exact - 1).max()), rel=0.3)


def test_the_defaults_are_as_accurate_as_is_documented(shared):
    plan = shared.plan(kernel="cubic")
    run, exact, weight = (
        engine_of(plan), engine_of(plan, "direct"), np.random.default_rng(7).normal(size=(8, 8, len(plan.wave)))
    )  # fmt: skip
    rms, _, pixel = errors(*(np.asarray(e(shared.stars, shared.placement).flux) for e in (run, exact)))
    assert rms < 1e-4
    assert pixel < 2e-3
    found, true = (
        jax.grad(lambda s, e=e: jnp.sum(weight * e(s, shared.placement).flux))(shared.stars) for e in (run, exact)
    )
    logs = {"age": shared.stars.age, "metallicity": shared.stars.metallicity}
    for name, limit in dict(x=1e-3, y=1e-3, mass=1e-3, age=5e-3, metallicity=5e-3, v_los=0.02).items():
        a, b = (getattr(g, name) * logs.get(name, 1.0) for g in (found, true))
        assert jnp.abs(a - b).max() < limit * jnp.abs(b).max(), name
