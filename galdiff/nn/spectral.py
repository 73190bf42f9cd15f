"""Networks for spectra: a convolution over wavelength, and coefficients of a fixed basis."""

import itertools
import typing
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.variables import table
from galdiff.errors import InputError
from galdiff.nn.mlp import Layers
from galdiff.nn.network import Network, activation_of, whole, widths_of


@typing.final
class SpectralConvolution(Network):
    """From a spectrum to a number for each of its pixels, which looks at the neighbours only.

    n_in = n_out = pixels of equal width (in wavelength or its log). Ends are continued by their last pixel.
    """

    def __init__(
        self,
        *,
        n_wave: int,
        channels: Sequence[int] = (8, 8),
        kernel: int = 7,
        activation: str = "gelu",
        offset: float = 0.0,
        scale: float = 1.0,
        dtype: str | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self._declare(n_wave, n_wave, offset, scale, dtype)
        if whole(kernel, "kernel") % 2 == 0:
            raise InputError(f"kernel is {kernel} pixels; give an odd number, so that it has a middle")
        widths, self.kernel, self.activation = (1, *widths_of(channels), 1), kernel, activation_of(activation)
        zero, start = nnx.initializers.zeros_init(), nnx.initializers.lecun_normal()
        made, last = jnp.dtype(self.dtype), len(widths) - 2
        self.layers = nnx.List(
            [
                nnx.Conv(
                    *(a, b, (kernel,)),
                    padding="VALID",
                    kernel_init=zero if i == last else start,
                    dtype=made,
                    param_dtype=made,
                    rngs=rngs,
                )
                for i, (a, b) in enumerate(itertools.pairwise(widths))
            ]
        )

    def __call__(self, drivers: Float[Array, "... wave"]) -> Float[Array, "... wave"]:
        """A number for each pixel."""
        spectra = self.scaled(drivers)
        x, half = spectra.reshape(-1, self.n_in, 1), self.kernel // 2
        for i, layer in enumerate(self.layers):
            x = self.activation(x) if i else x
            x = layer(jnp.pad(x, ((0, 0), (half, half), (0, 0)), mode="edge"))
        return x.reshape(spectra.shape)


@typing.final
class BasisNetwork(Network):
    """From drivers to a spectrum: an MLP gives the coefficients of fixed rows, as those of `principal_components`."""

    def __init__(
        self,
        *,
        n_in: int,
        basis: Float[ArrayLike, "component wave"],
        mean: Float[ArrayLike, "wave"] | None = None,
        hidden: Sequence[int] = (64, 64),
        activation: str = "gelu",
        offset: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        dtype: str | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        rows = np.asarray(basis)
        if rows.ndim != 2 or (mean is not None and np.asarray(mean).shape != rows.shape[1:]):
            given = None if mean is None else np.asarray(mean).shape
            raise InputError(f"basis has the shape {rows.shape}, mean {given}; give (component, wave) and (wave,)")
        self._declare(n_in, rows.shape[1], offset, scale, dtype)
        self.basis = table(rows, self.dtype)
        self.mean = table(np.zeros(rows.shape[1]) if mean is None else mean, self.dtype)  # what comes out at the start
        widths = (n_in, *widths_of(hidden), rows.shape[0])
        self.layers = Layers(widths, activation=activation, dtype=self.dtype, rngs=rngs)

    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... wave"]:
        """mean + coefficients @ basis."""
        return self.layers(self.scaled(drivers)) @ self.basis[...] + self.mean[...]


def principal_components(
    samples: Float[ArrayLike, "sample wave"], n: int
) -> tuple[Float[np.ndarray, "component wave"], Float[np.ndarray, "wave"]]:
    """Basis and mean of samples: the n leading components, each times its deviation in the samples [unit of those]."""
    rows = np.asarray(samples, np.float64)
    if rows.ndim != 2 or not 1 <= n <= min(rows.shape):
        raise InputError(
            f"samples have the shape {rows.shape} and n is {n}; give (sample, wave) and n up to the smaller"
        )
    mean = rows.mean(0)
    _, size, axes = np.linalg.svd(rows - mean, full_matrices=False)
    return size[:n, None] * axes[:n] / np.sqrt(len(rows)), mean
