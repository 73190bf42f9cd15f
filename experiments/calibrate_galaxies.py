"""Fit the two-zone cycle with a black hole to observed galaxies: `baryons=calibrated`.

Run: python experiments/calibrate_galaxies.py [--starts 1] [--steps 60], about 40 CPU seconds a start. It begins with
the numbers of conf/baryons/*/calibrated.yaml and prints what these should hold, and what is left; what is fitted:
`galdiff.inference.galaxy_calibration`.
"""

import argparse

import hydra
import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from galdiff import runtime
from galdiff.baryons.evolve import Outputs, evolve_prepared
from galdiff.baryons.laws.croton06 import Croton06
from galdiff.baryons.laws.evolving_logistic import EvolvingLogistic
from galdiff.baryons.pandya23 import Pandya23
from galdiff.build import build
from galdiff.cosmology import Cosmology
from galdiff.halo.history import diffmah_history
from galdiff.inference.galaxy_calibration import REDSHIFTS, residuals, stellar_masses, today
from galdiff.inference.sensitivity import named_values, replaced, tables

HALOS = (
    10.5,
    10.75,
    11.0,
    11.25,
    11.5,
    12.0,
    12.25,
    12.5,
    12.75,
    13.0,
    13.5,
    14.0,
    14.5,
)  # log10 M_vir [Msun] at redshift 0
FREE = {  # parameter: range
    "eta_mass.log10_a": (-2.0, 0.5),  # at most 3 times the stars formed, at V_vir = 125 km/s
    "eta_mass.alpha0": (-4.0, -0.3),  # smaller halos lose more
    "eta_mass.beta": (-2.0, 3.0),
    "eta_energy.log10_a": (-2.0, 0.0),
    "eta_energy.alpha0": (-4.0, -0.01),
    "eta_energy.beta": (-3.0, 3.0),
    "star_formation.log10_a": (0.0, 1.1),
    "star_formation.alpha0": (-4.0, -0.2),
    "star_formation.beta": (-3.0, 1.0),
    "eta_metal.log10_a": (-2.0, 0.0),
    "eta_metal.alpha0": (-4.0, -0.05),
    "black_hole.log10_cold": (-4.0, -1.0),
    "black_hole.v_cold": (20.0, 1000.0),
    "black_hole.beta_cold": (-3.0, 3.0),
    "black_hole.log10_eddington": (-6.0, 0.0),
    "black_hole.slope": (0.0, 7.9),
    "black_hole.efficiency": (0.05, 0.4),
    "prevent.log10_v": (1.5, 2.5),
    "prevent.low": (0.02, 0.9),
    "prevent.steepness": (2.0, 20.0),
    "prevent.beta": (-1.0, 2.0),
    "yields.metal_yield": (0.005, 0.04),
}
HOLE = dict(log10_cold=-2.5, v_cold=280.0, log10_eddington=-3.5, slope=3.0)
PREVENTION = dict(low=0.25, high=0.9641, steepness=7.1348, log10_v=1.8775, beta=0.0)
WIDTH = 0.45  # of the Gaussian prior around the published values (and these), over the range


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=1, help="beginnings, at random but for the first")
    parser.add_argument("--steps", type=int, default=60, help="evaluations for each")
    args = parser.parse_args()
    runtime.configure(precision="float64")
    prior = Pandya23(black_hole=Croton06(**HOLE), prevent=EvolvingLogistic(**PREVENTION))
    with hydra.initialize_config_dir(str(runtime.project_dir("conf")), version_base="1.3"):
        stage = build(hydra.compose("simulate", overrides=["baryons=calibrated"]).baryons, path="baryons")
    stage.outputs = Outputs(redshifts=REDSHIFTS, n_steps=256)
    halos = [diffmah_history(log10_mvir=m, cosmology=Cosmology()) for m in HALOS]
    prepared = tables(stage, jax.tree.map(lambda *x: jnp.stack(x), *halos))
    own, names, (low, high) = stage.parameters(), tuple(FREE), np.array(list(FREE.values())).T
    first, published = (np.asarray(named_values(p, names)) for p in (own, prior.parameters()))

    def history(x):
        equations = stage.equations(replaced(own, names, x))
        return jax.vmap(lambda t: evolve_prepared(equations, t))(prepared)

    def missed(x):
        off = (x - published) / (high - low) / WIDTH
        return jnp.concatenate([*(r.ravel() for r in residuals(history(x)).values()), off])

    best = fit(jax.jit(missed), jax.jit(jax.jacfwd(missed)), first, low, high, args.starts, args.steps)
    for name, value in zip(names, best, strict=True):
        print(f"{name:30s} {value:.4g}")
    report(jax.jit(history)(best))


def fit(missed, jacobian, first, low, high, starts: int, steps: int) -> np.ndarray:
    """The best of several least-squares fits within the ranges; a halo that cannot be solved counts as far off."""
    rng, best = np.random.default_rng(0), None
    inside = 1e-3 * (high - low)
    for k in range(starts):
        start = np.clip(first + 0.08 * k * (high - low) * rng.normal(size=first.size), low + inside, high - inside)
        found = least_squares(
            lambda x: np.nan_to_num(np.asarray(missed(x)), nan=50.0, posinf=50.0, neginf=-50.0),
            start,
            jac=lambda x: np.nan_to_num(np.asarray(jacobian(x))),
            bounds=(low, high),
            max_nfev=steps,
        )
        print(f"start {k}: half chi2 {found.cost:.2f} after {found.nfev} evaluations", flush=True)
        best = found if best is None or found.cost < best.cost else best
    return best.x


def report(history) -> None:
    """Table of what is left, halo by halo."""
    rows = {f"M* at z = {z:g}": x for z, x in zip(REDSHIFTS, np.asarray(stellar_masses(history)).T, strict=True)}
    rows |= {"error": np.asarray(history.error)} | {name: np.asarray(x) for name, x in today(history).items()}
    print(f"{'log10 M_vir':16s}", *(f"{m:7.2f}" for m in HALOS))
    for name, values in rows.items():
        print(f"{name:16s}", *(f"{x:7.2f}" for x in values))


if __name__ == "__main__":
    main()
