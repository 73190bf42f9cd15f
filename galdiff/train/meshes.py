"""Meshes by name, for configs: `mesh: single`, `data` or `data_model`.

Samples of a batch are spread along the axis "data". Numbers of a model are copies on all devices, also along "model":
galdiff's networks are small, so that this axis is there for models that place their own arrays (or constrain the
sharding inside), and else repeats the work of its first column.
"""

import jax
import numpy as np
from jax.sharding import Mesh

from galdiff.errors import InputError

MESHES = ("single", "data", "data_model")


def mesh_of(name: str | None) -> Mesh | None:
    """Mesh of a name, of all devices of all processes: None for single; n x 1 for data; n/2 x 2 for data_model.

    Raises:
      InputError: unknown name, or a number of devices that does not suit it.
    """
    if name is not None and name not in MESHES:
        raise InputError(f"mesh is '{name}'; choose one of {', '.join(MESHES)}")
    devices = np.array(jax.devices())
    n, processes = devices.size, jax.process_count()
    if name in (None, "single"):
        if processes > 1:
            raise InputError(f"mesh is single, but {processes} processes run together; choose data or data_model")
        return None
    if name == "data_model" and n % 2:
        raise InputError(
            f"mesh is data_model, which needs an even number of devices, but there {'is' if n == 1 else 'are'} {n};"
            " choose data, or split the CPU with runtime.cpu_devices=2"
        )
    return Mesh(devices.reshape(n, 1) if name == "data" else devices.reshape(n // 2, 2), ("data", "model"))
