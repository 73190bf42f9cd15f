"""The line spread function that recorded spectra have: of the instrument, or of the library where that is broader."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.ifu.plan import Plan
from galdiff.ifu.spectrograph import line_spread, lsf_correction_of
from galdiff.units import FWHM_PER_SIGMA


def library_fwhm(plan: Plan) -> np.ndarray:
    """FWHM of the library [Angstrom], observed frame, shape (wave,)."""
    return (1 + plan.redshift) * plan.fwhm_template


def recorded_fwhm(plan: Plan, *, lsf_scale: float, lsf_correction: Any = None, **others: Any) -> np.ndarray:
    """FWHM of a sharp line in the cube, before it is integrated over the pixel [Angstrom], shape (wave,).

    It is the sum, by variances, of what the library has and what the spectrograph adds to it.

    Args:
      plan: the observation.
      lsf_scale: factor on the instrument's FWHM.
      lsf_correction: of that FWHM along the wavelength, see `galdiff.ifu.spectrograph.LSF_HOOK`.
      others: arguments of a spectrograph that play no part.
    """
    dtype = jnp.result_type(float)
    scale, redshift = jnp.asarray(lsf_scale, dtype), jnp.asarray(plan.redshift, dtype)
    added = jax.jit(lambda s, z: line_spread(plan, s, z, lsf_correction_of(lsf_correction)))(scale, redshift)
    return np.hypot(np.asarray(added, np.float64) * FWHM_PER_SIGMA, library_fwhm(plan))
