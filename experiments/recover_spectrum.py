"""Age and metallicity of one spaxel's spectrum, recovered by Adam on the cosine distance from several starts.

The experiment of RUBIX (Schaible et al. 2025, arXiv:2511.17110): every start is a fit of its own, through the whole
engine (library, line-spread function, pixels, redshift), in log10 age and log10 Z. The cosine distance does not know
the mass. All fits run side by side under `vmap`.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jaxtyping import Array, Float
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.stages import Deposit, Spectrograph, Synthesis, Templates
from galdiff.inference.fit import Fit, minimise
from galdiff.io.atomic import atomic_path
from galdiff.io.preflight import check_output
from galdiff.records import SkyStars, SSPGrid

FILES = ("recover_spectrum.png", "metrics.json", "config.yaml")
MASS = 1e6  # Msun, of the one star; the loss does not know it
INSET = 1e-3  # dex; parameters stay this far inside the library, where gradients do not vanish
AXES = ("age", "metallicity")

Model = Callable[[Float[Array, "2"]], Float[Array, "wave"]]


def one_spaxel(
    ssp: SSPGrid, instrument: Instrument, redshift: float, cosmology: Cosmology | None = None, **precision
) -> tuple[Model, np.ndarray]:
    """What one spaxel of an instrument records of one population at its centre.

    Args:
      ssp: the library.
      instrument: spectrograph; its field shrinks to one spaxel and its PSF is left out.
      redshift: of the population; cosmology: of its distance.
      **precision: rank and interpolation, see `Precision`.

    Returns:
      Function from (log10(age/Gyr), log10 Z) to flux density [1e-20 erg/s/cm2/Angstrom], and the wavelengths.
    """
    alone = dict(n_x=1, n_y=1, aperture="square", psf=dataclasses.replace(instrument.psf, kind="none"))
    settings = Precision(kernel="nearest", v_max_kms=100.0, **precision)
    plan = make_plan(ssp, dataclasses.replace(instrument, **alone), redshift, settings)
    placement = place(cosmology or Cosmology(), jnp.asarray(redshift, float))
    deposit, synthesis, spectrograph = Deposit(bins=plan.bins), Synthesis(plan=plan), Spectrograph(plan=plan)
    bank = jax.jit(lambda: Templates(plan=plan)(placement))()
    here = jnp.zeros(1)

    def record(params):
        age, metallicity = 10.0 ** params[:, None]
        star = SkyStars(x=here, y=here, z=here, v_los=here, mass=here + MASS, age=age, metallicity=metallicity)
        return spectrograph(synthesis(deposit(star, placement)), bank, placement).flux[0, 0]

    return record, plan.wave


def cosine_distance(a: Float[Array, "wave"], b: Float[Array, "wave"]) -> Float[Array, ""]:
    """1 - a.b / |a||b|, as half the squared distance of the unit vectors: exact in float32 where they are close."""
    unit = lambda x: x / jnp.linalg.norm(x)  # noqa: E731
    return 0.5 * jnp.sum((unit(a) - unit(b)) ** 2)


def fit_all(model: Model, observed: Array, starts: Float[Array, "start 2"], box: Array, cfg: DictConfig) -> Fit:
    """One fit for each start; every field of the result has a leading axis start."""
    schedule = optax.cosine_decay_schedule(cfg.learning_rate, cfg.steps)
    adam = optax.adam(schedule, b1=cfg.b1, b2=cfg.b2)
    loss = lambda params, observed: cosine_distance(model(params), observed)  # noqa: E731
    project = lambda params: jnp.clip(params, box[0], box[1])  # noqa: E731
    options = dict(optimiser=adam, steps=cfg.steps, project=project, keep_path=True)
    return jax.jit(jax.vmap(lambda start: minimise(loss, start, (observed,), **options)))(starts)


def loss_map(model: Model, observed: Array, box: np.ndarray, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosine distance on a grid over the box: log10 ages, log10 Z, and distances [metallicity, age]."""
    ages, mets = (np.linspace(lo, hi, n) for lo, hi in np.asarray(box).T)
    row = jax.jit(lambda z: jax.vmap(lambda a: cosine_distance(model(jnp.stack([a, z])), observed))(jnp.asarray(ages)))
    return ages, mets, np.stack([np.asarray(row(z)) for z in jnp.asarray(mets)])


def results(fit: Fit, truth: np.ndarray, starts: np.ndarray, tolerance: float) -> list[dict]:
    """Start, end and errors of every fit, ready for JSON."""
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


def draw(path: pathlib.Path, fit: Fit, surface: tuple, spectra: dict[str, np.ndarray], truth: np.ndarray) -> None:
    """Paths over the loss, loss against step, and spectra with residuals.

    Args:
      path: PNG to write.
      fit: all fits, leading axis start.
      surface: `loss_map`.
      spectra: wave [Angstrom] and fluxes of the observed, started and recovered spectra, at a common scale.
      truth: log10(age/Gyr), log10 Z.
    """
    figure = plt.figure(figsize=(11, 9), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(3.2, 1.7, 0.9), width_ratios=(1.35, 1))
    colours = plt.get_cmap("tab10").colors
    _draw_paths(figure, figure.add_subplot(grid[0, 0]), fit, surface, truth, colours)
    _draw_losses(figure.add_subplot(grid[0, 1]), fit, truth, colours)
    axes = [figure.add_subplot(grid[1, :])]
    axes.append(figure.add_subplot(grid[2, :], sharex=axes[0]))
    _draw_spectra(axes, spectra, colours)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def _draw_paths(figure, axis, fit: Fit, surface: tuple, truth: np.ndarray, colours) -> None:
    ages, mets, distance = surface
    levels = np.arange(-6.0, -0.49, 0.25)
    filled = axis.contourf(
        10**ages, 10**mets, np.log10(distance + 1e-12), levels, cmap="Greys", extend="both", alpha=0.7
    )
    figure.colorbar(filled, ax=axis, label="log$_{10}$ cosine distance", pad=0.01, ticks=np.arange(-6, 0))
    for path, best, colour in zip(10 ** np.asarray(fit.path), 10 ** np.asarray(fit.params), colours, strict=False):
        axis.plot(*path.T, "-", lw=1.6, color=colour, marker=".", ms=4)
        axis.plot(*path[0], "o", ms=8, color=colour, mec="w", mew=1.2)
        axis.plot(*best, "s", ms=5, color=colour, mec="w", mew=0.8)
    axis.plot(*10**truth, "*", ms=17, color="gold", mec="k", mew=1.0, zorder=5, label="truth")
    axis.plot([], [], "o", color="0.5", mec="w", ms=8, label="start")
    axis.plot([], [], "s", color="0.5", mec="w", ms=6, label="recovered")
    axis.set(xscale="log", yscale="log", xlabel="age [Gyr]", ylabel="metallicity Z", title="paths of the fits")
    axis.set(xlim=(10 ** ages[0], 10 ** ages[-1]), ylim=(10 ** mets[0], 10 ** mets[-1]))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.legend(loc="lower left", framealpha=0.9, fontsize=9)


def _draw_losses(axis, fit: Fit, truth: np.ndarray, colours) -> None:
    for losses, colour in zip(np.asarray(fit.losses), colours, strict=False):
        axis.semilogy(np.arange(len(losses)), losses, color=colour, lw=1.4)
    errors = np.abs(np.asarray(fit.params) - truth).max(0)
    text = f"largest error: {errors[0]:.1e} dex in age, {errors[1]:.1e} dex in Z"
    axis.set(xlabel="step", ylabel="cosine distance", title="loss", xlim=(0, fit.losses.shape[1] - 1))
    axis.text(0.97, 0.97, text, transform=axis.transAxes, ha="right", va="top", fontsize=9)
    axis.grid(alpha=0.3)


def _draw_spectra(axes, spectra: dict[str, np.ndarray], colours) -> None:
    wave, observed = spectra["wave"], spectra["observed"]
    for start, recovered, colour in zip(spectra["starts"], spectra["recovered"], colours, strict=False):
        axes[0].plot(wave, start, lw=0.7, color=colour, alpha=0.75)
        axes[1].plot(wave, 100 * (recovered / observed - 1), lw=0.7, color=colour)
    axes[0].plot(wave, observed, lw=1.0, color="k", label="observed")
    axes[0].plot([], [], lw=0.9, color="0.5", label="starts")
    axes[0].set(
        ylabel="flux density / mean",
        title="spectra, scaled to the same mean; below, recovered / observed - 1",
        xlim=(wave[0], wave[-1]),
    )
    axes[0].legend(frameon=False, ncols=2, fontsize=9)
    axes[0].tick_params(labelbottom=False)
    axes[1].axhline(0.0, color="k", lw=0.6)
    axes[1].set(xlabel="observed wavelength [$\\mathrm{\\AA}$]", ylabel="residual [%]")


def library_box(ssp: SSPGrid, cfg: DictConfig) -> np.ndarray:
    """Lowest and highest (log10 age, log10 Z) of a fit, shape (2, 2); truth and starts must lie inside.

    Raises:
      InputError: they do not, or there is no start.
    """
    axes = (np.asarray(ssp.ssp_lg_age_gyr, float), np.asarray(ssp.ssp_lgmet, float))
    box = np.array([[x[0] + INSET for x in axes], [x[-1] - INSET for x in axes]])
    if not cfg.starts:
        raise InputError("starts is empty; give a list of [age in Gyr, metal mass fraction]")
    for name, point in [("truth", (cfg.age, cfg.metallicity)), *((f"start {p}", p) for p in cfg.starts)]:
        for axis, value, (lo, hi) in zip(AXES, point, 10**box.T, strict=True):
            if not lo <= value <= hi:
                raise InputError(f"{name}: {axis} is {value:g}, but '{ssp.name}' serves {lo:.4g} to {hi:.4g}")
    return box


@experiment("recover_spectrum")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    folder = pathlib.Path(cfg.output)
    check_output(folder, 2_000_000, cfg.overwrite, FILES)
    ssp = build(cfg.ssp)
    box = library_box(ssp, cfg)
    settings = dict(rank=cfg.rank, interpolation=cfg.interpolation)
    model, wave = one_spaxel(ssp, build(cfg.instrument), cfg.redshift, build(cfg.cosmology), **settings)
    truth = np.log10([cfg.age, cfg.metallicity])
    starts = np.log10(np.asarray(OmegaConf.to_container(cfg.starts), float))
    spectra = jax.jit(jax.vmap(model))
    begun = spectra(jnp.asarray(np.vstack([truth, starts]), float))
    observed = begun[0]
    fit = fit_all(model, observed, jnp.asarray(starts, float), jnp.asarray(box, float), cfg)
    rows = results(fit, truth, starts, cfg.tolerance)
    metrics = {
        "library": ssp.name,
        "truth": {"age": cfg.age, "metallicity": cfg.metallicity},
        "steps": cfg.steps,
        "tolerance_dex": cfg.tolerance,
        "converged": sum(row["converged"] for row in rows),
        "largest_error_dex": {axis: max(abs(row["error_dex"][axis]) for row in rows) for axis in AXES},
        "fits": rows,
        "versions": runtime.versions(),
    }
    scaled = lambda flux: np.asarray(flux) / np.asarray(flux).mean(-1, keepdims=True)  # noqa: E731
    ended = spectra(jnp.concatenate([jnp.asarray(truth[None], float), fit.params]))  # of the same shape as before
    shown = dict(wave=wave, observed=scaled(observed), starts=scaled(begun[1:]), recovered=scaled(ended[1:]))
    window = np.array([[max(box[0, 0], np.asarray(fit.path)[..., 0].min() - 0.4), box[0, 1]], box[1]])
    with atomic_path(folder / FILES[0], cfg.overwrite) as path:
        draw(path, fit, loss_map(model, observed, window), shown, truth)
    with atomic_path(folder / FILES[1], cfg.overwrite) as path:
        path.write_text(json.dumps(metrics, indent=2) + "\n")
    with atomic_path(folder / FILES[2], cfg.overwrite) as path:
        path.write_text(OmegaConf.to_yaml(cfg, resolve=True))
    for row in rows:
        if not row["converged"]:
            print(f"not within {cfg.tolerance:g} dex: started at {row['start']}, ended at {row['recovered']}")
    worst = metrics["largest_error_dex"]
    print(
        f"{metrics['converged']} of {len(rows)} starts within {cfg.tolerance:g} dex after {cfg.steps} steps; largest"
        f" error {worst['age']:.1e} dex in age, {worst['metallicity']:.1e} in Z: {folder}"
    )


if __name__ == "__main__":
    main()
