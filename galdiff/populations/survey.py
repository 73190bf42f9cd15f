"""A photometric survey: passbands, depths, and the errors of its magnitudes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.photometry.passband import Passband
from galdiff.photometry.read import load_passband

MEDIAN_SNR = 5.0  # at which depths are told
EDGE = 1.0  # Angstrom, of a rectangular passband
DEPTHS = (5.0, 40.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What a survey sees of a galaxy.

    Attributes:
      name: of the survey; reference: where its depths are from.
      passbands: in which it looks.
      depths: AB magnitude of a point source at 5 sigma [mag], one for each passband.
      detect_in: numbers of the passbands in which a galaxy has to be seen.
      min_snr: signal over noise of a detection [1].
      gamma: share of the error at the limit that photons of the sky do not cause, 0.039 in Ivezic et al. (2019), eq. 5.
      floor: error that no exposure lowers [mag].
    """

    name: str
    reference: str
    passbands: tuple[Passband, ...]
    depths: tuple[float, ...]
    detect_in: tuple[int, ...]
    min_snr: float
    gamma: float
    floor: float

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the passbands as columns of a table are called."""
        return tuple(band.name.replace("-", "_") for band in self.passbands)

    def relative_error(self, mag: Float[Array, "... band"]) -> Float[Array, "... band"]:
        """Error of the flux over the flux [1] at true magnitudes [mag] (Ivezic et al. 2019, ApJ 873, 111, eq. 5)."""
        x = 10 ** (0.4 * jnp.clip(mag - jnp.asarray(self.depths), -20.0, 20.0))
        return jnp.sqrt((0.04 - self.gamma) * x + self.gamma * x * x + (self.floor * np.log(10) / 2.5) ** 2)

    def observed(
        self, mag: Float[Array, "... band"], normal: Float[Array, "... band"]
    ) -> tuple[Float[Array, "... band"], Float[Array, "... band"], Bool[Array, "..."]]:
        """Fluxes [nJy], their errors [nJy] and whether the galaxy is detected.

        Args:
          mag: true magnitudes [mag]; normal: standard normal numbers of the same shape.
        """
        flux = 10 ** (-0.4 * (mag - 31.4))  # nJy
        error = flux * self.relative_error(mag)
        seen = flux + error * normal
        bands = np.asarray(self.detect_in)
        return seen, error, (seen[..., bands] > self.min_snr * error[..., bands]).all(-1)


@buildable
def top_hat(*, name: str, blue: float, red: float) -> Passband:
    """A rectangular passband between two wavelengths [Angstrom], for filters whose curve is in no file at hand.

    Raises:
      InputError: wavelengths that do not rise.
    """
    if not 2 * EDGE < blue < red - 2 * EDGE:
        raise InputError(f"passband {name} runs from {blue} to {red} Angstrom; give two positive ones that rise")
    wave = np.array([blue - EDGE, blue + EDGE, red - EDGE, red + EDGE])
    return Passband(name, wave, np.array([0.0, 1.0, 1.0, 0.0]))


@buildable(reads=True)
def make_survey(
    *,
    name: str,
    passbands: Sequence[Any],
    depths: Sequence[float],
    detect_in: Sequence[str],
    reference: str,
    min_snr: float = MEDIAN_SNR,
    gamma: float = 0.039,
    floor: float = 0.005,
) -> Survey:
    """A survey from names of passbands (as `load_passband` takes, or passbands), with arguments as in `Survey`.

    Raises:
      InputError: numbers or names that do not go together, naming them.
    """
    bands = tuple(load_passband(band) if isinstance(band, str) else band for band in passbands)
    names = [band.name for band in bands]
    if not bands or len(depths) != len(bands) or len(set(names)) != len(names):
        raise InputError(f"survey {name} has {len(bands)} passbands and {len(depths)} depths; give one depth for each")
    if bad := [x for x in depths if not DEPTHS[0] <= x <= DEPTHS[1]]:
        raise InputError(f"depths of survey {name} hold {bad[0]} mag; give AB magnitudes from 5 to 40")
    if odd := [band for band in detect_in if band not in names]:
        raise InputError(f"detect_in of survey {name} names '{odd[0]}'; choose among {', '.join(names)}")
    if not detect_in or not 0.0 < min_snr < 1e4 or not 0.0 <= gamma <= 0.04 or not 0.0 <= floor < 1.0:
        raise InputError(
            f"survey {name} has detect_in {list(detect_in)}, min_snr {min_snr}, gamma {gamma} and floor {floor} mag;"
            " give one or more passbands, a positive ratio, 0 to 0.04 and 0 to 1 mag"
        )
    return Survey(
        name=name,
        reference=reference,
        passbands=bands,
        depths=tuple(float(x) for x in depths),
        detect_in=tuple(names.index(band) for band in detect_in),
        min_snr=min_snr,
        gamma=gamma,
        floor=floor,
    )
