"""Point and line spread functions: moments, parity with reference kernels, gradients, margins and warnings."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from galdiff.core.kernels import VARIANCE, bspline_weights, unshared
from galdiff.ifu.blur import blur_kernel, convolve, convolve_separable, psf_kernel
from galdiff.ifu.instrument import from_mapping
from galdiff.ifu.lsf import added_sigma, fwhm_instrument, warn_deficient
from galdiff.ifu.psf import Wings, anchor_waves, anchor_weights, fwhm_at, kernel_radius, wings_of

BASE = {
    "name": "test",
    "n_x": 20,
    "n_y": 20,
    "spaxel_x_arcsec": 1.0,
    "wave": {"grid": "linear", "start_angstrom": 5000, "end_angstrom": 9000, "step_angstrom": 2, "medium": "vacuum"},
    "lsf": {"kind": "polynomial", "coefficients_angstrom": [6.040, -9.187e-4, 5.866e-8]},  # MUSE
}


def instrument(kind="gaussian", fwhm=1.5, y=1.0, x=1.0, **psf):
    psf = {"kind": kind, "fwhm_arcsec": fwhm, **psf}
    return from_mapping(BASE | {"spaxel_x_arcsec": x, "spaxel_y_arcsec": y, "psf": psf})


def moment(kernel, spaxel_y, spaxel_x):
    """Variances (y, x) of a kernel [arcsec^2]."""
    y, x = (np.arange(n) - n // 2 for n in kernel.shape)
    return (kernel.sum(1) * (y * spaxel_y) ** 2).sum(), (kernel.sum(0) * (x * spaxel_x) ** 2).sum()


@pytest.mark.parametrize("name", ["reference_synthetic.npz", "reference_shared.npz"])
def test_kernels_equal_the_reference_kernels(data_dir, name):
    with np.load(data_dir / "ifu" / name) as reference:
        gauss, moffat = reference["psf_gauss"], reference["psf_moffat"]
    np.testing.assert_allclose(psf_kernel(instrument(), 1.5, (3, 3)), gauss, rtol=1e-12)
    np.testing.assert_allclose(psf_kernel(instrument("moffat", beta=2.5), 1.5, (3, 3)), moffat, rtol=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "moffat"])
def test_a_kernel_sums_to_one_and_is_symmetric(kind):
    kernel = psf_kernel(instrument(kind, y=0.3, x=0.7), 1.4, (9, 5))
    assert kernel.shape == (19, 11)
    np.testing.assert_allclose(kernel.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], rtol=1e-10)


def test_a_gaussian_has_its_variance_and_that_of_the_spaxel():
    kernel = psf_kernel(instrument(y=0.4, x=0.8), 2.0, (12, 6))
    sigma2, sub = (2.0 / 2.3548200450309493) ** 2, 1 - 1 / 121  # 11 points of a spaxel have variance (1 - 1/121)/12
    expected = sigma2 + 0.4**2 * sub / 12, sigma2 + 0.8**2 * sub / 12
    np.testing.assert_allclose(moment(kernel, 0.4, 0.8), expected, rtol=1e-3)


def test_half_of_the_peak_lies_at_half_of_the_width():
    for kind in ("gaussian", "moffat"):
        kernel = np.asarray(psf_kernel(instrument(kind, x=0.02, y=0.02), 0.8, (40, 40)))
        assert kernel[40, 60] / kernel[40, 40] == pytest.approx(0.5, abs=2e-3)


@pytest.mark.parametrize("assignment", sorted(VARIANCE))
def test_what_undoes_the_sharing_takes_its_variance_off_any_profile(assignment):
    values = np.outer(unshared(41, assignment)[20], [1.0])[:, 0]  # the image of a point
    offset = np.arange(-20, 21)
    assert values.sum() == pytest.approx(1.0, rel=1e-9)
    assert (values * offset**2).sum() == pytest.approx(-VARIANCE[assignment], abs=1e-7)


def test_assignment_and_kernel_together_have_the_variance_that_was_asked_for():
    instr = instrument(fwhm=2.0, y=0.5, x=0.5)
    bare = moment(psf_kernel(instr, 2.0, (12, 12), sub=101), 0.5, 0.5)[0]
    narrowed = moment(blur_kernel(instr, 2.0, Wings((12, 12), np.inf), "cubic"), 0.5, 0.5)[0]
    index, weight = bspline_weights(jnp.asarray(5.5), "cubic")
    shared = float((weight * (index - 5) ** 2).sum()) * 0.25  # variance of the shares of a point
    assert narrowed + shared == pytest.approx(float(bare), rel=1e-5)


def test_a_psf_narrower_than_the_assignment_becomes_a_point_with_finite_gradients():
    instr = instrument(fwhm=0.5)
    kernel = lambda f: blur_kernel(instr, f, Wings((2, 2), np.inf), "cubic")  # noqa: E731
    assert kernel(0.5)[2, 2] > 0.9
    assert kernel(0.5).min() > -0.1  # a deconvolved point would be at -0.3
    assert jnp.isfinite(jax.jacfwd(kernel)(0.5)).all()


@pytest.mark.parametrize("make", [psf_kernel, blur_kernel])
@pytest.mark.parametrize("kind", ["gaussian", "moffat"])
def test_gradients_in_width_and_exponent_match_differences(kind, make):
    instr, weight = instrument(kind), np.random.default_rng(1).normal(size=(9, 9))
    how = ((4, 4),) if make is psf_kernel else (Wings((4, 4), 3.0), "cubic")
    value = jax.jit(lambda f, b: (weight * make(instr, f, *how, beta=b)).sum())
    got, h = jax.jit(jax.grad(value, (0, 1)))(1.7, 2.6), 1e-5
    want = (value(1.7 + h, 2.6) - value(1.7 - h, 2.6)) / (2 * h), (value(1.7, 2.6 + h) - value(1.7, 2.6 - h)) / (2 * h)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-10)


def test_the_radius_of_a_moffat_is_three_widths_in_the_spaxels_of_each_axis():
    assert kernel_radius(instrument("moffat", fwhm=0.8, y=0.2, x=0.4)) == (12, 6)
    assert kernel_radius(instrument("moffat", fwhm=0.8, y=0.2, x=0.4), max_scale=1.5) == (18, 9)
    assert kernel_radius(instrument("gaussian", fwhm=2.0)) == (5, 5)
    chromatic = instrument("moffat", fwhm=0.8, y=0.2, wave_ref_angstrom=9000.0, power=-0.2)
    assert kernel_radius(chromatic)[0] == 14  # the blue end is wider


@pytest.mark.parametrize("cells", [(1, 1), (1, 2), (3, 2)])
def test_light_of_cells_reaches_spaxels_by_fft_and_by_matrices_as_by_hand(cells):
    rng, margin, radius, size = np.random.default_rng(2), (1, 2), (1, 2), (5, 7)
    image = rng.random([(n + 2 * m) * c for n, m, c in zip(size, margin, cells, strict=True)])
    ky, kx = (rng.random((2 * r + 1) * c) for r, c in zip(radius, cells, strict=True))
    expected = np.zeros(size)
    for (y, x), light in np.ndenumerate(image):
        centre = (y + 0.5) / cells[0] - 0.5 - margin[0], (x + 0.5) / cells[1] - 0.5 - margin[1]  # [spaxel]
        for s, t in np.ndindex(size):
            i = round((s - centre[0]) * cells[0] + (ky.size - 1) / 2)
            j = round((t - centre[1]) * cells[1] + (kx.size - 1) / 2)
            if 0 <= i < ky.size and 0 <= j < kx.size:
                expected[s, t] += light * ky[i] * kx[j]
    kernel = jnp.asarray(np.outer(ky, kx))
    np.testing.assert_allclose(convolve(jnp.asarray(image), kernel, margin, cells=cells), expected, rtol=1e-10)
    kernels = jnp.asarray(ky), jnp.asarray(kx)
    separable = convolve_separable(jnp.asarray(image)[..., None], kernels, margin, cells)[..., 0]
    np.testing.assert_allclose(separable, expected, rtol=1e-10)


@pytest.mark.parametrize("beta", [1.5, 2.8, 4.765])
def test_wings_fade_in_a_circle_without_an_edge_and_hold_the_energy(beta):
    instr = instrument("moffat", fwhm=1.6, y=0.5, x=0.5, beta=beta)
    wide = dataclasses.replace(instr, n_x=400, n_y=400)
    wings = wings_of(wide, kernel_radius(wide))
    kernel = np.asarray(blur_kernel(wide, 1.6, wings, "nearest"))
    row, middle = kernel[wings.radius[0], wings.radius[1] :], kernel.max()
    if beta > 2:
        assert kernel.sum() == pytest.approx(1.0, abs=1e-4)
        assert row[-1] < 1e-9 * middle
        diagonal = np.diagonal(kernel)[wings.radius[0] :]
        floor = 1e-10 * middle
        reach = 0.5 * np.array([np.flatnonzero(row > floor)[-1], np.sqrt(2) * np.flatnonzero(diagonal > floor)[-1]])
        np.testing.assert_allclose(reach, 1.15 * wings.fade, atol=1.0)
        assert row[row > floor][-1] < 1e-6 * middle
        assert -np.diff(row)[int(wings.fade / 0.5) :].min() < 1e-6 * middle
    assert (np.diff(row) <= 0.0).all()


def test_one_point_per_spaxel_samples_the_centres():
    kernel = psf_kernel(instrument(fwhm=2.3548200450309493), 2.3548200450309493, (2, 2), sub=1)
    r2 = np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2)
    np.testing.assert_allclose(kernel, np.exp(-r2 / 2) / np.exp(-r2 / 2).sum(), rtol=1e-10)


def test_no_psf_is_a_single_spaxel():
    instr = from_mapping(BASE)
    assert kernel_radius(instr) == (0, 0)
    image = jnp.arange(12.0).reshape(3, 4)
    np.testing.assert_allclose(convolve(image, psf_kernel(instr, 1.0, (0, 0)), (0, 0)), image, atol=1e-12)


def test_convolution_is_exact_inside_the_margin_for_either_order_of_axes():
    rng = np.random.default_rng(0)
    cube, kernel = rng.random((17, 14, 3)), rng.random((5, 3))
    expected = np.stack([convolve2d(cube[..., i], kernel, "valid") for i in range(3)], -1)
    np.testing.assert_allclose(convolve(jnp.asarray(cube), jnp.asarray(kernel), (2, 1), (0, 1)), expected, rtol=1e-12)
    planes = convolve(jnp.moveaxis(jnp.asarray(cube), -1, 0), jnp.asarray(kernel), (2, 1))
    np.testing.assert_allclose(planes, np.moveaxis(expected, -1, 0), rtol=1e-12)
    wide = rng.random((19, 9))  # reaches further than the margin
    expected = convolve2d(cube[..., 0], wide, "same")[2:-2, 1:-1]
    np.testing.assert_allclose(convolve(jnp.asarray(cube[..., 0]), jnp.asarray(wide), (2, 1)), expected, rtol=1e-12)


def test_convolution_of_light_in_the_middle_keeps_all_of_it_in_float32():
    kernel = psf_kernel(instrument(), jnp.float32(1.5), (4, 4))
    assert kernel.dtype == jnp.float32
    image = jnp.zeros((25, 25), jnp.float32).at[12, 12].set(3.0)
    blurred = convolve(image, kernel, (4, 4))
    assert blurred.dtype == jnp.float32
    np.testing.assert_allclose(blurred.sum(), 3.0, rtol=1e-6)


def test_light_outside_the_field_comes_in_through_the_margin():
    kernel = psf_kernel(instrument(), 1.5, (3, 3))
    image = jnp.zeros((13, 13)).at[2, 6].set(1.0)  # one spaxel outside a 7 x 7 field
    assert convolve(image, kernel, (3, 3))[0, 3] == pytest.approx(float(kernel[4, 3]))


def test_a_chromatic_width_follows_its_power_and_its_slope():
    psf = instrument("moffat", fwhm=0.8, wave_ref_angstrom=7000.0, power=-0.2).psf
    np.testing.assert_allclose(fwhm_at(psf, jnp.array([7000.0, 3500.0])), [0.8, 0.8 * 2**0.2], rtol=1e-12)
    linear = instrument("moffat", fwhm=0.8, wave_ref_angstrom=7000.0, slope_arcsec_per_angstrom=-3e-5).psf
    np.testing.assert_allclose(fwhm_at(linear, 8000.0, scale=2.0), 2 * 0.77, rtol=1e-12)


def test_anchors_cover_the_range_and_their_weights_sum_to_one():
    instr, wave = instrument("moffat", power=-0.2), np.linspace(5000, 9000, 101)
    anchors = anchor_waves(instr)
    weights = anchor_weights(wave, anchors)
    assert (anchors[0], anchors[-1]) == pytest.approx((5000.0, 9000.0))
    np.testing.assert_allclose(weights.sum(0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(weights.T @ anchors, wave, rtol=1e-12)  # linear functions are reproduced
    assert anchor_weights(wave, anchor_waves(instrument())).shape == (1, 101)


def test_the_added_width_equals_the_reference(data_dir):
    with np.load(data_dir / "ifu" / "reference_shared.npz") as reference:
        wave, z = jnp.asarray(reference["wave_angstrom"]), float(reference["redshift"])
        inst, added = reference["lsf_fwhm_instrument"], reference["lsf_fwhm_added"]
    fwhm = fwhm_instrument(instrument(), wave)
    np.testing.assert_allclose(fwhm, inst, rtol=1e-12)
    variance, deficient = added_sigma(wave, fwhm, jnp.full_like(wave, 2.51), z)
    np.testing.assert_allclose(jnp.sqrt(variance) * 2.3548200450309493, added, rtol=1e-10)
    assert not deficient.any()


def test_broader_templates_add_nothing_are_reported_once_and_have_finite_gradients():
    wave = jnp.linspace(5000.0, 9000.0, 401)
    added = lambda s: added_sigma(wave, fwhm_instrument(instrument(), wave, s), jnp.full_like(wave, 2.51), 0.0)  # noqa: E731
    variance, deficient = added(1.0)
    assert (variance >= 0.0).all()
    assert wave[deficient].min() == pytest.approx(6770.0, abs=10)
    assert wave[deficient].max() == pytest.approx(8890.0, abs=10)
    assert jnp.isfinite(jax.jacfwd(lambda s: added(s)[0])(1.0)).all()
    with pytest.warns(UserWarning, match=r"broader than the instrument at 67\d0-88\d0 Angstrom") as caught:
        warn_deficient(wave, deficient)
    assert len(caught) == 1
    warn_deficient(wave, np.zeros(401, bool))  # silent: warnings are errors here


def test_the_scale_of_the_lsf_is_trainable():
    wave = jnp.linspace(5000.0, 6000.0, 5)
    broad = lambda s: added_sigma(wave, fwhm_instrument(instrument(), wave, s), jnp.ones_like(wave), 0.1)[0]  # noqa: E731
    total = jax.jit(lambda s: broad(s).sum())
    difference = (total(1.1 + 1e-5) - total(1.1 - 1e-5)) / 2e-5
    assert jax.jit(jax.grad(total))(1.1) == pytest.approx(float(difference), rel=1e-8)
