"""How sharp an observation is, in numbers for its summary and its header."""

from typing import Any

import numpy as np

from galdiff.ifu.plan import Plan
from galdiff.ifu.spread_functions import psf_fwhm

# Effective wavelengths [Angstrom]: ugriz of SDSS (Fukugita et al. 1996, AJ 111, 1748), JHK of 2MASS (Cohen et al. 2003,
# AJ 126, 1090)
BANDS = {"u": 3557, "g": 4825, "r": 6261, "i": 7672, "z": 9097, "j": 12350, "h": 16620, "k": 21590}


def psf_facts(plan: Plan, scale: float) -> dict[str, Any]:
    """Kind of the PSF, and its FWHM [arcsec] in the bands that are recorded and in the middle of the range.

    Args:
      plan: the observation.
      scale: factor on the instrument's FWHM.
    """
    psf, wave = plan.instrument.psf, plan.wave
    if psf.kind == "none":
        return {"kind": psf.kind}
    inside = {band: at for band, at in BANDS.items() if wave[0] <= at <= wave[-1]}
    middle = float(0.5 * (wave[0] + wave[-1]))
    fwhm = {band: float(scale * psf_fwhm(psf, at)) for band, at in {**inside, "middle": middle}.items()}
    shape = {"beta": psf.beta} if psf.kind == "moffat" else {}
    return {"kind": psf.kind, **shape, "wave_middle": middle, "fwhm_arcsec": fwhm}


def library_facts(plan: Plan) -> dict[str, float]:
    """FWHM of the library [Angstrom, rest frame] in the middle of the range that is recorded, and where that is."""
    middle = len(plan.wave) // 2
    fwhm, wave = (float(np.asarray(x)[middle]) for x in (plan.fwhm_template, plan.wave_vacuum))
    return {"fwhm_angstrom": fwhm, "wave_angstrom": wave / (1 + plan.redshift)}
