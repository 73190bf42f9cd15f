"""Parameters of a galaxy population from the counts of its galaxies in magnitude and colours, by gradients.

Data are counts in the bins of a histogram; the model is the expected count, of weighted galaxies that are each spread
by the error of the measurement. The likelihood is that of Poisson, and its curvature gives the uncertainties.
"""

from collections.abc import Callable, Mapping, Sequence
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

SETTLED = 1e-3  # change of the log likelihood at which a fit ends
LONGEST = 3.0  # of a step, in the scales of the parameters
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
    galaxies: Float[Array, ""] = quantity("", "observed galaxies, those outside all bins too")
    haloes: GrownHaloes = quantity("", "haloes of the model")
    seen: SeenAt = quantity("", "where they are seen")


def axes_of(names: Sequence[str], bands: Sequence[str], mag: np.ndarray, bins: int, error: float) -> list[Axis]:
    """Axes for magnitudes and colours.

    Args:
      names: a band, or two with a minus between, e.g. r and u-r.
      bands: short names of the passbands.
      mag: observed magnitudes [mag], shape (galaxy, band), which set the edges.
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


def expected_counts(galaxies: BranchedGalaxy, axes: Sequence[Axis], n: ArrayLike) -> Float[Array, "*bins"]:
    """Mean counts [galaxies] of n galaxies, shape (bins of each axis); galaxies have a leading axis."""
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
        self.known = {parameter_name(path): (path, leaf) for path, leaf in nnx.to_flat_state(self.state)}
        odd = [name for name in scales if name not in self.known]
        if odd or not scales:
            raise InputError(
                f"free parameters are {list(scales)}; give one or more of galaxies.* (diffstarpop) and dust.*"
                f" (diffsky), e.g. {sorted(self.known)[0]}"
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
        return {n: to_bounded(jnp.asarray(params[n]) * self.scales[n], x.lo, x.hi) for n, x in leaves.items()}

    def galaxies(self, params: Mapping[str, Array], haloes: GrownHaloes, seen: SeenAt) -> BranchedGalaxy:
        """Galaxies in haloes with a leading axis (galaxy,), at scaled free parameters [1] of shape ()."""
        flat = dict(nnx.to_flat_state(self.state))
        for name, value in params.items():
            path, leaf = self.known[name]
            flat[path] = leaf.replace(value * self.scales[name])
        state = nnx.from_flat_state(flat)

        @jax.checkpoint
        def one(halo: GrownHaloes) -> BranchedGalaxy:
            return nnx.merge(self.graph, state)(halo, seen)

        return jax.lax.map(one, haloes, batch_size=CHUNK)

    def counts(self, params: Mapping[str, Array], data: PopulationData) -> Float[Array, "*bins"]:
        """Expected counts [galaxies] at scaled free parameters [1], shape (bins of each axis)."""
        return expected_counts(self.galaxies(params, data.haloes, data.seen), self.axes, data.galaxies)

    def loss(self, params: Mapping[str, Array], data: PopulationData) -> Float[Array, ""]:
        """Minus the log likelihood over the number of galaxies [1], zero where model and data agree, shape ()."""
        return counting_loss(self.counts(params, data), data.counts, data.galaxies)


def parameter_name(path: tuple) -> str:
    """Path of a parameter as users write it: galaxies.mean_ulgy_mseq_ytp."""
    return ".".join(str(part) for part in path if part != "parameters")


class Found(NamedTuple):
    """Where a fit ended, and its way."""

    params: dict[str, float]  # scaled
    uncertainty: dict[str, float]  # of the physical values, in their units
    losses: np.ndarray  # before each step
    path: dict[str, np.ndarray]  # physical values before each step


def fit_population(
    model: PopulationModel,
    start: Mapping[str, Float[ArrayLike, ""]],
    data: PopulationData,
    *,
    steps: int,
    report: Callable[[int, float], None] = lambda done, loss: None,
) -> Found:
    """Fisher scoring: steps along the gradient, as long as the curvature of the Poisson likelihood says, damped.

    A step that does not lower the loss is taken back and the next is shorter (Marquardt). The slopes of all counts are
    one forward pass for each parameter.

    Args:
      model: expected counts; start: scaled parameters [1], each of shape (); data: what was observed.
      steps: evaluations at most; the fit ends where a step would change its logarithm by less than 1e-3.
      report: called with the evaluations done and the loss.
    """
    names = list(start)
    evaluate = jax.jit(lambda p, d: (model.loss(p, d), model.counts(p, d), jax.jacfwd(model.counts)(p, d)))
    n, k = float(data.galaxies), np.asarray(data.counts, float).ravel()
    floor = 1e-6 * n / k.size
    x = np.array([float(np.asarray(start[name])) for name in names])
    losses: list[float] = []
    path: list[np.ndarray] = []
    damping, lowest, at = 1e-2, np.inf, x
    gradient, fisher = np.zeros(x.size), np.eye(x.size)
    for done in range(steps):
        loss, mu, slopes = evaluate(dict(zip(names, jnp.asarray(x, data.counts.dtype), strict=True)), data)
        losses.append(float(loss))
        path.append(x)
        report(done + 1, float(loss))
        if not np.isfinite(losses[0]):
            raise InputError(f"the loss is {losses[0]} where the fit starts; give another start")
        if losses[-1] < lowest:
            rows = np.stack([np.asarray(slopes[name], float).ravel() for name in names], -1)
            rate = np.asarray(mu, float).ravel() + floor
            lowest, at, damping = losses[-1], x, max(damping / 5, 1e-6)
            gradient, fisher = rows.T @ (1 - (k + floor) / rate), (rows / rate[:, None]).T @ rows
        else:
            damping *= 8
        step = -np.linalg.solve(fisher + damping * np.diag(np.diag(fisher) + 1e-12), gradient)
        if abs(gradient @ step) < SETTLED:
            break
        x = at + np.clip(step, -LONGEST, LONGEST)
    scaled = {name: float(v) for name, v in zip(names, at, strict=True)}
    walked = jax.vmap(model.physical)({name: jnp.asarray([p[i] for p in path]) for i, name in enumerate(names)})
    shown = {name: np.asarray(values) for name, values in walked.items()}
    return Found(scaled, _uncertainty(model, scaled, fisher), np.array(losses), shown)


def _uncertainty(model: PopulationModel, params: dict[str, float], fisher: np.ndarray) -> dict[str, float]:
    """Standard deviations [units of the physical values]; infinite where the data do not constrain a direction."""
    names = list(params)
    slope = jax.jacfwd(model.physical)({name: jnp.asarray(value) for name, value in params.items()})
    scale = np.sqrt(np.maximum(np.diag(fisher), 1e-300))
    try:
        variance = np.diag(np.linalg.inv(fisher / np.outer(scale, scale))) / scale**2
    except np.linalg.LinAlgError:
        variance = np.full(len(names), np.inf)
    return {n: float(np.sqrt(v) * slope[n][n]) if v > 0 else float("inf") for n, v in zip(names, variance, strict=True)}


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
