"""pPXF, the analysis code that observers use, recovers the kinematics of a noisy disc from its FITS file."""

import dataclasses

import jax
import numpy as np
import pytest
from astropy.io import fits
from scipy.interpolate import CubicSpline, RegularGridInterpolator

from galdiff.core.air import air_to_vacuum
from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.cosmology import Cosmology
from galdiff.galaxy.disc import Disc, disc_galaxy
from galdiff.galaxy.view import StarView
from galdiff.ifu.engine import ifu_stages
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.noise import add_noise, variance
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.spread_functions import PSF
from galdiff.ifu.stages import Deposit
from galdiff.io.fits_cube import write_cube
from galdiff.observing.field import map_maker
from galdiff.observing.seen_maps import seen_stages
from galdiff.records import Placement, SkyStars
from galdiff.sps.analytic import default_grid
from galdiff.sps.library import load_ssp
from galdiff.units import C_KMS, FWHM_PER_SIGMA

REDSHIFT, SIGMA_LSF, N, STEP = 0.03, 85.0, 6, 1.25  # 1, km/s at all wavelengths, spaxels, Angstrom
START, END = 4800.0, 5600.0  # Angstrom in air
ENOUGH = 40.0  # S/N per pixel


def small_spectrograph():
    fwhm = SIGMA_LSF / C_KMS * FWHM_PER_SIGMA
    return make_instrument(
        name="small",
        n_x=N,
        n_y=N,
        spaxel_x_arcsec=1.0,
        wave=dict(grid="linear", start_angstrom=START, end_angstrom=END, step_angstrom=STEP, medium="air"),
        lsf=dict(kind="polynomial", coefficients_angstrom=[0.0, fwhm]),
        psf=dict(kind="none"),
    )


def truth(stars, ssp, placement):
    """Mean and dispersion [km/s] of the particles in each spaxel, weighted by light between START and END."""
    wave = np.asarray(ssp.ssp_wave)
    band = (wave * (1 + REDSHIFT) > START) & (wave * (1 + REDSHIFT) < END)
    light = np.trapezoid(np.asarray(ssp.ssp_flux)[..., band], wave[band], axis=-1)
    nodes = np.asarray(ssp.ssp_lgmet), np.asarray(ssp.ssp_lg_age_gyr)
    at = [np.clip(np.log10(q), n[0], n[-1]) for q, n in zip((stars.metallicity, stars.age), nodes, strict=True)]
    weight = np.asarray(stars.mass) * RegularGridInterpolator(nodes, light)(np.stack(at, -1))
    x, y = (np.asarray(q) / float(placement.kpc_per_arcsec) for q in (stars.x, stars.y))
    bounds = np.arange(N + 1) - N / 2
    v = np.asarray(stars.v_los)
    sums = [np.histogram2d(y, x, (bounds, bounds), weights=weight * v**k)[0] for k in range(3)]
    mean = sums[1] / sums[0]
    return mean, np.sqrt(sums[2] / sums[0] - mean**2)


def observe_disc(ssp):
    """Noiseless cube of a disc, and V and sigma maps of its particles."""
    disc = Disc(bulge_fraction=0.0, v_flat=210.0, sigma_disc=70.0, r_disc=2.5, height=0.5)
    stars = StarView(inclination=50.0, position_angle=60.0)(disc_galaxy(disc, n_stars=60_000, n_gas=0))
    placement = place(Cosmology(), REDSHIFT)
    plan = make_plan(ssp, small_spectrograph(), REDSHIFT, Precision(v_max_kms=600.0, kernel="nearest", rank=48))
    inputs = {"observed_stars": SkyStars, "placement": Placement}
    run, state = compiled(Pipeline(stages=ifu_stages(plan=plan, engine="compressed"), inputs=inputs), ["cube"])
    return run(state, observed_stars=stars, placement=placement)["cube"], truth(stars, ssp, placement)


def write_noisy(path, cube, snr):
    """Write the cube with photon noise; snr per pixel in the brightest spaxel."""
    known = variance(cube.flux, cube.wave, mode="photon", snr=snr)
    noisy = dataclasses.replace(cube, flux=add_noise(jax.random.key(0), cube.flux, known), variance=known)
    write_cube(path, noisy, provenance={}, redshift=REDSHIFT)


def rest_templates(ssp, velscale, ppxf_util):
    """Library spectra on a log axis, as broad as the instrument records them at REDSHIFT, and their wavelengths.

    The pixels of the detector and those of the log axis are two boxes, of velscale each, on top of the LSF.
    """
    wave = np.asarray(ssp.ssp_wave)
    lnw = np.arange(np.log(START / (1 + REDSHIFT)) - 0.02, np.log(END / (1 + REDSHIFT)) + 0.02, velscale / 2 / C_KMS)
    some = np.asarray(ssp.ssp_flux)[-6::2, 12::5].reshape(-1, len(wave))
    near = (wave > 0.99 * np.exp(lnw[0])) & (wave < 1.01 * np.exp(lnw[-1]))
    sharp = CubicSpline(wave[near], some[:, near], axis=-1)(np.exp(lnw)).T
    own = np.interp(np.exp(lnw), wave, np.asarray(ssp.ssp_fwhm)) / FWHM_PER_SIGMA / np.exp(lnw)
    added = np.sqrt((SIGMA_LSF / C_KMS) ** 2 - own**2 + 2 / 12 * (velscale / C_KMS) ** 2)
    broad = np.stack([ppxf_util.varsmooth(lnw, column, added) for column in sharp.T], -1)
    return broad / np.median(broad), np.exp(lnw)


def fit_file(path, ssp):
    """V, sigma, their formal errors [km/s] and S/N above ENOUGH, as an observer finds them; x to the East."""
    ppxf, ppxf_util = pytest.importorskip("ppxf.ppxf"), pytest.importorskip("ppxf.ppxf_util")
    with fits.open(path) as hdus:
        data, stat, header = (*(np.asarray(hdus[n].data, float) for n in ("DATA", "STAT")), hdus["DATA"].header)
    assert header["CTYPE3"] == "AWAV"
    lam_air = header["CRVAL3"] + (np.arange(len(data)) + 1 - header["CRPIX3"]) * header["CD3_3"]
    lam = air_to_vacuum(lam_air) / (1 + REDSHIFT)
    snr = np.median(data / np.sqrt(stat), axis=0)
    templates = None
    found = np.full((4, *snr.shape), np.nan)  # V, sigma and their formal errors
    for j, i in np.argwhere(snr > ENOUGH):
        galaxy, ln_lam, velscale = ppxf_util.log_rebin(lam, data[:, j, i])[:3]
        noise2 = ppxf_util.log_rebin(lam, stat[:, j, i], velscale=velscale)[0]
        if templates is None:
            templates, lam_temp = rest_templates(ssp, velscale, ppxf_util)
        scale = np.median(galaxy)
        fit = ppxf.ppxf(
            templates, galaxy / scale, np.sqrt(noise2) / scale, velscale, [0.0, 80.0], moments=2, degree=4,
            lam=np.exp(ln_lam), lam_temp=lam_temp, velscale_ratio=2, quiet=True,
        )  # fmt: skip
        found[:, j, i] = *fit.sol, *fit.error
    return *found[..., ::-1], snr[..., ::-1]


def residuals(ssp, cube, true, path, snr):
    """Residuals of V and sigma [km/s] and of V over its formal error, where S/N > ENOUGH."""
    write_noisy(path, cube, snr)
    v, sigma, v_error, _, found_snr = fit_file(path, ssp)
    good = found_snr > ENOUGH
    assert good.sum() >= 12
    assert np.ptp(true[0][good]) > 120.0  # it rotates
    assert np.ptp(true[1][good]) > 30.0  # and its dispersion changes
    dv, ds = (v - true[0])[good], (sigma - true[1])[good]
    report = f"{good.sum()} spaxels, S/N {found_snr[good].min():.0f} to {found_snr.max():.0f}"
    for name, values, from_particles in (("V", dv, true[0][good]), ("sigma", ds, true[1][good])):
        report += f"; {name} {from_particles.min():.0f} to {from_particles.max():.0f} km/s, residual mean"
        report += f" {values.mean():.2f} rms {np.sqrt(np.mean(values**2)):.2f} max {np.abs(values).max():.2f}"
    print(report)
    return dv, ds, dv / v_error[good]


@pytest.fixture(scope="module")
def embedded():
    ssp = default_grid()
    return ssp, *observe_disc(ssp)


def test_every_spaxel_of_a_deep_cube_is_recovered(embedded, tmp_path):
    """S/N 130 to 200, so that noise leaves room to see an error of the cube; the bounds fail for some spaxels at 40."""
    dv, ds, _ = residuals(*embedded, tmp_path / "cube.fits", 200.0)
    assert np.abs(dv).max() < 5.0
    assert np.abs(ds).max() < 8.0


def test_near_the_least_signal_to_noise_residuals_are_those_of_the_noise(embedded, tmp_path):
    """Noise alone makes about 2.5 and 4 km/s here (800 Angstrom, S/N 40 to 60): bounds on rms, not on each spaxel."""
    dv, ds, relative = residuals(*embedded, tmp_path / "cube.fits", 58.0)
    assert np.sqrt(np.mean(dv**2)) < 5.0
    assert np.sqrt(np.mean(ds**2)) < 8.0
    assert 0.5 < np.sqrt(np.mean(relative**2)) < 1.6  # the variance in the file is that of the noise


def test_maps_through_the_psf_are_what_is_found_in_a_blurred_cube(embedded, tmp_path):
    ssp = embedded[0]
    instrument = dataclasses.replace(small_spectrograph(), psf=PSF(kind="gaussian", fwhm_arcsec=2.0))
    disc = Disc(bulge_fraction=0.2, v_flat=210.0, sigma_disc=70.0, r_disc=2.5, height=0.5)
    stars = StarView(inclination=50.0, position_angle=60.0)(disc_galaxy(disc, n_stars=30_000, n_gas=0))
    plan = make_plan(ssp, instrument, REDSHIFT, Precision(v_max_kms=600.0, rank=32, h_v_kms=40.0))
    options = {"h_v_kms": 15.0, "gauss_hermite": False}
    bins, maker = map_maker(plan, ssp, weight="light", **options)
    maps = {"mass_distribution": Deposit(bins=bins), "maps": maker}
    maps |= seen_stages(plan, ssp, psf_scale=1.0, **options)
    inputs, place_of = {"observed_stars": SkyStars, "placement": Placement}, place(Cosmology(), REDSHIFT)
    made = {}
    for wanted, stages in ((["cube"], ifu_stages(plan=plan, engine="compressed")), (["maps", "seen_maps"], maps)):
        run, state = compiled(Pipeline(stages=stages, inputs=inputs), wanted)
        made |= run(state, observed_stars=stars, placement=place_of)
    write_noisy(tmp_path / "cube.fits", made["cube"], 2000.0)
    v, sigma, _, _, snr = fit_file(tmp_path / "cube.fits", ssp)
    good = snr > ENOUGH
    assert good.sum() > 20

    def off(kind):
        return [np.sqrt(np.mean((x - y)[good] ** 2)) for x, y in ((v, made[kind].v), (sigma, made[kind].sigma))]

    assert max(off("seen_maps")) < 1.0
    assert min(off("maps")) > 2.5  # what the PSF mixes


def test_every_spaxel_of_a_deep_cube_with_miles_is_recovered(tmp_path, data_dir):
    ssp = load_ssp(data_dir / "ssp/ssp_miles_basti_kb.h5")
    dv, ds, _ = residuals(ssp, *observe_disc(ssp), tmp_path / "cube.fits", 200.0)
    assert np.abs(dv).max() < 5.0
    assert np.abs(ds).max() < 10.0
    assert np.sqrt(np.mean(ds**2)) < 4.0
