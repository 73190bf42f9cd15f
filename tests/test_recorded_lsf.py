"""The LSF that a file names is that of the data: a sharp line in the cube has that width and that of the pixel."""

import jax.numpy as jnp
import numpy as np
import pytest
from test_ifu_engine import observe

from galdiff.core.correction import NoCorrection
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.recorded_lsf import library_fwhm, recorded_fwhm
from galdiff.records import Placement, SkyStars, SSPGrid
from galdiff.units import FWHM_PER_SIGMA

LINE, REDSHIFT, OF_LIBRARY = 5000.0, 0.1, 2.5  # Angstrom, at rest; FWHM [Angstrom]


@pytest.fixture(scope="module")
def library() -> SSPGrid:
    """A line on a faint continuum, as broad as the library's resolution."""
    wave = np.arange(4900.0, 5100.0, 0.4)
    line = 1e-3 + np.exp(-0.5 * ((wave - LINE) * FWHM_PER_SIGMA / OF_LIBRARY) ** 2)
    return SSPGrid(
        ssp_wave=wave,
        ssp_lg_age_gyr=np.array([0.0, 1.0]),
        ssp_lgmet=np.array([-2.0, -1.7]),
        ssp_flux=np.broadcast_to(line, (2, 2, len(wave))).copy(),
        ssp_fwhm=np.full(len(wave), OF_LIBRARY),
    )


@pytest.mark.parametrize("fwhm", [1.6, 4.0])  # the library, 2.75 A at this redshift, is broader, and sharper
def test_a_sharp_line_has_the_width_of_the_table_and_of_the_pixel(library, fwhm):
    step = 1.5
    instrument = make_instrument(
        name="narrow",
        n_x=1,
        n_y=1,
        spaxel_x_arcsec=1.0,
        wave=dict(grid="linear", start_angstrom=5442.0, end_angstrom=5560.0, step_angstrom=step, medium="vacuum"),
        lsf=dict(kind="constant", fwhm_angstrom=fwhm),
    )
    plan = make_plan(library, instrument, REDSHIFT, Precision(rank=1, v_max_kms=200.0, h_v_kms=20.0))
    one, nil = jnp.ones(1), jnp.zeros(1)
    star = SkyStars(x=nil, y=nil, z=nil, v_los=nil, mass=one, age=3 * one, metallicity=0.015 * one)
    scale = {"luminosity_distance": jnp.asarray(1.0), "kpc_per_arcsec": jnp.asarray(1.0)}
    cube = observe(plan, star, Placement(redshift=jnp.asarray(REDSHIFT), pointing=jnp.zeros(2), **scale))
    flux = np.asarray(cube.flux[0, 0])
    flux = flux - flux[:5].mean()
    mean = (flux * plan.wave).sum() / flux.sum()
    variance = (flux * (plan.wave - mean) ** 2).sum() / flux.sum() - step**2 / 12
    found = recorded_fwhm(plan, lsf_scale=1.0, lsf_correction=NoCorrection())
    at = len(plan.wave) // 2
    np.testing.assert_allclose(FWHM_PER_SIGMA * np.sqrt(variance), found[at], rtol=2e-3)
    np.testing.assert_allclose(found[at], max(fwhm, library_fwhm(plan)[at]), rtol=1e-6)
    np.testing.assert_allclose(recorded_fwhm(plan, lsf_scale=1.2), np.maximum(1.2 * fwhm, 2.75), rtol=1e-6)
