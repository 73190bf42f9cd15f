"""Records: frozen pytree dataclasses whose fields carry unit, meaning and shape."""

import dataclasses
import typing

import jax
import numpy as np


def quantity(unit: str, meaning: str, **kwargs: typing.Any) -> typing.Any:
    """An array field of a record: unit (""for dimensionless) and meaning, said once."""
    return dataclasses.field(metadata={"unit": unit, "meaning": meaning}, **kwargs)


def static(meaning: str, **kwargs: typing.Any) -> typing.Any:
    """A field of a record that is not traced: a name, a medium, a tuple of integers."""
    return dataclasses.field(metadata={"static": True, "meaning": meaning}, **kwargs)


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(quantity, static))
def record(cls: type) -> type:
    """Make a class a frozen, keyword-only dataclass that JAX sees as a pytree."""
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    is_static = {f.name: bool(f.metadata.get("static")) for f in dataclasses.fields(cls)}
    return jax.tree_util.register_dataclass(
        cls,
        data_fields=[name for name, fixed in is_static.items() if not fixed],
        meta_fields=[name for name, fixed in is_static.items() if fixed],
    )


def unit_of(cls: type, name: str) -> str:
    """Unit of a record's field, as written in its declaration."""
    return {f.name: f.metadata.get("unit", "") for f in dataclasses.fields(cls)}[name]


def _dims(annotation: typing.Any) -> tuple[str, ...] | None:
    """Names of the axes in a jaxtyping annotation (also inside `... | None`)."""
    for part in (annotation, *typing.get_args(annotation)):
        axes = getattr(part, "dim_str", None)
        if axes is not None:
            return tuple(axes.split())
    return None


def check(rec: typing.Any) -> None:
    """Verify that the arrays of a concrete record have the declared axes and are finite.

    Args:
      rec: a record holding concrete arrays (not traced).

    Raises:
      ValueError: naming the record, the field, its unit, what was found and what is allowed.
    """
    name = type(rec).__name__
    sizes: dict[str, tuple[int, str]] = {}
    for field in dataclasses.fields(rec):
        value, unit = getattr(rec, field.name), field.metadata.get("unit", "")
        if field.metadata.get("static") or value is None:
            continue
        if dataclasses.is_dataclass(value):
            check(value)
            continue
        array, dims = np.asarray(value), _dims(field.type)
        where = f"{name}.{field.name} [{unit or '1'}]"
        if dims is not None and "..." not in dims:
            if array.ndim != len(dims):
                raise ValueError(f"{where} has shape {array.shape}; it needs the axes ({', '.join(dims)})")
            for dim, size in zip(dims, array.shape, strict=True):
                known, owner = sizes.setdefault(dim, (size, field.name))
                expected = int(dim) if dim.isdigit() else known
                if size != expected:
                    source = "its declaration" if dim.isdigit() else f"{name}.{owner}"
                    raise ValueError(
                        f"{where} has shape {array.shape}: axis '{dim}' is {size} long, but {expected} in {source};"
                        " make the lengths agree"
                    )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            raise ValueError(f"{where} holds {bad} non-finite values out of {array.size}; drop or repair them first")
