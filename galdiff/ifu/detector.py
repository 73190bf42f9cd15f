"""Telescope, throughput, sky and CCD of an instrument as data: what its photon noise follows from."""

import dataclasses
import itertools
from typing import Any

from galdiff.errors import InputError
from galdiff.ifu.config_values import Keys

CURVES = ("throughput", "extinction_mag", "sky_ab_mag")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detector:
    """What counts photons behind one spaxel and wavelength pixel; curves are linear between their nodes."""

    telescope_area_m2: float
    read_noise_electron: float  # per detector pixel and read-out
    dark_electron_per_hour: float  # per detector pixel
    pixels: float  # detector pixels per spaxel and wavelength pixel
    wave: tuple[float, ...]  # nodes [Angstrom]
    throughput: tuple[float, ...]  # telescope to CCD, without the atmosphere
    extinction_mag: tuple[float, ...]  # of the atmosphere, at the zenith
    sky_ab_mag: tuple[float, ...]  # per arcsec2


def read_detector(data: Any) -> Detector | None:
    """Detector from a mapping, None from None.

    Args:
      data: telescope_area_m2, read_noise_electron, dark_electron_per_hour, pixels (one by default), wave_angstrom, and
        as many values of throughput, extinction_mag (zero by default) and sky_ab_mag.

    Raises:
      InputError: a key is missing, unknown or out of range, or lists differ in length.
    """
    if data is None:
        return None
    names = ("telescope_area_m2", "read_noise_electron", "dark_electron_per_hour", "pixels", "wave_angstrom", *CURVES)
    keys = Keys(data, "instrument.detector", names)
    wave = keys.numbers("wave_angstrom", lo=0.0)
    throughput, sky = keys.numbers("throughput", lo=0.0), keys.numbers("sky_ab_mag")
    extinction = keys.numbers("extinction_mag") if "extinction_mag" in keys.data else (0.0,) * len(wave)
    for name, values in zip(CURVES, (throughput, extinction, sky), strict=True):
        if len(values) != len(wave) or any(b <= a for a, b in itertools.pairwise(wave)):
            raise InputError(
                f"instrument.detector.{name} has {len(values)} values for {len(wave)} wavelengths; give equally many,"
                " with increasing wave_angstrom"
            )
    if max(throughput) > 1:
        raise InputError(f"instrument.detector.throughput reaches {max(throughput):g}; it is a share, at most 1")
    return Detector(
        telescope_area_m2=keys.number("telescope_area_m2", lo=0.0),
        read_noise_electron=keys.number("read_noise_electron", lo=-1e-12),
        dark_electron_per_hour=keys.number("dark_electron_per_hour", lo=-1e-12),
        pixels=keys.number("pixels", 1.0, lo=0.0),
        wave=wave,
        throughput=throughput,
        extinction_mag=extinction,
        sky_ab_mag=sky,
    )
