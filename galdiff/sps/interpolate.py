"""Spectra of populations between the nodes of an SSP library."""

from jaxtyping import Array, ArrayLike, Float

from galdiff.core.interpolation import expand_nodes, node_weights
from galdiff.core.record import quantity, record, static
from galdiff.records import SSPGrid


@record
class NodeTable:
    """An SSP library ready for interpolation: rows that `node_weights` numbers."""

    nodes: Float[Array, "node wave"] = quantity("Lsun/Angstrom/Msun", "spectra, then their slopes per dex if cubic")
    lg_age: Float[Array, "age"] = quantity("dex", "log10(age/Gyr) of the library")
    lgmet: Float[Array, "met"] = quantity("dex", "log10(Z) of the library")
    method: str = static("linear or cubic", default="cubic")


def node_table(grid: SSPGrid, method: str = "cubic") -> NodeTable:
    """Prepare a library for many lookups; method is linear, or cubic (monotone, continuous first derivatives)."""
    nodes = expand_nodes(grid.ssp_flux, grid.ssp_lg_age_gyr, grid.ssp_lgmet, method)
    return NodeTable(nodes=nodes, lg_age=grid.ssp_lg_age_gyr, lgmet=grid.ssp_lgmet, method=method)


def spectrum(
    table: NodeTable, lg_age: Float[ArrayLike, "..."], lgmet: Float[ArrayLike, "..."]
) -> Float[Array, "... wave"]:
    """Spectra of populations, interpolated in log age and log Z and clamped to the library (zero gradient outside).

    Args:
      table: made by `node_table`.
      lg_age: log10(age/Gyr).
      lgmet: log10 of the metal mass fraction, same shape.

    Returns:
      Luminosity density per Msun formed [Lsun/Angstrom/Msun]; at a node exactly that of the library.
    """
    index, weight = node_weights(lg_age, lgmet, table.lg_age, table.lgmet, table.method)
    total = weight[..., :1] * table.nodes[index[..., 0]]
    for t in range(1, index.shape[-1]):  # one gather per tap: never an array of all taps and wavelengths
        total += weight[..., t, None] * table.nodes[index[..., t]]
    return total
