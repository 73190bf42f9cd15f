"""Stars sharded over devices: each deposits its share, and the mass distributions add up."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from galdiff.records import MassDistribution, Placement, SkyStars


def shard_stars(stars: SkyStars, mesh: jax.sharding.Mesh) -> SkyStars:
    """Place stars on the axis "data" of a mesh, padded with massless ones to a whole number per device."""
    pad = -len(stars.mass) % mesh.shape["data"]
    padded = jax.tree.map(lambda x: jnp.pad(x, (0, pad), mode="edge"), stars)
    padded = dataclasses.replace(padded, mass=jnp.pad(stars.mass, (0, pad)))
    return jax.device_put(padded, NamedSharding(mesh, PartitionSpec("data")))


def sharded_deposit(
    deposit: Callable[[SkyStars, Placement], MassDistribution], mesh: jax.sharding.Mesh
) -> Callable[[SkyStars, Placement], MassDistribution]:
    """The same deposit for stars sharded over the axis "data": a sum over devices, equal on all of them.

    Args:
      deposit: linear in the stars' mass, such as the stage `Deposit`.
      mesh: has an axis "data".
    """

    def one_device(stars: Any, placement: Any) -> Any:
        mass_distribution = deposit(stars, placement)
        total = jax.lax.psum((mass_distribution.mass, mass_distribution.lost, mass_distribution.clipped), "data")
        return dataclasses.replace(mass_distribution, mass=total[0], lost=total[1], clipped=total[2])

    by_star, same = PartitionSpec("data"), PartitionSpec()
    return jax.shard_map(one_device, mesh=mesh, in_specs=(by_star, same), out_specs=same)
