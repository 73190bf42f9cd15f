"""What a wrong library does to ages and metallicities, and what is left of it once its spectra are corrected."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from galdiff.ifu.instrument import output_wave_vacuum, spaxel_centres
from galdiff.inference.fit import minimise
from galdiff.inference.populations import INSET, Motion, Populations, make_model, pulls
from galdiff.io.atomic import atomic_path
from galdiff.plotting.mismatch_figure import plot_biases, plot_correction, plot_galaxy
from galdiff.records import SSPGrid
from galdiff.sps.interpolate import node_table, spectrum

SNR_MIN = 10.0  # per pixel
FIELDS = ("log10_age", "log10_z")
LIGHT_RANGE = 3.0  # dex around the start
LEARNING_RATE, MEMORY = 0.1, (0.8, 0.9)  # of Adam [dex]


def fit(case: Any, library: SSPGrid) -> tuple[Populations, np.ndarray]:
    """Maps (galaxy, y, x) [dex] of the galaxies held out, fitted with a library, and chi2 per pixel of each [1].

    All spaxels of all galaxies are fitted at once by Adam from one population in the middle of the library.
    """
    model = jax.vmap(make_model(case.plan_of(library), case.placement))
    flux, var = (jnp.asarray(x[case.fitted], float) for x in (case.flux, case.variance))
    motion = Motion(*(jnp.asarray(x[case.fitted], float) for x in case.motion))
    ends = [(float(x[0]) + INSET, float(x[-1]) - INSET) for x in (library.ssp_lg_age_gyr, library.ssp_lgmet)]
    even = jnp.zeros(flux.shape[:-1])
    first = Populations(log10_age=even + sum(ends[0]) / 2, log10_z=even + sum(ends[1]) / 2, log10_light=even)
    one = jax.jit(model)(first, motion).mean()  # flux of a light of 1
    light = jnp.log10(jnp.maximum(flux.mean(-1), 1e-3 * flux.mean()) / one)
    start = dataclasses.replace(first, log10_light=light)
    box = [
        Populations(log10_age=even + age, log10_z=even + z, log10_light=light + step)
        for age, z, step in zip(*ends, (-LIGHT_RANGE, LIGHT_RANGE), strict=True)
    ]
    loss = lambda p, flux, var: jnp.mean(pulls(model(p, motion) - flux, var) ** 2)  # noqa: E731
    adam = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, case.fit_steps), *MEMORY)
    project = lambda p: jax.tree.map(jnp.clip, p, *box)  # noqa: E731
    found = minimise(loss, start, (flux, var), optimiser=adam, steps=case.fit_steps, project=project).params
    chi2 = jax.jit(lambda p: jnp.mean(pulls(model(p, motion) - flux, var) ** 2, (1, 2, 3)))(found)
    return jax.tree.map(np.asarray, found), np.asarray(chi2)


def biases(found: Populations, true: Populations, used: np.ndarray) -> dict[str, dict[str, Any]]:
    """Errors of each map (galaxy, y, x) where used: mean of each galaxy, their rms over the galaxies, rms over all
    spaxels [dex].
    """
    made = {}
    for name in FIELDS:
        error = np.where(used, getattr(found, name) - getattr(true, name), np.nan)
        each = np.nanmean(error, (1, 2))
        made[name] = {
            "bias_of_each": [round(float(x), 5) for x in each],
            "bias_dex": float(np.sqrt(np.mean(each**2))),
            "rms_dex": float(np.sqrt(np.nanmean(error**2))),
        }
    return made


def ratios(case: Any, libraries: dict[str, SSPGrid]) -> tuple:
    """Rest wavelengths, true and learned ratios to the library as it is for three populations, and the band."""
    band = tuple(output_wave_vacuum(case.instrument)[[0, -1]] / (1 + case.redshift))
    wave = np.asarray(case.library.ssp_wave, float)
    seen = (wave >= band[0]) & (wave <= band[1])
    rows = []
    for share in (0.1, 0.5, 0.9):
        lg_age, lgmet = (float(np.quantile(getattr(case.known, f)[case.fitted], share)) for f in FIELDS)
        spectra = {}
        for name, library in libraries.items():
            made = np.interp(wave, library.ssp_wave, spectrum(node_table(library, "linear"), lg_age, lgmet))
            spectra[name] = made / made[seen].mean()
        base = spectra["as it is"]
        label = f"{10**lg_age:.2g} Gyr, Z = {10**lgmet:.2g}"
        rows.append((label, spectra["of the truth"] / base, spectra["corrected"] / base))
    return wave, rows, band


def report(case: Any, model: nnx.Module, folder: pathlib.Path) -> dict[str, Any]:
    """Fit the galaxies held out with three libraries, draw and measure.

    Args:
      case: a `TemplateMismatch`.
      model: a trained `CorrectedSpectra`.
      folder: of the run.

    Returns:
      For the library as it is, corrected, and that of the truth: `biases` and chi2 per pixel; by which factor the
      correction makes the biases smaller.
    """
    corrected = nnx.jit(lambda model: model(case.library).ssp_flux)(model)
    libraries = {
        "as it is": case.library,
        "corrected": dataclasses.replace(case.library, ssp_flux=np.asarray(corrected)),
        "of the truth": case.truth,
    }
    fits = {name: fit(case, library) for name, library in libraries.items()}
    true = jax.tree.map(lambda x: x[case.fitted], case.known)
    snr = case.snr[case.fitted]
    used = snr > SNR_MIN
    found = {name: biases(p, true, used) for name, (p, _) in fits.items()}
    maps = {name: p for name, (p, _) in fits.items()}
    figures = {
        "galaxy.png": plot_galaxy(true, maps, snr, SNR_MIN, spaxel_centres(case.instrument)),
        "biases.png": plot_biases(true, maps, used),
        "correction.png": plot_correction(*ratios(case, libraries)),
    }
    for name, figure in figures.items():
        with atomic_path(folder / name, True) as path:
            figure.savefig(path, format="png")
    arrays = {f"{name}_{f}".replace(" ", "_"): getattr(p, f) for name, p in maps.items() for f in FIELDS}
    arrays |= {f"truth_{f}": getattr(true, f) for f in FIELDS}
    with atomic_path(folder / "maps.npz", True) as path, path.open("wb") as file:
        np.savez_compressed(file, snr=snr, **arrays)
    smaller = {f: found["as it is"][f]["bias_dex"] / found["corrected"][f]["bias_dex"] for f in FIELDS}
    return {
        "biases": found,
        "bias_smaller_by": smaller,
        "goal_bias_halved": all(x >= 2 for x in smaller.values()),
        "chi2": {name: [round(float(x), 4) for x in chi2] for name, (_, chi2) in fits.items()},
        "spaxels": {"all": int(snr.size), "used": int(used.sum()), "snr_above": SNR_MIN, "snr_most": float(snr.max())},
    }
