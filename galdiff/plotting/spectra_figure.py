"""Pictures of spectra from a cube, with their noise and the main absorption features of stars."""

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galdiff import units
from galdiff.core.air import air_to_vacuum, vacuum_to_air
from galdiff.plotting.figures import DPI, EDGE, SMALL, TEXT, lay_out, robust_limits
from galdiff.records import ObservedCube

# Rest wavelengths in air [Angstrom]: NIST Atomic Spectra Database; multiplets by their mean, G band by the centre of
# the Lick index G4300 (Worthey et al. 1994, ApJS 94, 687), TiO and CO by their band heads.
FEATURES = {
    "Ca K": 3933.66, "Ca H": 3968.47, r"H$\delta$": 4101.73, "G": 4299.0, r"H$\gamma$": 4340.46, r"H$\beta$": 4861.33,
    "Mg b": 5174.5, "Fe": 5269.54, "Fe ": 5328.04, "Na D": 5892.9, r"H$\alpha$": 6562.80, "TiO": 7053.0,
    "Ca T": 8498.02, "": 8542.09, " ": 8662.14, r"Pa$\beta$": 12818.1, r"Br$\gamma$": 21655.0, "CO": 22935.0,
}  # fmt: skip

EMISSION = {"[O II]": 3727.43, "[O III]": 5006.84, "[N II]": 6583.45, "[S II]": 6723.63}  # the same, of gas


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum:
    """One spectrum with its variance and what it is."""

    flux: np.ndarray
    variance: np.ndarray
    name: str


def spaxel_spectra(cube: ObservedCube) -> list[Spectrum]:
    """The sum over the aperture, the brightest spaxel, and one on either side of it at the half-light radius.

    The sides lie along the major axis of the white light; the variance of the sum is that of independent spaxels.
    """
    inside = np.asarray(cube.inside, bool)
    flux, variance = np.asarray(cube.flux), np.asarray(cube.variance)
    count = f"sum of {int(inside.sum())} spaxels"
    made = [Spectrum(flux[inside].sum(0, dtype=float), variance[inside].sum(0, dtype=float), count)]
    for name, (j, i) in _places(np.where(inside, flux.sum(-1), 0.0), inside, cube.spaxel_size).items():
        east, north = (np.array([i, j]) - (np.array(inside.shape[::-1]) - 1) / 2) * cube.spaxel_size
        where = f"{name}: {abs(east):.1f}\N{DOUBLE PRIME} {'E' if east >= 0 else 'W'}"
        where += f", {abs(north):.1f}\N{DOUBLE PRIME} {'N' if north >= 0 else 'S'}"
        made.append(Spectrum(flux[j, i], variance[j, i], where))
    return made


def _places(image: np.ndarray, inside: np.ndarray, size: tuple[float, float]) -> dict[str, tuple[int, int]]:
    """Spaxels (y, x) of the centre and the two sides, as far as they are different spaxels inside the aperture."""
    light = np.maximum(image, 0.0)
    j, i = np.unravel_index(np.argmax(np.where(inside, image, -np.inf)), image.shape)
    y, x = np.indices(image.shape)
    dx, dy = (x - i).ravel() * size[0], (y - j).ravel() * size[1]  # arcsec
    order = np.argsort(np.hypot(dx, dy))
    total = np.cumsum(light.ravel()[order])
    if total[-1] == 0.0:
        return {"centre": (int(j), int(i))}
    radius = np.hypot(dx, dy)[order][np.searchsorted(total, total[-1] / 2)]
    weight = light.ravel() / total[-1]
    theta = 0.5 * np.arctan2(2 * np.sum(weight * dx * dy), np.sum(weight * (dx**2 - dy**2)))
    places = {"centre": (int(j), int(i))}
    for name, sign in (("half-light radius", 1), ("half-light radius, other side", -1)):
        step = sign * radius * np.array([np.sin(theta) / size[1], np.cos(theta) / size[0]])
        place = (round(j + step[0]), round(i + step[1]))
        within = all(0 <= p < n for p, n in zip(place, image.shape, strict=True))
        if within and inside[place] and place not in places.values():
            places[name] = place
    return places


def observed_features(wave: np.ndarray, medium: str, redshift: float, emission: bool = False) -> dict[str, float]:
    """Features inside the range, at the redshift, in the medium of wave (wave,) [Angstrom]; of gas too, where asked."""
    lo, hi = float(wave[0]), float(wave[-1])
    found = {}
    for name, rest in {**FEATURES, **(EMISSION if emission else {})}.items():
        at = float(air_to_vacuum(np.float64(rest))) * (1 + redshift)
        at = float(vacuum_to_air(np.float64(at))) if medium == "air" else at
        if lo < at < hi:
            found[name] = at
    return found


def plot_spectra(cube: ObservedCube, *, title: str, redshift: float, emission: bool = False) -> Figure:
    """Spectra of the whole aperture, the centre and both sides, with a band of one sigma.

    Args:
      cube: the observation.
      title: above the figure.
      redshift: systemic; where features are marked.
      emission: whether gas shines in lines, which are then marked and shown whole.

    Returns:
      A figure that belongs to no window; write it with its `savefig`.
    """
    wave = np.asarray(cube.wave, float)
    spectra = spaxel_spectra(cube)
    figure = Figure(dpi=DPI)
    axes = np.atleast_1d(figure.subplots(len(spectra), 1, sharex=True))
    lay_out(figure, title, (9.4, 1.87), (0.88, 0.22, 0.55, 0.36), (0.0, 0.09))
    features = observed_features(wave, cube.medium, redshift, emission)
    for ax, spectrum in zip(axes, spectra, strict=True):
        for at in features.values():
            ax.axvline(at, color="0.75", lw=0.8, ls=(0, (4, 3)), zorder=0)
        _draw(ax, wave, spectrum, emission)
    _label_features(axes[0], features, (wave[0], wave[-1]))
    axes[-1].set_xlim(wave[0], wave[-1])
    unit = "\N{ANGSTROM SIGN}"
    axes[-1].set_xlabel(
        f"observed wavelength in {cube.medium} [{unit}]; features marked at z = {redshift:.5g}", fontsize=TEXT
    )
    name = r"$F_\lambda$ [erg s$^{-1}$ cm$^{-2}$ " + unit + "$^{-1}$]"
    figure.supylabel(name, x=EDGE / figure.get_figwidth(), ha="left", fontsize=TEXT)
    return figure


def _draw(ax: Axes, wave: np.ndarray, spectrum: Spectrum, whole: bool) -> None:
    """One spectrum with its noise, in a power of ten of its own."""
    flux, sigma = spectrum.flux * units.FLUX_UNIT, np.sqrt(np.maximum(spectrum.variance, 0.0)) * units.FLUX_UNIT
    largest = float(np.max(np.abs(flux), initial=0.0))
    power = int(np.floor(np.log10(largest))) if largest > 0 else -20
    flux, sigma = flux / 10.0**power, sigma / 10.0**power
    noisy = bool((sigma > 0).any())
    if noisy:
        ax.fill_between(wave, flux - sigma, flux + sigma, color="tab:orange", alpha=0.8, lw=0)
    ax.plot(wave, flux, color="0.1", lw=0.5)
    lo, hi = robust_limits(flux, 0.1)
    hi = max(hi, float(flux.max())) if whole else hi
    room = hi - lo
    ax.set_ylim(lo - 0.12 * room, hi + 0.3 * room)  # room above for the text
    ax.set_ylabel(rf"$10^{{{power}}}$", fontsize=TEXT)
    ax.tick_params(labelsize=SMALL, direction="in", top=True, right=True)
    text = spectrum.name
    if noisy:
        text += f"; S/N per pixel {np.median(flux[sigma > 0] / sigma[sigma > 0]):.0f}, band: \N{PLUS-MINUS SIGN}1\u03c3"
    box = dict(facecolor="white", edgecolor="none", alpha=0.8, pad=1.5)
    ax.text(0.008, 0.955, text, transform=ax.transAxes, fontsize=SMALL, va="top", ha="left", bbox=box)


def _label_features(ax: Axes, features: dict[str, float], span: tuple[float, float]) -> None:
    """Names above the first panel; one that would touch its neighbour to the left is raised by a line."""
    last, raised = -np.inf, False
    for name, at in sorted(features.items(), key=lambda item: item[1]):
        if not name.strip():
            continue
        raised = (at - last) / (span[1] - span[0]) < 0.035 and not raised
        last = at
        ax.annotate(
            name.strip(), (at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 12 if raised else 2),
            textcoords="offset points", ha="center", va="bottom", fontsize=SMALL,
        )  # fmt: skip
