"""The reference cubes as galdiff inputs: library, instrument, stars on the sky, placement."""

import dataclasses

import h5py
import jax.numpy as jnp
import numpy as np

from galdiff.ifu.instrument import Instrument, make_instrument
from galdiff.ifu.plan import Plan, Precision, make_plan
from galdiff.records import Placement, SkyStars, SSPGrid
from galdiff.units import FLUX_OF_ONE_LSUN_AT_ONE_MPC

SHARPEST = 1e-3  # Angstrom; stands for "no line-spread function"


@dataclasses.dataclass
class Reference:
    """One reference file."""

    data: dict
    ssp: SSPGrid
    stars: SkyStars
    placement: Placement

    def instrument(self, fwhm) -> Instrument:
        """The field and wavelengths of the file, with an LSF table [Angstrom] and no PSF."""
        wave, n = self.data["wave_angstrom"], len(self.data["kpc_edges"]) - 1
        return make_instrument(
            name="reference", n_x=n, n_y=n, spaxel_x_arcsec=1.0,
            wave=dict(grid="linear", start_angstrom=wave[0], end_angstrom=wave[-1],
                      step_angstrom=float(self.data["dl_angstrom"]), medium="vacuum"),
            lsf=dict(
                kind="table", wave_angstrom=wave.tolist(), fwhm_angstrom=np.broadcast_to(fwhm, wave.shape).tolist()
            ),
            psf=dict(kind="none"),
        )  # fmt: skip

    def plan(self, *, fwhm=None, curve=None, instrument=None, **precision) -> Plan:
        """Plan for this file; the LSF is the file's own unless given."""
        instrument = instrument or self.instrument(self.fwhm if fwhm is None else fwhm)
        v_max = float(np.abs(self.data["velocity_kms"][:, 2]).max())
        settings = Precision(**{"v_max_kms": v_max, "kernel": "nearest", **precision})
        return make_plan(self.ssp, instrument, float(self.data["redshift"]), settings, curve)

    @property
    def fwhm(self) -> np.ndarray:
        """Instrumental FWHM [Angstrom] that adds what the file's cubes added."""
        template = (1 + self.data["redshift"]) * self.ssp.ssp_fwhm[0]
        return np.hypot(self.data["lsf_fwhm_added"], template)

    def lum(self, cube) -> np.ndarray:
        """Back from flux density to Lsun per observed Angstrom."""
        return np.asarray(cube.flux) * float(self.placement.luminosity_distance) ** 2 / FLUX_OF_ONE_LSUN_AT_ONE_MPC


def load_reference(path, miles=None) -> Reference:
    """Read a reference file; `miles` is the library of the shared one."""
    data = dict(np.load(path))
    if miles is None:
        ssp = SSPGrid(
            ssp_wave=data["ssp_wave"], ssp_lg_age_gyr=data["ssp_lg_age_gyr"], ssp_lgmet=data["ssp_lgmet"],
            ssp_flux=data["ssp_llambda"].astype(float), ssp_fwhm=np.zeros(len(data["ssp_wave"])),
        )  # fmt: skip
    else:
        with h5py.File(miles) as f:
            wave = f["ssp_wave"][:]
            ssp = SSPGrid(
                ssp_wave=wave, ssp_lg_age_gyr=f["ssp_lg_age_gyr"][:], ssp_lgmet=f["ssp_lgmet"][:],
                ssp_flux=f["ssp_flux"][:] * 2.99792458e18 / wave**2, ssp_fwhm=np.full(len(wave), 2.51),
            )  # fmt: skip
    x, y, z = (jnp.asarray(c, float) for c in data["coords_kpc"].T)
    stars = SkyStars(
        x=x, y=y, z=z, v_los=jnp.asarray(data["velocity_kms"][:, 2], float),
        mass=jnp.asarray(data["mass" if miles is None else "mass_msun"], float),
        age=jnp.asarray(data["age_gyr"], float), metallicity=jnp.asarray(data["metallicity"], float),
        a_v=jnp.asarray(data["av_mag"], float) if "av_mag" in data else None,
    )  # fmt: skip
    edges = data["kpc_edges"]
    placement = Placement(
        redshift=jnp.asarray(float(data["redshift"])), luminosity_distance=jnp.asarray(229.6),
        kpc_per_arcsec=jnp.asarray(edges[1] - edges[0]), pointing=jnp.zeros(2),
    )  # fmt: skip
    return Reference(data=data, ssp=ssp, stars=stars, placement=placement)
