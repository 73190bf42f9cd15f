"""Speed, memory and accuracy of the IFU engines: python benchmarks/ifu.py [--quick | --full].

A MUSE-like cube of 25 x 25 x 3721 at redshift 0.3. Compared in one process:

  RUBIX       the package itself, where it is installed (`peer_rubix.py`): one star after another in lax.scan
  its rule    the same rule restated: look up four spectra of the library, stretch, interpolate at the pixel centres,
              rescale, add to the nearest spaxel
  direct      galdiff's own star-by-star engine: look up, shift by index arithmetic, add; one spectrograph operator
  chunked     the fastest star-by-star code known to us (`per_particle.py`), with the cube of the direct engine
  compressed  deposit, compress, render
  per star    the same without the distribution over populations: what engine=auto takes for up to some 1e5 stars here

Seconds are those of `timing.py`, the least of some repetitions after compilation. The library is MILES where it is at
hand (GALDIFF_DATA or ../shared/data), else the embedded one. --quick ends within three minutes.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
from peer_rubix import installed, real_rubix
from per_particle import per_particle
from rich.console import Console
from rich.table import Table
from timing import Taken, accelerated, machine, measure, peak_mb, unit

from galdiff import runtime
from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.ifu.engine import choose_engine, ifu_stages
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.placement import AtRedshift
from galdiff.ifu.plan import Plan, Precision, make_plan
from galdiff.ifu.rubix_rule import rubix_cube
from galdiff.records import Bank, Placement, SkyStars
from galdiff.sps.library import load_ssp

REDSHIFT, SPAXELS, V_MAX = 0.3, 25, 450.0
OURS = ("per star", "compressed")  # fast for all numbers of stars
ROOT = pathlib.Path(__file__).resolve().parent.parent
MILES = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared/data")) / "ssp/ssp_miles_basti_kb.h5"


def muse_like(psf: bool = False):
    """25 x 25 spaxels of 0.2 arcsec, 4700-9350 Angstrom in steps of 1.25, the LSF of MUSE."""
    wave = dict(grid="linear", start_angstrom=4700.0, end_angstrom=9350.0, step_angstrom=1.25, medium="vacuum")
    lsf = dict(kind="polynomial", coefficients_angstrom=[6.040, -9.187e-4, 5.866e-8])
    blur = dict(kind="gaussian", fwhm_arcsec=0.8) if psf else dict(kind="none")
    size = dict(n_x=SPAXELS, n_y=SPAXELS, spaxel_x_arcsec=0.2)
    return make_instrument(name="MUSE-like", **size, wave=wave, lsf=lsf, psf=blur)


def some_stars(n: int, kpc_per_arcsec: float, seed: int = 0) -> SkyStars:
    """Stars spread over the field, with velocities, ages and metallicities of a massive disc galaxy."""
    rng, half = np.random.default_rng(seed), SPAXELS * 0.2 * kpc_per_arcsec / 2
    x, y = rng.uniform(-half, half, (2, n))
    columns = dict(
        x=x, y=y, z=rng.normal(0, 1, n),
        v_los=np.clip(200 * np.tanh(x / 3) + rng.normal(0, 80, n), -V_MAX, V_MAX), mass=rng.uniform(1e4, 1e5, n),
        age=10 ** rng.uniform(-1.5, 1.1, n), metallicity=10 ** rng.uniform(-4, -1.4, n),
    )  # fmt: skip
    return SkyStars(**{name: jnp.asarray(value, jnp.float32) for name, value in columns.items()})


def engine_of(plan: Plan, engine: str, placement: Placement):
    """Compiled flux of stars, with the bank made beforehand where there is one."""
    stages = ifu_stages(plan=plan, engine=engine)
    inputs = {"observed_stars": SkyStars, "placement": Placement}
    extra = {}
    if "bank" in stages:
        bank_run, bank_state = compiled(Pipeline(stages={"bank": stages.pop("bank")}, inputs=inputs), ["bank"])
        extra["bank"] = bank_run(bank_state, placement=placement)["bank"]
        inputs["bank"] = Bank
    run, state = compiled(Pipeline(stages=stages, inputs=inputs), ["cube"])
    flux = jax.jit(lambda s, st, ex, pl: run(st, observed_stars=s, placement=pl, **ex)["cube"].flux)
    return lambda s: flux(s, state, extra, placement)


def gradient_of(plan: Plan, placement: Placement):
    """Value and gradient of a weighted sum of the cube in all particle inputs."""
    flux = engine_of(plan, "compressed", placement)
    weight = jax.random.normal(jax.random.key(0), (SPAXELS, SPAXELS, len(plan.wave)))
    return jax.value_and_grad(lambda s: jnp.sum(weight * flux(s)))


def peak_memory(n: int) -> dict:
    """Peak resident memory of one cube of n stars above that after import [MB], in a process of its own."""
    command = [sys.executable, __file__, "--child", str(n)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(out.stdout.splitlines()[-1])


def high_water_mb() -> float:
    """Peak resident memory [MB] of this program: Linux counts ru_maxrss over what the parent held at the fork too."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(n: int) -> None:
    """One cube; prints time and memory."""
    imported = high_water_mb()
    plan, placement = layout("nearest")
    stars, run = some_stars(n, float(placement.kpc_per_arcsec)), engine_of(plan, "compressed", placement)
    taken = measure(run, stars, repeat=1)
    print(json.dumps(dict(taken._asdict(), peak_mb=high_water_mb() - imported, imported_mb=imported)))


def layout(kernel: str, rank: int = 64, psf: bool = False) -> tuple[Plan, Placement]:
    """Plan and placement of the benchmark."""
    ssp = load_ssp(MILES if MILES.exists() else None)
    plan = make_plan(ssp, muse_like(psf), REDSHIFT, Precision(kernel=kernel, rank=rank, v_max_kms=V_MAX))
    return plan, jax.jit(AtRedshift(redshift=REDSHIFT))()


def accuracy(console: Console, quick: bool) -> None:
    """Error of the compressed engine against the direct one, by rank."""
    n, ranks = (2_000, (64,)) if quick else (20_000, (32, 64, 128))
    table = Table(title=f"compressed against direct, {n} stars, nearest spaxel", title_justify="left")
    for name in ("rank", "rms / rms(cube)", "max / max(cube)", "max relative, lit pixels"):
        table.add_column(name)
    exact = None
    for rank in ranks:
        plan, placement = layout("nearest", rank)
        stars = some_stars(n, float(placement.kpc_per_arcsec))
        if exact is None:
            exact = np.asarray(engine_of(plan, "direct", placement)(stars), np.float64)
        error = np.asarray(engine_of(plan, "compressed", placement)(stars), np.float64) - exact
        lit = exact > 1e-3 * exact.max()
        numbers = np.sqrt(np.mean(error**2) / np.mean(exact**2)), abs(error).max() / exact.max()
        table.add_row(str(rank), *(f"{v:.1e}" for v in (*numbers, (abs(error[lit]) / exact[lit]).max())))
    console.print(table)


def peers(console: Console, quick: bool, full: bool) -> None:
    """Times of the engines and of the others."""
    plan, placement = layout("nearest")
    ssp = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), load_ssp(MILES if MILES.exists() else None))
    scale = float(placement.kpc_per_arcsec)
    edge = (np.arange(SPAXELS + 1) - SPAXELS / 2) * 0.2 * scale
    rule = jax.jit(lambda s, ssp: rubix_cube(s, ssp, plan.wave, REDSHIFT, (edge, edge)))
    runs = {"RUBIX": real_rubix(ssp, REDSHIFT, edge)} if installed() else {}
    runs |= {"its rule": lambda s: rule(s, ssp), "direct": engine_of(plan, "direct", placement)}
    runs |= {"chunked": per_particle(plan, placement), "per star": engine_of(plan, "per_star", placement)}
    runs["compressed"] = engine_of(plan, "compressed", placement)
    table = Table(title=f"{SPAXELS} x {SPAXELS} x {len(plan.wave)}, {len(plan.nodes)} spectra", title_justify="left")
    for name in ("stars", "engine", "compile + first [s]", f"[{unit()}]", "wall [s]", "times slower than per star"):
        table.add_column(name, justify="right")
    for n in (1_000, 10_000, 100_000, 1_000_000):
        stars, times = some_stars(n, scale), {}
        most = 1_000_000 if full else 10_000 if quick else 100_000  # stars of the slow ones: their time is linear
        for name, run in runs.items():
            if n <= most or name in OURS:
                times[name] = measure(run, stars, repeat=1 if name not in OURS and n >= 10_000 else 5)
        for name, taken in times.items():
            ratio = taken.seconds / times["per star"].seconds
            table.add_row(
                f"{n:.0e}", name, f"{taken.first:.2f}", f"{taken.seconds:.4f}", f"{taken.wall:.4f}", f"{ratio:.1f}"
            )
    console.print(table)
    if not installed():
        console.print("RUBIX itself is not installed: pip install astro-rubix")
    crossing = next(n for n in np.unique(np.geomspace(1, 1e6, 400).astype(int)) if choose_engine(n, plan) != "direct")
    console.print(f"engine=auto takes the direct engine below {crossing} stars here")


def gradients(console: Console, quick: bool) -> None:
    """Cost of value and gradient over that of the value."""
    table = Table(title="value and gradient of x, y, v_los, mass, age, Z", title_justify="left")
    for name in ("kernel", "stars", f"value [{unit()}]", f"value and gradient [{unit()}]", "ratio"):
        table.add_column(name, justify="right")
    for kernel in ("nearest",) if quick else ("nearest", "cubic"):
        plan, placement = layout(kernel)
        forward, both = engine_of(plan, "compressed", placement), gradient_of(plan, placement)
        for n in (100_000,) if quick else (100_000, 1_000_000):
            stars = some_stars(n, float(placement.kpc_per_arcsec))
            a, b = measure(forward, stars).seconds, measure(both, stars).seconds
            table.add_row(kernel, f"{n:.0e}", f"{a:.4f}", f"{b:.4f}", f"{b / a:.2f}")
    console.print(table)


def other(console: Console, quick: bool) -> None:
    """Bank, PSF and memory."""
    plan, placement = layout("nearest")
    stage = ifu_stages(plan=plan, engine="compressed")["bank"]
    run, state = compiled(Pipeline(stages={"bank": stage}, inputs={"placement": Placement}), ["bank"])

    def say(what: str, taken: Taken) -> None:
        console.print(f"{what}: first {taken.first:.2f} s, {taken.seconds:.4f} {unit()}, wall {taken.wall:.4f} s")

    say("bank, rebuilt only when redshift or LSF move", measure(lambda p: run(state, placement=p), placement))
    plan, placement = layout("nearest", psf=True)
    blurred, stars = engine_of(plan, "compressed", placement), some_stars(100_000, float(placement.kpc_per_arcsec))
    say("1e5 stars, Gaussian PSF of 0.8 arcsec", measure(blurred, stars))
    if accelerated():  # whose memory one process holds
        console.print(f"peak memory of the device until here: {peak_mb():.0f} MB")
        return
    for n in (1_000_000,) if quick else (1_000_000, 10_000_000):
        console.print(f"{n:.0e} stars in a process of its own: {peak_memory(n)}")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer stars, ranks and kernels (within three minutes)")
    parser.add_argument("--full", action="store_true", help="peers at 1e6 stars too (minutes)")
    parser.add_argument("--only", nargs="*", default=["accuracy", "peers", "gradients", "other"])
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    runtime.configure(precision="float32")
    if args.child:
        return child(args.child)
    console = Console(width=130)
    console.print(machine())
    parts = dict(accuracy=accuracy, gradients=gradients, other=other)
    for name in args.only:
        peers(console, args.quick, args.full) if name == "peers" else parts[name](console, args.quick)
    return None


if __name__ == "__main__":
    main()
