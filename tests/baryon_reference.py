"""The reference solutions of the baryon cycle, and the model set up as the code that made them."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from galdiff import units
from galdiff.baryons.cooling import TableCooling
from galdiff.baryons.evolve import Equations, Outputs, evolve_prepared, prepare
from galdiff.baryons.halo_state import halo_state_at
from galdiff.baryons.laws.cooling_time import CoolingTime
from galdiff.baryons.pandya23 import Pandya23, published
from galdiff.cosmology import Cosmology, radiation_density
from galdiff.halo.tabulated import from_matrix
from galdiff.io.cooling_tables import load_sd93_csv
from galdiff.records import HaloHistory

ERG = units.MSUN_G * 1e10  # per Msun (km/s)^2
COSMOLOGY = dict(h0=67.74, omega_m=0.3075, omega_b=0.0486, omega_r=radiation_density(67.74))
Z_TABLE = 10.0  # the table of redshifts that made the reference ends here
STATE = (("mass", "stars"), ("mass", "ism"), ("mass", "cgm"), ("energy", "heat"))
STATE += (("metals", "stars"), ("metals", "ism"), ("metals", "cgm"))


def stored(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a file, which is closed again."""
    with np.load(path, allow_pickle=True) as file:
        return dict(file)


def load(data_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of the reference."""
    return stored(data_dir / "baryons/reference_shared.npz")


def halos(reference: dict, which=slice(None)) -> HaloHistory:
    """Halos of the reference, read as it was."""
    return from_matrix(
        reference["halo_matrix"][which],
        reference["ts_full"],
        reference["halo_tinit"][which],
        cosmology=Cosmology(**COSMOLOGY),
        interpolation="backward",
    )


def model(data_dir: pathlib.Path) -> Pandya23:
    """The sharp model with the table, which radiates by its convention."""
    table = load_sd93_csv(data_dir / "cooling/sd93_cie.csv", padded="keep")
    return published(sharp=True, cooling=CoolingTime(function=TableCooling(table=table), convention="n2"))


def equations(stage: Pandya23, values) -> Equations:
    """Equations for the eight parameters of the reference, in its order; redshift as in its table."""
    p = stage.parameters()

    def law(old, a, alpha):
        return dataclasses.replace(old, log10_a=a, alpha0=alpha)

    p = dataclasses.replace(
        p,
        eta_mass=law(p.eta_mass, values[0], values[1]),
        eta_energy=law(p.eta_energy, values[2], values[3]),
        star_formation=law(p.star_formation, values[4], values[5]),
        eta_metal=law(p.eta_metal, values[6], values[7]),
    )

    def force(halo, cosmology):
        return halo_state_at(
            dataclasses.replace(halo, redshift=jnp.minimum(halo.redshift, Z_TABLE)), cosmology, stage.sharp
        )

    return stage.equations(p)._replace(halo_state=force)


def outputs(n_steps: int) -> Outputs:
    """At the redshifts of the reference, landing where its halo_state jumps or bends."""
    return Outputs(redshifts=(2.0, 1.0, 0.0), n_steps=n_steps, land=(Z_TABLE, 3.5))


def solve(stage: Pandya23, halo: HaloHistory, n_steps: int):
    """Compiled histories of the halos as a function of the eight parameters."""
    out = outputs(n_steps)
    tables = jax.jit(jax.vmap(lambda h: prepare(equations(stage, jnp.zeros(8)), h, out)))(halo)

    def run(values):
        return jax.vmap(lambda t: evolve_prepared(equations(stage, values), t))(tables)

    return jax.jit(run)


def log10_state(contents) -> np.ndarray:
    """The seven contents of the reference, log10 [Msun, erg], on a new last axis."""
    columns = [jnp.log10(contents[q][n]) + (np.log10(ERG) if q == "energy" else 0.0) for q, n in STATE]
    return jnp.stack(columns, -1)
