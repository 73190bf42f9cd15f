"""Age and metallicity of one population, from its spectrum in one spaxel and by gradient steps from several starts.

The experiment of RUBIX (Schaible et al. 2025, arXiv:2511.17110): every start is a fit of its own, through the whole
engine (library, line-spread function, pixels, redshift), in log10 age and log10 Z. The cosine distance does not know
the mass. All fits run side by side under `vmap`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.stages import Deposit, Spectrograph, Synthesis, Templates
from galdiff.inference.fit import Fit, minimise
from galdiff.inference.populations import INSET
from galdiff.records import SkyStars, SSPGrid

MASS = 1e6  # Msun, of the one star; the loss does not know it
AXES = ("age", "metallicity")

Model = Callable[[Float[Array, "2"]], Float[Array, "wave"]]


def one_spaxel(
    ssp: SSPGrid, instrument: Instrument, redshift: float, cosmology: Cosmology | None = None, **precision: Any
) -> tuple[Model, np.ndarray]:
    """What one spaxel of an instrument records of one population at its centre.

    Args:
      ssp: the library.
      instrument: spectrograph; its field shrinks to one spaxel and its PSF is left out.
      redshift: of the population; cosmology: of its distance.
      **precision: rank and interpolation, see `Precision`.

    Returns:
      Function from (log10(age/Gyr), log10 Z) to flux density [1e-20 erg/s/cm2/Angstrom], and the wavelengths (wave,).
    """
    alone: dict[str, Any] = dict(n_x=1, n_y=1, aperture="square", psf=dataclasses.replace(instrument.psf, kind="none"))
    settings = Precision(kernel="nearest", v_max_kms=100.0, **precision)
    plan = make_plan(ssp, dataclasses.replace(instrument, **alone), redshift, settings)
    placement = place(cosmology or Cosmology(), jnp.asarray(redshift, float))
    deposit, synthesis, spectrograph = Deposit(bins=plan.bins), Synthesis(plan=plan), Spectrograph(plan=plan)
    bank = jax.jit(lambda: Templates(plan=plan)(placement))()
    here = jnp.zeros(1)

    def record(params: Any) -> Any:
        age, metallicity = 10.0 ** params[:, None]
        star = SkyStars(x=here, y=here, z=here, v_los=here, mass=here + MASS, age=age, metallicity=metallicity)
        return spectrograph(synthesis(deposit(star, placement)), bank, placement).flux[0, 0]

    return record, plan.wave


def cosine_distance(a: Float[Array, "wave"], b: Float[Array, "wave"]) -> Float[Array, ""]:
    """1 - a.b / |a||b| [1], as half the squared distance of the unit vectors: exact in float32 where they are close."""
    unit = lambda x: x / jnp.linalg.norm(x)  # noqa: E731
    return 0.5 * jnp.sum((unit(a) - unit(b)) ** 2)


def population_box(
    ssp: SSPGrid, truth: tuple[float, float], starts: Sequence[Sequence[float]]
) -> Float[np.ndarray, "2 2"]:
    """Lowest and highest (log10 age, log10 Z) of a fit, just inside the library.

    Args:
      ssp: the library.
      truth: age [Gyr] and metal mass fraction; starts: the same of each start.

    Raises:
      InputError: truth or a start is outside, or there is no start.
    """
    axes = (np.asarray(ssp.ssp_lg_age_gyr, float), np.asarray(ssp.ssp_lgmet, float))
    box = np.array([[x[0] + INSET for x in axes], [x[-1] - INSET for x in axes]])
    if not starts:
        raise InputError("starts is empty; give a list of [age in Gyr, metal mass fraction]")
    for name, point in [("truth", truth), *((f"start {p}", p) for p in starts)]:
        for axis, value, (lo, hi) in zip(AXES, point, 10**box.T, strict=True):
            if not lo <= value <= hi:
                raise InputError(f"{name}: {axis} is {value:g}, but '{ssp.name}' serves {lo:.4g} to {hi:.4g}")
    return box


def fit_starts(
    model: Model,
    observed: Float[Array, "wave"],
    starts: Float[Array, "start 2"],
    box: Float[Array, "2 2"],
    optimiser: optax.GradientTransformation,
    steps: int,
) -> Fit:
    """One fit for each start; every field of the result has a leading axis start, the path included.

    Args:
      model: see `one_spaxel`.
      observed: flux density at any scale.
      starts: log10(age/Gyr) and log10 Z [dex]; box: the lowest and the highest.
      optimiser, steps: of every fit, see `minimise`.
    """
    loss = lambda params, observed: cosine_distance(model(params), observed)  # noqa: E731
    project = lambda params: jnp.clip(params, box[0], box[1])  # noqa: E731
    options: dict[str, Any] = dict(optimiser=optimiser, steps=steps, project=project, keep_path=True)
    return jax.jit(jax.vmap(lambda start: minimise(loss, start, (observed,), **options)))(starts)


def loss_map(
    model: Model, observed: Float[Array, "wave"], box: Float[np.ndarray, "2 2"], n: int = 60
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosine distance on a grid over the box: log10 ages (n,), log10 Z (n,), and distances [metallicity, age]."""
    ages, mets = (np.linspace(lo, hi, n) for lo, hi in np.asarray(box).T)
    row = jax.jit(lambda z: jax.vmap(lambda a: cosine_distance(model(jnp.stack([a, z])), observed))(jnp.asarray(ages)))
    return ages, mets, np.stack([np.asarray(row(z)) for z in jnp.asarray(mets)])


def shown_box(fit: Fit, box: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "2 2"]:
    """The part of the box [dex] that the fits saw, with some room at young ages; for `loss_map`."""
    youngest = np.asarray(fit.path)[..., 0].min() - 0.4
    return np.array([[max(box[0, 0], youngest), box[0, 1]], box[1]])


def fits_summary(fit: Fit, truth: np.ndarray, starts: np.ndarray, tolerance: float) -> list[dict[str, Any]]:
    """Start, end and errors of every fit, ready for JSON.

    Args:
      fit: of all starts.
      truth: log10(age/Gyr), log10 Z, (2,); starts: the same of each start.
      tolerance: [dex] within which a fit has converged.
    """
    rows = []
    for start, params, loss, losses in zip(starts, fit.params, fit.loss, fit.losses, strict=True):
        error = np.asarray(params, float) - truth
        rows.append(
            {
                "start": {axis: float(10**value) for axis, value in zip(AXES, start, strict=True)},
                "recovered": {axis: float(10**value) for axis, value in zip(AXES, np.asarray(params), strict=True)},
                "error_dex": {axis: float(value) for axis, value in zip(AXES, error, strict=True)},
                "first_loss": float(losses[0]),
                "best_loss": float(loss),
                "converged": bool(np.abs(error).max() <= tolerance),
            }
        )
    return rows
