"""Light of a whole galaxy: one matrix product of the mass formed at each node with the spectra there."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.light_records import PopulationWeights, Starlight
from galdiff.records import SSPGrid
from galdiff.sps.alpha import alpha_factor, check_alpha


class GalaxyLight(Stage):
    """Spectra of stars inside and outside their birth clouds (Charlot & Fall 2000, ApJ 539, 718).

    Args of the constructor:
      t_birth: lifetime of a birth cloud [Gyr].
      width: of its end [dex of age]; a smooth step.
      alpha_fe: [alpha/Fe] of all stars [dex], of a library that holds several; None for its spectra as they are.
    """

    def __init__(self, *, t_birth: float = 0.01, width: float = 0.1, alpha_fe: float | None = None) -> None:
        if not 0.0 < width <= 2.0:
            raise InputError(f"width of the birth-cloud edge is {width} dex; give one above 0 and up to 2 (0.1)")
        self.t_birth = physical(t_birth, lo=1e-3, hi=0.1, unit="Gyr")
        self.width = width
        self.alpha_fe = None if alpha_fe is None else physical(alpha_fe, lo=-1.0, hi=1.5, unit="dex")

    def __call__(self, populations: PopulationWeights, library: SSPGrid) -> Starlight:
        """Both spectra, on the wavelengths of the library."""
        inside = self.inside(populations.lg_age)
        both = jnp.stack([populations.mass * inside, populations.mass * (1 - inside)])
        flux = jnp.asarray(library.ssp_flux)
        if self.alpha_fe is not None:
            flux = flux * alpha_factor(library, self.alpha_fe.bounded)
        if flux.shape[:2] != populations.mass.shape:
            raise InputError(
                f"populations have {populations.mass.shape} nodes (met, age), the library '{library.name}' has"
                f" {flux.shape[:2]}; make both of one library"
            )
        young, old = both.reshape(2, -1) @ flux.reshape(-1, flux.shape[-1]).astype(both.dtype)
        return Starlight(wave=jnp.asarray(library.ssp_wave), young=young, old=old)

    def check(self, library: SSPGrid) -> None:
        """Refuse stars of an [alpha/Fe] that a library has not; not traced.

        Raises:
          InputError: it has one only, or none as rich or poor.
        """
        if self.alpha_fe is not None:
            check_alpha(library, float(self.alpha_fe.bounded))

    def inside(self, lg_age: Float[Array, "age"]) -> Float[Array, "age"]:
        """Share of the stars that are in birth clouds [1] at log10 ages [dex(Gyr)]."""
        return jax.nn.sigmoid((jnp.log10(self.t_birth.bounded) - lg_age) / self.width)
