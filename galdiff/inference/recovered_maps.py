"""Age and metallicity maps of a disc, recovered from a noisy cube by gradient steps on chi2, from wrong maps.

Each spaxel holds one population: its age, metallicity and light are free, three numbers a spaxel, and all are fitted
at once because the PSF mixes neighbours. The velocity field is known. The observed cube comes from the direct engine,
which is exact, with noise; the model inside the fit is the compressed one.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.ifu.direct import DirectSpectrograph
from galdiff.ifu.noise import add_noise, variance
from galdiff.ifu.plan import Plan
from galdiff.inference.fit import Fit, minimise
from galdiff.inference.populations import INSET, Motion, Populations, mass_to_light, stars_of_populations
from galdiff.records import Placement, SSPGrid

LIGHT_RANGE = 3.0  # dex around the start
FIELDS = ("log10_age", "log10_z", "log10_light")


def populations_of(
    plan: Plan, log10_age: np.ndarray, log10_z: np.ndarray, mass: Float[np.ndarray, "y x"]
) -> Populations:
    """Populations of known masses [Msun per spaxel], all maps of the shape (y, x); their light is that of the plan's
    library.
    """
    age, z = (jnp.asarray(x, float) for x in (log10_age, log10_z))
    light = jnp.asarray(np.log10(mass), float) - jnp.log10(jax.jit(mass_to_light(plan))(age, z))
    return Populations(log10_age=age, log10_z=z, log10_light=light)


def uniform_start(truth: Populations, age: float, metallicity: float, log10_light: float) -> Populations:
    """Where a fit begins: one age [Gyr] and metal mass fraction for all, and light off by a factor [dex]."""
    return Populations(
        log10_age=jnp.full_like(truth.log10_age, np.log10(age)),
        log10_z=jnp.full_like(truth.log10_age, np.log10(metallicity)),
        log10_light=truth.log10_light + log10_light,
    )


def observe_populations(
    plan: Plan, truth: Populations, motion: Motion, placement: Placement, key: Array, **noise: Any
) -> tuple[Float[Array, "y x wave"], Float[Array, "y x wave"], Float[Array, "y x wave"]]:
    """Noiseless cube by the direct engine, its variance, and one noisy draw [1e-20 erg/s/cm2/Angstrom].

    Args:
      plan, placement: the observation; truth, motion: of each spaxel.
      key: of the draw, a scalar; noise: mode and snr, see `variance`.
    """
    engine = DirectSpectrograph(plan=plan)
    flux = jax.jit(lambda p: engine(stars_of_populations(p, motion, plan, placement), placement).flux)(truth)
    var = variance(flux, jnp.asarray(plan.wave, flux.dtype), **noise)
    return flux, var, add_noise(key, flux, var)


def parameter_box(ssp: SSPGrid, truth: Populations, start: Populations) -> tuple[Populations, Populations]:
    """Lowest and highest parameters of the fit: the library, and a range of light around the start.

    Raises:
      InputError: truth or start is outside the library.
    """
    ranges = {"log10_age": np.asarray(ssp.ssp_lg_age_gyr), "log10_z": np.asarray(ssp.ssp_lgmet)}
    ends: tuple[dict, dict] = {}, {}
    for name, nodes in ranges.items():
        lo, hi = nodes[0] + INSET, nodes[-1] - INSET
        for which, maps in (("truth", truth), ("start", start)):
            value = np.asarray(getattr(maps, name))
            if not (lo <= value.min() and value.max() <= hi):
                span = f"spans {value.min():.3f} to {value.max():.3f}, but '{ssp.name}' serves {lo:.3f} to {hi:.3f}"
                raise InputError(f"{which}: {name} {span}; change disc or start, or choose another ssp")
        ends[0][name], ends[1][name] = (jnp.full_like(start.log10_age, end) for end in (lo, hi))
    light = [start.log10_light + step for step in (-LIGHT_RANGE, LIGHT_RANGE)]
    return Populations(log10_light=light[0], **ends[0]), Populations(log10_light=light[1], **ends[1])


def fit_maps(
    model: Callable[[Populations], Float[Array, "y x wave"]],
    start: Populations,
    data: tuple[Float[Array, "y x wave"], Float[Array, "y x wave"]],
    box: tuple[Populations, Populations],
    optimiser: optax.GradientTransformation,
    steps: int,
    report: Callable[[int, float], None] | None = None,
) -> Fit:
    """Fit all maps at once on the mean of chi2 [1] over all pixels.

    Args:
      model: flux of populations.
      start: maps to begin with; box: the lowest and the highest.
      data: flux and its variance.
      optimiser, steps, report: see `minimise`.
    """
    loss = lambda p, flux, var: jnp.mean((model(p) - flux) ** 2 / var)  # noqa: E731
    project = lambda p: jax.tree.map(jnp.clip, p, *box)  # noqa: E731
    return minimise(loss, start, data, optimiser=optimiser, steps=steps, project=project, report=report)


def chi2_per_pixel(model: Callable, maps: Populations, flux: Array, var: Array) -> float:
    """Mean over all pixels of the squared misses over their variance [1]; both arrays (y, x, wave)."""
    return float(jax.jit(lambda p: jnp.mean((model(p) - flux) ** 2 / var))(maps))


def merit(found: Array, true: Array, limit: Array, used: np.ndarray) -> dict[str, float]:
    """Bias, rms and largest error [dex] where used, and the rms that the noise allows; maps of the shape (y, x)."""
    error = np.asarray(found, float)[used] - np.asarray(true, float)[used]
    return {
        "bias_dex": float(error.mean()),
        "rms_dex": float(np.sqrt(np.mean(error**2))),
        "largest_dex": float(np.abs(error).max()),
        "noise_limit_rms_dex": float(np.sqrt(np.mean(np.asarray(limit)[used] ** 2))),
    }


def figures_of_merit(
    maps: Mapping[str, Populations],
    fit: Fit,
    chi2_truth: float,
    snr: Float[np.ndarray, "y x"],
    *,
    snr_min: float,
    n: int,
) -> dict[str, Any]:
    """Chi2 per pixel [1], and `merit` of each map in the spaxels above snr_min, ready for JSON.

    Args:
      maps: truth, recovered and limit (the smallest possible errors).
      fit: that found the recovered ones; chi2_truth: chi2 per pixel of the truth.
      snr: per pixel, of each spaxel; n: number of pixels.
    """
    used = snr > snr_min
    return {
        "spaxels": int(snr.size),
        "spaxels_used": int(used.sum()),
        "snr": {"lowest": float(snr.min()), "highest": float(snr.max()), "used_above": snr_min},
        "steps": len(fit.losses),
        "skipped_steps": int(fit.skipped),
        "chi2_per_pixel": {
            "start": float(fit.losses[0]),
            "recovered": float(fit.loss),
            "truth": chi2_truth,
            "expected": chi2_truth - len(FIELDS) * snr.size / n,
        },
        **{
            f: merit(getattr(maps["recovered"], f), getattr(maps["truth"], f), getattr(maps["limit"], f), used)
            for f in FIELDS
        },
    }
