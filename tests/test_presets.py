"""Every instrument in conf/ builds and makes a cube, whose flux is that of the stars."""

import dataclasses
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from simulate_run import library

from galdiff.build import build
from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.record import check
from galdiff.cosmology import Cosmology
from galdiff.ifu.engine import ifu_stages
from galdiff.ifu.instrument import output_wave, output_wave_vacuum
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.psf import kernel_radius
from galdiff.records import Placement, SkyStars

CONF = pathlib.Path(__file__).resolve().parent.parent / "conf" / "instrument"
PRESETS = sorted(path.stem for path in CONF.glob("*.yaml"))
LSUN_ERG_S, MPC_CM = 3.828e33, 3.0856775814913673e24
N, PIXELS, MASS = 4, 48, 1e6  # spaxels on a side, wavelengths, Msun per star


def preset(name: str):
    return build(yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8")), path=f"instrument={name}")


def middle_of(instrument):
    """The central spaxels and wavelengths, so that a test is quick."""
    first = (instrument.n_wave - PIXELS) // 2
    start = float(output_wave(instrument)[first])
    return dataclasses.replace(
        instrument, n_x=N, n_y=N, aperture="square", aperture_arcsec=0.0, wave_start=start, n_wave=PIXELS
    )


def redshift_for(instrument) -> float:
    """One at which the embedded library covers the whole range."""
    wave, known = output_wave_vacuum(instrument), library().ssp_wave
    for redshift in (0.05, 2.5, 1.5):
        if known[0] * 1.01 < wave[0] / (1 + redshift) and wave[-1] / (1 + redshift) < known[-1] / 1.01:
            return redshift
    raise AssertionError(f"the embedded library covers {instrument.name} at none of the redshifts tried")


def one_star_per_spaxel(instrument, where: Placement) -> SkyStars:
    """Equal stars at the centres of all spaxels that reach the field through the PSF."""
    radius = np.array(kernel_radius(instrument, 1.3))[::-1] + 3
    size = np.array([instrument.spaxel_x_arcsec, instrument.spaxel_y_arcsec]) * float(where.kpc_per_arcsec)
    axes = (s * (np.arange(-r, N + r) - (N - 1) / 2) for r, s in zip(radius, size, strict=True))
    x, y = (jnp.asarray(a.ravel()) for a in np.meshgrid(*axes))
    one = jnp.ones_like(x)
    age, met = (10.0 ** float(grid[len(grid) // 2]) for grid in (library().ssp_lg_age_gyr, library().ssp_lgmet))
    return SkyStars(x=x, y=y, z=0 * one, v_los=0 * one, mass=MASS * one, age=age * one, metallicity=met * one)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_cube_with_the_flux_of_its_stars(name):
    whole = preset(name)
    wave = output_wave(whole)
    assert np.isfinite(wave).all()
    assert (np.diff(wave) > 0).all()
    instrument, redshift = middle_of(whole), redshift_for(whole)
    where = place(Cosmology(), jnp.asarray(redshift))
    plan = make_plan(library(), instrument, redshift, Precision(rank=12, v_max_kms=100.0))
    stages = ifu_stages(plan=plan, engine="compressed")
    run, state = compiled(
        Pipeline(stages=stages, inputs={"observed_stars": SkyStars, "placement": Placement}), ["cube"]
    )
    cube = run(state, observed_stars=one_star_per_spaxel(instrument, where), placement=where)["cube"]
    check(cube)
    flux = np.asarray(cube.flux)
    assert flux.shape == (N, N, PIXELS)
    assert cube.spaxel_size == (instrument.spaxel_x_arcsec, instrument.spaxel_y_arcsec)
    assert cube.medium == instrument.medium
    grid = library()
    spectrum = grid.ssp_flux[len(grid.ssp_lgmet) // 2, len(grid.ssp_lg_age_gyr) // 2]
    rest = np.linspace(*output_wave_vacuum(instrument)[[0, -1]], 2000) / (1 + redshift)
    lum = MASS * np.trapezoid(np.interp(rest, grid.ssp_wave, spectrum), rest) / (rest[-1] - rest[0])  # Lsun/A
    distance = float(where.luminosity_distance) * MPC_CM
    expected = 1e20 * lum * LSUN_ERG_S / (4 * np.pi * distance**2 * (1 + redshift))
    np.testing.assert_allclose(flux.mean(-1), expected, rtol=0.03)  # PSF wings beyond the kernel; LSF at the ends


def test_presets_are_all_there():
    """The instruments that the README names."""
    wanted = ("muse_wfm", "muse_nfm", "manga_127", "manga_19", "sami_blue", "sami_red", "califa_v500", "califa_v1200")
    wanted += ("hector_blue", "hector_red", "kmos_h", "kcwi", "nirspec_prism", "nirspec_g395h", "custom")
    assert set(wanted) <= set(PRESETS)
