"""Continuum of photoionised hydrogen and helium, per ionising photon: free-free, free-bound and two-photon light.

Case B: every ionising photon gives one recombination of hydrogen to an excited level, n_e n_p V = Q / alpha_B. Light of
the free-bound kind follows from Kramers cross sections with Gaunt factors (as in Brown & Mathews 1970, ApJ 160, 939),
summed over levels; that of He+ is hydrogenic, with the thresholds of the four terms of n = 2. Light is counted for 1e47
photons/s, so that single precision holds it. Right to some 10 per cent; He++ and collisions of dense gas are left out.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff import units

LYMAN = 911.76  # Angstrom, Lyman limit of hydrogen
LYMAN_ALPHA = 1215.67  # Angstrom
LOG10_PHOTONS = 47.0  # what light is counted for [dex(photon/s)]
LEVELS = 40  # highest level with an edge of its own
HELIUM_EDGES = ((2600.3, 3), (3121.4, 1), (3421.9, 9), (3679.9, 3))  # 2 3S, 2 1S, 2 3P, 2 1P [Angstrom], weights of 16
ALPHA_B = 2.54e-13  # cm3/s at 1e4 K, Draine (2011, Physics of the Interstellar and Intergalactic Medium), eq. 14.6
TWO_PHOTON_SHARE = 0.324  # of recombinations that pass 2 2S at 1e4 K, Osterbrock & Ferland (2006), section 4.3
TWO_PHOTON_RATE = 8.2249  # 1/s, Nussbaumer & Schmutz (1984, A&A 138, 495)
FREE_FREE = 6.8e-38  # erg cm3/s/Hz K^(1/2), Rybicki & Lightman (1979), eq. 5.14a

_M, _C, _K = 9.1093837e-28, units.C_KMS * 1e5, units.BOLTZMANN_ERG_K  # g, cm/s, erg/K
_H = units.HC_ERG_ANGSTROM / (_C * 1e8)  # erg s
KRAMERS = 7.907e-18  # cm2 at the threshold of n = 1, Osterbrock & Ferland (2006), appendix 5
# erg cm3/s/Hz of recombination to n = 1 at 1e4 K and its threshold, by the Milne relation
FREE_BOUND = (
    (8 * math.pi * KRAMERS * _H / _C**2) * (_H * (_C * 1e8 / LYMAN) / _M) ** 3 * (_M / (2 * math.pi * _K * 1e4)) ** 1.5
)
# From erg/Hz per photon to Lsun Angstrom per PHOTONS photons/s
_SCALE = 10**LOG10_PHOTONS / units.LSUN_ERG_S * units.C_KMS * 1e13


def recombination(t4: Float[Array, "t"]) -> Float[Array, "t"]:
    """Case-B recombination coefficient of hydrogen over that at 1e4 K [1], t4 in 1e4 K; Draine (2011), eq. 14.6."""
    return jnp.exp((-0.8163 - 0.0208 * jnp.log(t4)) * jnp.log(t4))


def bound_free_gaunt(level: Float[Array, "*n"], energy: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Gaunt factor of hydrogen [1], Seaton (1959, MNRAS 119, 81): of a level and the energy above its edge [Rydberg].

    An expansion, which is right to 3 per cent at the edges and is kept above 0.5 far beyond them, where little shines.
    """
    u = level**2 * energy
    base = level ** (-2 / 3) * (u + 1) ** (-2 / 3)
    gaunt = 1 + 0.1728 * base * (u - 1) - 0.0496 * base**2 * (u**2 + 4 / 3 * u + 1)
    return jnp.maximum(gaunt, 0.5)


def free_free_gaunt(wave: Float[Array, "wave"], t4: Float[Array, "t 1"]) -> Float[Array, "t wave"]:
    """Gaunt factor of free-free light [1], Draine (2011), eq. 10.9, at wavelengths [Angstrom] and 1e4 K."""
    ghz = units.C_KMS * 1e4 / wave
    log = 5.960 - math.sqrt(3) / math.pi * (jnp.log(ghz) - 1.5 * jnp.log(t4))
    return jnp.logaddexp(log, 1.0)  # ln(e^log + e)


def edges(wave: Float[Array, "wave"], helium: bool) -> tuple[Float[Array, "edge"], Float[Array, "edge wave"]]:
    """Edges of free-bound light [Angstrom], and n^-3 times the Gaunt factor below each [1], zero above it."""
    first = HELIUM_EDGES if helium else ((4 * LYMAN, 16),)
    levels = np.array([2.0] * len(first) + list(range(3, LEVELS + 1)))
    share = np.array([weight / 16 for _, weight in first] + [1.0] * (LEVELS - 2))
    at = np.array([edge for edge, _ in first] + [n**2 * LYMAN for n in range(3, LEVELS + 1)])
    level, edge = (jnp.asarray(values, wave.dtype)[:, None] for values in (levels, at))
    below = wave <= edge
    energy = jnp.where(below, LYMAN / wave - LYMAN / edge, 0.0)
    strength = jnp.asarray(share / levels**3, wave.dtype)[:, None] * bound_free_gaunt(level, energy)
    return edge[:, 0], jnp.where(below, strength, 0.0)


def recombination_light(
    wave: Float[Array, "wave"], t4: Float[Array, "t"], helium: bool = False
) -> Float[Array, "t wave"]:
    """Free-free and free-bound light of H+, or of as many He+ [Lsun/Angstrom per 1e47 ionising photons/s].

    Args:
      wave: vacuum wavelength [Angstrom]; nothing is made below the Lyman limit, where gas takes it up again.
      t4: electron temperature [1e4 K].
    """
    edge, strength = edges(wave, helium)
    t4 = t4[:, None]
    per_kt = units.HC_K_ANGSTROM / 1e4 / t4
    bound = (FREE_BOUND / ALPHA_B * _SCALE) * t4**-1.5 * (jnp.exp(per_kt / edge) @ strength)
    free = (FREE_FREE / 100 / ALPHA_B * _SCALE) * t4**-0.5 * free_free_gaunt(wave, t4)
    light = (bound + free) * jnp.exp(-per_kt / wave) / recombination(t4) / wave**2
    return jnp.where(wave > LYMAN, light, 0.0)


def two_photon_light(wave: Float[Array, "wave"], t4: Float[Array, "t"]) -> Float[Array, "t wave"]:
    """Two-photon light of hydrogen [Lsun/Angstrom per 1e47 ionising photons/s], Nussbaumer & Schmutz (1984), eq. 2.

    Args:
      wave: vacuum wavelength [Angstrom]; none below Lyman-alpha.
      t4: electron temperature [1e4 K].
    """
    y = LYMAN_ALPHA / wave
    inside = (y < 1 - 1e-6) & (y > 1e-6)
    y = jnp.where(inside, y, 0.5)
    w = y * (1 - y)
    rate = 202.0 * (w * (1 - (4 * w) ** 0.8) + 0.88 * w**1.53 * (4 * w) ** 0.8)  # 1/s per unit of y
    share = TWO_PHOTON_SHARE * t4[:, None] ** 0.108  # 0.304, 0.324 and 0.353 at 5000, 1e4 and 2e4 K
    return share * jnp.where(inside, (_H * _SCALE / TWO_PHOTON_RATE) * y * rate / wave**2, 0.0)
