"""From stars of given ages to the mass formed at each node of a library."""

import jax.numpy as jnp
import numpy as np

from galdiff.core.rolling import node_hats
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.light_records import PopulationWeights, StellarHistory
from galdiff.records import SSPGrid
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.panels import AgePanels


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
        lgmet = self.law.lgmet(stars)
        lgmet = lgmet[:1] if self.law.same_at_all_ages else lgmet
        mets = node_hats(lgmet, self.law.spread(), np.asarray(self.lgmet))
        if self.law.same_at_all_ages:
            mass = mets * self.ages.on_nodes(stars.mass, stars.time)
        else:
            mass = self.ages.on_nodes(mets * stars.mass, stars.time)
        lg_age = jnp.asarray(self.ages.lg_age_gyr, stars.age.dtype)
        return PopulationWeights(mass=mass, lg_age=lg_age)
