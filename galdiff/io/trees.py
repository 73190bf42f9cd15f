"""Main branches of merger trees (consistent-trees and whatever else ytree reads) as halo tables."""

import pathlib
from typing import Any

import numpy as np

from galdiff.errors import InputError
from galdiff.halo.tabulated import HaloTable


def open_trees(path: str | pathlib.Path) -> Any:
    """Open a merger-tree file with ytree.

    Raises:
      InputError: where ytree is not installed, or cannot read the file.
    """
    try:
        import ytree  # an optional extra that takes seconds to import
    except ImportError as error:
        raise InputError(
            "reading merger trees needs ytree, which is not installed; run `pip install galdiff[trees]`"
        ) from error
    if not pathlib.Path(path).exists():
        raise InputError(f"merger tree {path} does not exist; check the path")
    try:
        return ytree.load(str(path))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"merger tree {path} cannot be read by ytree ({error}); check its format") from error


def main_branch(tree: Any, mass: str = "mass", radius: str = "virial_radius") -> HaloTable:
    """Main branch of one tree, oldest snapshot first, cut to the snapshots where the halo has mass.

    Args:
      tree: root node of a ytree arbor; `tree["prog", field]` holds its main branch, newest first.
      mass: field of the virial mass; ytree converts it to Msun (Msun/h divided by its h).
      radius: field of the virial radius; with `scale_radius` it gives the concentration, where the tree has both.

    Returns:
      Table with redshift, mass and, where known, concentration, the spin of the root, h0 and Omega_m.

    Raises:
      InputError: for a missing field, a mass without unit, or a branch with fewer than three snapshots.
    """
    known = set(tree.arbor.field_list) | set(tree.arbor.derived_field_list)
    if missing := [name for name in (mass, "redshift") if name not in known]:
        raise InputError(
            f"merger tree has no field {', '.join(missing)}; name the mass with mass=..., one of {sorted(known)[:40]}"
        )
    column = tree["prog", mass]
    if not str(getattr(column, "units", "")):
        raise InputError(f"merger tree field {mass} has no unit; its file must say so (Msun or Msun/h) in the header")
    m_vir = np.asarray(column.to("Msun"), np.float64)[::-1]
    keep = m_vir > 0
    if keep.sum() < 3:
        raise InputError(f"main branch of the merger tree has {int(keep.sum())} snapshots with mass [Msun]; it needs 3")
    redshift = np.asarray(tree["prog", "redshift"], np.float64)[::-1]
    c_nfw = None
    if {radius, "scale_radius"} <= known:
        ratio = np.asarray(tree["prog", radius] / tree["prog", "scale_radius"], np.float64)[::-1][keep]
        c_nfw = ratio if np.isfinite(ratio).all() and (ratio > 0).all() else None
    spin = None
    if "spin_parameter" in known and float(tree["spin_parameter"]) > 0:
        spin = np.asarray(float(tree["spin_parameter"]))
    hubble, matter = (getattr(tree.arbor, n, None) for n in ("hubble_constant", "omega_matter"))  # not in all files
    return HaloTable(
        m_vir=m_vir[keep],
        redshift=np.maximum(redshift[keep], 0.0),
        c_nfw=c_nfw,
        spin=spin,
        h0=None if hubble is None else 100 * float(hubble),
        omega_m=None if matter is None else float(matter),
    )
