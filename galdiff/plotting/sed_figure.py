"""Picture of a galaxy's light: its spectrum by parts with the passbands, and the history it comes from."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from galdiff.observing.galaxy_sed import GalaxySed
from galdiff.photometry.passband import Passband
from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE

YOUNG, OLD, ALL = "#3b6fb6", "#c8553d", "black"


def plot_sed(sed: GalaxySed, passbands: list[Passband], title: str) -> Figure:
    """Spectrum in the galaxy's frame and star formation history.

    Args:
      sed: one galaxy.
      passbands: of its apparent magnitudes, in their order.
      title: what it is.
    """
    figure = Figure(figsize=(8.0, 6.4), dpi=DPI, layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(2.2, 1.0))
    stretch = 1 + float(sed.epoch.redshift)
    micron = np.asarray(sed.spectrum.wave) * stretch / 1e4
    wave = np.asarray(sed.spectrum.wave)
    for lum, colour, label in (
        (sed.starlight.old, OLD, "older stars, before dust"),
        (sed.starlight.young, YOUNG, "stars in birth clouds, before dust"),
        (sed.spectrum.lum, ALL, "what leaves the galaxy"),
    ):
        top.plot(micron, wave * np.asarray(lum), color=colour, lw=1.0 if colour == ALL else 0.7, label=label)
    light = wave * np.asarray(sed.spectrum.lum)
    marked = np.interp([band.pivot / stretch for band in passbands], wave, light)
    top.plot([band.pivot / 1e4 for band in passbands], marked, "o", ms=5, mfc="white", mec=ALL, zorder=3)
    for band, y, mag in zip(passbands, marked, np.asarray(sed.apparent.mag), strict=True):
        name = band.name.rpartition("-")[2]
        text = f"{name} {mag:.2f}"
        top.annotate(text, (band.pivot / 1e4, y), (0, 9), textcoords="offset points", fontsize=SMALL, ha="center")
    most = float(max(light.max(), (wave * np.asarray(sed.starlight.old)).max()))
    top.set(xscale="log", yscale="log", ylim=(most * 2e-4, most * 4), xlim=(micron[0], micron[-1]))
    ticks = [t for t in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if micron[0] < t < micron[-1]]
    top.xaxis.set_minor_formatter(NullFormatter())
    top.set_xticks(ticks, [f"{t:g}" for t in ticks])
    top.tick_params(which="both", labelsize=SMALL)
    top.set_xlabel(r"observed wavelength [$\mu$m]", fontsize=TEXT)
    top.set_ylabel(r"$\lambda L_\lambda$ [$L_\odot$]", fontsize=TEXT)
    top.set_title(title, fontsize=TITLE)
    top.legend(fontsize=SMALL, frameon=False, loc="lower right")
    _history(bottom, sed)
    return figure


def _history(axes: Axes, sed: GalaxySed) -> None:
    """Rate of star formation against look-back time."""
    age, mass = np.asarray(sed.stars.age), np.asarray(sed.stars.mass)
    edges = np.linspace(0.0, float(sed.epoch.time), 61)
    formed = np.diff(np.interp(edges, age, np.cumsum(mass) - mass / 2))
    axes.stairs(formed / np.diff(edges) / 1e9, edges, color=ALL, lw=1.2)
    axes.set(xlim=(edges[-1], 0.0), ylim=(0, None))
    axes.set_xlabel("look-back time from the epoch [Gyr]", fontsize=TEXT)
    axes.set_ylabel(r"stars formed [$M_\odot$/yr]", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL)
