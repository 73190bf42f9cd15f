"""Parameters of a galaxy population from the counts of its galaxies in magnitude and colours, by gradients.

Data are counts in the bins of a histogram; the model is the expected count, of weighted galaxies that are each spread by
the error of the measurement. The likelihood is that of Poisson, and its curvature gives the uncertainties.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record
from galdiff.core.variables import to_bounded, to_unbounded
from galdiff.errors import InputError
from galdiff.observables.soft_histogram import counting_loss, soft_histogram
from galdiff.populations.branches import BranchedGalaxy, BranchedLight, GrownHaloes, SeenAt

CHUNK = 500  # galaxies whose intermediate values are in memory at a time


class Axis(NamedTuple):
    """One axis of the histogram."""

    name: str
    first: int  # band
    minus: int | None  # band that is taken away for a colour
    edges: np.ndarray  # mag
    error: float  # of one measurement [mag]


@record
class PopulationData:
    """Counts of observed galaxies and what the model of them is made of."""

    counts: Float[Array, "*bins"] = quantity("", "observed galaxies in each bin")
    haloes: GrownHaloes = quantity("", "haloes of the model")
    seen: SeenAt = quantity("", "where they are seen")


def axes_of(names: Sequence[str], bands: Sequence[str], mag: np.ndarray, bins: int, error: float) -> list[Axis]:
    """Axes for magnitudes and colours.

    Args:
      names: a band, or two with a minus between, e.g. r and u-r.
      bands: short names of the passbands; mag: observed magnitudes (galaxy, band) [mag], which set the edges.
      bins: on each axis; error: of each measurement [mag].

    Raises:
      InputError: a band that is not there.
    """
    made = []
    for name in names:
        parts = name.split("-")
        for part in parts:
            if part not in bands or len(parts) > 2:
                known = ", ".join(bands)
                raise InputError(f"axes hold '{name}'; give bands of {known}, or two as in {bands[0]}-{bands[-1]}")
        first, minus = bands.index(parts[0]), bands.index(parts[1]) if len(parts) == 2 else None
        values = mag[:, first] - (0.0 if minus is None else mag[:, minus])
        lo, hi = np.percentile(values, [0.5, 99.5])
        made.append(Axis(name, first, minus, np.linspace(lo - 2 * error, hi + 2 * error, bins + 1), error))
    return made


def values_on(axes: Sequence[Axis], mag: Float[Array, "... band"]) -> list[Float[Array, "..."]]:
    """Magnitude or colour of each axis [mag]."""
    return [mag[..., a.first] - (0.0 if a.minus is None else mag[..., a.minus]) for a in axes]


def expected_counts(galaxies: BranchedGalaxy, axes: Sequence[Axis], n: float) -> Float[Array, "*bins"]:
    """Mean counts of n galaxies of the population; `galaxies` have a leading axis."""
    values = [v.reshape(-1) for v in values_on(axes, galaxies.mag)]
    weight = galaxies.weight.reshape(-1) * (n / galaxies.weight.shape[0])
    return soft_histogram(values, [a.edges for a in axes], [a.error for a in axes], weight)


class PopulationModel:
    """Expected counts as a function of the free parameters.

    Args of the constructor:
      light: the population; axes: of the histogram.
      scales: by the paths of the free parameters, such as galaxies.mean_ulgy_mseq_ytp, a typical step [its unit].

    Raises:
      InputError: a path that is no parameter.
    """

    def __init__(self, light: BranchedLight, axes: Sequence[Axis], scales: Mapping[str, float]) -> None:
        self.axes, self.scales = tuple(axes), dict(scales)
        self.graph, self.state = nnx.split(light)
        self.known = {parameter_name(path): (path, leaf) for path, leaf in self.state.flat_state()}
        odd = [name for name in scales if name not in self.known]
        if odd or not scales:
            raise InputError(
                f"free parameters are {list(scales)}; give one or more of galaxies.* (diffstarpop) and dust.* (diffsky),"
                f" e.g. {sorted(self.known)[0]}"
            )

    def from_physical(self, values: Mapping[str, float]) -> dict[str, Float[Array, ""]]:
        """Scaled, unbounded values [1] of the free parameters; where none is given, that of the population."""
        made = {}
        for name, scale in self.scales.items():
            leaf = self.known[name][1]
            raw = to_unbounded(values[name], leaf.lo, leaf.hi) if name in values else leaf.get_value()
            made[name] = jnp.asarray(raw, leaf.get_value().dtype) / scale
        return made

    def physical(self, params: Mapping[str, Float[ArrayLike, ""]]) -> dict[str, Float[Array, ""]]:
        """Values [their units] of scaled ones, each of shape ()."""
        leaves = {name: self.known[name][1] for name in params}
        return {n: to_bounded(params[n] * self.scales[n], leaf.lo, leaf.hi) for n, leaf in leaves.items()}

    def galaxies(self, params: Mapping[str, Array], haloes: GrownHaloes, seen: SeenAt) -> BranchedGalaxy:
        """Galaxies in haloes with a leading axis, at scaled free parameters."""
        flat = dict(self.state.flat_state())
        for name, value in params.items():
            path, leaf = self.known[name]
            flat[path] = leaf.replace(value * self.scales[name])
        state = nnx.State.from_flat_path(flat)

        @jax.checkpoint
        def one(halo: GrownHaloes) -> BranchedGalaxy:
            return nnx.merge(self.graph, state)(halo, seen)

        return jax.lax.map(one, haloes, batch_size=CHUNK)

    def counts(self, params: Mapping[str, Array], data: PopulationData) -> Float[Array, "*bins"]:
        """Expected counts at scaled free parameters."""
        return expected_counts(self.galaxies(params, data.haloes, data.seen), self.axes, data.counts.sum())

    def loss(self, params: Mapping[str, Array], data: PopulationData) -> Float[Array, ""]:
        """Minus the log likelihood over the number of galaxies [1], zero where model and data agree."""
        return counting_loss(self.counts(params, data), data.counts, data.counts.sum())


def parameter_name(path: tuple) -> str:
    """Path of a parameter as users write it: galaxies.mean_ulgy_mseq_ytp."""
    return ".".join(str(part) for part in path if part not in ("numbers", "parameters"))


def uncertainties(
    model: PopulationModel, params: Mapping[str, Float[Array, ""]], data: PopulationData
) -> dict[str, float]:
    """Standard deviations of the free parameters [their units] from the curvature of the Poisson likelihood.

    The Fisher matrix sums d mu/d p d mu/d q / mu over the bins; infinite where data do not constrain a direction.
    """
    slopes = jax.jit(jax.jacfwd(model.counts))(dict(params), data)
    to_unit = jax.jacfwd(model.physical)(dict(params))
    names = list(params)
    columns = np.stack([np.asarray(slopes[n], float).ravel() / float(to_unit[n][n]) for n in names], -1)
    mu = np.asarray(jax.jit(model.counts)(dict(params), data), float).ravel()
    filled = mu > 1e-6 * mu.sum() / mu.size
    fisher = (columns[filled] / mu[filled, None]).T @ columns[filled]
    scale = np.sqrt(np.maximum(np.diag(fisher), 1e-300))
    try:
        inverse = np.linalg.inv(fisher / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        inverse = np.full_like(fisher, np.inf)
    variance = np.diag(inverse) / scale**2
    return {n: float(np.sqrt(v)) if v > 0 else float("inf") for n, v in zip(names, variance, strict=True)}


def draw_mock(
    galaxies: BranchedGalaxy, axes: Sequence[Axis], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One branch of each galaxy by chance, measured with errors.

    Args:
      galaxies: both branches, with a leading axis; axes: what is measured, with its error; rng: random numbers.

    Returns:
      Measured values (galaxy, axis) [mag] and whether the galaxy is quenched (galaxy,).
    """
    weight = np.asarray(galaxies.weight, float)
    quenched = rng.uniform(size=weight.shape[0]) < weight[:, 1]
    mag = np.asarray(galaxies.mag, float)[np.arange(weight.shape[0]), quenched.astype(int)]
    true = np.stack([np.asarray(v) for v in values_on(axes, mag)], -1)
    return true + rng.normal(size=true.shape) * np.array([a.error for a in axes]), quenched
