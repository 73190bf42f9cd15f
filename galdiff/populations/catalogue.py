"""A mock catalogue, chunk by chunk: members of a volume, their galaxies, and what a survey sees of them.

The random numbers of a galaxy follow from the seed and its number alone: chunks may be made in any order, or again.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from galdiff.core.record import unit_of
from galdiff.cosmology import Cosmology
from galdiff.populations.growth import Former
from galdiff.populations.light import Member, MockGalaxy, MockLight
from galdiff.populations.members import Members
from galdiff.populations.shells import Shell, ShellTables, chunks_of
from galdiff.populations.survey import Survey

MAGNITUDES = ("mag", "mag_rest")
LINES = ("line_bare", "line_lum", "line_flux")
UNTOLD = (*MAGNITUDES, *LINES, "merged")
FLAGS = ("satellite", "quenched", "disc")


class Column(NamedTuple):
    """One column of the catalogue."""

    name: str
    dtype: str
    unit: str
    meaning: str


@dataclasses.dataclass(frozen=True, eq=False)
class Mock:
    """Makes the catalogue.

    Attributes:
      members: the haloes; places: their places by name, with units in place_units.
      light: grows haloes and makes the light of galaxies; former: forms their stars.
      tables: of the library in the passbands of `survey`.
      cosmology: the universe; seed: of all random numbers of galaxies; size: galaxies of a chunk, at most.
      redshift: of all, where they have one.
    """

    members: Members
    places: dict[str, np.ndarray]
    place_units: dict[str, str]
    light: MockLight
    former: Former
    tables: ShellTables
    survey: Survey
    cosmology: Cosmology
    seed: int
    size: int
    redshift: float | None

    @functools.cached_property
    def chunks(self) -> list[tuple[int, np.ndarray]]:
        """Shell and rows [numbers of galaxies, from 0] of each chunk, shapes (row,)."""
        z = self.members.redshift
        return chunks_of(np.zeros(z.size, int) if self.redshift is not None else self.tables.number(z), self.size)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the catalogue holds, in its order."""
        found = [Column("id", "i8", "", "number of the galaxy"), Column("host", "i8", "", "id of its central")]
        found += [Column(name, "f8", unit, "place") for name, unit in self.place_units.items()]
        found += [Column("redshift", "f8", "", "redshift"), Column("satellite", "?", "", "in a larger halo")]
        found += [Column(n, "f4", unit_of(Members, n), _meaning(Members, n)) for n in ("log10_m", "log10_mhost")]
        bands = list(zip(self.survey.columns, self.survey.passbands, strict=True))
        for kind, unit, said in (
            ("flux", "nJy", "observed flux density in"),
            ("flux_err", "nJy", "its error in"),
            ("mag", "mag(AB)", "observed magnitude, NaN where the flux is negative, in"),
            ("mag_err", "mag", "its error in"),
        ):
            found += [Column(f"{kind}_{name}", "f4", unit, f"{said} {band.name}") for name, band in bands]
        found.append(Column("detected", "?", "", f"seen by {self.survey.name}"))
        for name in (field.name for field in dataclasses.fields(MockGalaxy) if field.name not in UNTOLD):
            kind = "?" if name in FLAGS else "f4"
            found.append(Column(f"true_{name}", kind, unit_of(MockGalaxy, name), _meaning(MockGalaxy, name)))
        for kind in MAGNITUDES:
            said = f"{_meaning(MockGalaxy, kind)} in"
            found += [Column(f"true_{kind}_{name}", "f4", "mag(AB)", f"{said} {band.name}") for name, band in bands]
        for kind in LINES:
            said, unit = f"{_meaning(MockGalaxy, kind)} of the line", unit_of(MockGalaxy, kind)
            found += [Column(f"true_{kind}_{_plain(x)}", "f4", unit, f"{said} {x}") for x in self.light.gas.shown]
        return tuple(found)

    @property
    def dtype(self) -> np.dtype:
        """Of a row."""
        return np.dtype([(column.name, column.dtype) for column in self.columns])

    def make(self, number: int) -> np.ndarray:
        """The rows of one chunk, shape (galaxy,) [units of `columns`]; who has merged is gone."""
        shell, rows = self.chunks[number]
        padded = np.concatenate([rows, np.full(self.size - rows.size, rows[0])])  # one program for all chunks
        m = self.members
        member = Member(
            number=jnp.asarray(padded),
            log10_m=jnp.asarray(m.log10_m[padded], float),
            redshift=jnp.asarray(m.redshift[padded], float),
            satellite=jnp.asarray(m.satellite[padded], float),
            log10_mhost=jnp.asarray(m.log10_mhost[padded], float),
        )
        grow, shine, state = self._programs
        grown, keys = grow(state, member)
        nearest = float(np.expm1(shell * self.tables.step)) if self.redshift is None else self.redshift
        formed = self.former(grown, keys[:, :2], nearest)
        made = shine(state, member, grown, formed, keys[:, 2:], self.tables.shell(shell, self.redshift))
        there = np.asarray(made[0].merged)[: rows.size] == 0
        galaxy, seen = jax.tree.map(lambda x: np.asarray(x)[: rows.size][there], jax.device_get(made))
        return self._rows(rows[there], galaxy, seen)

    @functools.cached_property
    def _programs(self) -> tuple:
        graph, state = nnx.split(self.light)
        key, noise = jax.random.split(jax.random.key(self.seed))
        cosmology = jax.tree.map(lambda x: jnp.asarray(x, float), self.cosmology)

        @jax.jit
        def grow(state: nnx.State, member: Member) -> tuple:
            light = nnx.merge(graph, state)
            return jax.vmap(lambda one: light.grow(one, key, cosmology))(member)

        @jax.jit
        def shine(state: nnx.State, member: Member, grown: Any, formed: Any, keys: Any, shell: Shell) -> tuple:
            light = nnx.merge(graph, state)
            galaxy = jax.vmap(lambda m, g, f, k: light(m, g, f, k, shell, cosmology))(member, grown, formed, keys)
            normal = jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(noise, n), galaxy.mag.shape[1:]))
            return galaxy, self.survey.observed(galaxy.mag, normal(member.number))

        return grow, shine, state

    def _rows(self, rows: np.ndarray, galaxy: MockGalaxy, seen: tuple[np.ndarray, ...]) -> np.ndarray:
        table, m = np.empty(rows.size, self.dtype), self.members
        table["id"], table["host"], table["redshift"] = rows, m.host[rows], m.redshift[rows]
        table["satellite"], table["log10_m"], table["log10_mhost"] = (
            m.satellite[rows] > 0,
            m.log10_m[rows],
            m.log10_mhost[rows],
        )
        for name, values in self.places.items():
            table[name] = values[rows]
        flux, error, table["detected"] = seen
        for i, name in enumerate(self.survey.columns):
            table[f"flux_{name}"], table[f"flux_err_{name}"] = flux[:, i], error[:, i]
            bright = flux[:, i] > 0
            safe = np.where(bright, flux[:, i], 1.0)
            table[f"mag_{name}"] = np.where(bright, 31.4 - 2.5 * np.log10(safe), np.nan)
            table[f"mag_err_{name}"] = np.where(bright, 2.5 / np.log(10) * error[:, i] / safe, np.nan)
            for kind in MAGNITUDES:
                table[f"true_{kind}_{name}"] = getattr(galaxy, kind)[:, i]
        for i, name in enumerate(self.light.gas.shown):
            for kind in LINES:
                table[f"true_{kind}_{_plain(name)}"] = getattr(galaxy, kind)[:, i]
        for field in dataclasses.fields(MockGalaxy):
            if field.name not in UNTOLD:
                table[f"true_{field.name}"] = getattr(galaxy, field.name)
        return table


def _plain(line: str) -> str:
    """Name of a line without what a column's name should not hold."""
    return line.replace("[", "").replace("]", "")


def _meaning(cls: type, name: str) -> str:
    return next(field.metadata["meaning"] for field in dataclasses.fields(cls) if field.name == name)
