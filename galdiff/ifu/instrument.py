"""An integral-field spectrograph as data: field, spaxels, aperture, wavelength grid, LSF and PSF.

Presets are YAML files in conf/instrument; each key carries its unit and each number a reference. An `Instrument` holds
only Python numbers, texts and tuples, so it is hashable and can be a static argument of a compiled function.
"""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.ifu.config_values import Keys
from galdiff.ifu.detector import Detector, read_detector
from galdiff.ifu.spread_functions import LSF, PSF, lsf_fwhm, psf_fwhm, read_lsf, read_psf

SHAPES = ("square", "circle", "hexagon")
GRIDS = ("linear", "log10", "ln")
MEDIA = ("air", "vacuum")
OTHERS = ("aperture", "wave", "lsf", "psf", "detector", "correlation_arcsec", "references")
MAX_SPAXELS = 100_000  # along an axis
MAX_PIXELS = 200_000  # a longer wavelength grid is a mistake in its step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instrument:
    """One mode of a spectrograph; build it with `make_instrument` or `from_mapping`, which check it."""

    name: str
    n_x: int  # spaxels to the East
    n_y: int  # spaxels to the North
    spaxel_x_arcsec: float
    spaxel_y_arcsec: float
    aperture: str  # square | circle | hexagon
    aperture_arcsec: float  # diameter, or flat to flat; not used by square
    orientation_deg: float  # counter-clockwise turn of a hexagon; 0 has flats to the East and West
    grid: str  # linear | log10 | ln
    wave_start: float  # centre of the first pixel [Angstrom, in `medium`]
    wave_step: float  # [Angstrom], [dex] or [ln unit], as `grid` says
    n_wave: int
    medium: str  # air | vacuum
    lsf: LSF
    psf: PSF
    detector: Detector | None = None  # where the noise of an exposure is known
    correlation_arcsec: float = 0.0  # sigma of the Gaussian by which spaxels share noise, see `ifu.covariance`
    references: tuple[tuple[str, str], ...] = ()  # key or group of keys -> citation, or "unchecked: ..."


@buildable
def make_instrument(**keys: Any) -> Instrument:
    """An instrument from the keys of its YAML file; see `from_mapping`."""
    return from_mapping(keys)


def from_mapping(data: Mapping[str, Any]) -> Instrument:
    """Read and check an instrument.

    Args:
      data: name; n_x, n_y or field_x_arcsec, field_y_arcsec; spaxel_x_arcsec, spaxel_y_arcsec;
        aperture {shape, diameter_arcsec | flat_to_flat_arcsec, orientation_deg};
        wave {grid, start_angstrom, end_angstrom, step_angstrom | step_dex | step_ln, medium};
        lsf {kind, fwhm_angstrom | resolving_power | coefficients_angstrom, wave_angstrom};
        psf {kind, fwhm_arcsec, beta, wave_ref_angstrom, power, slope_arcsec_per_angstrom};
      detector, see `read_detector`; correlation_arcsec, zero by default;
        references {key or group: citation}. Keys set to null count as absent.

    Raises:
      InputError: a key is missing, unknown, of the wrong type or out of range.
    """
    field = ("n_x", "n_y", "field_x_arcsec", "field_y_arcsec", "spaxel_x_arcsec", "spaxel_y_arcsec")
    keys = Keys(data, "instrument", ("name", *field, *OTHERS))
    spaxel_x = keys.number("spaxel_x_arcsec", lo=0.0)
    spaxel_y = keys.number("spaxel_y_arcsec", spaxel_x, lo=0.0)
    n_x, n_y = _spaxels(keys, "x", spaxel_x), _spaxels(keys, "y", spaxel_y)
    if max(n_x, n_y) > MAX_SPAXELS:
        raise InputError(
            f"instrument has {max(n_x, n_y):.4g} spaxels along an axis; at most {MAX_SPAXELS} are possible: give a"
            " smaller field_x_arcsec, field_y_arcsec, or larger spaxels"
        )
    aperture = Keys(
        keys.raw("aperture", {"shape": "square"}),
        "instrument.aperture",
        ("shape", "diameter_arcsec", "flat_to_flat_arcsec", "orientation_deg"),
    )
    shape = aperture.text("shape", SHAPES)
    size_key = {"circle": "diameter_arcsec", "hexagon": "flat_to_flat_arcsec"}.get(shape)
    size = aperture.number(size_key, min(n_x * spaxel_x, n_y * spaxel_y), lo=0.0) if size_key else 0.0
    turn = aperture.number("orientation_deg", 0.0) if shape == "hexagon" else 0.0
    aperture.finish(f"for the shape {shape}")
    instr = Instrument(
        name=keys.text("name"),
        n_x=n_x,
        n_y=n_y,
        spaxel_x_arcsec=spaxel_x,
        spaxel_y_arcsec=spaxel_y,
        aperture=shape,
        aperture_arcsec=size,
        orientation_deg=turn,
        **_wave_grid(keys.raw("wave")),
        lsf=read_lsf(keys.raw("lsf")),
        psf=read_psf(keys.raw("psf", {"kind": "none"})),
        detector=read_detector(keys.raw("detector", None)),
        correlation_arcsec=keys.number("correlation_arcsec", 0.0, lo=-1e-12),
        references=tuple((str(k), str(v)) for k, v in dict(keys.raw("references", {})).items()),
    )
    _check_sampling(instr)
    return instr


def output_wave(instr: Instrument) -> np.ndarray:
    """Centres of the wavelength pixels, shape (wave,), in the instrument's medium [Angstrom], float64.

    The centre of a logarithmic pixel is the middle in the logarithm.
    """
    return _grid(instr, np.arange(instr.n_wave, dtype=np.float64))


def output_wave_vacuum(instr: Instrument) -> np.ndarray:
    """Centres of the wavelength pixels, shape (wave,), vacuum [Angstrom], float64."""
    return _to_vacuum(instr, output_wave(instr))


def pixel_edges_vacuum(instr: Instrument) -> np.ndarray:
    """Edges of the wavelength pixels, shape (wave + 1,), vacuum [Angstrom], float64.

    Edges lie in the instrument's medium and are then converted, so nothing is resampled from air to vacuum later.
    """
    return _to_vacuum(instr, _grid(instr, np.arange(instr.n_wave + 1, dtype=np.float64) - 0.5))


def spaxel_centres(instr: Instrument) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the spaxel centres from the centre [arcsec]: x to the East, y North, of the shapes (n_x,), (n_y,)."""
    x = (np.arange(instr.n_x) - (instr.n_x - 1) / 2) * instr.spaxel_x_arcsec
    y = (np.arange(instr.n_y) - (instr.n_y - 1) / 2) * instr.spaxel_y_arcsec
    return x, y


def aperture_mask(instr: Instrument) -> np.ndarray:
    """Spaxels whose centre lies inside the aperture [arcsec]: bool, shape (y, x).

    Circle: r <= d/2. Hexagon of width W, flat to flat: |x| <= W/2 and |x|/2 + sqrt(3)/2 |y| <= W/2, turned by the
    orientation; the corners are 2 W / sqrt(3) apart.
    """
    x, y = spaxel_centres(instr)
    x, y = np.meshgrid(x, y)
    half = instr.aperture_arcsec / 2 * (1 + 1e-9)
    if instr.aperture == "square":
        return np.ones((instr.n_y, instr.n_x), bool)
    if instr.aperture == "circle":
        return x**2 + y**2 <= half**2
    turn = math.radians(instr.orientation_deg)
    u = np.abs(x * math.cos(turn) + y * math.sin(turn))
    v = np.abs(y * math.cos(turn) - x * math.sin(turn))
    return (u <= half) & (u / 2 + v * math.sqrt(3) / 2 <= half)


def reference_of(instr: Instrument, key: str) -> str:
    """Reference of a key such as "wave.step_angstrom", its own or that of its group; empty where there is none."""
    known = dict(instr.references)
    return known.get(key, known.get(key.split(".")[0], ""))


def _spaxels(keys: Keys, axis: str, spaxel: float) -> int:
    """Number of spaxels along an axis, given as such or by the size of the field."""
    has_count, has_field = (name in keys.data for name in (f"n_{axis}", f"field_{axis}_arcsec"))
    if has_count and has_field:
        raise InputError(f"instrument has both n_{axis} and field_{axis}_arcsec; set one of them to null")
    if has_count:
        return keys.count(f"n_{axis}")
    width = keys.number(f"field_{axis}_arcsec", lo=0.0)
    if width < 0.5 * spaxel:
        raise InputError(
            f"instrument.field_{axis}_arcsec is {width:g} arcsec, less than half a spaxel of {spaxel:g}; enlarge it"
        )
    return math.floor(width / spaxel + 0.5 + 1e-9)


def _wave_grid(data: Any) -> dict[str, Any]:
    """Wavelength fields of an instrument."""
    steps = {"linear": "step_angstrom", "log10": "step_dex", "ln": "step_ln"}
    keys = Keys(data, "instrument.wave", ("grid", "start_angstrom", "end_angstrom", *steps.values(), "medium"))
    grid = keys.text("grid", GRIDS)
    start = keys.number("start_angstrom", lo=0.0)
    end = keys.number("end_angstrom", lo=0.0)
    step = keys.number(steps[grid], lo=0.0)
    medium = keys.text("medium", MEDIA)
    keys.finish(f"for a {grid} grid")
    if not start < end:
        raise InputError(f"instrument.wave runs from {start:g} to {end:g} Angstrom; the end must be above the start")
    length = {"linear": end - start, "log10": math.log10(end / start), "ln": math.log(end / start)}[grid]
    n_wave = math.floor(length / step + 1e-4) + 1
    if not 2 <= n_wave <= MAX_PIXELS:
        raise InputError(
            f"instrument.wave.{steps[grid]} is {step:g}: {n_wave} pixels from {start:g} to {end:g} Angstrom;"
            f" choose a step that gives 2 to {MAX_PIXELS}"
        )
    return {"grid": grid, "wave_start": start, "wave_step": step, "n_wave": n_wave, "medium": medium}


def _check_sampling(instr: Instrument) -> None:
    """The LSF and the PSF must be positive over the whole range, and pixels not wider than the LSF."""
    wave = output_wave(instr)
    fwhm = lsf_fwhm(instr.lsf, wave)
    worst = int(np.argmin(fwhm))
    if not fwhm[worst] > 0.0:
        raise InputError(
            f"instrument.lsf has a FWHM of {fwhm[worst]:.3g} Angstrom at {wave[worst]:.1f} Angstrom;"
            " it must be positive"
        )
    psf = instr.psf
    if psf.kind != "none":
        width = psf_fwhm(psf, wave[[0, -1]])
        if not (width > 0.0).all():
            raise InputError(
                f"instrument.psf has a FWHM of {width.min():.3g} arcsec at an end of the wavelength range;"
                " it must be positive"
            )
    ratio = np.gradient(wave) / fwhm
    if (worst := int(np.argmax(ratio))) >= 0 and ratio[worst] > 1.0:
        warnings.warn(
            f"instrument {instr.name}: the wavelength step is {ratio[worst]:.2f} times the LSF FWHM at"
            f" {wave[worst]:.0f} Angstrom; lines are undersampled, reduce the step",
            stacklevel=4,
        )


def _grid(instr: Instrument, index: np.ndarray) -> np.ndarray:
    if instr.grid == "linear":
        return instr.wave_start + index * instr.wave_step
    return instr.wave_start * (10.0 if instr.grid == "log10" else math.e) ** (index * instr.wave_step)


def _to_vacuum(instr: Instrument, wave: np.ndarray) -> np.ndarray:
    from galdiff.core.air import air_to_vacuum  # here: the command line reads instruments before JAX is loaded

    return np.asarray(air_to_vacuum(wave), np.float64) if instr.medium == "air" else wave
