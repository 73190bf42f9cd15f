"""The sphere that is wanted of a snapshot, if it is known before the snapshot is read."""

import dataclasses

import numpy as np

FARTHEST = 1e8  # kpc: no simulation is as large


@dataclasses.dataclass(frozen=True)
class Sphere:
    """Centre (3,) [kpc] in the file's physical coordinates, radius [kpc], edges (3,) [kpc] of a periodic box."""

    centre: np.ndarray
    radius: float
    box: np.ndarray | None = None

    def inside(self, pos: np.ndarray) -> tuple[np.ndarray, float]:
        """Which of the positions (particle, 3) [kpc] to keep, (particle,), and the distance [kpc] of the nearest.

        Positions that are no numbers, or beyond all simulations, are kept, to be reported.
        """
        sound = (np.abs(pos) <= FARTHEST).all(1)
        away = nearest_image(np.where(sound[:, None], pos, self.centre), self.centre, self.box) - self.centre
        radius = np.linalg.norm(away, axis=1)
        return (radius <= self.radius) | ~sound, float(np.min(radius[sound], initial=np.inf))


def wanted_sphere(centre: object, r_max_kpc: float | None) -> Sphere | None:
    """The sphere that the options of `read_galaxy` mean, if they give it by numbers; what is wrong is said later.

    Args:
      centre: three numbers (3,) [kpc], or the name of a centre.
      r_max_kpc: radius [kpc], or None.
    """
    if isinstance(centre, str) or r_max_kpc is None or not r_max_kpc > 0:
        return None
    try:
        point = np.asarray(centre, float)
    except (TypeError, ValueError):
        return None
    return Sphere(point, float(r_max_kpc)) if point.shape == (3,) and np.isfinite(point).all() else None


def nearest_image(pos: np.ndarray, anchor: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """The periodic image of positions (particle, 3) [kpc] closest to anchor (3,) in a box with edges (3,) [kpc]."""
    return pos if box is None else pos - box * np.round((pos - anchor) / box)
