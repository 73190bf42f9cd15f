"""RUBIX itself, where it is installed (`pip install astro-rubix`; Cakir et al. 2024, arXiv:2412.08265).

Its own functions make the cube: spaxel assignment, then one star after another. They are compiled once and take the
stars as arguments, which its pipeline, that assembles and traces anew in every call, does not. Its telescope MUSE has
the field and the pixels of `ifu.py`; it reads our library from a file, in its own layout, and interpolates linearly.
"""

import importlib.util
import logging
import pathlib
import tempfile
import warnings

import h5py
import jax
import jax.numpy as jnp
import numpy as np

from galdiff.records import SkyStars, SSPGrid

UNITS = {"age": "Gyr", "metallicity": "", "wavelength": "Angstrom", "flux": "Lsun/Angstrom"}


def installed() -> bool:
    """Whether RUBIX can be imported."""
    return importlib.util.find_spec("rubix") is not None


def real_rubix(ssp: SSPGrid, redshift: float, edges: np.ndarray):
    """Compiled cube (y, x, wave) [Lsun/Angstrom, not divided by 1+z] as a function of stars on the sky.

    Args:
      ssp: the library.
      redshift: of the galaxy.
      edges: of the spaxels along either axis [kpc].
    """
    logging.disable(logging.WARNING)  # it reports each step
    import rubix
    from rubix.core import ifu
    from rubix.core.data import RubixData, StarsData
    from rubix.telescope.utils import square_spaxel_assignment

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it takes its own telescopes
        path = pathlib.Path(folder) / "library.h5"
        columns = (10 ** np.asarray(ssp.ssp_lg_age_gyr), 10 ** np.asarray(ssp.ssp_lgmet), ssp.ssp_wave, ssp.ssp_flux)
        with h5py.File(path, "w") as file:
            for name, values in zip(UNITS, columns, strict=True):
                file[name] = np.asarray(values, np.float32)
        fields = {name: {"name": name, "units": unit, "in_log": False} for name, unit in UNITS.items()}
        template = {"name": "own", "format": "HDF5", "source": "", "file_name": str(path), "fields": fields}
        rubix.config["ssp"]["templates"]["own"] = template
        logger = {"log_level": "ERROR", "log_file_path": None, "format": "%(message)s"}
        config = {
            "logger": logger,
            "telescope": {"name": "MUSE"},
            "galaxy": {"dist_z": redshift},
            "cosmology": {"name": "PLANCK15"},
            "ssp": {"template": {"name": "own"}, "method": "linear"},
        }
        cube = ifu.get_calculate_datacube_particlewise(config)
    axis = {"x": 0, "y": 1, "z": 2}[rubix.config["ifu"]["doppler"]["velocity_direction"]]

    @jax.jit
    def run(stars: SkyStars):
        velocity = jnp.zeros((stars.mass.shape[0], 3), stars.mass.dtype).at[:, axis].set(stars.v_los)
        spaxel = square_spaxel_assignment(jnp.stack([stars.x, stars.y], -1), jnp.asarray(edges, stars.x.dtype))
        given = StarsData(
            velocity=velocity, mass=stars.mass, age=stars.age, metallicity=stars.metallicity, pixel_assignment=spaxel
        )
        return cube(RubixData(stars=given)).stars.datacube

    return run
