"""Figures of an emulated SSP library: its spectra and the true ones, its errors and those of interpolation."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE

ANGSTROM = "\N{ANGSTROM SIGN}"
COLOURS = {"network": "tab:blue", "linear": "0.6", "cubic": "tab:orange"}
BINS = 120  # of wavelength, in the percentiles


def plot_emulated_spectra(
    wave: np.ndarray, truth: np.ndarray, said: np.ndarray, lg_age: np.ndarray, lgmet: np.ndarray, name: str
) -> Figure:
    """Five spectra at ages held out, young to old, at different metallicities, and their relative errors.

    Args:
      wave: [Angstrom], (wave,).
      truth, said: [Lsun/Angstrom/Msun], (met, age, wave).
      lg_age, lgmet: log10(age/Gyr) and log10(Z) of the first axes.
      name: of the library.
    """
    figure = Figure(figsize=(8.0, 6.2), layout="constrained", dpi=DPI)
    figure.suptitle(f"{name}: spectra at ages that the network never saw", fontsize=TITLE, wrap=True)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    ages = np.unique(np.linspace(0, len(lg_age) - 1, 5).round().astype(int))
    mets = np.linspace(len(lgmet) - 1, 0, len(ages)).round().astype(int)
    for k, (i, j) in enumerate(zip(mets, ages, strict=True)):
        label = f"{10 ** lg_age[j]:.3g} Gyr, Z = {10 ** lgmet[i]:.2g}"
        top.plot(wave, truth[i, j], color="0.1", lw=0.7, label="library" if k == 0 else None)
        top.plot(wave, said[i, j], color=f"C{k}", lw=0.9, ls=(0, (3, 2)), label=label)
        bottom.plot(wave, 100 * (said[i, j] / truth[i, j] - 1), color=f"C{k}", lw=0.5)
    top.set(yscale="log", xscale="log")
    largest = max(truth[i, j].max() for i, j in zip(mets, ages, strict=True))
    smallest = min(truth[i, j].max() for i, j in zip(mets, ages, strict=True))
    top.set_ylim(smallest * 1e-3, largest * 2)
    top.set_ylabel(rf"L$_\lambda$ [L$_\odot$/{ANGSTROM}/M$_\odot$]", fontsize=TEXT)
    top.legend(fontsize=SMALL, loc="upper right")
    bottom.set(ylim=(-4, 4), xlim=(wave[0], wave[-1]))
    bottom.axhline(0.0, color="0.7", lw=0.6)
    bottom.set_ylabel("error [%]", fontsize=TEXT)
    bottom.set_xlabel(f"wavelength in vacuum [{ANGSTROM}]", fontsize=TEXT)
    _finish((top, bottom))
    return figure


def plot_errors(wave: np.ndarray, errors: Mapping[str, np.ndarray], ages: np.ndarray, name: str) -> Figure:
    """Relative errors at ages held out: percentiles along wavelength, by age, and their distribution.

    Args:
      wave: [Angstrom], (wave,).
      errors: by method, network, linear or cubic: [1], (met * age, wave) with age fast.
      ages: held out [Gyr].
      name: of the library.
    """
    figure = Figure(figsize=(8.0, 7.2), layout="constrained", dpi=DPI)
    figure.suptitle(f"{name}: errors at {len(ages)} ages held out, all metallicities", fontsize=TITLE, wrap=True)
    along, by_age, spread = axes = figure.subplots(3, 1)
    edges = np.linspace(0, wave.size, min(BINS, wave.size) + 1).astype(int)
    middle = [wave[a:b].mean() for a, b in itertools.pairwise(edges)]
    bins = np.logspace(-3.5, 2, 100)
    for method, error in errors.items():
        colour, percent = COLOURS[method], 100 * error
        for cut, style in ((50, "-"), (99, ":")):
            values = [np.percentile(percent[:, a:b], cut) for a, b in itertools.pairwise(edges)]
            label = f"{method}, {'median' if cut == 50 else '99 %'}"
            along.plot(middle, values, color=colour, ls=style, lw=1.0, label=label)
        cube = percent.reshape(-1, len(ages), wave.size).swapaxes(0, 1).reshape(len(ages), -1)
        by_age.plot(ages, np.percentile(cube, 99, axis=1), "o-", color=colour, ms=2.5, lw=0.8, label=f"{method}, 99 %")
        some = np.clip(percent.ravel()[::7], bins[0], bins[-1])
        weights = np.full(some.shape, 1 / some.size)
        spread.hist(some, bins=bins, weights=weights, color=colour, histtype="step", label=method)
    for ax in (along, by_age):
        ax.axhline(3.0, color="tab:red", lw=0.6)
        ax.set(xscale="log", yscale="log")
        ax.set_ylabel("error [%]", fontsize=TEXT)
    along.set_xlabel(f"wavelength in vacuum [{ANGSTROM}]", fontsize=TEXT)
    by_age.set_xlabel("age [Gyr]", fontsize=TEXT)
    spread.set(xscale="log")
    spread.set_xlabel("error [%]", fontsize=TEXT)
    spread.set_ylabel("fraction of pixels", fontsize=TEXT)
    spread.axvline(3.0, color="tab:red", lw=0.6)
    for ax in axes:
        ax.legend(fontsize=SMALL - 1, ncols=3)
    _finish(axes)
    return figure


def _finish(axes: Any) -> None:
    for ax in axes:
        ax.tick_params(labelsize=SMALL, direction="in", which="both")
