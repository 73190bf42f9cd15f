"""Results of diffmah, diffstar and DSPS that were stored once, and the parameters they were made of."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from galdiff.halo import diffmah
from galdiff.sfh.diffstar import NAMES, DiffstarParams

MAH = ("logm0", "logtc", "early_index", "late_index", "t_peak")


@dataclasses.dataclass(frozen=True)
class Reference:
    """The stored arrays, by name."""

    arrays: dict

    @classmethod
    def read(cls, data_dir):
        with np.load(data_dir / "sps" / "reference_shared.npz") as stored:
            return cls({name: stored[name] for name in stored.files})

    def __getitem__(self, name):
        return self.arrays[name]

    @property
    def t_today(self) -> float:
        return 10.0 ** float(self["lgt0"])

    @property
    def halos(self) -> diffmah.DiffmahParams:
        return diffmah.DiffmahParams(**dict(zip(MAH, jnp.asarray(self["mah_params"]).T, strict=True)))

    @property
    def galaxies(self) -> DiffstarParams:
        return DiffstarParams(**dict(zip(NAMES, jnp.asarray(self["sfh_params"]).T, strict=True)))

    @property
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        return self["ssp_lgmet"], self["ssp_lg_age_gyr"]


@dataclasses.dataclass(frozen=True)
class Formula:
    """A diffmah halo as star formation asks for it."""

    p: diffmah.DiffmahParams
    t_today: float

    def log10_mass(self, time):
        return diffmah.log10_mass(self.p, time, self.t_today)

    def accretion_rate(self, time):
        return diffmah.accretion_rate(self.p, time, self.t_today)
