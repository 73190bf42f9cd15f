"""An SSP library as a network: ln(flux) is a mean plus a few spectra whose coefficients follow age and metallicity."""

import typing
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.nn.network import Network
from galdiff.nn.spectral import principal_components
from galdiff.records import SSPGrid

MOST_ROWS = 1000  # spectra that the components are taken from
ROWS_AT_ONCE = 256  # spectra that are computed together


class Held(nnx.Param):
    """Data that a checkpoint holds, unlike a `Table`, as no file gives them back; `which: ["net.*"]` leaves them be."""


@buildable
@typing.final
class Emulator(nnx.Module):
    """Spectra of simple stellar populations at any age and metallicity inside the library it was trained on.

    Args of the constructor:
      size: (met, age, wave) of the library, the shape of its `ssp_flux`.
      net: from (log10 age/Gyr, log10 Z) to coefficients; its n_out is the number of components.
    """

    def __init__(self, *, size: Sequence[int], net: Network) -> None:
        if len(size) != 3 or net.n_in != 2:
            raise InputError(
                f"emulator: size is {list(size)} and the network takes {net.n_in} drivers; give [met, age, wave] of the"
                " library and n_in: 2, log10 age and log10 Z"
            )
        n_met, n_age, n_wave = self.size = tuple(int(n) for n in size)
        empty = lambda *shape: Held(jnp.zeros(shape, net.dtype))  # noqa: E731
        self.net = net
        self.basis, self.mean = empty(net.n_out, n_wave), empty(n_wave)  # of ln(Lsun/Angstrom/Msun)
        self.wave, self.fwhm, self.lg_age, self.lgmet = empty(n_wave), empty(n_wave), empty(n_age), empty(n_met)

    def coefficients(self, lg_age: Float[ArrayLike, "..."], lgmet: Float[ArrayLike, "..."]) -> Float[Array, "... k"]:
        """Coefficients of the components [1]; ages and metallicities stop at the edges of the library."""
        drivers = (_inside(lg_age, self.lg_age[...]), _inside(lgmet, self.lgmet[...]))
        return self.net(jnp.stack(jnp.broadcast_arrays(*drivers), -1))

    def __call__(self, lg_age: Float[ArrayLike, "..."], lgmet: Float[ArrayLike, "..."]) -> Float[Array, "... wave"]:
        """Luminosity density per Msun formed [Lsun/Angstrom/Msun].

        Args:
          lg_age: log10(age/Gyr).
          lgmet: log10 of the metal mass fraction, of a shape that goes with it.
        """
        return jnp.exp(self.mean[...] + self.coefficients(lg_age, lgmet) @ self.basis[...])


def _inside(x: ArrayLike, nodes: Array) -> Array:
    x = jnp.asarray(x, nodes.dtype)  # unlike jnp.clip this keeps the whole derivative on the edge
    return jnp.where(x < nodes[0], nodes[0], jnp.where(x > nodes[-1], nodes[-1], x))


def is_empty(emulator: Emulator) -> bool:
    """Whether it holds no components yet."""
    return not bool(np.any(np.asarray(emulator.basis[...])))


def with_components(emulator: Emulator, grid: SSPGrid, log_flux: Float[ArrayLike, "sample wave"]) -> Emulator:
    """The same network with the axes of a library and the principal components of spectra.

    Args:
      emulator: of the size of the library.
      grid: the library.
      log_flux: ln of spectra on its wavelengths [Lsun/Angstrom/Msun].

    Raises:
      InputError: the library has another size.
    """
    refuse_other(emulator, grid)
    rows = np.asarray(log_flux)
    rows = rows[:: -(-len(rows) // MOST_ROWS)]
    basis, mean = principal_components(rows, emulator.net.n_out)
    made, dtype = nnx.clone(emulator), emulator.net.dtype
    fields = {"basis": basis, "mean": mean, "wave": grid.ssp_wave, "fwhm": grid.ssp_fwhm}
    for name, value in {**fields, "lg_age": grid.ssp_lg_age_gyr, "lgmet": grid.ssp_lgmet}.items():
        getattr(made, name)[...] = jnp.asarray(value, dtype)
    return made


def refuse_other(emulator: Emulator, grid: SSPGrid) -> None:
    """Raise InputError where a library does not have the size, or the wavelengths, of an emulator."""
    shape = list(np.shape(grid.ssp_flux))
    if list(emulator.size) != shape:
        raise InputError(
            f"emulator: model.size is {list(emulator.size)}, but '{grid.name}' has {shape} (met, age, wave); set"
            f" model.size={str(shape).replace(' ', '')}"
        )
    if not is_empty(emulator) and not np.allclose(emulator.wave[...], grid.ssp_wave, rtol=1e-5):
        raise InputError(f"emulator: its components have other wavelengths than '{grid.name}'; train a new one on that")


def component_coefficients(
    emulator: Emulator, log_flux: Float[ArrayLike, "sample wave"]
) -> Float[np.ndarray, "sample k"]:
    """Coefficients [1] with which the components come closest to ln of spectra."""
    basis = np.asarray(emulator.basis[...], float)
    return (np.asarray(log_flux) - np.asarray(emulator.mean[...], float)) @ basis.T / (basis**2).sum(-1)


def spectra(
    emulator: Emulator, lg_age: Float[ArrayLike, "sample"], lgmet: Float[ArrayLike, "sample"]
) -> Float[np.ndarray, "sample wave"]:
    """Spectra [Lsun/Angstrom/Msun] of many populations, some at a time."""
    run: Any = nnx.jit(lambda model, a, z: model(a, z))
    ages, mets = np.atleast_1d(np.asarray(lg_age)), np.atleast_1d(np.asarray(lgmet))
    pairs = [(ages[i : i + ROWS_AT_ONCE], mets[i : i + ROWS_AT_ONCE]) for i in range(0, len(ages), ROWS_AT_ONCE)]
    return np.concatenate([np.asarray(run(emulator, a, z)) for a, z in pairs])


def emulated_grid(emulator: Emulator, *, name: str, imf: str, medium: str = "vacuum") -> SSPGrid:
    """What an emulator says on the nodes of the library it was trained on, as a library.

    Args:
      emulator: trained.
      name, imf, medium: of the library, see `SSPGrid`.

    Raises:
      InputError: it was never trained.
    """
    if is_empty(emulator):
        raise InputError("emulator: it holds no components; train it (experiment=ssp_emulator), or load a checkpoint")
    lgmet, lg_age = np.meshgrid(emulator.lgmet[...], emulator.lg_age[...], indexing="ij")
    dtype = jax.dtypes.canonicalize_dtype(float)
    axes = [jnp.asarray(x[...], dtype) for x in (emulator.wave, emulator.lg_age, emulator.lgmet, emulator.fwhm)]
    return SSPGrid(
        ssp_wave=axes[0],
        ssp_lg_age_gyr=axes[1],
        ssp_lgmet=axes[2],
        ssp_flux=jnp.asarray(spectra(emulator, lg_age.ravel(), lgmet.ravel()).reshape(emulator.size), dtype),
        ssp_fwhm=axes[3],
        name=name,
        imf=imf,
        medium=medium,
    )
