"""Catalogues of many galaxies in HDF5, written chunk by chunk as they are solved, in bounded memory.

The layout is that of `galdiff.io.histories` with a leading axis of galaxies, plus `id` and `failed/{id,reason}`. A
galaxy without a sound solution has no row, so no mean over rows can hold it: it is in `failed`.
"""

import contextlib
import dataclasses
import pathlib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

import h5py
import numpy as np

from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.io.histories import FORMAT, check_room, describe_dataset, load_history, open_history, sign
from galdiff.io.progress import Steps
from galdiff.observables.history_columns import leaves
from galdiff.records import BaryonHistory

CATALOGUE = f"{FORMAT}, catalogue"
ROWS = 1024  # galaxies in a piece of the file
UNSOLVED = "no solution: it is not finite and positive, or the solver did not reach the end"


@dataclasses.dataclass(frozen=True, eq=False)
class Catalogue:
    """Galaxies of a file, or some of them."""

    histories: BaryonHistory
    ids: np.ndarray
    failed: dict[typing.Any, str]  # id: reason, of all that have no row in the file


class CatalogueWriter:
    """An open catalogue; made by `write_catalogue`."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self.n, self.n_failed = 0, 0

    def append(self, histories: BaryonHistory, ids: Sequence | np.ndarray, reason: str = UNSOLVED) -> int:
        """Add a chunk: galaxies that are solved and finite as rows, the others as failed for `reason`.

        Args:
          histories: with a leading axis, shapes (galaxy, t) [units of the records].
          ids: of the galaxies, whole numbers or text, one kind in one file.
          reason: said of those with solved = False.

        Returns:
          Number of rows added.

        Raises:
          InputError: ids that do not match, or arrays unlike those of the chunks before.
        """
        ids = np.asarray(ids)
        found = {place: (np.asarray(array), unit, words) for place, array, unit, words in leaves(histories)}
        if np.ndim(histories.time) != 2 or ids.shape != np.shape(histories.time)[:1]:
            raise InputError(
                f"chunk has time of shape {np.shape(histories.time)} and ids of shape {ids.shape}; give (galaxy, t)"
                " and one id for each galaxy"
            )
        solved = np.asarray(histories.solved, bool)
        finite = np.ones(len(ids), bool)
        for array, _, _ in found.values():
            finite &= np.isfinite(array).reshape(len(ids), -1).all(1)
        self.fail(ids[~solved], reason)
        self.fail(ids[solved & ~finite], "solved, but a flow or diagnostic is not finite")
        keep = solved & finite
        if keep.any():
            self._check(found)
            check_room(self._file.filename, sum(array.nbytes for array, _, _ in found.values()))
            for place, (array, unit, words) in found.items():
                self._extend(place, array[keep], unit, words)
            self._file.attrs["ledgers"] = list(histories.ledgers)
            self._extend("id", ids[keep], "", "identity of the galaxy")
            self.n += int(keep.sum())
        return int(keep.sum())

    def fail(self, ids: Sequence | np.ndarray, reason: str) -> None:
        """Note galaxies that have no row, and why."""
        ids = np.asarray(ids)
        if len(ids):
            self._extend("failed/id", ids, "", "identity of a galaxy without a solution")
            self._extend("failed/reason", np.full(len(ids), reason), "", "why it has none")
            self.n_failed += len(ids)

    def _check(self, found: Mapping) -> None:
        """Arrays must be those of the first chunk."""
        if self.n == 0:
            return
        known: dict[str, tuple] = {}
        self._file.visititems(
            lambda name, node: known.update({name: node.shape[1:]}) if isinstance(node, h5py.Dataset) else None
        )
        known = {n: shape for n, shape in known.items() if n != "id" and not n.startswith("failed/")}
        given = {place: array.shape[1:] for place, (array, _, _) in found.items()}
        if given != known:
            odd = sorted(dict(given.items() ^ known.items()))[0]
            raise InputError(
                f"{odd} has shape {given.get(odd, 'none')} per galaxy in this chunk, but {known.get(odd, 'none')}"
                " in those before; use the same model and outputs for a whole catalogue"
            )

    def _extend(self, place: str, array: np.ndarray, unit: str, words: str) -> None:
        text = array.dtype.kind in "UO"
        if place not in self._file:
            shape = array.shape[1:]
            dataset = self._file.create_dataset(
                place, (0, *shape), h5py.string_dtype() if text else array.dtype, maxshape=(None, *shape),
                chunks=(ROWS, *shape),
            )  # fmt: skip
            describe_dataset(dataset, unit, words)
        dataset = self._file[place]
        if text != (h5py.check_string_dtype(dataset.dtype) is not None):
            raise InputError(f"{place} mixes text and numbers; use one kind of id in one catalogue")
        start = len(dataset)
        dataset.resize(start + len(array), axis=0)
        dataset[start:] = array.astype(object) if text else array


@contextlib.contextmanager
def write_catalogue(
    path: str | pathlib.Path, *, overwrite: bool = False, attributes: Mapping[str, typing.Any] | None = None
) -> Iterator[CatalogueWriter]:
    """A catalogue to append to; the file gets its name when the block succeeds, and nothing is left when it fails.

    Args:
      path: of the HDF5 file.
      overwrite: replace an existing file.
      attributes: of the file: text or numbers, say the config of the run.

    Raises:
      InputError: the file exists, or the disk refuses.
    """
    with atomic_path(path, overwrite) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        sign(file, CATALOGUE)
        file.attrs.update(attributes or {})
        writer = CatalogueWriter(file)
        yield writer
        file.attrs.update(n_galaxies=writer.n, n_failed=writer.n_failed)


def stream_catalogue(
    path: str | pathlib.Path,
    chunks: Iterable[tuple[BaryonHistory, typing.Any]],
    *,
    total: int,
    ids: Sequence | np.ndarray | None = None,
    steps: Steps | None = None,
    **options: typing.Any,
) -> tuple[int, int]:
    """Write what `galdiff.baryons.population.Population.stream` yields, with a progress bar.

    Args:
      path: of the HDF5 file.
      chunks: pairs of a history with a leading axis and a report, which is not looked at.
      total: number of galaxies to come.
      ids: of all galaxies in order; their numbers by default.
      steps: progress of a run, open; None for a bar of its own.
      options: of `write_catalogue`.

    Returns:
      Numbers of rows and of failed galaxies.

    Raises:
      InputError: more or fewer galaxies than `total` or than ids; nothing is written then.
    """
    if ids is not None and len(ids) != total:
        raise InputError(f"ids name {len(ids)} galaxies, but total is {total}; give one id for each galaxy")
    with contextlib.ExitStack() as stack:
        steps = stack.enter_context(Steps()) if steps is None else steps
        writer = stack.enter_context(write_catalogue(path, **options))
        advance = stack.enter_context(steps(f"baryon histories of {total} galaxies", total=total))
        first = 0
        for histories, _ in chunks:
            last = first + len(histories.solved)
            if last > total:
                raise InputError(f"chunks hold more galaxies ({last} or more) than total ({total}); correct total")
            writer.append(histories, np.arange(first, last) if ids is None else np.asarray(ids[first:last]))
            advance(last - first)
            first = last
        if first < total:
            raise InputError(f"chunks hold {first} galaxies, but total is {total}; correct total")
    return writer.n, writer.n_failed


def read_catalogue(path: str | pathlib.Path, rows: slice = slice(None)) -> Catalogue:
    """Galaxies of a catalogue, or some rows of it, with its list of failed ones.

    Raises:
      InputError: no such file, damaged, not a catalogue, or without any galaxy.
    """
    with open_history(path, CATALOGUE) as file:
        failed = _failed(file)
        if "id" not in file:
            raise InputError(f"{path} holds no galaxy ({len(failed)} failed); read_failed(path) tells why")
        return Catalogue(histories=load_history(file, path, rows), ids=_ids(file["id"], rows), failed=failed)


def read_failed(path: str | pathlib.Path) -> dict[typing.Any, str]:
    """Ids of the galaxies without a solution, with the reason."""
    with open_history(path, CATALOGUE) as file:
        return _failed(file)


def iterate_catalogue(path: str | pathlib.Path, chunk: int = 8192) -> Iterator[Catalogue]:
    """Chunk after chunk of a catalogue, for those too large for the memory."""
    with open_history(path, CATALOGUE) as file:
        n = len(file["id"]) if "id" in file else 0
    for first in range(0, n, chunk):
        yield read_catalogue(path, slice(first, min(first + chunk, n)))


def _ids(dataset: h5py.Dataset, rows: typing.Any = slice(None)) -> np.ndarray:
    return dataset.asstr()[rows] if h5py.check_string_dtype(dataset.dtype) else dataset[rows]


def _failed(file: h5py.File) -> dict[typing.Any, str]:
    if "failed" not in file:
        return {}
    ids = _ids(file["failed/id"])
    return dict(zip(ids.tolist(), file["failed/reason"].asstr()[()], strict=True))
