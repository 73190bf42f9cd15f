"""The circumgalactic gas with turbulence: where it is held up by heat, and where by turbulence.

Run: python experiments/turbulent_halos.py [--output outputs/turbulence]. It draws t_cool / t_ff and the turbulent share
of the energy against time for halos of several masses, and the first against the second today (turbulence.png).
"""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from galdiff import runtime
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.parameters import turbulent
from galdiff.cosmology import Cosmology
from galdiff.halo.history import diffmah_history

HALOS = np.arange(10.0, 13.51, 0.25)  # log10 M_vir [Msun] at redshift 0
DRAWN = (10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/turbulence"))
    args = parser.parse_args()
    runtime.configure(precision="float64")
    history = solved()
    args.output.mkdir(parents=True, exist_ok=True)
    figure(history).savefig(args.output / "turbulence.png", dpi=150)
    for m, z in zip(HALOS, thermalised(history), strict=True):
        print(f"10^{m:.2f} Msun: heat holds more energy than turbulence {'' if z is None else f'from z = {z:.1f} on'}")


def solved():
    """Histories with the eighth state, (halo, time)."""
    cycle = Pandya23(turbulence=turbulent(), outputs=Outputs(n_times=64, n_steps=256))
    halos = [diffmah_history(log10_mvir=m, cosmology=Cosmology()) for m in HALOS]
    return jax.jit(jax.vmap(cycle))(jax.tree.map(lambda *x: jnp.stack(x), *halos))


def share(history) -> np.ndarray:
    """Turbulent over all energy of the CGM [1]."""
    energy = history.contents["energy"]
    return np.asarray(energy["turbulence"] / (energy["turbulence"] + energy["heat"]))


def ratio(history) -> np.ndarray:
    """t_cool / t_ff [1]."""
    return np.asarray(history.diagnostics.t_cool / history.diagnostics.t_ff)


def thermalised(history) -> list[float | None]:
    """Redshift from which on heat holds more energy than turbulence; None if it never stays so."""
    found: list[float | None] = []
    for turbulent_share, z in zip(share(history), np.asarray(history.redshift), strict=True):
        cold = np.flatnonzero(turbulent_share > 0.5)
        last = -1 if len(cold) == 0 else cold[-1]
        found.append(None if last == len(z) - 1 else float(z[last + 1]))
    return found


def figure(history) -> Figure:
    """Both numbers in time, and one against the other today."""
    made = Figure(figsize=(11.0, 3.7), layout="constrained")
    panels = made.subplots(1, 3)
    time, shade = np.asarray(history.time), np.linspace(0.1, 0.9, len(DRAWN))
    for m, level in zip(DRAWN, shade, strict=True):
        k, colour = int(np.argmin(np.abs(HALOS - m))), matplotlib.colormaps["viridis"](level)
        panels[0].semilogy(time[k], ratio(history)[k], color=colour, label=rf"$10^{{{m:g}}}$ M$_\odot$")
        panels[1].plot(time[k], share(history)[k], color=colour)
    panels[0].axhline(1.0, color="k", lw=0.7, ls=":")
    panels[1].axhline(0.5, color="k", lw=0.7, ls=":")
    points = panels[2].scatter(ratio(history)[:, -1], share(history)[:, -1], c=HALOS, cmap="viridis", s=28)
    made.colorbar(points, ax=panels[2], label=r"$\log_{10} M_{\rm vir}$ [M$_\odot$]")
    panels[2].set_xscale("log")
    panels[2].axvline(1.0, color="k", lw=0.7, ls=":")
    for ax in panels[:2]:
        ax.set_xlabel("cosmic time [Gyr]")
    panels[0].legend(frameon=False, fontsize=7, ncols=2)
    panels[0].set_ylabel(r"$t_{\rm cool}/t_{\rm ff}$")
    panels[1].set_ylabel("turbulent share of the energy")
    panels[2].set(xlabel=r"$t_{\rm cool}/t_{\rm ff}$, today", ylabel="turbulent share, today")
    return made


if __name__ == "__main__":
    main()
