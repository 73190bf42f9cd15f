"""Scaling relations: the mean of y against x, by one and the same local linear regression of model and data.

The bandwidth and the centres are those of the data. Their covariance holds the scatter of the galaxies (of independent
points, or from bootstrap samples), and, by Rubin's rules, errors in both axes and limits; that of the model is added.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Likelihood
from galdiff.observables.imputation import by_rubins_rules, impute
from galdiff.observables.local_linear import local_linear
from galdiff.observables.relations import Relation, log10_summary, scott_bandwidth
from galdiff.records import BaryonHistory

FAR = 1e6  # below all values of a quantity, where nothing is left out
IMPUTATIONS, BOOTSTRAP = 20, 300  # of errors and limits; samples in all, of which each imputation gets its share
NEAR = 1e-4  # chi2 over nu below which a logarithm is a short series


@record
class RelationPoints:
    """One relation as it was observed."""

    x: Float[Array, "centre"] = quantity("unit of x", "centres")
    bandwidth: Float[Array, ""] = quantity("unit of x", "width of the kernel of the data")
    mean: Float[Array, "centre"] = quantity("unit of y", "mean of y")
    covariance: Float[Array, "centre centre"] = quantity("unit of y squared", "of the mean")
    least: Float[Array, "axis"] = quantity("units of x and y", "below which galaxies are not seen")
    edge: Float[Array, ""] = quantity("units of x and y", "width of that, as a logistic")


def points_of(
    x: Float[ArrayLike, "centre"],
    mean: Float[ArrayLike, "centre"],
    error: Float[ArrayLike, "centre"] | None = None,
    *,
    bandwidth: float | None = None,
    covariance: Float[ArrayLike, "centre centre"] | None = None,
    least: tuple[float, float] = (-FAR, -FAR),
    edge: float = 0.1,
) -> RelationPoints:
    """A relation from published points.

    Args:
      x, mean: of the points [units of x and y]; error: of the mean, or covariance instead.
      bandwidth: of the kernel; half the median distance of the points if None, as of bins.
      least: x and y below which galaxies are not in the sample; edge: how softly.

    Raises:
      InputError: shapes that differ, numbers that are not finite, or an error of 0 or below.
    """
    x, mean = np.asarray(x, float), np.asarray(mean, float)
    if (error is None) == (covariance is None):
        raise InputError("give the errors of a relation or its covariance, one of the two")
    matrix = np.diag(np.asarray(error, float) ** 2) if covariance is None else np.asarray(covariance, float)
    if x.ndim != 1 or mean.shape != x.shape or matrix.shape != (x.size, x.size):
        raise InputError(f"a relation has x of shape {x.shape}, means {mean.shape}, a covariance {matrix.shape}")
    if not (np.isfinite(x).all() and np.isfinite(mean).all() and np.isfinite(matrix).all() and x.size):
        raise InputError("a relation holds numbers that are not finite, or no point; leave those points out")
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=0.0):
        raise InputError("the covariance of a relation is not symmetric; give cov[i, j] = cov[j, i]")
    if not (np.linalg.eigvalsh(matrix) > 0).all() or edge <= 0:
        raise InputError("the errors of a relation are 0 or below, or its covariance has directions without noise")
    width = bandwidth or (0.5 * float(np.median(np.diff(np.sort(x)))) if x.size > 1 else 0.1)
    if not width > 0:
        raise InputError(f"bandwidth is {width}; give one above 0 [unit of x]")
    return RelationPoints(
        x=jnp.asarray(x, float),
        bandwidth=jnp.asarray(width, float),
        mean=jnp.asarray(mean, float),
        covariance=jnp.asarray(matrix, float),
        least=jnp.asarray(least, float),
        edge=jnp.asarray(edge, float),
    )


def points_of_galaxies(
    x: Float[ArrayLike, "galaxy"],
    y: Float[ArrayLike, "galaxy"],
    *,
    x_error: Float[ArrayLike, "galaxy"] | float = 0.0,
    y_error: Float[ArrayLike, "galaxy"] | float = 0.0,
    limit: Float[ArrayLike, "galaxy"] | float = 0.0,
    centres: int = 10,
    correlated: bool = True,
    seed: int = 0,
) -> RelationPoints:
    """A relation from galaxies of a survey.

    Args:
      x, y: as measured [any units]; x_error, y_error: standard deviations, 0 for none.
      limit: -1 where y is an upper limit, 1 where it is a lower one, 0 elsewhere.
      centres: number of them, from the 5th to the 95th percentile of x.
      correlated: covariance of bootstrap samples; else independent errors of the mean.
      seed: of imputations, where there are errors or limits, and of bootstrap samples.

    Returns:
      Points of all galaxies; limits of the sample are put in with `dataclasses.replace`, as in `points_of`.

    Raises:
      InputError: too few galaxies, or numbers that are not finite.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape or x.size < 2 * centres or not np.isfinite([x, y]).all():
        raise InputError(
            f"galaxies have x of shape {x.shape} and y {y.shape}; give (galaxy,) of both, finite, and at least two for"
            f" each of the {centres} centres"
        )
    more = [np.broadcast_to(np.asarray(a, float), x.shape) for a in (x_error, y_error, limit)]
    if any((a < 0).any() for a in more[:2]):
        raise InputError("errors of galaxies are below 0; give 0 or more, and limits in limit")
    if any((a != 0).any() for a in more):
        xs, ys = impute(x, y, *more, n=IMPUTATIONS, seed=seed)
    else:
        xs, ys = x[None], y[None]
    lo, hi = (float(end) for end in np.percentile(xs, [5.0, 95.0]))
    at = np.linspace(lo, hi, centres)
    width = float(np.mean([scott_bandwidth(each) for each in xs]))
    rng = np.random.default_rng([seed, 1])
    samples = max(BOOTSTRAP // len(xs), 10)
    regress = jax.jit(jax.vmap(lambda x, y: local_linear(x, y, at, width)))
    means, covariances = [], []
    for each_x, each_y in zip(xs, ys, strict=True):
        which = rng.integers(0, x.size, (samples if correlated else 1, x.size))
        which[-1] = np.arange(x.size)  # all as they are
        found = jax.device_get(regress(each_x[which], each_y[which]))
        means.append(found.mean[-1])
        own = np.cov(found.mean[:-1], rowvar=False) if correlated else np.diag(found.standard_error[-1] ** 2)
        covariances.append(np.atleast_2d(own))
    mean, covariance = by_rubins_rules(np.stack(means), np.stack(covariances))
    covariance += 1e-10 * np.trace(covariance) / centres * np.eye(centres)
    return points_of(at, mean, bandwidth=width, covariance=covariance)


@final
class RelationsLikelihood(Likelihood):
    """Relations of a population of halos, of a `BaryonHistory` with axes (halo, time); data are points by name.

    Args of the constructor:
      relations: names of x and y of each by its name, as {smhm: [mvir, mstar_over_mvir]}, see
        `galdiff.observables.relations.log10_summary`.
      times: place of each in the output times of the histories; 0 for the only one.
      nu: degrees of freedom of a Student's t for all points of a relation together; None for a normal density. The
        number of bootstrap samples less 1 allows for their noise (Sellentin & Heavens 2016, MNRAS 456, L132).
      floor: error besides those given [dex].
    """

    wanted: ClassVar = ("histories",)

    def __init__(
        self, *, relations: Mapping[str, Sequence[str]], times: Mapping[str, int], nu: float | None, floor: float
    ) -> None:
        if not relations or any(len(pair) != 2 for pair in relations.values()):
            raise InputError(f"relations are {dict(relations)}; give names of x and y of each, as [mvir, mstar]")
        if nu is not None and not 0 < nu < math.inf:
            raise InputError(f"nu is {nu}; give degrees of freedom above 0, or null for a normal density")
        if not 0.0 <= floor < 10.0:
            raise InputError(f"floor is {floor} dex; give 0 or more")
        self.relations = {name: tuple(pair) for name, pair in relations.items()}
        self.times = {name: int(times.get(name, 0)) for name in relations}
        self.nu, self.floor = nu, float(floor)

    def found(self, predicted: Mapping[str, Any], data: Mapping[str, RelationPoints]) -> dict[str, Relation]:
        """Relations of the model at the centres of the data [units of x and y], by name."""
        return {name: self.one(name, predicted["histories"], data[name]) for name in self.relations}

    def one(self, name: str, histories: BaryonHistory, points: RelationPoints) -> Relation:
        """One relation of the model at the centres of some points [units of x and y]."""
        x, y = (log10_summary(histories, quantity)[:, self.times[name]] for quantity in self.relations[name])
        far = ((x, points.least[0]), (y, points.least[1]))
        seen = [jax.nn.sigmoid((value - least) / points.edge) for value, least in far]
        return local_linear(x, y, points.x, points.bandwidth, seen[0] * seen[1])

    def log_density(self, predicted: Mapping[str, Any], data: Mapping[str, RelationPoints]) -> Float[Array, ""]:
        """Sum over the relations [ln of 1 / units of the means]."""
        total = jnp.zeros(())
        for name, relation in self.found(predicted, data).items():
            pull, ln_det = self._pull(relation, data[name])
            k, chi2 = pull.shape[0], pull @ pull
            if self.nu is None:
                total += -0.5 * (chi2 + k * math.log(2 * math.pi)) - ln_det
            else:
                norm = gammaln((self.nu + k) / 2) - gammaln(self.nu / 2) - 0.5 * k * math.log(self.nu * math.pi)
                total += norm - ln_det - 0.5 * (self.nu + k) * jnp.log1p(chi2 / self.nu)
        return total

    def residuals(self, predicted: Mapping[str, Any], data: Mapping[str, RelationPoints]) -> Float[Array, "datum"]:
        """Whitened [1]; left out is how the error of the model depends on its parameters."""
        made = []
        for name, relation in self.found(predicted, data).items():
            pull, _ = self._pull(relation, data[name])
            if self.nu is not None:
                y, k = pull @ pull / self.nu, pull.shape[0]
                near = y < NEAR
                g = jnp.where(near, 1 - y / 2, jnp.log1p(y) / jnp.where(near, 1.0, y))
                pull = pull * jnp.sqrt(g * (self.nu + k) / self.nu)
            made.append(pull)
        return jnp.concatenate(made)

    def check(self, data: Mapping[str, RelationPoints]) -> None:
        """Every relation needs its points."""
        if missing := [name for name in self.relations if name not in data]:
            raise InputError(f"the data have no points of '{missing[0]}'; they have {', '.join(data) or 'none'}")

    def size(self, data: Mapping[str, RelationPoints]) -> int:
        """Points of all relations."""
        return sum(data[name].x.shape[0] for name in self.relations)

    def _pull(self, relation: Relation, points: RelationPoints) -> tuple[Array, Array]:
        """Whitened differences [1], and half the ln of the determinant of the covariance."""
        own = relation.standard_error**2 + self.floor**2
        root = jnp.linalg.cholesky(points.covariance + jnp.diag(own))
        away = jax.scipy.linalg.solve_triangular(root, points.mean - relation.mean, lower=True)
        return away, jnp.log(jnp.diagonal(root)).sum()
