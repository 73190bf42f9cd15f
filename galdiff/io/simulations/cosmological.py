"""Snapshots of cosmological simulations: stars born at scale factors, and a header that says when it is."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, final

import h5py
import numpy as np

from galdiff.core.hdf5 import member
from galdiff.core.numbers import numeric
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.columns import read_columns
from galdiff.io.simulations.convention import Columns, Convention, Field, Header, Raw, Request
from galdiff.io.simulations.frame import SIGNED, check_values
from galdiff.io.simulations.look import Look, header_of, open_hdf5
from galdiff.io.simulations.snapshot import Epoch, conversion, read_epoch, stellar_ages
from galdiff.io.simulations.sphere import Sphere

EARLIEST = 1e-3  # scale factor before which no star is born


class Cosmological(Convention, abc.ABC):
    """The fields of a simulation, and the few rules by which it differs from others.

    Attributes:
      stars, gas: fields by the names of the records' columns; stars have `formation` (scale factor at birth) instead
        of an age, and what the rules below need.
      labels: lower-case beginnings of the run's label in the header.
      box: unit of Header.BoxSize where it is not that of the coordinates.
      header: names of the numbers in the header.
    """

    stars: ClassVar[Mapping[str, Field]]
    gas: ClassVar[Mapping[str, Field]]
    labels: ClassVar[tuple[str, ...]] = ()
    box: ClassVar[Field | None] = None
    header: ClassVar[Header] = Header()

    def stars_rule(self, columns: Columns) -> Columns:
        """Columns of the record from those that were read (internal units); as they are by default."""
        return columns

    def gas_rule(self, columns: Columns) -> Columns:
        """The same for gas."""
        return columns

    def check_header(self, header: Mapping[str, Any], path: str) -> None:
        """Refuse what the header says to be something else; nothing by default.

        Raises:
          InputError: naming file and attribute.
        """

    @final
    def claims(self, look: Look) -> bool:
        """Whether the run's label is one of ours, and at least half of the needed star fields are there."""
        label = str(look.header.get("RunLabel", "")).lower()
        wanted = [field.names for field in self.stars.values() if field.required]
        present = sum(any(look.has(f"PartType4/{name}") for name in names) for names in wanted)
        return any(label.startswith(name) for name in self.labels) and 2 * present >= len(wanted)

    @final
    def cosmology(self, path: str) -> Cosmology | None:
        """Flat cosmology of a file's header."""
        with open_hdf5(path) as file:
            return read_epoch(header_of(file), self.header, path).cosmology

    @final
    def read(self, path: str, request: Request) -> Raw:
        """Stars and gas of one file."""
        with open_hdf5(path) as file:
            header = header_of(file)
            self.check_header(header, path)
            epoch = read_epoch(header, self.header, path)
            box = self._box(header, file, epoch)
            sphere = request.sphere and dataclasses.replace(request.sphere, box=box)
            stars, labels, nearest = self._stars(file, epoch, request.cosmology, sphere)
            raw = Raw(
                path=path,
                convention=self.name,
                stars=stars,
                gas=None,
                labels=labels,
                redshift=round(1.0 / epoch.a - 1.0, 12),  # a = 1 in single precision is today
                box=box,
                nearest=nearest,
                notes=_notes(self.stars, labels),
            )
            if has_particles(file, "PartType0"):
                gas, names, _ = read_columns(file["PartType0"], self.gas, epoch, self.name, sphere)
                raw.labels.update({f"gas.{key}": name for key, name in names.items()})
                check_values("gas", gas, raw, (*SIGNED, "sfr"))  # before anything is derived of them
                with np.errstate(divide="ignore", invalid="ignore"):  # of no mass: refused later
                    raw.gas = self.gas_rule(gas)
            return raw

    def _stars(
        self, file: h5py.File, epoch: Epoch, cosmology: Cosmology | None, sphere: Sphere | None
    ) -> tuple[Columns, dict[str, str], float]:
        if not has_particles(file, "PartType4"):
            return {}, {}, np.inf
        columns, names, nearest = read_columns(file["PartType4"], self.stars, epoch, self.name, sphere)
        labels = {f"stars.{key}": name for key, name in names.items()}
        where = f"{file.filename}: {names['formation']}"
        _check_finite(columns["formation"], where)  # wind has a birth that is negative, but a number
        with np.errstate(divide="ignore", invalid="ignore"):
            stars = self.stars_rule(columns)
        labels.setdefault("stars.metallicity", labels.get("stars.metals", "metallicity"))
        formation = stars.pop("formation")
        _check_formation(formation, epoch.a, where)
        labels["stars.age"] = names["formation"]
        stars["age"] = stellar_ages(np.minimum(formation, epoch.a), epoch.a, cosmology or epoch.cosmology)
        return stars, labels, nearest

    def _box(self, header: Mapping[str, Any], file: h5py.File, epoch: Epoch) -> np.ndarray | None:
        """Edges of the periodic box [kpc], (3,), or None where there is none."""
        edges = np.ravel(numeric(header.get("BoxSize", 0.0), f"{file.filename}: Header.BoxSize"))
        if not edges.any() and edges.size:
            return None
        if edges.size not in (1, 3) or not (np.isfinite(edges) & (edges > 0)).all():
            raise InputError(
                f"{file.filename}: Header.BoxSize = {edges.tolist()}; expected one or three positive numbers, or 0"
                " where nothing is periodic: repair the header"
            )
        field = self.box or self.stars["pos"]
        places = (f"PartType{i}/{self.stars['pos'].names[0]}" for i in (4, 0))
        found = next((item for place in places if (item := member(file, place)) is not None), None)
        if self.box is not None or found is None:
            factor = conversion({}, field, epoch, f"{file.filename}: Header.BoxSize")
        else:
            factor = conversion(found.attrs, field, epoch, f"{file.filename}: {str(found.name).strip('/')}")
        return np.broadcast_to(edges, (3,)) * factor


def has_particles(file: h5py.File, group: str) -> bool:
    """Whether a group has rows.

    Raises:
      InputError: it is a link to what is absent.
    """
    found = member(file, group)
    if not isinstance(found, h5py.Group):
        return False
    there = [found.get(name) for name in found]
    if any(isinstance(x, h5py.Dataset) and (x.shape or ())[:1] != (0,) for x in there):
        return True
    for name in found:
        member(found, name)  # refuses a link to what is absent
    return False


def _notes(stars: Mapping[str, Field], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Which fields stand in for others."""
    named = {key: labels.get(f"stars.{key}") for key in stars}
    return tuple(
        f"PartType4 has no {' or '.join(field.names)}; {named[key]} is taken for it"
        for key, field in stars.items()
        if field.instead and named[key] is not None and named[key] == named[field.instead]
    )


def _check_finite(formation: np.ndarray, where: str) -> None:
    if bad := int((~np.isfinite(formation)).sum()):
        raise InputError(
            f"{where}: {bad} of {formation.size} scale factors at birth are NaN or infinite values; drop these"
            " particles"
        )


def _check_formation(formation: np.ndarray, a: float, where: str) -> None:
    if (bad := int((formation <= 0).sum())) > 0:
        raise InputError(
            f"{where}: {bad} of {formation.size} scale factors at birth are not positive numbers; drop these particles"
        )
    if (bad := int((formation < EARLIEST).sum())) > 0:
        raise InputError(
            f"{where}: {bad} of {formation.size} stars form at a < {EARLIEST} (lowest {formation.min():.4g}), before"
            " there are stars; expected scale factors at birth: drop these particles"
        )
    late = formation > a * (1 + 1e-5)  # single precision in the file
    if late.any():
        raise InputError(
            f"{where}: {int(late.sum())} of {formation.size} stars form at a = {formation.max():.5g}, after the"
            f" snapshot (a = {a:.5g}); expected scale factors at birth, not ages or redshifts"
        )
