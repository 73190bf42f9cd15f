"""Small SSP libraries in the layouts of their formats."""

import h5py
import numpy as np
from astropy.io import fits

from galdiff import units

WAVE = np.linspace(4000.0, 7000.0, 61)  # Angstrom
LG_AGE = np.array([-1.0, 0.0, 1.0])
LGMET = np.array([-3.0, -1.7])


def smooth_flux(wave=WAVE, lg_age=LG_AGE, lgmet=LGMET):
    """A made-up library, (met, age, wave): fades with age, redder with metallicity."""
    tilt = (wave / 5500.0) ** (lgmet[:, None, None] + 2.0)
    return 1e-4 * 10 ** (-0.8 * lg_age[:, None]) * tilt


def write_dsps(path, **changes):
    fields = {"ssp_wave": WAVE, "ssp_lg_age_gyr": LG_AGE, "ssp_lgmet": LGMET}
    fields["ssp_flux"] = smooth_flux() * WAVE**2 / (units.C_KMS * 1e13)
    attrs = {"resolution_fwhm_angstrom": 2.51, "imf": "Kroupa", **changes.pop("attrs", {})}
    with h5py.File(path, "w") as file:
        for name, value in {**fields, **changes}.items():
            if value is not None:
                file[name] = value
        file.attrs.update({name: value for name, value in attrs.items() if value is not None})
    return path


def write_ppxf(path, **changes):
    data = {
        "templates": smooth_flux().T.astype(np.float32),  # wave, age, met
        "lam": WAVE,
        "ages": 10**LG_AGE,
        "metals": np.array([-1.2, 0.1]),
        "masses": np.ones((3, 2)),
        "fwhm": np.full(WAVE.size, 2.6),
        **changes,
    }
    np.savez_compressed(path, **{name: value for name, value in data.items() if value is not None})
    return path


def write_miles(folder, *, prefix="Mku1.30", tail="_iTp0.00_baseFe", skip=(), mets=("m0.35", "p0.06"), **header):
    for met in mets:
        for i, age in enumerate(("00.1000", "01.0000", "10.0000")):
            if (met, age) in skip:
                continue
            hdu = fits.PrimaryHDU((smooth_flux()[mets.index(met) % 2, i]).astype(np.float32))
            hdu.header.update({"CRVAL1": WAVE[0], "CDELT1": WAVE[1] - WAVE[0], "CRPIX1": 1.0, **header})
            hdu.writeto(folder / f"{prefix}Z{met}T{age}{tail}.fits", overwrite=True)
    return folder
