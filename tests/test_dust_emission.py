"""Attenuation of whole galaxies against stored results, and the light of dust: energy, shapes, gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from flax import nnx
from sps_reference import Reference

from galdiff.build import build
from galdiff.core.planck import black_body
from galdiff.dust.curves.kriek_conroy13 import KriekConroy13, bump_of
from galdiff.dust.curves.modified_calzetti import ModifiedCalzetti
from galdiff.dust.curves.salim18 import Salim18
from galdiff.dust.curves.triweight import Triweight
from galdiff.dust.emission.glow import RED_END, infrared_grid
from galdiff.dust.emission.microwave_background import contrast, warmed
from galdiff.dust.emission.modified_black_body import casey
from galdiff.dust.emission.pah import BANDS, band_powers
from galdiff.dust.galaxy import GalaxyDust
from galdiff.dust.shapes import far_starburst
from galdiff.errors import InputError
from galdiff.light_records import Epoch, NebularLight, Spectrum, Starlight
from galdiff.runtime import project_dir
from galdiff.units import T_CMB

CONF = project_dir("conf")
CURVES = sorted(path.stem for path in (CONF / "dust" / "curve").glob("*.yaml"))
SHINING = sorted(path.stem for path in (CONF / "dust_emission").glob("*.yaml") if path.stem != "none")
WAVE = jnp.geomspace(91.0, 2.5e4, 400)


def preset(group, name, **changes):
    node = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return build(node | changes, path=group)


def power(spectrum):
    """All that leaves [Lsun]."""
    return jnp.trapezoid(spectrum.lum, spectrum.wave) + spectrum.line_lum.sum()


@pytest.fixture(scope="module")
def reference(data_dir):
    return Reference.read(data_dir)


@pytest.fixture(scope="module")
def starlight():
    """Young and old stars as black bodies, and a line."""
    return Starlight(wave=WAVE, young=1e12 * black_body(WAVE, 3e4), old=2e11 * black_body(WAVE, 4500.0))


@pytest.fixture(scope="module")
def gas():
    line = {"line_wave": jnp.asarray([1215.67, 6564.6]), "line_lum": jnp.asarray([1e10, 1e9])}
    return NebularLight(continuum=0 * WAVE, passes=jnp.where(WAVE < 911.8, 0.1, 1.0), **line)


@pytest.fixture(scope="module", params=SHINING)
def shining(request):
    """A preset, compiled: (parameters, attenuated spectrum) -> spectrum; where the background is warm."""
    graph, params, rest = nnx.split(preset("dust_emission", request.param), nnx.Param, ...)
    early = Epoch(**{name: jnp.asarray(6.0, jnp.float32) for name in ("time", "redshift", "luminosity_distance")})
    return jax.jit(lambda params, spectrum: nnx.merge(graph, params, rest)(spectrum, early)), params


def test_curves_are_those_of_dsps(reference):
    wave = jnp.asarray(reference["dust_wave_micron"]) * 1e4
    np.testing.assert_allclose(4.05 * far_starburst(wave), reference["dust_k_leitherer02"], rtol=1e-9)
    np.testing.assert_allclose(
        4.05 * Triweight(slope=0.0, bump=0.0).formula(wave), reference["dust_k_triweight"], rtol=1e-9
    )
    for kind, name in ((ModifiedCalzetti, "dust_A_noll09"), (Salim18, "dust_A_sbl18")):
        for (a_v, bump, slope), stored in zip(reference["dust_av_bump_delta"], reference[name], strict=True):
            curve = kind(slope=float(slope), bump=float(bump))
            np.testing.assert_allclose(jnp.maximum(a_v * curve.formula(wave), 0.0), stored, rtol=1e-9, atol=1e-12)
            inside = (wave > curve.blue) & (wave < curve.red)
            np.testing.assert_allclose(a_v * curve(wave[inside]), stored[inside], rtol=1e-9)
    bump = bump_of(jnp.asarray(reference["kc13_delta"]))
    np.testing.assert_allclose(bump, reference["kc13_bump"], rtol=1e-9)
    slope = -0.3
    expected = ModifiedCalzetti(slope=slope, bump=float(bump_of(slope)))(WAVE)
    np.testing.assert_allclose(KriekConroy13(slope=slope)(WAVE), expected, rtol=1e-12)


def test_an_unobscured_share_and_the_spectra_behind_dust_are_those_of_dsps(reference):
    floor = float(reference["dust_floor"])
    wave = jnp.asarray(reference["dust_wave_micron"]) * 1e4
    inside = (wave > 970.0) & (wave < 22000.0)
    rows = zip(reference["dust_av_bump_delta"], reference["dust_ftrans_sbl18_floor"], strict=True)
    for (a_v, bump, slope), stored in rows:
        dust = GalaxyDust(curve=Salim18(slope=slope, bump=bump), a_v=float(a_v), a_v_birth=1e-9, unobscured=floor)
        np.testing.assert_allclose(dust.transmissions(wave)[0][inside], stored[inside], rtol=1e-9)
    wave = jnp.asarray(reference["ssp_wave"])
    for i in np.flatnonzero(reference["gal_dust_floor"] > 0)[:4]:
        slope, a_v = float(reference["gal_delta"][i]), float(reference["gal_av"][i])
        curve = Salim18(slope=slope, bump=float(bump_of(slope)))
        dust = GalaxyDust(curve=curve, a_v=a_v, a_v_birth=1e-9, unobscured=float(reference["gal_dust_floor"][i]))
        through = dust.transmissions(wave)[0] * reference["mdf_rest_sed"][i]
        np.testing.assert_allclose(through, reference["dusty_rest_sed"][i], rtol=1e-9)


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_stays_sane_from_ionising_light_to_1000_micron(name):
    curve, wave = preset("dust/curve", name), np.geomspace(91.0, RED_END, 500, dtype=np.float32)
    k = np.asarray(jax.jit(lambda wave: curve(wave))(wave))
    assert ((k >= 0) & (k < 15)).all()
    blue = k[wave < curve.blue]
    assert (np.abs(blue / blue[0] - 1) < 0.3).all()  # level: no rise towards X-rays
    assert k[-1] < (1e-2 if name == "power_law" else 1e-3)


@pytest.mark.parametrize("corrected", [False, True], ids=["", "corrected"])
def test_what_dust_takes_comes_out_again(shining, starlight, gas, corrected):
    dust = GalaxyDust(curve=Salim18(slope=-0.4, bump=1.6), a_v=1.2, a_v_birth=1.5)
    if corrected:
        mlp = yaml.safe_load((CONF / "correction" / "mlp.yaml").read_text(encoding="utf-8"))
        dust.correction = build(mlp | {"bound": 0.5}, hook=GalaxyDust.hooks["correction"])
        weights = nnx.state(dust.correction, nnx.Param)
        nnx.update(dust.correction, jax.tree.map(lambda x: x + 0.2, weights))
    run, params = shining
    attenuated = dust(starlight, gas)
    bare = GalaxyDust(curve=Salim18(slope=-0.4, bump=1.6), a_v=1e-12, a_v_birth=1e-12)(starlight, gas)
    spectrum = run(params, attenuated)
    assert attenuated.dust_power > 0.5 * power(bare)
    tail = power(run(params, dataclasses.replace(attenuated, dust_power=jnp.zeros(())))) - power(attenuated)
    np.testing.assert_allclose(power(spectrum) - tail, power(bare), rtol=1e-9)
    assert 0 < tail < 0.15 * power(attenuated)  # stars redder than the library
    blue = spectrum.wave < 3e3
    assert (spectrum.lum[blue] == attenuated.lum[: blue.sum()]).all()


def test_the_spectrum_reaches_1000_micron_without_loss_of_its_own_points(shining):
    run, params = shining
    attenuated = Spectrum(wave=WAVE, lum=1.0 + jnp.sin(WAVE) ** 2, dust_power=jnp.zeros(()))
    spectrum = run(params, attenuated)
    assert spectrum.wave[-1] == pytest.approx(RED_END)
    assert (jnp.diff(spectrum.wave) > 0).all()
    np.testing.assert_array_equal(spectrum.lum[jnp.isin(spectrum.wave, WAVE)], attenuated.lum)
    tail = spectrum.wave > WAVE[-1]
    np.testing.assert_allclose(spectrum.lum[tail], attenuated.lum[-1] * (WAVE[-1] / spectrum.wave[tail]) ** 4)


def test_single_precision_balances_to_1e_minus_4_and_has_sound_gradients(shining):
    run, params = shining
    f32 = lambda tree: jax.tree.map(lambda x: x.astype(jnp.float32), tree)  # noqa: E731
    lum = 1e11 / WAVE * jnp.exp(-400.0 / WAVE)
    attenuated = f32(Spectrum(wave=WAVE, lum=lum, dust_power=jnp.asarray(3e11)))
    spectrum = run(f32(params), attenuated)
    assert spectrum.lum.dtype == jnp.float32
    glow = np.asarray(spectrum.lum - run(f32(params), dataclasses.replace(attenuated, dust_power=0.0 * lum[0])).lum)
    np.testing.assert_allclose(np.trapezoid(glow.astype(float), spectrum.wave), 3e11, rtol=1e-4)
    slope = jax.grad(lambda p: jnp.log(run(p, attenuated).lum[-200:]).sum())(f32(params))
    assert all(jnp.isfinite(x).all() and (x != 0).all() for x in jax.tree.leaves(slope))


def test_gradients_in_all_parameters_match_differences(shining):
    run, params = shining
    spectrum = Spectrum(wave=WAVE, lum=jnp.exp(-((jnp.log(WAVE / 5e3)) ** 2)), dust_power=jnp.asarray(1e4))
    total = jax.jit(lambda p: jnp.log(run(p, spectrum).lum * run(p, spectrum).wave)[::7].sum())
    flat, back = jax.flatten_util.ravel_pytree(params)
    slope = jax.flatten_util.ravel_pytree(jax.grad(total)(params))[0]
    for i in range(flat.size):
        h = 1e-5 * jnp.zeros_like(flat).at[i].set(1.0)
        np.testing.assert_allclose(slope[i], (total(back(flat + h)) - total(back(flat - h))) / 2e-5, rtol=1e-5)


def test_warmer_dust_is_bluer_and_its_tail_follows_the_emissivity():
    wave = jnp.asarray(infrared_grid())
    peaks = [wave[jnp.argmax(casey(wave, t, 1.6, 2.0) * wave)] for t in (20.0, 35.0, 60.0)]
    assert peaks[0] > peaks[1] > peaks[2]
    assert 80e4 < peaks[1] < 110e4
    far = casey(jnp.asarray([2e7, 4e7]), 35.0, 1.8, 2.0)
    assert jnp.log2(far[0] / far[1]) == pytest.approx(5.8, abs=0.1)  # wave^-(4 + beta)
    middle = casey(jnp.asarray([8e4, 16e4]), 35.0, 1.6, 2.0)
    assert jnp.log2(middle[0] / middle[1]) == pytest.approx(0.0, abs=0.35)  # wave^(alpha - 2)


def test_the_microwave_background_warms_dust_and_hides_it():
    """Da Cunha et al. (2013), eqs. 12 and 18: dust of 18 K is at 21 K at z = 6, and 41 % is left at 850 micron."""
    redshift, sky = jnp.asarray([0.0, 2.0, 6.0, 12.0]), T_CMB * (1 + jnp.asarray([0.0, 2.0, 6.0, 12.0]))
    cold = warmed(18.0, 2.0, redshift)
    assert (jnp.diff(cold) > 0).all()
    assert (cold > sky).all()
    assert cold[0] == pytest.approx(18.0, rel=1e-12)
    np.testing.assert_allclose(cold**6, 18.0**6 + sky**6 - T_CMB**6, rtol=1e-12)
    wave = jnp.geomspace(1e4, RED_END, 60)
    left = jnp.stack([contrast(wave, t, z) for t, z in zip(cold, redshift, strict=True)])
    expected = 1 - black_body(wave, sky[2]) * sky[2] ** 4 / (black_body(wave, cold[2]) * cold[2] ** 4)
    np.testing.assert_allclose(left[2], expected, atol=1e-12)
    assert ((left > 0) & (left <= 1)).all()
    assert (jnp.diff(left, axis=0)[:, -20:] < 0).all()
    assert (left[:3, 0] > 0.999).all()
    assert contrast(jnp.asarray(8.5e6 / 7), cold[2], 6.0) == pytest.approx(0.411, abs=1e-3)
    today = [casey(wave, 30.0, 1.6, 2.0, z) / casey(wave, 30.0, 1.6, 2.0) for z in (0.0, 6.0)]
    np.testing.assert_allclose(today[0], 1.0, atol=0.12)
    assert today[1][-1] < 0.7 * today[0][-1]


def test_dust_in_a_background_needs_an_epoch():
    dust = Spectrum(wave=WAVE, lum=0 * WAVE, dust_power=jnp.asarray(1.0))
    with pytest.raises(InputError, match="give the epoch, or background=false"):
        preset("dust_emission", "modified_black_body")(dust)


def test_bands_have_the_ratios_of_nearby_galaxies_and_lie_where_they_should():
    centre = np.array(BANDS)[:, 0]
    complex_of = lambda lo, hi: float(band_powers(0.3)[(centre > lo) & (centre < hi)].sum())  # noqa: E731
    seven = complex_of(7.3, 8.0)
    assert complex_of(6.1, 6.4) / seven == pytest.approx(0.28, abs=0.03)
    assert complex_of(11.0, 11.5) / seven == pytest.approx(0.28, abs=0.05)
    assert 0.03 < complex_of(3.2, 3.4) / seven < 0.1
    charged = band_powers(1.0) / band_powers(0.0)
    assert charged[centre == 7.598][0] > 5 * charged[centre == 11.33][0]
    spectrum = preset("dust_emission", "pah", background=False)(
        Spectrum(wave=WAVE, lum=0 * WAVE, dust_power=jnp.asarray(1.0))
    )
    at = lambda micron: jnp.interp(micron * 1e4, spectrum.wave, spectrum.lum)  # noqa: E731
    for band, beside in ((3.3, 3.6), (6.22, 5.4), (7.7, 9.6), (11.3, 10.2)):
        assert at(band) > 2 * at(beside)
