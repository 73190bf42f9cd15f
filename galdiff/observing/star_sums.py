"""Sums over the stars of each spaxel and velocity that maps are made of: weight, weight times age, weight times Z.

A mass distribution holds mass in each population, and a map is a sum over populations; adding up the three sums star by
star makes the same maps with a hundredth of the memory.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from galdiff.core.stage import Stage
from galdiff.ifu.basis import Basis
from galdiff.ifu.deposit import Bins
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.plan import Plan
from galdiff.kinematics.maps import MapMaker, NodeTables, kinematic_maps
from galdiff.records import KinematicMaps, MassDistribution, SpectralCube


def sums_plan(plan: Plan, bins: Bins, tables: NodeTables) -> Plan:
    """Plan with whose bins and basis `PerStar` adds up the three sums.

    Args:
      plan: the observation.
      bins: of the maps.
      tables: what one unit of mass in a node adds to the sums, linear means.
    """
    sums = np.stack([np.asarray(x, np.float64) for x in (tables.weight, tables.age, tables.metallicity)], -1)
    return dataclasses.replace(plan, bins=bins, basis=Basis(np.zeros((3, 1)), sums, np.zeros(3), 0.0))


def bare_stages(plan: Plan, bins: Bins, maker: MapMaker) -> dict[str, Stage]:
    """Stages that make `maps` as `maker` does, from `observed_stars` at a `placement`.

    Args:
      plan: the observation.
      bins: of the maps.
      maker: with linear means.
    """
    tables = NodeTables(weight=maker.weight[...], age=maker.age[...], metallicity=maker.metallicity[...])
    sums = PerStar(plan=sums_plan(plan, bins, tables))
    return {"star_sums": sums, "maps": BareMaps(bins=bins, gauss_hermite=maker.gauss_hermite)}


class BareMaps(Stage):
    """Maps without the PSF; settings as in `galdiff.kinematics.maps.kinematic_maps`."""

    def __init__(self, *, bins: Bins, gauss_hermite: bool = True) -> None:
        self.bins = bins
        self.gauss_hermite = gauss_hermite

    def __call__(self, star_sums: SpectralCube) -> KinematicMaps:
        coef = star_sums.coef
        zero, v_nodes = jnp.zeros((), coef.dtype), jnp.asarray(self.bins.v_nodes, coef.dtype)
        light = MassDistribution(mass=coef[..., None], v_nodes=v_nodes, lost=zero, clipped=zero)
        weight, age, metallicity = (jnp.eye(3, dtype=coef.dtype)[:, k : k + 1] for k in range(3))
        tables = NodeTables(weight=weight, age=age, metallicity=metallicity)
        return kinematic_maps(light, tables, gauss_hermite=self.gauss_hermite)
