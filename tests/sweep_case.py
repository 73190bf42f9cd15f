"""A training of seconds for sweeps, and a Hydra callback that sees what the jobs return."""

import h5py
import numpy as np
from hydra.experimental.callback import Callback

SMALL = (
    "experiment=ssp_emulator_miles",
    "model.size=[2,6,30]",
    "model.net.hidden=[4]",
    "model.net.n_out=3",
    "case.refine=[1,1]",
    "stages.network.train={steps: 4, validate_every: 2, checkpoint_every: 2}",
    "stages.network.optimiser.warmup=0",
)


def library(folder) -> str:
    """A made-up SSP library; the override that names it."""
    wave, age, met = np.linspace(4000.0, 7000.0, 30), np.linspace(-1.0, 1.0, 6), np.array([-2.5, -1.7])
    fades = 10 ** (-0.8 * age[:, None] - 0.1 * age[:, None] ** 2 * wave / 5500)
    with h5py.File(folder / "library.h5", "w") as file:
        file.attrs.update(resolution_fwhm_angstrom=2.5, imf="Kroupa revised")
        file["ssp_wave"], file["ssp_lg_age_gyr"], file["ssp_lgmet"] = wave, age, met
        file["ssp_flux"] = 1e-15 * fades * (wave / 5500) ** (met[:, None, None] + 2)
    return f"case.library.path={folder / 'library.h5'}"


class Seen(Callback):
    """Keeps what every job returned; `+hydra.callbacks.seen._target_=sweep_case.Seen`."""

    returned: list = []  # noqa: RUF012  (Hydra makes the object)

    def on_job_end(self, config, job_return, **kwargs):
        self.returned.append(job_return.return_value)
