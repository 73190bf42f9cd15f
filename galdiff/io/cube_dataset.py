"""A cube and its maps as one labelled xarray Dataset."""

import dataclasses
import types
import typing
from collections.abc import Mapping

import numpy as np

from galdiff.core.record import unit_of
from galdiff.errors import InputError
from galdiff.io.fits_cube import WEIGHTS
from galdiff.records import KinematicMaps, ObservedCube

if typing.TYPE_CHECKING:
    import xarray


def import_xarray() -> types.ModuleType:
    """The package xarray.

    Raises:
      InputError: it is not installed.
    """
    try:
        import xarray  # with pandas half a second to load, and 50 MB to install
    except ImportError as error:
        raise InputError("xarray is not installed; install it with: pip install galdiff[xarray]") from error
    return xarray


def cube_dataset(
    cube: ObservedCube, maps: Mapping[str, KinematicMaps], attributes: Mapping[str, typing.Any] | None = None
) -> "xarray.Dataset":
    """A cube and maps with dims (y, x, wave), each variable with units and long_name.

    Args:
      cube: flux and variance (y, x, wave).
      maps: sets of maps (y, x), by weight: light, mass, seen; they become variables such as v_light.
      attributes: of the whole, plain values.

    Returns:
      Variables flux, variance, inside and maps; coordinates x (to the East) and y (to the North) [arcsec] from the
      centre of the field, and wave [Angstrom].

    Raises:
      InputError: xarray is not installed.
    """
    xarray = import_xarray()
    n_y, n_x, _ = np.shape(cube.flux)
    coordinates = {"wave": ("wave", np.asarray(cube.wave), {"units": "Angstrom", "long_name": f"in {cube.medium}"})}
    towards = {"x": "East", "y": "North"}
    for (name, way), n, size in zip(towards.items(), (n_x, n_y), cube.spaxel_size, strict=True):
        offset = (np.arange(n) - (n - 1) / 2) * size
        coordinates[name] = (name, offset, {"units": "arcsec", "long_name": f"offset to the {way}"})
    variables = {f.name: _variable(cube, f, ("y", "x", "wave")) for f in dataclasses.fields(cube) if _is_array(f)}
    del variables["wave"]
    variables["inside"] = ("y", "x"), *variables["inside"][1:]
    for kind, made in maps.items():
        for field in dataclasses.fields(made):
            dims, values, said = _variable(made, field, ("y", "x"))
            units = {"solLum": "Lsun", "solMass": "Msun"}[WEIGHTS[kind][1]] if field.name == "flux" else said["units"]
            variables[f"{field.name}_{kind}"] = dims, values, {**said, "units": units}
    return xarray.Dataset(variables, coordinates, dict(attributes or {}))


def _is_array(field: dataclasses.Field) -> bool:
    return "unit" in field.metadata


def _variable(record: typing.Any, field: dataclasses.Field, dims: tuple[str, ...]) -> tuple:
    """Dims, values and attributes of a field."""
    said = {"units": unit_of(type(record), field.name) or "1", "long_name": field.metadata["meaning"]}
    return dims, np.asarray(getattr(record, field.name)), said
