"""Line spread function: the width the spectrograph adds to templates that are not infinitely sharp.

All widths are Gaussian: sigma = FWHM / 2.354820, and variances subtract.
"""

import warnings

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from galdiff.ifu.instrument import Instrument
from galdiff.ifu.spread_functions import lsf_fwhm
from galdiff.units import FWHM_PER_SIGMA


def fwhm_instrument(
    instr: Instrument, wave: Float[Array, "wave"], scale: Float[ArrayLike, ""] = 1.0
) -> Float[Array, "wave"]:
    """FWHM of the instrument [Angstrom].

    Args:
      instr: gives the line spread function.
      wave: observed wavelength [Angstrom]; air or vacuum makes a difference below 1e-3 of the width.
      scale: factor on the FWHM [1]; may be trained.
    """
    return scale * lsf_fwhm(instr.lsf, jnp.asarray(wave), jnp)


def added_sigma(
    wave: Float[Array, "wave"],
    fwhm_inst: Float[Array, "wave"],
    fwhm_template: Float[Array, "wave"],
    redshift: Float[ArrayLike, ""],
) -> tuple[Float[Array, "wave"], Bool[Array, "wave"]]:
    """Variance that turns redshifted templates into what the instrument sees; physics of Cappellari 2017, sec. 2.2.

    Args:
      wave: observed wavelength [Angstrom]; only its shape is used.
      fwhm_inst: FWHM of the instrument at `wave` [Angstrom].
      fwhm_template: rest-frame FWHM of the templates [Angstrom], at wave / (1 + redshift).
      redshift: redshift of the galaxy [1].

    Returns:
      Variance of the Gaussian to add [Angstrom^2], observed frame, never negative; and where it would have been
      negative: there the mock is broader than the instrument, and its gradient is zero.
    """
    sigma2 = (fwhm_inst**2 - ((1.0 + redshift) * fwhm_template) ** 2) / FWHM_PER_SIGMA**2
    sigma2 = jnp.broadcast_to(sigma2, jnp.shape(wave))
    deficient = sigma2 < 0.0
    return jnp.where(deficient, 0.0, sigma2), deficient


def warn_deficient(wave: ArrayLike, mask: ArrayLike) -> None:
    """Warn, once, where templates are broader than the instrument, so that the cube is less sharp than real data.

    Args:
      wave: observed wavelength [Angstrom], shape (wave,), concrete.
      mask: where the LSF could not be reached, as `added_sigma` returns it, concrete.
    """
    wave, mask = np.asarray(wave), np.asarray(mask, bool)
    if not mask.any():
        return
    steps = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    ranges = [f"{wave[a]:.0f}-{wave[b - 1]:.0f}" for a, b in zip(steps[::2], steps[1::2], strict=True)]
    shown = ", ".join(ranges[:5]) + (f" and {len(ranges) - 5} more ranges" if len(ranges) > 5 else "")
    warnings.warn(
        f"templates are broader than the instrument at {shown} Angstrom ({100 * mask.mean():.0f} % of the pixels):"
        " no LSF is added there and the cube is less sharp than real data; use sharper templates",
        stacklevel=2,
    )
