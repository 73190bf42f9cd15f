"""Doublets whose ratio tells the density of the gas: the fits of Sanders et al. (2016, ApJ 816, 23), section 3.3."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.nebular.lines import NAMES


class Doublet(NamedTuple):
    """Two lines whose ratio is a (b + n) / (c + n) at a density n [cm^-3] of electrons; b, c [cm^-3]; eqs. 6 and 7."""

    low: str
    high: str
    a: float
    b: float
    c: float


# `low` is suppressed at high density
DOUBLETS = (
    Doublet("[OII]3729", "[OII]3726", a=0.3771, b=2468.0, c=638.4),
    Doublet("[SII]6716", "[SII]6731", a=0.4315, b=2107.0, c=627.1),
)
LOW, HIGH = (np.array([NAMES.index(name) for name in names]) for names in list(zip(*DOUBLETS, strict=True))[:2])


def ratios(log10_density: Float[ArrayLike, ""]) -> Float[Array, "doublet"]:
    """Ratios [1] of the two lines of each of `DOUBLETS`, at 1e4 K; fits between about 10 and 5000 cm^-3.

    Args:
      log10_density: of electrons [dex(cm^-3)].
    """
    density = 10 ** jnp.asarray(log10_density)
    a, b, c = (np.array(column, density.dtype) for column in list(zip(*DOUBLETS, strict=True))[2:])
    return a * (b + density) / (c + density)


def at_density(lum: Float[Array, "*node line"], log10_density: Float[ArrayLike, ""]) -> Float[Array, "*node line"]:
    """Luminosities of lines with the doublets shared anew; the sum of each stays.

    Args:
      lum: luminosities of `galdiff.nebular.lines.LINES` [any unit].
      log10_density: of electrons [dex(cm^-3)].
    """
    ratio = ratios(log10_density).astype(lum.dtype)
    both = lum[..., LOW] + lum[..., HIGH]
    return lum.at[..., LOW].set(both * ratio / (1 + ratio)).at[..., HIGH].set(both / (1 + ratio))
