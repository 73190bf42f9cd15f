"""Age and metallicity maps of a disc, recovered from a noisy cube by Adam on chi2, starting from wrong maps.

Each spaxel holds one population: its age, metallicity and light are free, three numbers a spaxel, and all are fitted
at once because the PSF mixes neighbours. The velocity field is known. The observed cube comes from the direct engine,
which is exact, with noise; the model inside the fit is the compressed one.
"""

import json
import pathlib
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jaxtyping import Array
from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.errors import InputError
from galdiff.ifu.direct import DirectSpectrograph
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.noise import add_noise, variance
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Plan, Precision, make_plan
from galdiff.inference.fit import Fit, minimise
from galdiff.inference.noise_limit import noise_limit
from galdiff.inference.populations import (
    INSET,
    Motion,
    Populations,
    disc_maps,
    fastest,
    make_model,
    mass_to_light,
    stars_of,
)
from galdiff.io.atomic import atomic_path
from galdiff.io.preflight import check_output
from galdiff.records import Placement, SSPGrid

FILES = ("recover_maps.png", "maps.npz", "metrics.json", "config.yaml")
LIGHT_RANGE = 3.0  # dex around the start
# field, name, label where drawn as a number (else as a logarithm), colours
FIELDS = ("log10_age", "log10_z", "log10_light")
QUANTITIES = (("log10_age", "log$_{10}$ age", "age [Gyr]", "magma"), ("log10_z", "log$_{10}$ Z", "", "viridis"))


def observe(plan: Plan, truth: Populations, motion: Motion, placement: Placement, cfg: DictConfig):
    """Noiseless cube by the direct engine, its variance, and one noisy draw."""
    engine = DirectSpectrograph(plan=plan)
    flux = jax.jit(lambda p: engine(stars_of(p, motion, plan, placement), placement).flux)(truth)
    var = variance(flux, jnp.asarray(plan.wave, flux.dtype), mode=cfg.noise.mode, snr=cfg.noise.snr)
    return flux, var, add_noise(jax.random.key(cfg.seed), flux, var)


def fit_maps(
    model: Callable[[Populations], Array], start: Populations, data: tuple[Array, Array], box: tuple, cfg: DictConfig
) -> Fit:
    """Fit all maps at once by Adam on the mean of chi2 over all pixels; data is flux and its variance."""
    schedule = optax.cosine_decay_schedule(cfg.learning_rate, cfg.steps)
    adam = optax.adam(schedule, b1=cfg.b1, b2=cfg.b2)
    loss = lambda p, flux, var: jnp.mean((model(p) - flux) ** 2 / var)  # noqa: E731
    project = lambda p: jax.tree.map(jnp.clip, p, *box)  # noqa: E731
    columns = (TextColumn("fit"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.fields[chi2]}"))
    with Progress(*columns, TimeElapsedColumn(), transient=True) as progress:
        task = progress.add_task("fit", total=cfg.steps, chi2="(compiling)")
        report = lambda done, loss: progress.update(task, completed=done, chi2=f"chi2 {loss:.4g}")  # noqa: E731
        return minimise(loss, start, data, optimiser=adam, steps=cfg.steps, project=project, report=report)


def merit(found: Array, true: Array, limit: Array, used: np.ndarray) -> dict[str, float]:
    """Bias, rms and largest error [dex] where used, and the rms that the noise allows."""
    error = np.asarray(found, float)[used] - np.asarray(true, float)[used]
    return {
        "bias_dex": float(error.mean()),
        "rms_dex": float(np.sqrt(np.mean(error**2))),
        "largest_dex": float(np.abs(error).max()),
        "noise_limit_rms_dex": float(np.sqrt(np.mean(np.asarray(limit)[used] ** 2))),
    }


def figures_of_merit(maps: dict, fit: Fit, chi2_truth: float, snr: np.ndarray, n_pixel: int, cfg: DictConfig) -> dict:
    """Chi2 per pixel, and `merit` of each map in the spaxels above snr_min."""
    used = snr > cfg.snr_min
    return {
        "spaxels": int(snr.size),
        "spaxels_used": int(used.sum()),
        "snr": {"lowest": float(snr.min()), "highest": float(snr.max()), "used_above": cfg.snr_min},
        "steps": cfg.steps,
        "skipped_steps": int(fit.skipped),
        "chi2_per_pixel": {
            "start": float(fit.losses[0]),
            "recovered": float(fit.loss),
            "truth": chi2_truth,
            "expected": chi2_truth - len(FIELDS) * snr.size / n_pixel,
        },
        **{f: merit(*(getattr(maps[m], f) for m in ("recovered", "truth", "limit")), used) for f in FIELDS},
    }


def draw(path: pathlib.Path, maps: dict[str, Populations], fit: Fit, snr: np.ndarray, instrument: Instrument) -> None:
    """Truth, start, recovered and residual maps of age and Z; S/N, loss, errors and pulls."""
    x, y = instrument.n_x * instrument.spaxel_x_arcsec / 2, instrument.n_y * instrument.spaxel_y_arcsec / 2
    figure, axes = plt.subplots(3, 4, figsize=(14, 9.6), layout="constrained")

    def show(axis, image, title, label=None, **style):
        drawn = axis.imshow(image, origin="lower", extent=(-x, x, -y, y), **style)
        axis.set(title=title, xlabel="East [arcsec]", xlim=(x, -x))
        if label is not None:
            extend = "both" if "vmin" in style else "neither"
            figure.colorbar(drawn, cax=axis.inset_axes((1.03, 0.0, 0.05, 1.0)), label=label, extend=extend)

    for row, (field, name, unit, cmap) in zip(axes, QUANTITIES, strict=False):
        values = {which: np.asarray(getattr(p, field)) for which, p in maps.items()}
        error = values["recovered"] - values["truth"]
        if unit:
            values = {which: 10**value for which, value in values.items()}
        style = dict(cmap=cmap, vmin=values["truth"].min(), vmax=values["truth"].max())
        for axis, which in zip(row, ("truth", "start", "recovered"), strict=False):
            show(axis, values[which], which, (unit or name) if which == "recovered" else None, **style)
        label, bound = f"error of {name} [dex]", 3 * error.std()
        show(row[3], error, f"recovered - truth, rms {error.std():.3f}", label, cmap="RdBu_r", vmin=-bound, vmax=bound)
    show(axes[2, 0], snr, "observed cube", "S/N per pixel", cmap="cividis")
    for axis in axes[:, 0]:
        axis.set_ylabel("North [arcsec]")
    _draw_fit(axes[2, 1:], maps, fit, snr)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def _draw_fit(axes, maps: dict[str, Populations], fit: Fit, snr: np.ndarray) -> None:
    axes[0].loglog(1 + np.arange(len(fit.losses)), fit.losses, color="C0")
    axes[0].axhline(1.0, color="0.5", lw=0.8, ls="--")
    axes[0].set(xlabel="step", ylabel=r"$\chi^2$ per pixel", title="loss")
    for (name, label, _, _), colour in zip(QUANTITIES, ("C3", "C2"), strict=True):
        found, true, limit = (np.asarray(getattr(maps[m], name)) for m in ("recovered", "truth", "limit"))
        axes[1].plot(snr.ravel(), np.abs(found - true).ravel(), ".", ms=3, color=colour, alpha=0.35)
        groups = np.array_split(np.argsort(snr.ravel()), min(8, snr.size))
        middle = [(snr.ravel()[g].mean(), np.sqrt(np.mean(limit.ravel()[g] ** 2))) for g in groups]
        axes[1].plot(*np.transpose(middle), color=colour, lw=2, label=f"{label}: limit of the noise")
        pulls = ((found - true) / limit).ravel()
        axes[2].hist(pulls, np.arange(-4, 4.01, 0.5), histtype="step", lw=1.5, color=colour, density=True, label=label)
    axes[1].set(
        yscale="log", ylim=(1e-3, 2), xlabel="S/N per pixel", ylabel="|error| [dex]", title="error of each spaxel"
    )
    t = np.linspace(-4, 4, 200)
    axes[2].plot(t, np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi), "k--", lw=1, label="unit normal")
    axes[2].set(xlabel="error / limit of the noise", ylabel="density", title="pulls", xlim=(-4, 4), ylim=(0, 0.62))
    for axis in axes:
        axis.set_box_aspect(1)
    for axis in axes[1:]:
        axis.legend(frameon=False, fontsize=9, loc="upper right", handlelength=1.2)


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


@experiment("recover_maps")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    folder, began = pathlib.Path(cfg.output), time.perf_counter()
    check_output(folder, 5_000_000, cfg.overwrite, FILES)
    ssp, instrument, disc = build(cfg.ssp), build(cfg.instrument), build(cfg.disc)
    placement = place(build(cfg.cosmology), jnp.asarray(cfg.redshift, float))
    view = (float(placement.kpc_per_arcsec), cfg.inclination, cfg.position_angle)
    log10_age, log10_z, mass, motion = disc_maps(disc, instrument, *view)
    settings = dict(rank=cfg.rank, interpolation=cfg.interpolation, kernel="nearest", v_max_kms=fastest(motion))
    plan = make_plan(ssp, instrument, cfg.redshift, Precision(**settings))
    age, z = (jnp.asarray(x, float) for x in (log10_age, log10_z))
    light = jnp.asarray(np.log10(mass), float) - jnp.log10(jax.jit(mass_to_light(plan))(age, z))
    truth = Populations(log10_age=age, log10_z=z, log10_light=light)
    start = Populations(
        log10_age=jnp.full_like(age, np.log10(cfg.start.age)),
        log10_z=jnp.full_like(age, np.log10(cfg.start.metallicity)),
        log10_light=truth.log10_light + cfg.start.log10_light,
    )
    box = parameter_box(ssp, truth, start)
    flux, var, noisy = observe(plan, truth, motion, placement, cfg)
    snr = np.median(np.asarray(flux / jnp.sqrt(var)), -1)
    make, model = make_model(plan, placement), lambda populations: make(populations, motion)
    fit = fit_maps(model, start, (noisy, var), box, cfg)
    maps = dict(truth=truth, start=start, recovered=fit.params, limit=noise_limit(model, truth, var))
    at_truth = float(jax.jit(lambda p: jnp.mean((model(p) - noisy) ** 2 / var))(truth))
    metrics = dict(library=ssp.name, **figures_of_merit(maps, fit, at_truth, snr, noisy.size, cfg))
    metrics |= dict(seconds=time.perf_counter() - began, versions=runtime.versions())
    arrays = {f"{name}_{f}": np.asarray(getattr(m, f)) for name, m in maps.items() for f in FIELDS}
    writers = (
        lambda path: draw(path, maps, fit, snr, instrument),
        lambda path: np.savez_compressed(path, snr=snr, loss=np.asarray(fit.losses), **arrays),
        lambda path: path.write_text(json.dumps(metrics, indent=2) + "\n"),
        lambda path: path.write_text(OmegaConf.to_yaml(cfg, resolve=True)),
    )
    for name, write in zip(FILES, writers, strict=True):
        with atomic_path(folder / name, cfg.overwrite) as path:
            write(path)
    for name, label in (("log10_age", "age"), ("log10_z", "Z")):
        bias, rms, _, limit_rms = metrics[name].values()
        print(f"{label}: bias {bias:+.4f} dex, rms {rms:.4f} dex (the noise allows {limit_rms:.4f})")
    print(f"{metrics['spaxels_used']} of {snr.size} spaxels, {metrics['seconds']:.0f} s: {folder}")


if __name__ == "__main__":
    main()
