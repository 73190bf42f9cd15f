"""Emission lines of a galaxy in its cube: who shines, in which lines, and the maps of them."""

import dataclasses
import functools
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.galaxy.neighbours import smoothing_lengths, smoothing_of
from galdiff.ifu.emission import plan_lines
from galdiff.ifu.line_plan import LinePlan
from galdiff.ifu.plan import Plan
from galdiff.ifu.spectrograph import blur, weights_of
from galdiff.kinematics.moments import blank
from galdiff.light_records import LineLight, LineMaps
from galdiff.nebular.emitters import StarFormingGas, YoungStars
from galdiff.nebular.h_ii_regions import HIIRegions
from galdiff.nebular.lines import LINES, NAMES, atomic_mass
from galdiff.nebular.lines_per_mass import SPAN, LinesPerMass, thermal_sigma
from galdiff.records import Galaxy, Placement, SSPGrid
from galdiff.sps.ionising_light import IonisingLight
from galdiff.units import FLUX_OF_ONE_LSUN_AT_ONE_MPC

SOURCES = ("auto", "gas", "stars")
DARK = 1e-4  # of the brightest spaxel: in fainter ones round-off of the PSF's transforms moves the moments
WIDENING = 0.5  # variance of a quintic B-spline [node spacing^2]


@dataclasses.dataclass(frozen=True, eq=False)
class GasLines:
    """Gas that shines in lines: what its stages do not know.

    Args:
      sigma: velocity dispersion of the gas of each line besides its motions that are followed [km/s], shape (line,).
      dimming: A_line / A_V of each line, shape (line,).
      a_v_ratio: attenuation of the lines over that of the stars.
    """

    sigma: Float[np.ndarray, "line"]
    dimming: Float[np.ndarray, "line"]
    a_v_ratio: float

    def plan(self, plan: Plan, levels: int) -> LinePlan | None:
        """Those of its lines that an observation records, with as many levels of smoothing as they need; None, with a
        warning, where it records none.
        """
        wave = np.array([line.wave for line in LINES])
        more: dict[str, Any] = {"levels": levels, "a_v_ratio": self.a_v_ratio}
        made = plan_lines(plan, NAMES, wave, self.sigma, self.dimming, **more)
        if made.names:
            return made
        ends = plan.wave_vacuum[[0, -1]] / (1 + plan.redshift)
        warnings.warn(
            f"no emission line of the list lies between {ends[0]:.0f} and {ends[1]:.0f} Angstrom at rest: gas=lines"
            " adds nothing here; choose another wavelength range or redshift",
            stacklevel=2,
        )
        return None


def gas_lines(*, turbulence_kms: float, a_v_ratio: float, curve: Any) -> GasLines:
    """Lines of gas of some turbulence [km/s], behind dust of some curve (None for no dust), as `GasLines`."""
    thermal = thermal_sigma(np.array([atomic_mass(name) for name in NAMES]))
    wave = np.array([line.wave for line in LINES])
    dimming = np.zeros(len(NAMES)) if curve is None else np.asarray(curve(wave), np.float64)
    return GasLines(np.hypot(thermal, turbulence_kms), dimming, a_v_ratio)


def source_of(source: str, galaxy: Galaxy) -> str:
    """Who shines: "gas" or "stars"; auto takes the gas where its star formation is known.

    Raises:
      InputError: an unknown source, or gas without a star formation rate.
    """
    if source not in SOURCES:
        raise InputError(f"gas.source is '{source}'; choose one of {', '.join(SOURCES)}")
    known = galaxy.gas is not None and galaxy.gas.sfr is not None and bool(np.any(np.asarray(galaxy.gas.sfr) > 0))
    if source == "gas" and not known:
        lacks = "no gas" if galaxy.gas is None else "gas without a star formation rate"
        raise InputError(f"gas.source is 'gas', but {galaxy.name or 'the galaxy'} has {lacks}; choose gas.source=stars")
    return ("gas" if known else "stars") if source == "auto" else source


def emission_stages(
    source: str, galaxy: Galaxy, *, regions: HIIRegions, library: SSPGrid, dust: Stage, smoothing: Mapping[str, Any]
) -> dict[str, Stage]:
    """Stages that make `sky_emitters` and `line_table`.

    Args:
      source: gas or stars, from `source_of`.
      galaxy: concrete; gives how far emitters are apart.
      regions: properties of the ionised gas.
      library: with ionising light.
      dust: stage that puts dust in front of stars.
      smoothing: arguments of `smoothing_of`.
    """
    table = LinesPerMass(regions=regions, library=library, ionising=IonisingLight()(library), steady=source == "gas")
    if source == "gas":
        return {"sky_emitters": StarFormingGas(dust=dust), "line_table": table}
    return {"sky_emitters": YoungStars(smoothing=young_smoothing(galaxy, **smoothing)), "line_table": table}


def young_smoothing(galaxy: Galaxy, *, kind: str, neighbours: int) -> Float[np.ndarray, "star"] | None:
    """Smoothing lengths [kpc] by the neighbours among the stars that ionise gas; None where stars have their own.

    Args:
      galaxy: concrete; kind, neighbours: as for `smoothing_of`.
    """
    stars = galaxy.stars
    if kind == "none" or (kind == "auto" and stars.smoothing is not None):
        return None
    young = np.asarray(stars.age) <= SPAN
    sigma = np.zeros(len(young))
    sigma[young] = smoothing_lengths(np.asarray(stars.pos)[young], neighbours) if young.any() else 0.0
    return sigma


def gas_smoothing(galaxy: Galaxy, *, kind: str, neighbours: int) -> Float[np.ndarray, "gas"] | None:
    """Smoothing lengths [kpc] of gas, as those of stars; None without gas."""
    return None if galaxy.gas is None else smoothing_of(galaxy.gas, kind=kind, neighbours=neighbours)


class SeenLines(Stage):
    """Maps of the lines, as light of the lines is blurred by the PSF.

    Args of the constructor:
      plan: the observation, with its lines.
      psf_scale: factor on the FWHM of the PSF.
    """

    def __init__(self, *, plan: Plan, psf_scale: float = 1.0) -> None:
        self.plan, self.psf_scale = plan, psf_scale
        self.lines = with_lines(plan)

    def __call__(self, line_light: LineLight, placement: Placement) -> LineMaps:
        """Velocity and dispersion are moments of the light of all lines; NaN where there is none."""
        lum, v = line_light.lum, jnp.asarray(self.lines.bins.v_nodes, line_light.lum.dtype)
        of_all = lum.sum(-1)
        moments = jnp.stack([of_all.sum(-1), of_all @ v, of_all @ v**2], -1)
        channels = jnp.concatenate([lum.sum(2), moments], -1)
        parts = blur(self.plan, channels, jnp.asarray(self.psf_scale, lum.dtype))
        weights = _anchors(self.plan, self.lines)
        pairs = zip(parts, weights, strict=True)
        seen = functools.reduce(jnp.add, (image * jnp.asarray(w, lum.dtype) for (image, _, _), w in pairs))
        flux = jnp.maximum(seen[..., :-3], 0) * (FLUX_OF_ONE_LSUN_AT_ONE_MPC / placement.luminosity_distance**2)
        total = seen[..., -3]
        lit = total > DARK * total.max()
        mean, square = (seen[..., k] / jnp.where(lit, total, 1) for k in (-2, -1))
        variance = square - mean**2 - WIDENING * (v[1] - v[0]) ** 2
        turbulent = jnp.asarray(np.mean(self.lines.sigma**2), lum.dtype)
        sigma = jnp.sqrt(jnp.maximum(variance, 0) + turbulent)
        return LineMaps(flux=flux, v=blank(mean, lit), sigma=blank(sigma, lit))


def with_lines(plan: Plan) -> LinePlan:
    """The lines of a plan.

    Raises:
      InputError: it has none.
    """
    if plan.lines is None:
        raise InputError("the plan has no emission lines; give it some (galdiff.ifu.emission.plan_lines)")
    return plan.lines


def _anchors(plan: Plan, lines: LinePlan) -> np.ndarray:
    """Weights of the PSF's anchor wavelengths at each line, and for means of all, shape (anchor, line + 3)."""
    if plan.instrument.psf.kind == "none":
        return np.ones((1, len(lines.names) + 3))
    weights = weights_of(plan)
    pixel = np.clip(np.searchsorted(plan.wave_vacuum, lines.wave * (1 + plan.redshift)), 0, len(plan.wave) - 1)
    return np.concatenate([weights[:, pixel], np.repeat(weights[:, pixel].mean(1, keepdims=True), 3, 1)], 1)


def images_of(maps: LineMaps | None, names: Sequence[str]) -> dict[str, tuple[np.ndarray, str]]:
    """Images, shape (y, x), of the lines and of their velocity and dispersion, with units, by FITS extension.

    Fluxes are F_HALPHA and so on [1e-20 erg/s/cm2], motions V_GAS and SIGMA_GAS [km/s].

    Args:
      maps: of the lines; names: theirs.
    """
    if maps is None:
        return {}
    flux = {
        f"F_{re.sub('[^A-Za-z0-9]', '', name).upper()}": np.asarray(maps.flux)[..., k] for k, name in enumerate(names)
    }
    motion = {"V_GAS": (np.asarray(maps.v), "km/s"), "SIGMA_GAS": (np.asarray(maps.sigma), "km/s")}
    return {**{name: (image, "10**(-20)*erg/s/cm**2") for name, image in flux.items()}, **motion}
