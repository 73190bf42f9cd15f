"""The compressed engine without compression: every population is a template, and its spectrum may depend on parameters.

    bank    = LibraryTemplates(library, placement)   each node, dimmed in each mode of attenuation, as it is recorded
    spectra = NodeSpectra(mass_distribution)         the mass distribution, whose nodes those are

`Templates` and `Synthesis` compress a library that is fixed; here gradients reach `ssp_flux`. The cost grows with the
number of nodes: cut the library to what the galaxy holds.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.correction import NoCorrection
from galdiff.core.interpolation import expand_nodes
from galdiff.core.stage import Stage
from galdiff.core.variables import Physical, Table, table
from galdiff.errors import InputError
from galdiff.ifu.bank import build_bank
from galdiff.ifu.finegrid import resample
from galdiff.ifu.plan import Plan
from galdiff.ifu.stages import line_spread, width_factor
from galdiff.records import Bank, MassDistribution, Placement, SpectralCube, SSPGrid


class LibraryTemplates(Stage):
    """Node spectra as the spectrograph records them, at every velocity node.

    Args:
      plan: the observation, of a library with the same axes.
      lsf_scale: factor on the instrument's FWHM; trainable, kernels are complete up to 1.3.
    """

    def __init__(self, *, plan: Plan, lsf_scale: float = 1.0) -> None:
        self.plan = plan
        self.lsf_scale: Physical = width_factor(lsf_scale)
        to_fine = resample(plan.node_wave, np.eye(len(plan.node_wave)), plan.grid)
        self.to_fine: Table = table(to_fine, jnp.result_type(float))

    def __call__(self, library: SSPGrid, placement: Placement) -> Bank:
        rows = jnp.matmul(self.rows(library), self.to_fine[...], precision="highest")
        sigma = line_spread(self.plan, self.lsf_scale.bounded, placement.redshift, NoCorrection())
        return build_bank(self.plan.layout, rows, len(self.plan.bins.v_nodes), sigma, placement.redshift)

    def rows(self, library: SSPGrid) -> Float[Array, "row wave"]:
        """Spectra of the nodes on `plan.node_wave`, in each mode of attenuation [Lsun/Angstrom/Msun]."""
        nodes = node_spectra(library, self.plan)
        modes = jnp.asarray(self.plan.bins.attenuation.modes, nodes.dtype)
        return (nodes[:, None] * modes).reshape(-1, nodes.shape[-1])


class NodeSpectra(Stage):
    """Spectra of all spaxels as coefficients of the templates of `LibraryTemplates`: the mass distribution itself."""

    def __call__(self, mass_distribution: MassDistribution) -> SpectralCube:
        return SpectralCube(coef=mass_distribution.mass.reshape(*mass_distribution.mass.shape[:3], -1))


def node_spectra(library: SSPGrid, plan: Plan) -> Float[Array, "node wave"]:
    """Spectra of the population nodes of a library on `plan.node_wave` [Lsun/Angstrom/Msun].

    Raises:
      InputError: the library has another size than that of the plan.
    """
    bins, shape = plan.bins, jnp.shape(library.ssp_flux)
    if shape[:2] != (len(bins.lgmets), len(bins.lg_ages)) or shape[2] < plan.native.stop:
        raise InputError(
            f"'{library.name}' has the shape {shape} (met, age, wave); the observation was planned with"
            f" {len(bins.lgmets)} metallicities and {len(bins.lg_ages)} ages: plan it with this library"
        )
    flux = jnp.asarray(library.ssp_flux)[..., plan.native]
    return expand_nodes(flux, bins.lg_ages, bins.lgmets, bins.interpolation)
