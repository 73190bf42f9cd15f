"""How well a fit found the streaming in a disc: maps of line-of-sight velocity, and how they agree."""

import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from galdiff.core.correction import NoCorrection
from galdiff.ifu.field import spaxel_bins
from galdiff.ifu.instrument import spaxel_centres
from galdiff.ifu.stages import Deposit
from galdiff.kinematics.maps import kinematic_maps, node_tables
from galdiff.plotting.velocity_figure import plot_residuals

SNR_MIN = 10.0  # per pixel


def velocity_maps(case: Any, models: dict[str, nnx.Module]) -> dict[str, np.ndarray]:
    """Mean line-of-sight velocity of the light in each spaxel, before the PSF [km/s], shape (y, x); NaN where none."""
    bins = spaxel_bins(case.plan)
    tables = node_tables(bins.lg_ages, bins.lgmets, weight=case.plan.nodes.mean(1))

    @nnx.jit
    def made(model: nnx.Module) -> Array:
        light = Deposit(bins=bins)(model(case.stars), case.placement)
        return kinematic_maps(light, tables, gauss_hermite=False).v

    return {name: np.asarray(made(model)) for name, model in models.items()}


def chi2_maps(case: Any, models: dict[str, nnx.Module]) -> dict[str, np.ndarray]:
    """chi2 per pixel of each spaxel [1], shape (y, x)."""
    made = nnx.jit(lambda model: jnp.mean((case.cube(model).flux - case.flux) ** 2 / case.variance, -1))
    return {name: np.asarray(made(model)) for name, model in models.items()}


def without_correction(model: nnx.Module) -> nnx.Module:
    """The same galaxy without its correction: rotation alone."""
    bare = nnx.clone(model)
    bare.correction = NoCorrection()  # type: ignore[attr-defined]
    return bare


def map_agreement(found: np.ndarray, true: np.ndarray, used: np.ndarray) -> dict[str, float]:
    """Pearson correlation of two maps, shape (y, x), where used, and rms of their difference and the truth [km/s]."""
    x, y = found[used], true[used]
    flat = x.std() == 0 or y.std() == 0
    return {
        "correlation": 0.0 if flat else float(np.corrcoef(x, y)[0, 1]),
        "rms_error_kms": float(np.sqrt(np.mean((x - y) ** 2))),
        "rms_true_kms": float(np.sqrt(np.mean(y**2))),
    }


def report(case: Any, models: dict[str, nnx.Module], folder: pathlib.Path) -> dict[str, Any]:
    """Draw and measure.

    Args:
      case: a `VelocityField`.
      models: by stage; the first is without a residual, the last is the result.
      folder: of the run.

    Returns:
      chi2 per pixel of every stage and of the truth, all and where S/N is high; agreement of maps of
        "residual": what the first stage misses of the velocity, as the result has it, against the truth, and
        "streaming": what the correction adds to the rotation of the result, against what the bar adds to the true one.
      Only the first is measured; the part of the streaming that looks like rotation along the line of sight may be
      counted as either.
    """
    names = list(models)
    first, last = names[0], names[-1]
    snr = np.median(np.asarray(case.clean.flux / jnp.sqrt(case.variance)), -1)
    all_of = {**models, "truth": case.truth}
    v = velocity_maps(case, all_of)
    bare = velocity_maps(case, {name: without_correction(all_of[name]) for name in (last, "truth")})
    used = (snr > SNR_MIN) & np.isfinite(v["truth"])
    streaming, residual = v["truth"] - bare["truth"], v[last] - bare[last]
    maps = {
        "true streaming": streaming,
        "residual of the network": residual,
        "error of the network": residual - streaming,
        f"truth \N{MINUS SIGN} {first}": v["truth"] - v[first],
        f"{last} \N{MINUS SIGN} {first}": v[last] - v[first],
        f"truth \N{MINUS SIGN} {last}": v["truth"] - v[last],
    }
    x, y = spaxel_centres(case.plan.instrument)
    plot_residuals(maps, snr, SNR_MIN, (x, y)).savefig(folder / "velocity.png")
    squares = chi2_maps(case, all_of)
    arrays: dict[str, Any] = {"snr": snr, "streaming": streaming, "residual": residual}
    arrays |= {f"v_{name}": each for name, each in v.items()}
    np.savez_compressed(folder / "velocity.npz", **arrays)
    return {
        "chi2": {name: float(each.mean()) for name, each in squares.items()},
        "chi2_used": {name: float(each[used].mean()) for name, each in squares.items()},
        "spaxels": {"all": int(snr.size), "used": int(used.sum()), "snr_above": SNR_MIN, "snr_most": float(snr.max())},
        "residual": map_agreement(v[last] - v[first], v["truth"] - v[first], used),
        "streaming": map_agreement(residual, streaming, used),
        "laws": {name: laws(model) for name, model in all_of.items()},
    }


def laws(model: nnx.Module) -> dict[str, float]:
    """Numbers of the rotation curve and the dispersion [km/s], [kpc]."""
    names = ("v_max", "r_turn", "sigma", "r_sigma")
    return {name: float(10 ** getattr(model, f"log10_{name}").bounded) for name in names}
