"""Bins of spaxels that hold enough stars, and maps that are constant within them.

Lit spaxels are halved at the median of their stars, along the longer side, as long as both halves hold enough.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from galdiff.records import KinematicMaps


def bin_spaxels(stars: Float[np.ndarray, "y x"], enough: float) -> Int[np.ndarray, "y x"]:
    """Bin of each spaxel [1], from 0, shape (y, x); -1 where there are no stars.

    Args:
      stars: effective number in each spaxel [1].
      enough: stars per bin, at least; all spaxels are one bin where they hold fewer.
    """
    label, n = np.full(stars.shape, -1), 0
    todo = [np.argwhere(stars > 0)]
    while todo:
        members = todo.pop()
        if not len(members):
            continue
        side = int(np.argmax(np.ptp(members, axis=0)))
        members = members[np.argsort(members[:, side], kind="stable")]
        held = np.cumsum(stars[tuple(members.T)])
        cut = int(np.searchsorted(held, held[-1] / 2)) + 1
        parts = [(abs(held[-1] - 2 * held[c - 1]), c) for c in (cut - 1, cut) if 0 < c < len(members)]
        cut = min(parts)[1] if parts else len(members)
        if min(held[cut - 1], held[-1] - held[cut - 1]) >= enough:
            todo += [members[cut:], members[:cut]]
        else:
            label[tuple(members.T)], n = n, n + 1
    return label


def sum_bins(values: Float[np.ndarray, "y x"], label: Int[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """Sum over the bin of each spaxel [unit of values], shape (y, x); NaN counts as none, and outside bins it is 0."""
    use = label >= 0
    sums = np.bincount(label[use], np.nan_to_num(np.asarray(values, np.float64))[use], max(label.max() + 1, 1))
    return np.where(use, sums[label], 0.0)


def bin_maps(maps: KinematicMaps, label: Int[np.ndarray, "y x"]) -> KinematicMaps:
    """Maps whose moments are those of bins: exact where v and sigma are moments, age and metallicity linear means.

    Args:
      maps: each (y, x), in units of the record; h3 and h4 have no sum, and become NaN.
      label: bin of each spaxel [from 0], -1 for none; flux is the mean per spaxel of its bin.
    """
    flux = np.where(label >= 0, np.nan_to_num(np.asarray(maps.flux, np.float64)), 0.0)
    light, number = sum_bins(flux, label), sum_bins(np.ones(label.shape), label)
    lit = light > 0

    def mean(values: np.ndarray) -> np.ndarray:
        return np.where(lit, sum_bins(flux * values, label) / np.where(lit, light, 1), np.nan)

    v, sigma, age, z = (np.asarray(x, np.float64) for x in (maps.v, maps.sigma, maps.age, maps.metallicity))
    bulk, none = mean(v), np.full(label.shape, np.nan)
    wide = np.sqrt(np.maximum(mean(sigma**2 + (v - bulk) ** 2), 0))
    found = {"flux": light / np.maximum(number, 1), "v": bulk, "sigma": wide, "h3": none, "h4": none}
    found |= {"age": mean(age), "metallicity": mean(z)}
    return dataclasses.replace(maps, **{name: value.astype(np.float32) for name, value in found.items()})
