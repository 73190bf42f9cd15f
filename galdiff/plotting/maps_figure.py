"""Pictures of what a cube and its mass distribution show on the sky; East is left, North is up."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from galdiff import units
from galdiff.plotting.figures import DPI, SMALL, TEXT, lay_out, outline, robust_limits
from galdiff.records import KinematicMaps, ObservedCube

OUTSIDE, HATCH = "0.86", "0.62"  # greys of what is not observed or empty; hatched, as no colour map is
LIT = 1e-4  # of the brightest spaxel: fainter ones show wings of the PSF and no galaxy
C_ANGSTROM = units.C_KMS * 1e13  # Angstrom/s
WIDTH, BAR_AT, BAR, BAR_TEXTS = 2.75, 0.07, 0.12, 0.68  # inch: a map, then its colour bar and what it says
STEPS = (1.0, 2.0, 5.0)  # lengths of scale bars, times a power of ten


@dataclasses.dataclass(frozen=True, eq=False)
class MapPanel:
    """One map with its name, colours and limits."""

    image: np.ndarray
    name: str
    unit: str
    colours: str
    limits: tuple[float, float]
    bright_is_low: bool = False  # magnitudes


def surface_brightness(cube: ObservedCube) -> np.ndarray:
    """White light of a cube: AB surface brightness [mag/arcsec^2], shape (y, x); NaN outside and where not positive.

    The mean F_nu over the recorded range is int F_lambda dlambda / int c/lambda^2 dlambda (constant F_nu stays itself).
    """
    flux, wave = np.asarray(cube.flux), np.asarray(cube.wave, float)
    per_hz = np.trapezoid(C_ANGSTROM / wave**2, wave)  # width of the band [Hz]
    f_nu = np.trapezoid(flux, wave, axis=-1) * units.FLUX_UNIT / per_hz / math.prod(cube.spaxel_size)
    lit = np.asarray(cube.inside, bool) & (f_nu > 0)
    return np.where(lit, -2.5 * np.log10(np.where(lit, f_nu, 1.0)) + units.AB_ZERO_POINT, np.nan)


def signal_to_noise(cube: ObservedCube) -> np.ndarray:
    """Median S/N per pixel [1] of each spaxel, shape (y, x); NaN outside the aperture and where there is no noise."""
    out = np.full(np.shape(cube.inside), np.nan)
    variance = np.asarray(cube.variance)
    known = np.asarray(cube.inside, bool) & (variance > 0).all(-1)
    out[known] = np.median(np.asarray(cube.flux)[known] / np.sqrt(variance[known]), axis=-1)
    return out


def map_panels(cube: ObservedCube, maps: KinematicMaps, higher_moments: bool) -> list[MapPanel]:
    """The panels of `plot_maps`, in order."""
    inside = np.asarray(cube.inside, bool)
    v, sigma, age, z, h3, h4 = (
        np.where(inside, np.asarray(getattr(maps, name), float), np.nan)
        for name in ("v", "sigma", "age", "metallicity", "h3", "h4")
    )
    light, snr = surface_brightness(cube), signal_to_noise(cube)
    faint = light > np.nanmin(light, initial=np.inf) - 2.5 * math.log10(LIT)
    light, v, sigma, age, z, h3, h4 = (np.where(faint, np.nan, image) for image in (light, v, sigma, age, z, h3, h4))
    lg_z = np.log10(np.where(z > 0, z, np.nan))
    band = f"white light {cube.wave[0]:.0f}\N{EN DASH}{cube.wave[-1]:.0f} \N{ANGSTROM SIGN}"
    mean = r"$\langle$age$\rangle$", r"$\log_{10}\langle Z\rangle$"
    panels = [
        MapPanel(light, band, r"$\mu_{\rm AB}$ [mag arcsec$^{-2}$]", "magma_r", robust_limits(light), True),
        MapPanel(v, "velocity", r"$V$ [km s$^{-1}$]", "RdBu_r", robust_limits(v, symmetric=True)),
        MapPanel(sigma, "velocity dispersion", r"$\sigma$ [km s$^{-1}$]", "inferno", robust_limits(sigma)),
        MapPanel(age, "age", mean[0] + " [Gyr]", "plasma", robust_limits(age)),
        MapPanel(lg_z, "metallicity", mean[1] + " [dex], mass fraction", "viridis", robust_limits(lg_z)),
    ]
    if np.isfinite(snr).any():
        panels.insert(3, MapPanel(snr, "signal to noise", "S/N per pixel", "cividis", robust_limits(snr)))
    if higher_moments:
        panels += [
            MapPanel(h, f"Gauss-Hermite {name}", f"${name[0]}_{name[1]}$", "PuOr_r", robust_limits(h, symmetric=True))
            for name, h in (("h3", h3), ("h4", h4))
        ]
    return panels


def plot_maps(
    cube: ObservedCube,
    maps: KinematicMaps,
    *,
    title: str,
    kpc_per_arcsec: float | None = None,
    higher_moments: bool = False,
) -> Figure:
    """White light, V, sigma, S/N (where there is noise), age and metallicity, and if asked h3 and h4.

    Args:
      cube: the observation; the aperture is its `inside`.
      maps: its maps, each (y, x).
      title: above the figure.
      kpc_per_arcsec: for the scale bar; None for a bar in arcsec.
      higher_moments: draw h3 and h4 too.

    Returns:
      A figure that belongs to no window; write it with its `savefig`.
    """
    return draw_panels(map_panels(cube, maps, higher_moments), cube, title=title, kpc_per_arcsec=kpc_per_arcsec)


def draw_panels(
    panels: Sequence[MapPanel], cube: ObservedCube, *, title: str, kpc_per_arcsec: float | None = None
) -> Figure:
    """Maps in two rows, with a compass and a scale bar in the first.

    Args:
      panels: in order, each (y, x).
      cube: gives the field and its spaxels.
      title, kpc_per_arcsec: as for `plot_maps`.
    """
    n_y, n_x = np.shape(cube.inside)
    size_x, size_y = cube.spaxel_size
    half_x, half_y = n_x * size_x / 2, n_y * size_y / 2
    columns = math.ceil(len(panels) / 2)
    shape = min(max(half_y / half_x, 0.65), 2.5)  # names of axes need some height
    figure = Figure(dpi=DPI)
    grid = np.atleast_2d(figure.subplots(2, columns, sharex=True, sharey=True))
    bar = BAR_AT + BAR + BAR_TEXTS
    lay_out(figure, title, (WIDTH, WIDTH * shape), (0.65, bar, 0.55, 0.25), (bar, 0.35))
    for ax, panel in zip(grid.flat, panels, strict=False):
        _draw(figure, ax, panel, (half_x, half_y))
    for ax in list(grid.flat)[len(panels) :]:
        ax.set_visible(False)
    for ax in grid[:, 0]:
        ax.set_ylabel("offset to the North [arcsec]", fontsize=TEXT)
    for column, ax in enumerate(grid[1]):
        lowest = ax if ax.get_visible() else grid[0, column]
        lowest.set_xlabel("offset to the East [arcsec]", fontsize=TEXT)
        lowest.tick_params(labelbottom=True)
    _compass(grid[0, 0])
    _scale_bar(grid[0, 0], half_x, kpc_per_arcsec)
    return figure


def _draw(figure: Figure, ax: Axes, panel: MapPanel, half: tuple[float, float]) -> None:
    """One map and its colour bar; arrays grow to the East, the picture shows East left."""
    ax.patch.set(facecolor=OUTSIDE, edgecolor=HATCH, hatch="////")
    limits = Normalize(*panel.limits)
    extent = (-half[0], half[0], -half[1], half[1])
    image = ax.imshow(
        np.ma.masked_invalid(panel.image),
        origin="lower", extent=extent, cmap=panel.colours, norm=limits, interpolation="nearest",
    )  # fmt: skip
    ax.set_xlim(half[0], -half[0])
    ax.set_title(panel.name, fontsize=TEXT, y=1.0)  # else it is looked for at each draw
    ax.tick_params(labelsize=SMALL, direction="in", top=True, right=True)
    finite = panel.image[np.isfinite(panel.image)]
    below, above = bool((finite < panel.limits[0]).any()), bool((finite > panel.limits[1]).any())
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
    place, inch = ax.get_position(), 1 / figure.get_figwidth()
    beside = (place.x1 + BAR_AT * inch, place.y0, BAR * inch, place.height)
    bar = figure.colorbar(image, cax=figure.add_axes(beside, label="<colorbar>"), extend=extend)
    bar.set_label(panel.unit, fontsize=TEXT)
    bar.ax.tick_params(labelsize=SMALL, direction="in")
    if panel.bright_is_low:
        bar.ax.invert_yaxis()


def _compass(ax: Axes) -> None:
    """Arrows to the North and the East in the lower right corner."""
    foot, length = (0.94, 0.07), 0.13
    for name, (dx, dy) in {"N": (0.0, length), "E": (-length, 0.0)}.items():
        tip = (foot[0] + dx, foot[1] + dy)
        arrow = dict(arrowstyle="-|>", color="white", lw=1.2, shrinkA=0, shrinkB=0, path_effects=outline())
        ax.annotate("", tip, foot, xycoords="axes fraction", textcoords="axes fraction", arrowprops=arrow)
        place = (foot[0] + 1.35 * dx, foot[1] + 1.35 * dy)
        ax.text(
            *place, name, transform=ax.transAxes, color="white", fontsize=SMALL, ha="center", va="center",
            path_effects=outline(),
        )  # fmt: skip


def bar_length(longest: float) -> float:
    """The longest of 1, 2, 5 times a power of ten that is not longer than `longest` (positive)."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in STEPS if step * power <= longest * (1 + 1e-9))


def _scale_bar(ax: Axes, half_x: float, kpc_per_arcsec: float | None) -> None:
    """A bar of a round length in the lower left corner, at most 30 % of the field."""
    longest = 0.3 * 2 * half_x
    if kpc_per_arcsec is None:
        arcsec = bar_length(longest)
        label = f"{arcsec:g}\N{DOUBLE PRIME}"
    else:
        kpc = bar_length(longest * kpc_per_arcsec)
        arcsec = kpc / kpc_per_arcsec
        label = f"{kpc:g} kpc = {arcsec:.3g}\N{DOUBLE PRIME}"
    start, width, height = 0.05, arcsec / (2 * half_x), 0.06
    ax.plot(
        [start, start + width], [height, height], transform=ax.transAxes, color="white", lw=2.0,
        solid_capstyle="butt", path_effects=outline(width=3.6),
    )  # fmt: skip
    ax.text(
        start, height + 0.03, label, transform=ax.transAxes, color="white", fontsize=SMALL, ha="left",
        va="bottom", path_effects=outline(),
    )  # fmt: skip
