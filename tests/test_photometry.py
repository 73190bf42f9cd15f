"""Magnitudes: exact integrals, parity with DSPS, passbands from names and files, and light of whole galaxies."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sps_reference import Reference

from galdiff import cosmology, units
from galdiff.cosmology import Cosmology
from galdiff.dust.curves.modified_calzetti import ModifiedCalzetti
from galdiff.dust.galaxy import GalaxyDust, NoGalaxyDust
from galdiff.errors import InputError
from galdiff.light_records import NebularLight, PopulationWeights, Spectrum, Starlight
from galdiff.photometry.colours import colour_tables, coloured_magnitudes
from galdiff.photometry.magnitudes import Photometry, ab_magnitude
from galdiff.photometry.passband import Passband, band_weights
from galdiff.photometry.read import load_passband
from galdiff.photometry.tables import band_tables, tabled_magnitudes
from galdiff.records import SSPGrid
from galdiff.sfh.epoch import epoch_at
from galdiff.sps.galaxy_light import GalaxyLight

WAVE = np.linspace(3000.0, 9000.0, 601)
HUMP = Passband("hump", np.array([4500.0, 4600.0, 5000.0, 5300.0, 5310.0]), np.array([0.0, 0.6, 1.0, 0.7, 0.0]))
C = units.C_KMS * 1e13  # Angstrom/s


@pytest.fixture(scope="module")
def reference(data_dir):
    return Reference.read(data_dir)


def brute(band, wave, lum):
    """Integral of T f wave over that of T / wave on a fine grid."""
    x = np.unique(np.concatenate([wave, band.wave, np.linspace(*band.ends, 200_001)]))
    x = x[(x >= band.ends[0]) & (x <= band.ends[1])]
    t = np.interp(x, band.wave, band.transmission)
    return np.trapezoid(t * np.interp(x, wave, lum) * x, x) / np.trapezoid(t / x, x)


@pytest.mark.parametrize("redshift", [0.0, 0.0331, 0.2])
def test_the_integral_is_exact_for_straight_lines(redshift):
    lum = 1 + 0.5 * np.sin(WAVE / 37.0)
    got = jnp.asarray(lum) @ band_weights(HUMP, jnp.asarray(WAVE) * (1 + redshift))
    np.testing.assert_allclose(got, brute(HUMP, WAVE * (1 + redshift), lum), rtol=1e-6)
    single = jnp.asarray(lum, jnp.float32) @ band_weights(HUMP, jnp.asarray(WAVE, jnp.float32) * (1 + redshift))
    np.testing.assert_allclose(single, got, rtol=3e-6)


def test_a_flat_spectrum_in_frequency_has_the_magnitude_that_ab_says():
    jansky = 1e-23  # erg/s/cm2/Hz
    area = 4 * np.pi * (1e-5 * units.MPC_CM) ** 2
    lum = 10 ** (-0.4 * 7.0) * 10 ** (0.4 * units.AB_ZERO_POINT) * area * C / WAVE**2 / units.LSUN_ERG_S
    np.testing.assert_allclose(ab_magnitude(jnp.asarray(WAVE), jnp.asarray(lum), HUMP), 7.0, atol=1e-4)
    assert jansky * 3631 == pytest.approx(10 ** (-0.4 * 48.6), rel=1e-3)


def test_the_k_correction_of_a_flat_spectrum_is_a_stretch():
    lum = jnp.asarray(1 / WAVE**2)
    near, far = (ab_magnitude(jnp.asarray(WAVE), lum, HUMP, z, 100.0) for z in (0.0, 0.3))
    np.testing.assert_allclose(far - near, -2.5 * np.log10(1.3), atol=1e-4)  # Hogg et al. (2002), eq. 13


def test_gradients_with_redshift_and_light_are_those_of_differences():
    lum = jnp.asarray(1 + 0.5 * np.sin(WAVE / 37.0))

    def mag(z, tilt):
        return ab_magnitude(jnp.asarray(WAVE), lum * (jnp.asarray(WAVE) / 5000) ** tilt, HUMP, z, 50.0 * (1 + z))

    got = jax.grad(mag, argnums=(0, 1))(0.1234, 0.3)
    steps = [(mag(0.1234 + 1e-6, 0.3) - mag(0.1234 - 1e-6, 0.3)) / 2e-6]
    steps += [(mag(0.1234, 0.3 + 1e-6) - mag(0.1234, 0.3 - 1e-6)) / 2e-6]
    np.testing.assert_allclose(got, steps, rtol=1e-5)


def test_magnitudes_agree_with_dsps_where_its_grid_is_fine(reference):
    wave = reference["ssp_wave"]
    for i, name in enumerate(reference["phot_band_names"]):
        band = Passband(str(name), reference[f"filter_{name}_wave"], reference[f"filter_{name}_trans"])
        fine = np.linspace(*band.ends, 8001)
        smooth = np.polyval(np.polyfit(wave / 5e3 - 1, reference["mdf_rest_sed"][3], 4), wave / 5e3 - 1)
        exact = ab_magnitude(jnp.asarray(wave), jnp.asarray(smooth * C / wave**2), band)
        t = np.interp(fine, band.wave, band.transmission)
        l_nu = np.interp(fine, wave, smooth)
        expected = -2.5 * np.log10(np.trapezoid(t * l_nu / fine, fine) / np.trapezoid(t / fine, fine) / 1.13492e-13)
        np.testing.assert_allclose(exact, expected, atol=2e-4)
        # On the spectra themselves its 20 Angstrom steps miss lines.
        own = ab_magnitude(jnp.asarray(wave), jnp.asarray(reference["mdf_rest_sed"] * C / wave**2), band)
        assert np.abs(own - reference["rest_mag"][:, i]).max() < 0.014


def test_light_is_the_sum_over_nodes_and_dust_takes_young_stars_more():
    rng = np.random.default_rng(0)
    flux = rng.uniform(0.5, 1.0, (2, 4, WAVE.size))
    grid = SSPGrid(
        ssp_wave=WAVE, ssp_lg_age_gyr=np.array([-3.0, -2.5, 0.0, 1.0]), ssp_lgmet=np.array([-3.0, -1.7]),
        ssp_flux=flux, ssp_fwhm=np.full(WAVE.size, 2.5),
    )  # fmt: skip
    mass = rng.uniform(1e8, 1e9, (2, 4))
    populations = PopulationWeights(mass=jnp.asarray(mass), lg_age=jnp.asarray(grid.ssp_lg_age_gyr))
    light = GalaxyLight()(populations, grid)
    np.testing.assert_allclose(light.young + light.old, np.tensordot(mass, flux, 2), rtol=1e-12)
    np.testing.assert_allclose(NoGalaxyDust()(light).lum, light.young + light.old)
    dust = GalaxyDust(curve=ModifiedCalzetti(), a_v=1.0, a_v_birth=1.0)
    screen, clouds = dust.transmissions(light.wave)
    assert (dust(light).lum < light.young + light.old).all()
    assert (clouds < 1).all()
    v = int(np.argmin(np.abs(WAVE - 5500)))
    np.testing.assert_allclose(screen[v], 1e-3 + 0.999 * 10**-0.4, rtol=0.01)


def test_a_dusty_spectrum_is_that_of_dsps(reference):
    wave = jnp.asarray(reference["ssp_wave"])
    for i in np.flatnonzero(reference["gal_dust_floor"] > 0)[:2]:
        delta, floor = float(reference["gal_delta"][i]), float(reference["gal_dust_floor"][i])
        curve = ModifiedCalzetti(slope=delta, bump=0.0)
        dust = GalaxyDust(curve=curve, a_v=float(reference["gal_av"][i]), a_v_birth=1e-9, unobscured=floor)
        base = curve.formula(wave)
        np.testing.assert_allclose(
            dust.transmissions(wave)[0], floor + (1 - floor) * 10 ** (-0.4 * dust.a_v.bounded * base)
        )


def test_published_passbands_come_by_name():
    band = load_passband("sdss2010-r")
    assert 6100 < band.pivot < 6250
    assert band.ends[0] > 5000


def test_passbands_come_from_columns_tables_and_votables(tmp_path):
    from astropy.table import Table

    plain = tmp_path / "plain.dat"
    np.savetxt(plain, np.stack([HUMP.wave, HUMP.transmission], -1))
    table = Table({"wave": HUMP.wave / 10, "t": HUMP.transmission}, units={"wave": "nm"})
    table.write(tmp_path / "own.ecsv")
    table.write(tmp_path / "svo.xml", format="votable")
    for name in ("plain.dat", "own.ecsv", "svo.xml"):
        band = load_passband(str(tmp_path / name))
        np.testing.assert_allclose(band.wave, HUMP.wave, rtol=1e-6)
        np.testing.assert_allclose(band.transmission, HUMP.transmission, rtol=1e-6)
    assert load_passband(str(plain), medium="air").wave[1] > HUMP.wave[1] + 1


def test_a_band_outside_the_library_is_refused_and_nan_where_nobody_can_look():
    spectrum = Spectrum(wave=jnp.asarray(WAVE), lum=jnp.ones(WAVE.size))
    stage = Photometry(passbands=[HUMP])
    far = epoch_at(redshift=3.0, cosmology=Cosmology())
    with pytest.raises(InputError, match="hump runs from 4500 to 5310 Angstrom, but the spectrum at redshift 3"):
        stage(spectrum, far)
    assert jnp.isnan(jax.jit(lambda s, e: stage(s, e).mag)(spectrum, far)).all()
    near = stage(spectrum, epoch_at(redshift=0.1, cosmology=Cosmology()))
    rest = Photometry(passbands=[HUMP], frame="rest")(spectrum, far)
    modulus = 5 * np.log10(float(cosmology.luminosity_distance(Cosmology(), 0.1))) + 25
    assert abs(float(near.mag[0] - rest.mag[0]) - modulus) < 0.5
    np.testing.assert_allclose(rest.maggies, 10 ** (-0.4 * rest.mag))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Passband("p", np.array([1.0]), np.array([1.0])), "give as many"),
        (lambda: Passband("p", np.array([2.0, 1.0]), np.array([1.0, 1.0])), "positive and increase"),
        (lambda: Passband("p", np.array([1.0, 2.0]), np.array([0.0, 0.0])), "nowhere positive"),
        (lambda: Passband("p", np.array([1.0, 2.0]), np.array([np.nan, 1.0])), "non-finite"),
        (lambda: load_passband("nothing-r"), "no file and no name of speclite; groups there:"),
        (lambda: load_passband("sdss2010-r", medium="water"), "choose air or vacuum"),
        (lambda: Photometry(passbands=[], frame="rest"), "passbands are empty"),
        (lambda: Photometry(passbands=[HUMP], frame="moving"), "choose observed or rest"),
        (lambda: epoch_at(redshift=-0.1, cosmology=Cosmology()), "redshift is -0.1; give 0 to 20"),
        (lambda: GalaxyLight(width=0.0), "width of the birth-cloud edge"),
    ],
)
def test_bad_input_is_told_on_one_line(build, said):
    with pytest.raises(InputError, match=said) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_a_passband_keeps_one_dark_point_at_each_end():
    wide = Passband("wide", np.arange(1000.0, 1010.0), np.array([0, 0, 0, 0.5, 1, 0.5, 0, 0, 0, 0.0]))
    assert wide.ends == (1002.0, 1006.0)
    assert dataclasses.replace(wide, name="again").ends == wide.ends


def test_tables_give_the_magnitudes_of_the_spectrum_behind_dust():
    rng = np.random.default_rng(1)
    bumps = 1 + 0.2 * np.cumsum(rng.normal(size=(2, 4, WAVE.size)), -1) / 30
    grid = SSPGrid(
        ssp_wave=WAVE, ssp_lg_age_gyr=np.array([-3.0, -2.0, 0.0, 1.0]), ssp_lgmet=np.array([-3.0, -1.7]),
        ssp_flux=np.abs(bumps) * (WAVE / 5e3) ** np.array([-3.0, -2.0, 0.0, 1.0])[:, None],
        ssp_fwhm=np.full(WAVE.size, 2.5),
    )  # fmt: skip
    populations = PopulationWeights(mass=jnp.full((2, 4), 1e9), lg_age=jnp.asarray(grid.ssp_lg_age_gyr))
    epoch, light = epoch_at(redshift=0.13, cosmology=Cosmology()), GalaxyLight()
    starlight, inside = light(populations, grid), light.inside(populations.lg_age)
    for dust, tolerance in ((None, 1e-9), (GalaxyDust(curve=ModifiedCalzetti(bump=1.0), a_v=2.5), 1e-3)):
        spectrum = (NoGalaxyDust() if dust is None else dust)(starlight)
        exact = Photometry(passbands=[HUMP])(spectrum, epoch).mag
        tables = band_tables(grid, [HUMP], redshift=0.13)
        np.testing.assert_allclose(
            tabled_magnitudes(populations, inside, tables, epoch, dust).mag, exact, atol=tolerance
        )
    with pytest.raises(InputError, match="passband hump runs from 4500 to 5310 Angstrom, but the library"):
        band_tables(grid, [HUMP], redshift=2.0)


@pytest.fixture(scope="module")
def smooth_grid():
    """A library of 9 ages and 5 metallicities whose bands go with each other, with its tables of two bands."""
    lg_age, lgmet = np.linspace(-3.0, 1.1, 9), np.linspace(-4.0, -1.5, 5)
    slope = (-2.5 + 0.8 * (lg_age + 3))[:, None] * np.ones(WAVE.size) + 0.3 * (lgmet[:, None, None] + 2)
    edge = 1 - 0.1 * (lg_age[:, None] + 3) / (1 + np.exp((WAVE - 4000.0) / 30))
    flux = 10.0 ** -lg_age[:, None] * edge * (WAVE / 5e3) ** slope
    grid = SSPGrid(
        ssp_wave=WAVE, ssp_lg_age_gyr=lg_age, ssp_lgmet=lgmet, ssp_flux=flux, ssp_fwhm=np.full(WAVE.size, 2.5)
    )
    box = Passband("box", np.array([5500.0, 5600.0, 6500.0, 6600.0]), np.array([0.0, 1.0, 1.0, 0.0]))
    return grid, band_tables(grid, [HUMP, box], redshift=0.1)


def both_magnitudes(grid, tables, colours, dust, n_young=9):
    """Magnitudes of ages and metals by colours, with birth clouds of some youngest ages, and by all nodes; compiled."""
    epoch = epoch_at(redshift=0.1, cosmology=Cosmology())
    inside = GalaxyLight().inside(jnp.asarray(grid.ssp_lg_age_gyr))

    @jax.jit
    def made(ages, mets):
        stars = PopulationWeights(mass=mets[:, None] * ages, lg_age=jnp.asarray(grid.ssp_lg_age_gyr))
        whole = tabled_magnitudes(stars, inside, tables, epoch, dust).mag
        return coloured_magnitudes(ages, mets, inside[:n_young], colours, epoch, dust).mag, whole

    return made


@pytest.mark.parametrize("dusty", [False, True])
def test_few_colours_give_the_magnitudes_of_all_parts(smooth_grid, dusty):
    grid, tables = smooth_grid
    colours = colour_tables(tables)
    assert colours.flux.shape[-1] < tables.flux.shape[-1] / 2
    dust = GalaxyDust(curve=ModifiedCalzetti(bump=1.0), a_v=2.0) if dusty else None
    rng = np.random.default_rng(3)
    made = both_magnitudes(grid, tables, colours, dust)
    made_of_young = both_magnitudes(grid, tables, colours, dust, 7)
    off = []
    for _ in range(20):
        few, whole = made(jnp.asarray(rng.random(9) ** 4), jnp.asarray(rng.dirichlet(np.ones(5))))
        off.append(np.abs(few - whole))
    np.testing.assert_allclose(made_of_young(jnp.ones(9), jnp.full(5, 0.2))[0], made(jnp.ones(9), jnp.full(5, 0.2))[0])
    assert np.max(off) < 4e-4
    assert np.max(off) > 1e-12  # colours are fewer than parts, not another name of them


def test_colours_have_the_slopes_of_all_parts(smooth_grid):
    grid, tables = smooth_grid
    made = both_magnitudes(grid, tables, colour_tables(tables), GalaxyDust(curve=ModifiedCalzetti(), a_v=1.0))
    ages, mets = jnp.linspace(1.0, 2.0, 9), jnp.full(5, 0.2)
    few, whole = jax.jit(jax.jacrev(made, (0, 1)))(ages, mets)
    for one, other in zip(few, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3 * float(jnp.abs(other).max()))


def test_a_tolerance_of_colours_that_is_not_positive_is_refused_and_a_tiny_one_takes_all_parts(smooth_grid):
    tables = smooth_grid[1]
    with pytest.raises(InputError, match="tolerance is 0 mag; give one above 0"):
        colour_tables(tables, tolerance=0)
    assert colour_tables(tables, tolerance=1e-15).flux.shape[-1] == tables.flux.shape[-1]


@pytest.mark.parametrize("redshift", [0.0, 0.1])
def test_a_line_counts_as_much_as_a_narrow_hump_of_its_luminosity(redshift):
    wave = np.sort(np.concatenate([WAVE, 4700.0 + np.array([-0.2, 0.0, 0.2])]))
    wave = np.unique(wave)
    hump = jnp.asarray(np.where(wave == 4700.0, 50.0 / 0.2, 0.0))  # a triangle of 50 Lsun
    as_hump = ab_magnitude(jnp.asarray(wave), 1.0 + hump, HUMP, redshift)
    lines = (jnp.asarray([4700.0, 8000.0]), jnp.asarray([50.0, 1e5]))
    as_line = ab_magnitude(jnp.asarray(WAVE), jnp.ones(WAVE.size), HUMP, redshift, lines=lines)
    np.testing.assert_allclose(as_line, as_hump, atol=2e-4)
    assert as_line < ab_magnitude(jnp.asarray(WAVE), jnp.ones(WAVE.size), HUMP, redshift) - 0.01


def test_lines_and_continuum_of_gas_pass_the_birth_clouds_and_dust_takes_what_is_missing():
    wave, flat = jnp.asarray(WAVE), jnp.ones(WAVE.size)
    starlight = Starlight(wave=wave, young=flat, old=flat)
    gas = NebularLight(continuum=0.1 * flat, passes=flat, line_wave=jnp.asarray([4862.7]), line_lum=jnp.asarray([30.0]))
    dust = GalaxyDust(curve=ModifiedCalzetti(), a_v=0.5, a_v_birth=1.0)
    bare, seen = NoGalaxyDust()(starlight, gas), dust(starlight, gas)
    screen, clouds = dust.transmissions(bare.line_wave)
    np.testing.assert_allclose(seen.line_lum, 30.0 * screen * clouds)
    lost = jnp.trapezoid(bare.lum - seen.lum, wave) + (bare.line_lum - seen.line_lum).sum()
    np.testing.assert_allclose(seen.dust_power, lost)
    assert bare.dust_power == 0


def test_a_file_in_another_unit_or_without_columns_is_told(tmp_path):
    micron = tmp_path / "micron.txt"
    micron.write_text("0.5 0.0\n0.6 1.0\n0.7 0.0\n")
    with pytest.raises(InputError, match=r"ends at 0\.7 Angstrom; if its wavelengths are in micron or nm"):
        load_passband(str(micron))
    assert load_passband(str(micron), unit="micron").ends == pytest.approx((5000.0, 7000.0))
    for name, text in (("one.txt", "5000\n6000\n"), ("empty.txt", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError) as caught:
            load_passband(str(tmp_path / name))
        assert "\n" not in str(caught.value)
        assert str(caught.value).count("passband ") == 1
