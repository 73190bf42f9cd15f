"""Magnitudes against Vega, for passbands whose zero points are published."""

import numpy as np
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.photometry.magnitudes import Magnitudes

# m(AB) - m(Vega) [mag]: Blanton & Roweis (2007, AJ 133, 734, table 1); WISE: Jarrett et al. (2011, ApJ 735, 112)
AB_MINUS_VEGA = {
    **{"bessell-U": 0.79, "bessell-B": -0.09, "bessell-V": 0.02, "bessell-R": 0.21, "bessell-I": 0.45},
    **{"sdss2010-u": 0.91, "sdss2010-g": -0.08, "sdss2010-r": 0.16, "sdss2010-i": 0.37, "sdss2010-z": 0.54},
    **{"twomass-J": 0.91, "twomass-H": 1.39, "twomass-Ks": 1.85},
    **{"wise2010-W1": 2.699, "wise2010-W2": 3.339, "wise2010-W3": 5.174, "wise2010-W4": 6.620},
}


def vega_magnitudes(magnitudes: Magnitudes) -> Float[Array, "band"]:
    """Magnitudes against Vega [mag(Vega)], shape (band,), from those of the AB system.

    Raises:
      InputError: a passband whose zero point is not in the table.
    """
    unknown = [name for name in magnitudes.names if name not in AB_MINUS_VEGA]
    if unknown or not magnitudes.names:
        raise InputError(
            f"passband {unknown[0] if unknown else 'without a name'} has no published zero point of Vega here; known"
            f" are {', '.join(AB_MINUS_VEGA)}"
        )
    offsets = np.array([AB_MINUS_VEGA[name] for name in magnitudes.names])
    return magnitudes.mag - offsets.astype(magnitudes.mag.dtype)
