"""Mean concentration of NFW haloes as published fits in mass and redshift."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.fitted import Range, Ranges
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError

# A, B, C of their table 1, NFW, full sample, redshift 0 to 2
_DUFFY = {"bn98": (7.85, -0.081, -0.71), "200c": (5.71, -0.084, -0.47), "200m": (10.14, -0.081, -1.01)}
# a = a0 + (a1 - a0) exp(a2 z^a3), b = b0 + b1 z: their eqs. 10-13
_DUTTON = {
    "bn98": (0.537, 1.025, -0.718, 1.08, -0.097, 0.024),
    "200c": (0.520, 0.905, -0.617, 1.21, -0.101, 0.026),
}
MODELS = {"duffy08": tuple(_DUFFY), "dutton14": tuple(_DUTTON)}
# Masses there are in Msun/h, of the cosmologies of their simulations: h = 0.719 (WMAP5) and 0.671 (Planck).
FITTED: dict[str, Ranges] = {
    "duffy08": (
        Range("m_vir", "Msun", 1e11 / 0.719, 1e15 / 0.719, "Duffy et al. 2008, MNRAS 390, L64"),
        Range("redshift", "", 0.0, 2.0, "Duffy et al. 2008, MNRAS 390, L64"),
    ),
    "dutton14": (
        Range("m_vir", "Msun", 1e10 / 0.671, 1e15 / 0.671, "Dutton & Maccio 2014, MNRAS 441, 3359"),
        Range("redshift", "", 0.0, 5.0, "Dutton & Maccio 2014, MNRAS 441, 3359"),
    ),
}
_DUTTON_LAST_REDSHIFT = 5.0  # of the fit; its slope would turn positive beyond 4


def check_concentration(model: str, definition: str) -> None:
    """Raise InputError unless the model exists (duffy08, dutton14) and knows the halo definition."""
    if model not in MODELS:
        raise InputError(f"concentration model is '{model}'; choose one of {', '.join(MODELS)}")
    if definition not in MODELS[model]:
        raise InputError(
            f"concentration model {model} has no fit for the halo definition '{definition}'; it knows"
            f" {', '.join(MODELS[model])}"
        )


def duffy08(
    mass: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."], h: float | Array, definition: str = "bn98"
) -> Float[Array, "..."]:
    """Concentration of Duffy et al. (2008, MNRAS 390, L64), full sample: A (M / 2e12 Msun/h)^B (1+z)^C.

    Args:
      mass: halo mass of the definition [Msun]; fitted on 1e11-1e15 Msun/h and redshift 0-2, used beyond.
      redshift: redshift [1]; broadcasts with mass.
      h: Hubble constant [100 km/s/Mpc].
      definition: bn98, 200c or 200m.

    Returns:
      Concentration [1], shape of mass and redshift together.
    """
    check_concentration("duffy08", definition)
    a, b, c = _DUFFY[definition]
    return a * (jnp.asarray(mass) * (h / 2e12)) ** b * (1 + jnp.asarray(redshift)) ** c


def dutton14(
    mass: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."], h: float | Array, definition: str = "bn98"
) -> Float[Array, "..."]:
    """Concentration of Dutton & Maccio (2014, MNRAS 441, 3359) for the Planck cosmology, eqs. 7 and 10-13.

    Args:
      mass: halo mass of the definition [Msun]; fitted on 1e10-1e15 Msun/h, used beyond.
      redshift: redshift [1]; fitted on 0-5, and held at 5 beyond: there the slope in mass would run away.
      h: Hubble constant [100 km/s/Mpc].
      definition: bn98 or 200c.

    Returns:
      Concentration [1], shape of both together: log10 c = a + b log10(M / 1e12 Msun/h).
    """
    check_concentration("dutton14", definition)
    a0, a1, a2, a3, b0, b1 = _DUTTON[definition]
    z = jnp.asarray(redshift)
    z = jnp.where(z > 0, jnp.minimum(z, _DUTTON_LAST_REDSHIFT), 0.0)  # round-off may put today below 0
    a = a0 + (a1 - a0) * jnp.exp(a2 * jnp.where(z > 0, z, 1.0) ** a3 * (z > 0))
    return 10 ** (a + (b0 + b1 * z) * jnp.log10(jnp.asarray(mass) * (h / 1e12)))


def concentration(
    mass: Float[ArrayLike, "..."],
    redshift: Float[ArrayLike, "..."],
    cosmology: Cosmology,
    model: str = "dutton14",
    definition: str = "bn98",
) -> Float[Array, "..."]:
    """Mean concentration [1] of the named model, duffy08 or dutton14; mass [Msun] and redshift broadcast.

    Raises:
      InputError: for an unknown model, or a definition it has no fit for.
    """
    check_concentration(model, definition)
    fit = duffy08 if model == "duffy08" else dutton14
    return fit(mass, redshift, cosmology.h0 / 100, definition)
