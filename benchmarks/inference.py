"""Speed of posteriors, and whether their intervals hold: python benchmarks/inference.py [sed] [coverage] [map] [nuts].

sed: mocks of the default model at z = 0.1 in eight bands, seven unknowns, drawn from the prior; usable posteriors per
CPU-minute, all compiled. coverage: the same with the share of true values inside the 68 and 95 % intervals; give it a
seed on which no setting was chosen, and as many galaxies as there is time for (--galaxies 500 --seed 11). map, nuts:
eight parameters of a baryon cycle, three relations, 200 halos, by the most probable point of 8 starts, and by chains.

Published for comparison: 18 posteriors per CPU-second or about 1000 per GPU-minute by networks that were trained
before, without a proof for each.
"""

import argparse
import dataclasses
import pathlib
import time

import hydra
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table
from timing import machine

import galdiff
from galdiff import runtime
from galdiff.build import build
from galdiff.inference.likelihoods.model import measured
from galdiff.inference.many import results_of
from galdiff.inference.posterior import make_posterior

BANDS = "galex-nuv,sdss2010-u,sdss2010-g,sdss2010-r,sdss2010-i,sdss2010-z,twomass-J,twomass-Ks"
ERROR, REDSHIFT = 0.05, 0.1  # of the fluxes, besides the floor; of all galaxies
TOGETHER = 16


def composed(*overrides: str):
    with hydra.initialize_config_dir(str(pathlib.Path(__file__).resolve().parents[1] / "conf"), version_base="1.3"):
        return hydra.compose("infer", overrides=list(overrides))


def built_priors(cfg) -> dict:
    return {name: prior for name, prior in build(cfg.priors, path="priors").items() if prior is not None}


def mocks(n: int, seed: int, overrides: list[str]):
    """The method, posteriors of n galaxies from the prior, and their true standard normal numbers (galaxy, unknown)."""
    cfg = composed("experiment=sed", "data=none", f"case.passbands=[{BANDS}]", *overrides)
    case, likelihood = build(cfg.case, path="case"), build(cfg.likelihood, path="likelihood")
    bands = len(BANDS.split(","))
    some = measured(np.full(bands, 1e-8), np.full(bands, 1e-9))
    first = make_posterior(
        case.pipeline,
        unknowns=list(cfg.unknowns),
        likelihood=likelihood,
        data=some,
        inputs=case.inputs([REDSHIFT])[0],
        priors=built_priors(cfg),
    )
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, len(first.unknowns)))
    flux = np.asarray(jax.jit(jax.vmap(lambda u: first.predicted(u)["apparent"].maggies))(jnp.asarray(truth)))
    # the floor is a share of what is measured, so the scatter that it stands for is drawn in the same way
    seen = flux * (1 + rng.normal(size=flux.shape) * np.hypot(ERROR, likelihood.floor))
    made = [dataclasses.replace(first, data=measured(s, ERROR * f)) for s, f in zip(seen, flux, strict=True)]
    return build(cfg.method, path="method"), {str(i): p for i, p in enumerate(made)}, truth


def sed(galaxies: int, seed: int, overrides: list[str]) -> list[tuple[str, str]]:
    """Posteriors of mocks: speed, and shares of true values in the intervals."""
    method, posteriors, truth = mocks(galaxies, seed, overrides)
    begin = time.process_time()
    results_of(method, dict(list(posteriors.items())[:TOGETHER]), seed, TOGETHER)
    compiled = time.process_time() - begin
    begin = time.process_time()
    found = results_of(method, posteriors, seed + 1, TOGETHER)
    taken = time.process_time() - begin
    usable = [i for i in range(galaxies) if found[str(i)].usable]
    ess = np.median([found[str(i)].diagnostics["ess"] for i in usable])
    rows = [
        ("first batch, with compiling", f"{compiled:.1f} CPU s"),
        ("usable", f"{len(usable)} of {galaxies}, median ESS {ess:.0f}"),
        ("each", f"{taken / galaxies:.3f} CPU s"),
        ("usable posteriors per CPU-minute", f"{60 * len(usable) / taken:.0f}"),
    ]
    ranks = np.stack([(found[str(i)].numbers[0] < truth[i]).mean(0) for i in usable])
    for share in (0.68, 0.95):
        inside = (np.abs(ranks - 0.5) < share / 2).mean(0)
        error = np.sqrt(share * (1 - share) / len(usable))
        text = f"{inside.mean():.1%} of all, {inside.min():.1%} to {inside.max():.1%} of each unknown (+- {error:.1%})"
        rows.append((f"{share:.0%} intervals hold", text))
    return rows


def relations(method: str, overrides: list[str]) -> list[tuple[str, str]]:
    """Eight parameters of a cycle from a mock of three relations."""
    cfg = composed("experiment=relations", *overrides)
    case, likelihood = build(cfg.case, path="case"), build(cfg.likelihood, path="likelihood")
    posterior = case.posteriors("mock", list(cfg.unknowns), likelihood, built_priors(cfg))["mock"]
    rows = []
    settings = {"starts": 8, "steps": 12} if method == "optimum" else {}
    for label in ("first, with compiling", "again") if method == "optimum" else ("once, with compiling",):
        begin = time.process_time()
        result = galdiff.infer(posterior, method, **settings)
        rows.append((f"{method}, {label}", f"{time.process_time() - begin:.1f} CPU s; {result.said()}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=["sed"], choices=["sed", "coverage", "map", "nuts"])
    parser.add_argument("--galaxies", type=int, default=32)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--set", nargs="*", default=[], help="keys of the config, as method.draws=500")
    given = parser.parse_args()
    runtime.configure(precision="float64", cpu_devices=None, cache_dir="auto")
    console = Console(width=110)
    console.print(machine())
    for what in given.what:
        table = Table("", "", title=what)
        if what in ("sed", "coverage"):
            rows = sed(given.galaxies, given.seed, given.set)
        else:
            rows = relations({"map": "optimum", "nuts": "nuts"}[what], given.set)
        for row in rows:
            table.add_row(*row)
        console.print(table)


if __name__ == "__main__":
    main()
