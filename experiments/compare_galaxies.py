"""Galaxies of two baryon cycles beside observed ones: a table, and how their discs and bulges move.

Run: python experiments/compare_galaxies.py [--n 240] [--output outputs/compare]. Halos of 10^10.5 to 10^14.5 Msun with
scatter in growth; the table of docs/galaxies.md, and relations.png.
"""

import argparse
import pathlib

import hydra
import jax
import jax.numpy as jnp
import numpy as np

from galdiff import runtime, units
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.population import Population
from galdiff.build import build
from galdiff.cosmology import Cosmology
from galdiff.galaxy.grown import GrownGalaxy
from galdiff.halo.ensemble import diffmah_population
from galdiff.inference.galaxy_calibration import BULGE, REDSHIFTS, stellar_masses
from galdiff.observables import observed
from galdiff.observables.magnitude import Magnitude
from galdiff.plotting.motions_figure import plot_motions
from galdiff.sps.library import load_ssp
from galdiff.units import YR_PER_GYR

CYCLES = ("pandya23", "calibrated")
HALOS = (10.5, 11.0, 11.5, 12.0, 12.5, 13.0, 13.5, 14.0, 14.5)  # log10 M_vir [Msun], centres of bins
STARS = (9.0, 9.5, 10.0, 10.5, 11.0)  # log10 M* [Msun], centres of bins
HALF, N_GROUPS = 0.15, 12  # dex, half a bin; halos of 10^13.5 Msun besides
QUENCHED = -11.0  # log10 sSFR [1/yr]
CENTRAL = 3.0  # kpc, within which a dispersion is measured (Zahid et al. 2016)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=240, help="halos")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/compare"))
    args = parser.parse_args()
    runtime.configure(precision="float64")
    mass = np.concatenate([np.linspace(HALOS[0] - HALF, HALOS[-1] + HALF, args.n), np.full(N_GROUPS, 13.5)])
    halos = diffmah_population(log10_mvir=mass, n=None, seed=1, cosmology=Cosmology())
    colour = Magnitude(
        band="sdss2010-g", minus="sdss2010-r", frame="rest", redshift=0.0, library=load_ssp(None), cosmology=Cosmology()
    )
    redshifts = sorted({*colour.redshifts(np.zeros(1)), *REDSHIFTS}, reverse=True)
    rows: dict[str, dict[str, str]] = {}
    drawn = {}
    for name in CYCLES:
        history = solved(name, halos, tuple(redshifts))
        seen = picked(history, [redshifts.index(z) for z in REDSHIFTS])
        groups = jax.tree.map(lambda x: x[-N_GROUPS:], history)
        found = numbers(seen) | {"g - r, halos of 10^13.5": f"{np.median(np.asarray(colour(groups))):.2f}"}
        for row, value in found.items():
            rows.setdefault(row, {})[name] = value
        drawn[name] = motions(history)
    print(table(rows))
    args.output.mkdir(parents=True, exist_ok=True)
    plot_motions(drawn).savefig(args.output / "relations.png", dpi=150)


def picked(history, at: list[int]):
    """The histories at some of their times."""
    return jax.tree.map(lambda x: x[:, np.array(at)] if np.ndim(x) == 2 else x, history)


def solved(name: str, halos, redshifts: tuple[float, ...]):
    """Histories of a preset; galaxies without a solution are left out."""
    with hydra.initialize_config_dir(str(runtime.project_dir("conf")), version_base="1.3"):
        stage = build(hydra.compose("simulate", overrides=[f"baryons={name}"]).baryons, path="baryons")
    histories, report = Population(stage, Outputs(redshifts=redshifts), tolerance=0.05).solve(halos)
    print(f"{name}: {report}")
    keep = np.asarray(histories.solved)
    return jax.tree.map(lambda x: x[keep], histories)


def binned(x, y, centres, how=np.median) -> str:
    """A number of y per bin of x, where a bin holds five."""
    inside = [np.asarray(y)[np.abs(np.asarray(x) - centre) < HALF] for centre in centres]
    return " ".join(f"{how(values):.2f}" if len(values) >= 5 else "-" for values in inside)


def numbers(history) -> dict[str, str]:
    """What the table says of a population."""
    log10_vir, log10_m = np.log10(history.m_vir[:, -1]), np.log10(history.m_star[:, -1])
    off = np.asarray(stellar_masses(history))
    ssfr = np.log10(history.sfr[:, -1] / YR_PER_GYR) - log10_m
    forms = ssfr > QUENCHED
    gas = np.log10(history.m_ism[:, -1]) - log10_m - observed.log10_gas_fraction_peeples14(log10_m)
    oxygen = observed.oxygen_of_metallicity(history.metallicity("ism")[:, -1])
    off_oxygen = oxygen - observed.oxygen_andrews_martini13(log10_m)
    stars = np.log10(history.metallicity("stars")[:, -1] / units.Z_SUN)
    rows = {
        f"M*, z = {z:g}, halos": binned(np.log10(history.m_vir[:, k]), off[:, k], HALOS)
        for k, z in reversed(list(enumerate(REDSHIFTS)))
    }
    rows["quenched share, M*"] = binned(log10_m, ~forms, STARS, np.mean)
    rows["gas, M*"] = binned(log10_m[forms], np.asarray(gas)[forms], STARS)
    rows["O/H, M*"] = binned(log10_m[forms], np.asarray(off_oxygen)[forms], STARS)
    rows["log10 Z/Z_sun of stars, M*"] = binned(log10_m, stars, STARS)
    hole = history.contents["mass"].get("black_hole")
    if hole is not None:
        expected = observed.log10_black_hole_mcconnell_ma13(log10_m + np.log10(BULGE))
        rows["black hole, halos"] = binned(log10_vir, np.log10(hole[:, -1]) - np.asarray(expected), HALOS)
    return rows


def motions(history) -> dict[str, np.ndarray]:
    """log10 of stars, stars and gas [Msun], rotation of the gas, dispersion within 3 kpc [km/s]; who forms stars."""
    stage = GrownGalaxy(n_stars=2000, n_gas=500)

    def one(history):
        galaxy = stage(history)
        (x, y, _), (u, v, _) = galaxy.gas.pos.T, galaxy.gas.vel.T
        turns = jnp.mean((x * v - y * u) / jnp.hypot(x, y))
        near = galaxy.stars.mass * (jnp.hypot(galaxy.stars.pos[:, 0], galaxy.stars.pos[:, 1]) < CENTRAL)
        sigma = jnp.sqrt(jnp.average((galaxy.stars.vel**2).mean(-1), weights=near))
        stars, gas = history.m_star[-1], history.m_ism[-1]
        ssfr = jnp.log10(history.sfr[-1] / stars / YR_PER_GYR)
        logs = dict(stars=stars, baryons=stars + gas, turns=turns, sigma=sigma)
        return {name: jnp.log10(x) for name, x in logs.items()} | {"forms": ssfr > QUENCHED}

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(history))


def table(rows: dict[str, dict[str, str]]) -> str:
    """Markdown: a row for each number, a column for each cycle."""
    lines = [f"| | {' | '.join(CYCLES)} |", "|---|---|---|"]
    for row, found in rows.items():
        lines.append(f"| {row} | {' | '.join(found.get(name, '-') for name in CYCLES)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
