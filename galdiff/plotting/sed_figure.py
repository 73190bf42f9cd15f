"""Picture of a galaxy's light: its spectrum by parts with the passbands, and the history it comes from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter

from galdiff.observing.galaxy_lines import drawn_lines
from galdiff.observing.galaxy_sed import GalaxySed
from galdiff.photometry.passband import Passband
from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE

YOUNG, OLD, GAS, ALL = "#3b6fb6", "#c8553d", "#2a8f6f", "black"
ADDED = {"dust": ("#b5651d", "light of dust"), "agn": ("#7b4fa3", "active nucleus")}  # besides stars and gas
MARKED = {"Lyalpha": r"Ly$\alpha$", "[OII]3729": "[O II]", "[OIII]5007": "[O III]", "Halpha": r"H$\alpha$"}
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)  # micron
CLOSE = (0.15, 0.4)  # dex of wavelength and light, within which names of lines would touch
MARKED_EW = 2.0  # Angstrom; weaker lines are drawn without a name
MARKED |= {"[SIII]9531": "[S III]", "HeI10830": "He I", "Paalpha": r"Pa$\alpha$"}


def plot_sed(
    sed: GalaxySed,
    passbands: list[Passband],
    title: str,
    added: Mapping[str, np.ndarray] | None = None,
    sigma_gas: float = 50.0,
) -> Figure:
    """Spectrum in the galaxy's frame and star formation history.

    Args:
      sed: one galaxy.
      passbands: of its apparent magnitudes, in their order.
      title: what it is.
      added: what shines besides stars and gas [Lsun/Angstrom], shape (wave,) of its spectrum: dust, agn.
      sigma_gas: velocity dispersion of the lines of gas as drawn [km/s].
    """
    figure = Figure(figsize=(8.0, 6.4), dpi=DPI, layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(2.2, 1.0))
    stretch = 1 + float(sed.epoch.redshift)
    wave, light = np.asarray(sed.seen.wave), np.asarray(sed.seen.lum)
    lines = np.asarray(drawn_lines(wave, sed.seen.line_wave, sed.seen.line_lum, sigma_gas))
    bare = np.asarray(sed.starlight.wave)
    for at, lum, colour, label in (
        (bare, sed.starlight.old, OLD, "older stars, before dust"),
        (bare, sed.starlight.young, YOUNG, "stars in birth clouds, before dust"),
        (bare, sed.nebular.continuum, GAS, "continuum of gas, before dust"),
        *((wave, lum, *ADDED[name]) for name, lum in (added or {}).items()),
        (wave, light + lines, ALL, "what arrives"),
    ):
        if np.any(np.asarray(lum) > 0):
            width = 0.9 if colour == ALL else 0.7
            top.plot(at * stretch / 1e4, at * np.asarray(lum), color=colour, lw=width, label=label)
    marked = np.interp([band.pivot / stretch for band in passbands], wave, wave * light)
    top.plot([band.pivot / 1e4 for band in passbands], marked, "o", ms=5, mfc="white", mec=ALL, zorder=3)
    for band, mag in zip(passbands, np.asarray(sed.apparent.mag), strict=True):  # upright, as neighbours are close
        said, middle = f"{band.name.rpartition('-')[2]} {float(mag):.2f}", band.pivot / 1e4
        place: dict[str, Any] = {"transform": top.get_xaxis_transform(), "fontsize": SMALL, "ha": "center", "va": "top"}
        top.axvline(middle, ymin=0.84, color="0.85", lw=0.8, zorder=0)
        top.text(middle, 0.985, said, rotation=90, bbox={"fc": "white", "ec": "none", "pad": 0.5}, **place)
    most = float(max((wave * (light + lines)).max(), (bare * np.asarray(sed.starlight.old)).max()))
    stars = float(max((wave * light).max(), (bare * np.asarray(sed.starlight.old)).max()))
    lyman = 912.0 * stretch / 1e4
    bluest = min(band.pivot for band in passbands) / 1e4
    micron = (max(wave[0] * stretch / 1e4, min(lyman / 2, 0.9 * bluest)), wave[-1] * stretch / 1e4)
    top.set(xscale="log", yscale="log", ylim=(stars * 2e-4, most * 15), xlim=micron)
    _name_lines(top, sed, wave, wave * (light + lines), most)
    ticks = [
        t
        for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
        if micron[0] < t < micron[1]
    ]
    top.xaxis.set_minor_formatter(NullFormatter())
    top.set_xticks(ticks, [f"{t:g}" for t in ticks])
    top.tick_params(which="both", labelsize=SMALL)
    top.set_xlabel(r"observed wavelength [$\mu$m]", fontsize=TEXT)
    top.set_ylabel(r"$\lambda L_\lambda$ [$L_\odot$]", fontsize=TEXT)
    top.set_title(title, fontsize=TITLE)
    top.legend(fontsize=SMALL, frameon=False, loc="lower right")
    _history(bottom, sed)
    return figure


def _name_lines(axes: Axes, sed: GalaxySed, wave: np.ndarray, light: np.ndarray, most: float) -> None:
    """Names of the strongest lines above their tips, beside them where a brighter one is close."""
    stretch, named = 1 + float(sed.epoch.redshift), []
    for name in set(MARKED) & set(sed.lines.names):
        i = sed.lines.names.index(name)
        if float(sed.lines.ew[i]) > MARKED_EW and wave[0] < float(sed.lines.wave[i]) < wave[-1]:
            near = np.abs(wave / float(sed.lines.wave[i]) - 1) < 0.005
            tip = float(light[near].max()) if near.any() else most
            named.append((tip, float(sed.lines.wave[i]) * stretch / 1e4, MARKED[name]))
    taken: list[tuple[float, float]] = []
    for tip, middle, said in sorted(named, reverse=True):
        close = [x for y, x in taken if abs(np.log10(middle / x)) < CLOSE[0] and abs(np.log10(tip / y)) < CLOSE[1]]
        side = "center" if not close else "right" if middle < close[0] else "left"
        taken.append((tip, middle))
        place: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL, "ha": side, "color": GAS}
        text = axes.annotate(said, (middle, tip), (0, 7), **place)
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _history(axes: Axes, sed: GalaxySed) -> None:
    """Rate of star formation against look-back time."""
    age, mass = np.asarray(sed.stars.age), np.asarray(sed.stars.mass)
    edges = np.linspace(0.0, float(sed.epoch.time), 61)
    ends = (age[1:-1:2] + age[2::2]) / 2  # of panels, which have two Gauss points each
    formed = np.diff(np.interp(edges, np.r_[0.0, ends, age[-1]], np.r_[0.0, np.cumsum(mass)[1:-1:2], mass.sum()]))
    axes.stairs(formed / np.diff(edges) / 1e9, edges, color=ALL, lw=1.2)
    axes.set(xlim=(edges[-1], 0.0), ylim=(0, None))
    axes.set_xlabel("look-back time from the epoch [Gyr]", fontsize=TEXT)
    axes.set_ylabel(r"stars formed [$M_\odot$/yr]", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL)
