"""Picture of a mock catalogue: luminosity function, colours and magnitudes, redshifts, stellar mass function."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE

ALL, SEEN, PUBLISHED = "black", "#c8553d", "#3b6fb6"
BALDRY = {
    "log10_ms": 10.66,
    "phi1": 3.96e-3,
    "a1": -0.35,
    "phi2": 0.79e-3,
    "a2": -1.47,
}  # MNRAS 421, 621, GAMA z < 0.06
BALDRY_H0, BALDRY_RANGE = 70.0, (8.0, 11.6)


@dataclasses.dataclass(frozen=True)
class MockSummary:
    """What the picture shows, summed over chunks.

    Attributes:
      volume: comoving [Mpc^3]; h0: Hubble constant [km/s/Mpc]; bands: of blue and red magnitudes.
      log10_mstar, mag_rest, colour, redshift: of all galaxies [dex(Msun), mag, mag, 1]; detected: whether they are.
      mag: observed in the red band [mag].
    """

    volume: float
    h0: float
    bands: tuple[str, str]
    log10_mstar: np.ndarray
    mag_rest: np.ndarray
    colour: np.ndarray
    mag: np.ndarray
    redshift: np.ndarray
    detected: np.ndarray


def summary_of(rows: np.ndarray, bands: Sequence[str], detect_in: int, volume: float, h0: float) -> MockSummary:
    """Of rows of a catalogue, shape (galaxy,) [units of its columns].

    Args:
      rows: of the table; bands: its passbands as columns are named; detect_in: number of that for detection.
      volume: comoving, that the rows are of [Mpc^3]; h0: Hubble constant [km/s/Mpc].
    """
    red = max(detect_in, 1) % len(bands)
    names = bands[max(red - 2, 0)], bands[red]
    return MockSummary(
        volume=volume,
        h0=h0,
        bands=names,
        log10_mstar=rows["true_log10_mstar"],
        mag_rest=rows[f"true_mag_rest_{names[1]}"],
        colour=rows[f"mag_{names[0]}"] - rows[f"mag_{names[1]}"],
        mag=rows[f"mag_{names[1]}"],
        redshift=rows["redshift"],
        detected=rows["detected"],
    )


def baldry12(log10_mstar: np.ndarray, h0: float = BALDRY_H0) -> np.ndarray:
    """Stellar mass function of GAMA [1/Mpc^3/dex] (Baldry et al. 2012, eq. 6 and table 4), of the shape of the masses.

    Args:
      log10_mstar: stellar mass [dex(Msun)], for the Hubble constant of `h0` [km/s/Mpc].
    """
    ratio = (h0 / BALDRY_H0) ** 2
    x = 10 ** (np.asarray(log10_mstar) - BALDRY["log10_ms"]) * ratio
    two = BALDRY["phi1"] * x ** BALDRY["a1"] + BALDRY["phi2"] * x ** BALDRY["a2"]
    return np.log(10) * x * np.exp(-x) * two * (h0 / BALDRY_H0) ** 3


def plot_mock(found: MockSummary, title: str) -> Figure:
    """The four panels."""
    figure = Figure(figsize=(9.0, 7.2), dpi=DPI, layout="constrained")
    axes = figure.subplots(2, 2)
    _luminosities(axes[0, 0], found)
    _colours(axes[0, 1], found)
    _redshifts(axes[1, 0], found)
    _masses(axes[1, 1], found)
    for ax in axes.flat:
        ax.tick_params(which="both", labelsize=SMALL)
        ax.xaxis.label.set_size(TEXT)
        ax.yaxis.label.set_size(TEXT)
    figure.suptitle(title, fontsize=TITLE)
    return figure


def _per_volume(ax: Axes, values: np.ndarray, found: MockSummary, edges: np.ndarray) -> np.ndarray:
    """Draw numbers per volume and bin of all and of detected galaxies; those of all."""
    width = edges[1] - edges[0]
    for chosen, colour, label in ((slice(None), ALL, "all"), (found.detected, SEEN, "detected")):
        n = np.histogram(values[chosen], edges)[0]
        middle, density = (edges[1:] + edges[:-1]) / 2, n / found.volume / width
        error = np.sqrt(n) / found.volume / width
        good = n > 0
        ax.errorbar(middle[good], density[good], error[good], fmt="o", ms=3, lw=1, color=colour, label=label)
    ax.set_yscale("log")
    return np.histogram(values, edges)[0] / found.volume / width


def _luminosities(ax: Axes, found: MockSummary) -> None:
    edges = np.arange(np.floor(found.mag_rest.min()), np.ceil(np.percentile(found.mag_rest, 99.9)) + 0.75, 0.5)
    _per_volume(ax, found.mag_rest, found, edges)
    ax.invert_xaxis()
    ax.set(xlabel=f"absolute magnitude, {found.bands[1]}, rest frame", ylabel=r"number [Mpc$^{-3}$ mag$^{-1}$]")
    ax.legend(fontsize=SMALL, frameon=False)


def _colours(ax: Axes, found: MockSummary) -> None:
    good = found.detected & np.isfinite(found.colour) & np.isfinite(found.mag)
    ax.set(xlabel=f"observed magnitude, {found.bands[1]}", ylabel=" - ".join(found.bands))
    if not good.any():
        ax.text(0.5, 0.5, "no galaxy is detected", transform=ax.transAxes, ha="center", fontsize=TEXT)
        return
    x, y = found.mag[good], found.colour[good]
    low, high = np.percentile(y, [0.2, 99.8])
    edge = max(high - low, 0.1) * 0.1
    ax.hexbin(x, y, gridsize=60, bins="log", cmap="magma_r", extent=(x.min(), x.max(), low - edge, high + edge))
    ax.set(xlim=(x.min(), x.max()), ylim=(low - edge, high + edge))


def _redshifts(ax: Axes, found: MockSummary) -> None:
    """Numbers over redshift; over magnitude where all have one redshift."""
    one = found.redshift.min() == found.redshift.max()
    values = found.mag if one else found.redshift
    good = np.isfinite(values)
    edges = np.linspace(values[good].min(), values[good].max() + 1e-6, 41)
    for chosen, colour, label in ((good, ALL, "all"), (good & found.detected, SEEN, "detected")):
        ax.hist(values[chosen], edges.tolist(), histtype="step", color=colour, label=label)
    ax.set(xlabel=f"observed magnitude, {found.bands[1]}" if one else "redshift", ylabel="galaxies", yscale="log")
    ax.legend(fontsize=SMALL, frameon=False)


def _masses(ax: Axes, found: MockSummary) -> None:
    edges = np.arange(7.0, 12.51, 0.2)
    density = _per_volume(ax, found.log10_mstar, found, edges)
    x = np.linspace(*BALDRY_RANGE, 100)
    ax.plot(x, baldry12(x, found.h0), color=PUBLISHED, lw=1.5, label="Baldry et al. (2012), z < 0.06")
    lit = density[density > 0]
    ax.set(xlim=(7.0, 12.5), ylim=(max(lit.min() / 2, 1e-8), max(lit.max() * 3, 0.1)))
    ax.set(xlabel=r"$\log_{10} M_\ast$ [$M_\odot$]", ylabel=r"number [Mpc$^{-3}$ dex$^{-1}$]")
    ax.legend(fontsize=SMALL, frameon=False)
