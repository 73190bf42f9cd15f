"""Meshes by name, as a config chooses them."""

import jax
import numpy as np
from jax.sharding import Mesh

from galdiff.errors import InputError
from galdiff.runtime import data_mesh

MESHES = ("single", "data", "data_model")


def mesh_of(name: str) -> Mesh | None:
    """The mesh called `name`, of all devices of all processes; None for a single device.

    single: one device. data: samples over all devices, numbers of the model on each. data_model: samples over half of
    the devices, twice; the second axis, "model", is for models too large for a device. Results do not depend on it.

    Raises:
      InputError: another name, or data_model with an odd number of devices.
    """
    if name not in MESHES:
        raise InputError(f"mesh is '{name}'; choose one of {', '.join(MESHES)}")
    if name == "single":
        return None
    if name == "data":
        return data_mesh()
    devices = jax.devices()
    if len(devices) % 2:
        raise InputError(
            f"mesh is data_model, which needs an even number of devices; there are {len(devices)}: choose data, or"
            " split the CPU with runtime.cpu_devices=2"
        )
    return Mesh(np.array(devices).reshape(-1, 2), ("data", "model"))
