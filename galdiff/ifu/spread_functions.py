"""Line and point spread functions as data: what they are, how they are read, and their width with wavelength."""

import dataclasses
import itertools
from typing import Any

import numpy as np

from galdiff.errors import InputError
from galdiff.ifu.config_values import Keys

LSF_KINDS = ("constant", "resolving_power", "polynomial", "table")
PSF_KINDS = ("gaussian", "moffat", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSF:
    """Line spread function: a Gaussian whose FWHM is a function of wavelength."""

    kind: str  # constant | resolving_power | polynomial | table
    values: tuple[float, ...]  # (FWHM [A],) | (R,) | coefficients of 1, l, l^2... [A] | table of FWHM [A] or R
    wave: tuple[float, ...] = ()  # nodes of a table [Angstrom]
    is_resolving_power: bool = False  # values are R = wave / FWHM


@dataclasses.dataclass(frozen=True, kw_only=True)
class PSF:
    """Point spread function: FWHM(l) = fwhm (l / wave_ref)^power + slope (l - wave_ref)."""

    kind: str  # gaussian | moffat | none
    fwhm_arcsec: float = 0.0  # at wave_ref
    beta: float = 2.5  # Moffat exponent
    wave_ref: float = 6000.0  # [Angstrom]
    power: float = 0.0  # -0.2 for Kolmogorov turbulence
    slope: float = 0.0  # [arcsec/Angstrom]

    @property
    def chromatic(self) -> bool:
        """True where the width changes with wavelength."""
        return self.kind != "none" and (self.power != 0.0 or self.slope != 0.0)


def lsf_fwhm(lsf: LSF, wave: Any, xp: Any = np) -> Any:
    """FWHM of the line spread function [Angstrom] at `wave` [Angstrom], with the array module `xp`.

    Tables are linear between nodes and constant outside.
    """
    if lsf.kind == "table":
        value = xp.interp(wave, xp.asarray(lsf.wave, wave.dtype), xp.asarray(lsf.values, wave.dtype))
    else:  # constants are polynomials of degree 0
        value = xp.zeros_like(wave)
        for coefficient in reversed(lsf.values):
            value = value * wave + coefficient
    return wave / value if lsf.is_resolving_power else value


def psf_fwhm(psf: PSF, wave: Any) -> Any:
    """FWHM of the point spread function [arcsec] at the observed wavelength `wave` [Angstrom]."""
    return psf.fwhm_arcsec * (wave / psf.wave_ref) ** psf.power + psf.slope * (wave - psf.wave_ref)


def read_lsf(data: Any) -> LSF:
    """Line spread function from a mapping; see `instrument.from_mapping`."""
    names = ("fwhm_angstrom", "resolving_power", "coefficients_angstrom", "wave_angstrom")
    keys = Keys(data, "instrument.lsf", ("kind", *names))
    kind = keys.text("kind", LSF_KINDS)
    wave: tuple[float, ...] = ()
    is_power = kind == "resolving_power"
    if kind == "polynomial":
        values = keys.numbers("coefficients_angstrom")
    elif kind == "table":
        wave = keys.numbers("wave_angstrom", lo=0.0)
        is_power = "resolving_power" in keys.data
        values = keys.numbers("resolving_power" if is_power else "fwhm_angstrom", lo=0.0)
        if len(wave) != len(values) or any(b <= a for a, b in itertools.pairwise(wave)):
            raise InputError(
                f"instrument.lsf is a table of {len(wave)} wavelengths and {len(values)} values;"
                " give equally many, with increasing wavelengths [Angstrom]"
            )
    else:
        values = (keys.number("resolving_power" if is_power else "fwhm_angstrom", lo=0.0),)
    keys.finish(f"for the kind {kind}")
    return LSF(kind=kind, values=values, wave=wave, is_resolving_power=is_power)


def read_psf(data: Any) -> PSF:
    """Point spread function from a mapping; see `instrument.from_mapping`."""
    names = ("fwhm_arcsec", "beta", "wave_ref_angstrom", "power", "slope_arcsec_per_angstrom")
    keys = Keys(data, "instrument.psf", ("kind", *names))
    kind = keys.text("kind", PSF_KINDS)
    if kind == "none":
        return PSF(kind=kind)
    return PSF(
        kind=kind,
        fwhm_arcsec=keys.number("fwhm_arcsec", lo=0.0),
        beta=keys.number("beta", 2.5, lo=1.0),
        wave_ref=keys.number("wave_ref_angstrom", 6000.0, lo=0.0),
        power=keys.number("power", 0.0, lo=-10.0, hi=10.0),
        slope=keys.number("slope_arcsec_per_angstrom", 0.0),
    )
