"""Picture of the emission lines of a cube: light, motions and ratios of lines on the sky."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from galdiff.light_records import LineMaps
from galdiff.plotting.figures import robust_limits
from galdiff.plotting.maps_figure import MapPanel, draw_panels
from galdiff.records import ObservedCube

RATIOS = (("[OIII]5007", "Hbeta"), ("[NII]6584", "Halpha"), ("Halpha", "Hbeta"))
LABELS = {"Halpha": r"H$\alpha$", "Hbeta": r"H$\beta$", "[OIII]5007": "[O III] 5007", "[NII]6584": "[N II] 6584"}
LIT = 1e-3  # of the brightest spaxel: fainter ones show wings of the PSF


def line_panels(cube: ObservedCube, maps: LineMaps, names: Sequence[str]) -> list[MapPanel]:
    """The panels of `plot_lines`, in order: those whose lines are there."""
    flux = dict(zip(names, np.moveaxis(np.asarray(maps.flux, float), -1, 0), strict=True))
    first = "Halpha" if "Halpha" in flux else max(flux, key=lambda name: np.nansum(flux[name]))
    per_area = flux[first] / np.prod(cube.spaxel_size)
    lit = np.asarray(cube.inside, bool) & (per_area > LIT * np.nanmax(per_area, initial=0.0))
    light, v, sigma = (np.where(lit, image, np.nan) for image in (_log10(per_area), maps.v, maps.sigma))
    unit = r"$\log_{10}$ [$10^{-20}$ erg s$^{-1}$ cm$^{-2}$ arcsec$^{-2}$]"
    panels = [
        MapPanel(light, LABELS.get(first, first), unit, "magma", robust_limits(light)),
        MapPanel(v, "velocity of the gas", r"$V$ [km s$^{-1}$]", "RdBu_r", robust_limits(v, symmetric=True)),
        MapPanel(sigma, "its dispersion", r"$\sigma$ [km s$^{-1}$]", "inferno", robust_limits(sigma)),
    ]
    for above, below in RATIOS:
        if above in flux and below in flux:
            ratio = np.where(lit, _log10(flux[above]) - _log10(flux[below]), np.nan)
            name = f"{LABELS[above]} / {LABELS[below]}"
            panels.append(MapPanel(ratio, name, r"$\log_{10}$ of the ratio [dex]", "viridis", robust_limits(ratio)))
    return panels


def plot_lines(
    cube: ObservedCube, maps: LineMaps, names: Sequence[str], *, title: str, kpc_per_arcsec: float | None = None
) -> Figure:
    """H-alpha (or the brightest line), velocity and dispersion of the gas, and ratios of lines.

    Args:
      cube: the observation; the aperture is its `inside`.
      maps: of its lines, each (y, x).
      names: of the lines, in the order of the maps.
      title: above the figure.
      kpc_per_arcsec: for the scale bar; None for a bar in arcsec.

    Returns:
      A figure that belongs to no window; write it with its `savefig`.
    """
    return draw_panels(line_panels(cube, maps, names), cube, title=title, kpc_per_arcsec=kpc_per_arcsec)


def _log10(values: np.ndarray) -> np.ndarray:
    return np.log10(np.where(values > 0, values, np.nan))
