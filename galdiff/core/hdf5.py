"""Read HDF5 as it is meant: a link without a target, an absent part and a missing filter are errors, not zeros."""

import contextlib
import importlib
import os
import pathlib
from typing import Any

import h5py
import numpy as np

from galdiff.errors import InputError

FILTERS = {  # registered numbers (The HDF Group); files rarely hold the name
    32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle", 32013: "ZFP", 32015: "Zstandard", 32017: "SZ",
    32026: "Blosc2",
}  # fmt: skip


def target_of(group: h5py.Group, name: str) -> str | None:
    """Where a link of a group leads, if nothing is there; None for what is there, and for what is no link at all."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink | h5py.SoftLink):
        return None
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
        place = place[step]
    return place


def read_dataset(dataset: h5py.Dataset, rows: Any = ()) -> np.ndarray:
    """Values of a dataset, or of some of its rows, in the unit [as stored] and shape they have.

    Raises:
      InputError: a file that a virtual dataset is made of is absent (HDF5 would give zeros for it), or a filter that
        it was compressed with is not installed; names the dataset, and the file or the filter.
    """
    check_sources(dataset)
    try:
        return dataset[rows]
    except OSError:
        if not _missing_filters(dataset):
            raise
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")  # its import registers filters
    if missing := _missing_filters(dataset):
        raise InputError(
            f"{dataset.file.filename}: {dataset.name.strip('/')} is compressed with the HDF5 filter {missing[0]}, which"
            " is not installed; pip install hdf5plugin, or repack the file where it is: h5repack -f NONE in.hdf5"
            " out.hdf5"
        )
    return dataset[rows]


def check_sources(dataset: h5py.Dataset) -> None:
    """Refuse a virtual dataset of which a part is absent.

    Raises:
      InputError: naming the first absent file, or the dataset that is not in it.
    """
    if not dataset.is_virtual:
        return
    where = f"{dataset.file.filename}: {dataset.name.strip('/')} is put together from several files, and"
    for name, inner in dict.fromkeys((s.file_name, s.dset_name) for s in dataset.virtual_sources()):
        if "%" in name or name == ".":  # a pattern of names, or the file itself
            continue
        source = _source(dataset, name)
        if source is None:
            raise InputError(f"{where} {name} is absent; put it beside the file, or its particles would be lost")
        try:
            with h5py.File(source, "r") as file:
                there = member(file, inner.strip("/")) is not None
        except OSError as error:
            raise InputError(f"{where} {name} cannot be read ({error}); fetch it again") from error
        if not there:
            raise InputError(f"{where} {name} has no {inner}; fetch it again")


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
