"""From stars of given ages to the mass formed at each node of a library."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.rolling import normal_hats
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.light_records import PopulationWeights, StellarHistory
from galdiff.records import SSPGrid
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.panels import AgePanels


def on_ages(
    mass: Float[Array, "*met point"], age: Float[Array, "point"], below: np.ndarray, lg_age: np.ndarray
) -> Float[Array, "*met age"]:
    """Mass at the ages of a library [unit of mass], by linear interpolation in log10 age; its ends count beyond them.

    Args:
      mass: of the points, shape (..., point).
      age: of the points [Gyr], shape (point,).
      below: number of the library's age at the younger side of each point, shape (point,).
      lg_age: ages of the library [dex(Gyr)], shape (age,).
    """
    dtype = age.dtype
    x = jnp.log10(jnp.maximum(age, 1e-9))
    older = jnp.clip((x - lg_age[below].astype(dtype)) / np.diff(lg_age)[below].astype(dtype), 0.0, 1.0)
    # Matrices that depend on nothing: for many galaxies this is a product of matrices.
    eye = np.eye(lg_age.size, dtype=dtype)
    return (mass * (1 - older)) @ eye[below] + (mass * older) @ eye[below + 1]


class Enrich(Stage):
    """Give stars their metals and lay them on the nodes of a library.

    Args of the constructor:
      law: metallicity at birth.
      ages: the same points in age as of the star formation.
      library: whose nodes these are.
    """

    def __init__(self, *, law: MetallicityLaw, ages: AgePanels, library: SSPGrid) -> None:
        lg_age = np.asarray(library.ssp_lg_age_gyr, float)
        if lg_age.size != len(ages.lg_age_gyr) or not np.allclose(lg_age, ages.lg_age_gyr, atol=1e-6):
            raise InputError(
                f"points in age are laid between {len(ages.lg_age_gyr)} ages, but the library '{library.name}' has"
                f" {lg_age.size} others; build both from one library: panels_of(library)"
            )
        self.law = law
        self.ages = ages
        self.lgmet = tuple(float(z) for z in np.asarray(library.ssp_lgmet))

    def __call__(self, stars: StellarHistory) -> PopulationWeights:
        """Mass formed at each node; what is beyond the library counts at its ends."""
        mets = normal_hats(self.law.lgmet(stars), self.law.spread(), np.asarray(self.lgmet))
        by_metals = mets.T * stars.mass
        mass = on_ages(by_metals, stars.age, self.ages.below, np.asarray(self.ages.lg_age_gyr))
        lg_age = jnp.asarray(self.ages.lg_age_gyr, stars.age.dtype)
        return PopulationWeights(mass=mass, lg_age=lg_age)
