"""Libraries of several [alpha/Fe] as one, whose light is a smooth function of it."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.imf import Imf
from galdiff.records import SSPGrid
from galdiff.sps.library import load_ssp

AXES = ("ssp_wave", "ssp_lg_age_gyr", "ssp_lgmet")
DARK = 1e-30  # Lsun/Angstrom/Msun, where a ratio says nothing


@buildable(reads=True)
def load_alpha(
    paths: Sequence[str | pathlib.Path], *, alpha_fe: Sequence[float], run_imf: Imf | None = None, **options: Any
) -> SSPGrid:
    """Open SSP libraries that differ in [alpha/Fe] alone, such as the folders of MILES with and without enhancement.

    Args:
      paths: a file or folder for each.
      alpha_fe: [alpha/Fe] of the stars of each [dex].
      run_imf: mass function of the run; a library that states another one warns.
      **options: of all, as `load_ssp` takes them.

    Returns:
      As of `joined`.

    Raises:
      InputError: what `load_ssp` or `joined` finds wrong.
    """
    if isinstance(paths, str) or len(paths) != len(alpha_fe):
        raise InputError(
            f"ssp.paths is {paths}, ssp.alpha_fe is {list(alpha_fe)}; give a list of paths and the [alpha/Fe] of each"
        )
    return joined([load_ssp(path, run_imf=run_imf, **options) for path in paths], alpha_fe)


def joined(libraries: Sequence[SSPGrid], alpha_fe: Sequence[float]) -> SSPGrid:
    """One library of several on the same nodes.

    Args:
      libraries: two or more.
      alpha_fe: [alpha/Fe] of the stars of each [dex].

    Returns:
      The library whose [alpha/Fe] is nearest to that of the sun, with what the others are to it.

    Raises:
      InputError: fewer than two, equal [alpha/Fe], or nodes or wavelengths that differ.
    """
    values = np.asarray(alpha_fe, float)
    if values.size < 2 or np.unique(values).size < values.size or not np.isfinite(values).all():
        raise InputError(f"ssp.alpha_fe is {values.tolist()} dex; give two or more different values, such as [0,0.4]")
    order = np.argsort(values)
    base = libraries[int(np.argmin(np.abs(values)))]
    for other in libraries:
        for name in AXES:
            mine, its = (np.asarray(getattr(grid, name), float) for grid in (base, other))
            if mine.shape != its.shape or not np.allclose(mine, its, rtol=1e-6, atol=1e-4):
                raise InputError(
                    f"SSP libraries of several [alpha/Fe] differ in {name} ('{base.name}' and '{other.name}'); give"
                    " libraries on the same metallicities, ages and wavelengths"
                )
    ln_flux = [np.log(np.maximum(np.asarray(libraries[i].ssp_flux, float), DARK)) for i in order]
    response: Any = np.stack(ln_flux) - ln_flux[int(np.argmin(np.abs(values[order])))]
    nodes: Any = values[order]
    return dataclasses.replace(base, alpha_fe=nodes, alpha_response=response.astype(np.asarray(base.ssp_flux).dtype))


def alpha_factor(library: SSPGrid, alpha_fe: Float[ArrayLike, ""]) -> Float[Array, "met age wave"]:
    """What stars of an [alpha/Fe] [dex] shine over `library.ssp_flux` [1].

    The logarithm is the polynomial through all nodes of the library, held beyond the first and the last.

    Raises:
      InputError: the library has one [alpha/Fe] only.
    """
    nodes, response = _axis(library)
    at = jnp.asarray(alpha_fe, response.dtype)
    nodes = nodes.astype(at.dtype)
    at = jnp.where(at < nodes[0], nodes[0], jnp.where(at > nodes[-1], nodes[-1], at))
    others = [jnp.delete(nodes, i) for i in range(nodes.size)]
    weights = jnp.stack([jnp.prod((at - other) / (nodes[i] - other)) for i, other in enumerate(others)])
    return jnp.exp(jnp.tensordot(weights, response, 1))


def check_alpha(library: SSPGrid, alpha_fe: float) -> None:
    """Refuse stars of an [alpha/Fe] [dex] that a library has not; not traced.

    Raises:
      InputError: naming what it has.
    """
    nodes = np.asarray(_axis(library)[0], float)
    if not nodes[0] - 1e-6 <= alpha_fe <= nodes[-1] + 1e-6:
        raise InputError(
            f"alpha_fe is {alpha_fe:g} dex, but the SSP library '{library.name}' holds {nodes[0]:g} to {nodes[-1]:g};"
            " give one of these"
        )


def _axis(library: SSPGrid) -> tuple[Array, Array]:
    """[alpha/Fe] of a library, and its response."""
    if library.alpha_fe is None or library.alpha_response is None:
        raise InputError(
            f"alpha_fe is given, but the SSP library '{library.name}' holds stars of one [alpha/Fe]; leave it out"
            " (alpha_fe=null), or give libraries of several: ssp=alpha ssp.paths=[solar,enhanced] ssp.alpha_fe=[0,0.4]"
        )
    return jnp.asarray(library.alpha_fe), jnp.asarray(library.alpha_response)
