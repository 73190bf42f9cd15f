"""Power law: ln gain = a + sum b_i x_i (+ sum c_ij x_i x_j). Any network can be distilled into one, and read."""

import typing
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from galdiff.errors import InputError
from galdiff.nn.network import Network


@typing.final
class PowerLaw(Network):
    """Linear, or quadratic, in its scaled drivers; with drivers that are logarithms the gain is a power law."""

    def __init__(
        self,
        *,
        n_in: int,
        n_out: int,
        quadratic: bool = False,
        offset: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        dtype: str | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        del rngs  # nothing is drawn; taken as every network takes it
        self._declare(n_in, n_out, offset, scale, dtype)
        self.quadratic = quadratic
        self.terms = nnx.Param(jnp.zeros((len(_powers(n_in, quadratic)), n_out), self.dtype))

    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """ln gain for these drivers."""
        x = self.scaled(drivers)
        return _features(x, self.quadratic, jnp) @ self.terms[...]

    def formula(self, names: Sequence[str], outputs: Sequence[str] | None = None, digits: int = 3) -> str:
        """The law as text, one line for each output.

        Args:
          names: of the drivers.
          outputs: of the outputs; `gain_0` and so on by default.
          digits: significant digits of the numbers.

        Returns:
          Lines such as `ln eta_mass = 0.5 - 1.2 lg_v + 0.1 lg_v^2`, with (name - offset)/scale for scaled drivers.
        """
        outputs = [f"gain_{i}" for i in range(self.n_out)] if outputs is None else outputs
        if len(names) != self.n_in or len(outputs) != self.n_out:
            raise InputError(
                f"the law has {self.n_in} drivers and {self.n_out} outputs; {len(names)} and {len(outputs)} names came"
            )
        shown = [_scaled_name(*each) for each in zip(names, self.offset, self.scale, strict=True)]
        products = [_product([shown[i] for i in power]) for power in _powers(self.n_in, self.quadratic)]
        table = np.asarray(self.terms[...]).T
        return "\n".join(f"ln {o} = {_sum(row, products, digits)}" for o, row in zip(outputs, table, strict=True))


def distil(
    net: Callable,
    drivers: Float[ArrayLike, "sample n_in"],
    *,
    quadratic: bool = False,
    offset: float | Sequence[float] = 0.0,
    scale: float | Sequence[float] = 1.0,
) -> tuple[PowerLaw, Float[np.ndarray, "n_out"]]:
    """The power law closest to a network, by least squares over given drivers.

    Args:
      net: from drivers to ln gain. For what a `LogGain` applies: lambda x: bound * tanh(net(x) / bound).
      drivers: where they shall agree, as in the data the network was trained on.
      quadratic, offset, scale: of the law.

    Returns:
      The law, and the rms of what it misses, for each output [1, of ln gain].

    Raises:
      InputError: the drivers are too few, or too alike, to tell the terms apart.
    """
    if np.ndim(drivers) != 2:
        raise InputError(f"drivers have the shape {np.shape(drivers)}; give two axes, sample and driver")
    target = np.asarray(net(jnp.asarray(drivers)), np.float64)
    law = PowerLaw(n_in=np.shape(drivers)[1], n_out=target.shape[-1], quadratic=quadratic, offset=offset, scale=scale)
    x = (np.asarray(drivers, np.float64) - law.offset) / law.scale
    features = _features(x, quadratic, np)
    terms, _, rank, _ = np.linalg.lstsq(features, target)
    if rank < features.shape[1]:
        raise InputError(
            f"{len(x)} samples of the drivers tell only {rank} of {features.shape[1]} terms apart; give more, or more"
            " varied ones, or quadratic=False"
        )
    law.terms.set_value(jnp.asarray(terms, law.dtype))
    return law, np.sqrt(np.mean((features @ terms - target) ** 2, 0))


def _powers(n_in: int, quadratic: bool) -> list[tuple[int, ...]]:
    """Drivers multiplied in each term: (), (i,), and (i, j) with i <= j."""
    pairs = [(i, j) for i in range(n_in) for j in range(i, n_in)] if quadratic else []
    return [(), *((i,) for i in range(n_in)), *pairs]


def _features(x: typing.Any, quadratic: bool, xp: typing.Any) -> typing.Any:
    """Value of each term, on the last axis."""
    parts = [xp.ones_like(x[..., :1]), x]
    if quadratic:
        i, j = np.triu_indices(x.shape[-1])
        parts.append(x[..., i] * x[..., j])
    return xp.concatenate(parts, -1)


def _scaled_name(name: str, offset: float, scale: float) -> str:
    shifted = name if offset == 0 else f"({name} {'-' if offset > 0 else '+'} {abs(offset):g})"
    return shifted if scale == 1 else f"({shifted}/{scale:g})"


def _product(names: list[str]) -> str:
    return f" {names[0]}^2" if len(names) == 2 and names[0] == names[1] else "".join(f" {name}" for name in names)


def _sum(row: np.ndarray, products: list[str], digits: int) -> str:
    """Terms that are not zero, with their signs."""
    text = ""
    for value, product in zip(row, products, strict=True):
        if value != 0:
            sign = ("-" if value < 0 else "") if not text else (" - " if value < 0 else " + ")
            text += f"{sign}{abs(value):.{digits}g}{product}"
    return text or "0"
