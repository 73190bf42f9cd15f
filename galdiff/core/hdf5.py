"""Read HDF5 as it is meant: a link without a target, an absent part and a missing filter are errors, not zeros."""

import contextlib
import importlib
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from galdiff.errors import InputError

LINKS = "GALDIFF_LINKS"  # environment: "anywhere" allows links out of the folder of a file
FILTERS = {  # registered numbers (The HDF Group); files rarely hold the name
    32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle", 32013: "ZFP", 32015: "Zstandard", 32017: "SZ",
    32026: "Blosc2",
}  # fmt: skip


@contextlib.contextmanager
def damage_is_oserror() -> Iterator[None]:
    """What h5py raises for damaged names, types and sizes, as the OSError that it raises for other damage."""
    try:
        yield
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def target_of(group: h5py.Group, name: str) -> str | None:
    """Where a link of a group leads, if nothing is there; None for what is there, and for what is no link at all.

    Raises:
      InputError: it leads out of the folder of the file.
    """
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink | h5py.SoftLink):
        return None
    if isinstance(link, h5py.ExternalLink):
        refuse_outside(group.file.filename, link.filename, f"{group.name}/{name}".strip("/"))
    with contextlib.suppress(KeyError, OSError, RuntimeError):
        group[name]
        return None
    return f"{link.filename}:{link.path}" if isinstance(link, h5py.ExternalLink) else str(link.path)


def member(group: h5py.Group, name: str) -> Any:
    """The group or dataset under a path inside a group; None where there is none.

    Raises:
      InputError: a link on the way leads to what is absent; names the target.
    """
    place: Any = group
    for step in name.split("/"):
        if not isinstance(place, h5py.Group):
            return None
        if (target := target_of(place, step)) is not None:
            where = f"{place.name}/{step}".lstrip("/")
            raise InputError(
                f"{place.file.filename}: {where} is a link to {target}, which is absent or cannot be read; put that"
                " file where the link leads"
            )
        if step not in place:
            return None
        with damage_is_oserror():  # it is there, and not to be opened
            place = place[step]
    return place


def refuse_outside(path: str, target: str, where: str) -> None:
    """Refuse a target that does not lie in the folder of a file, unless the environment allows it.

    Args:
      path: of the file.
      target: name of another file, as the first gives it.
      where: the member that leads there.

    Raises:
      InputError: naming both and the ways to allow it.
    """
    home = os.path.dirname(os.path.abspath(path))
    place = os.path.normpath(os.path.join(home, target))
    if os.environ.get(LINKS) != "anywhere" and not place.startswith(os.path.join(home, "")):
        raise InputError(
            f"{path}: {where} leads to {target}, out of the folder of the file; if you trust it, set {LINKS}=anywhere,"
            " or put the target, or a symbolic link to it, into the folder"
        )


def read_dataset(dataset: h5py.Dataset, rows: Any = ()) -> np.ndarray:
    """Values of a dataset, or of some of its rows, in the unit [as stored] and shape they have.

    Raises:
      InputError: a file that a virtual dataset is made of is absent (HDF5 would give zeros for it), part of it was
        never written, or a filter that it was compressed with is not installed; names the dataset, and the file or the
        filter.
    """
    check_sources(dataset)
    return rows_of(dataset, rows)


def rows_of(dataset: h5py.Dataset, rows: Any = ()) -> np.ndarray:
    """Values in the unit [as stored] and shape they have, of a dataset whose sources are known to be there.

    Raises:
      InputError: as `read_dataset`; also what is too large for the memory, or of a type that is no number.
    """
    where = f"{dataset.file.filename}: {str(dataset.name).strip('/')}"
    try:
        return dataset[rows]
    except MemoryError as error:
        raise InputError(
            f"{where} has shape {dataset.shape}, more than fits the memory; read a part of it, as with centre= and"
            " r_max_kpc="
        ) from error
    except (TypeError, ValueError) as error:  # a type of HDF5 that numpy has no word for
        raise InputError(f"{where} holds entries that are no numbers ({error}); write it again") from error
    except OSError:
        if not _missing_filters(dataset):
            raise
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")  # its import registers filters
    if missing := _missing_filters(dataset):
        raise InputError(
            f"{where} is compressed with the HDF5 filter {missing[0]}, which is not installed; pip install hdf5plugin,"
            " or repack the file where it is: h5repack -f NONE in.hdf5 out.hdf5"
        )
    return dataset[rows]


def check_sources(dataset: h5py.Dataset) -> None:
    """Refuse a dataset of which a part is absent: a file of a virtual one, or what was never written.

    Raises:
      InputError: naming the first absent file, the dataset that is not in it, or how much was written.
    """
    if not dataset.is_virtual:
        _check_written(dataset)
        return
    where = f"{dataset.file.filename}: {str(dataset.name).strip('/')} is put together from several files, and"
    for name, inner in dict.fromkeys((s.file_name, s.dset_name) for s in dataset.virtual_sources()):
        if "%" in name or name == ".":  # a pattern of names, or the file itself
            continue
        source = _source(dataset, name)
        if source is None:
            raise InputError(f"{where} {name} is absent; put it beside the file, or its particles would be lost")
        refuse_outside(dataset.file.filename, name, str(dataset.name).strip("/"))
        try:
            with h5py.File(source, "r") as file:
                found = member(file, inner.strip("/"))
                if isinstance(found, h5py.Dataset) and not found.is_virtual:
                    _check_written(found)
        except OSError as error:
            raise InputError(f"{where} {name} cannot be read ({error}); fetch it again") from error
        if found is None:
            raise InputError(f"{where} {name} has no {inner}; fetch it again")


def check_compound(dataset: h5py.Dataset) -> None:
    """Refuse a dataset of several named columns that overlap, as damage makes them: reading it would spoil the memory.

    Raises:
      InputError: naming the column.
    """
    fields = sorted((at, name, kind.itemsize) for name, (kind, at, *_) in (dataset.dtype.fields or {}).items())
    ends = [at for at, _, _ in fields[1:]] + [dataset.id.get_type().get_size()]
    for (at, name, size), end in zip(fields, ends, strict=False):
        if at + size > end:
            raise InputError(
                f"{dataset.file.filename}: {str(dataset.name).strip('/')}: column '{name}' overlaps the next one; the"
                " file is damaged: fetch it again"
            )


def _check_written(dataset: h5py.Dataset) -> None:
    """Refuse a dataset that claims more than the file holds: HDF5 would give its fill value for the rest."""
    plan, shape = dataset.id.get_create_plist(), dataset.shape or ()
    if plan.get_layout() == h5py.h5d.CHUNKED:
        needed = math.prod(-(-n // chunk) for n, chunk in zip(shape, dataset.chunks, strict=True))
        found, what = dataset.id.get_num_chunks(), "chunks"
    elif plan.get_layout() == h5py.h5d.CONTIGUOUS and not plan.get_external_count():
        needed = math.prod(shape) * dataset.id.get_type().get_size() if dataset.shape is not None else 0
        found, what = dataset.id.get_storage_size(), "bytes"
    else:
        return
    if found < needed:
        raise InputError(
            f"{dataset.file.filename}: {str(dataset.name).strip('/')} has shape {shape}, but {found} of its {needed}"
            f" {what} were written; the rest would be taken for zeros: fetch the file again, or write it anew"
        )


def _source(dataset: h5py.Dataset, name: str) -> pathlib.Path | None:
    """The file that HDF5 takes for the name of a source: as it stands, or by HDF5_VDS_PREFIX or beside the file."""
    home = pathlib.Path(dataset.file.filename).absolute().parent
    inside = pathlib.Path(name).name if os.path.isabs(name) else name
    prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(home))
    places = [pathlib.Path(name)] if os.path.isabs(name) else []
    places += [pathlib.Path(prefix) / inside] if prefix else []
    places += [home / inside, pathlib.Path(inside)]
    return next((place for place in places if place.is_file()), None)


def _missing_filters(dataset: h5py.Dataset) -> list[str]:
    """Number and name of the filters of a dataset, and of the parts of a virtual one, that are not installed."""
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(i) for i in range(plan.get_nfilters())] if plan.get_layout() == h5py.h5d.CHUNKED else []
    missing = [
        f"{code} ({FILTERS.get(code) or name.decode() or 'unknown'})"
        for code, _, _, name in filters
        if not h5py.h5z.filter_avail(code)
    ]
    for source in dataset.virtual_sources() if dataset.is_virtual else ():
        place = _source(dataset, source.file_name)
        if place is not None:
            with h5py.File(place, "r") as file:
                missing += _missing_filters(file[source.dset_name])
    return missing
