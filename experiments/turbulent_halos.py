"""The circumgalactic gas with turbulence: where it is held up by heat, and where by turbulence.

Run: python experiments/turbulent_halos.py [--output outputs/turbulence], about 15 CPU seconds. A tenth of the energy of
infall and winds arrives as heat and the rest stirs the gas on the scale of the halo, with winds as published and with a
tenth of their energy. It draws t_cool / t_ff and the turbulent share of the energy in time for halos of several masses,
and one against the other today (turbulence.png), as figures of Pandya et al. (2023) do.
"""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from galdiff import runtime
from galdiff.baryons.evolve import Outputs, evolve_prepared
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.parameters import turbulent
from galdiff.cosmology import Cosmology
from galdiff.halo.history import diffmah_history
from galdiff.inference.sensitivity import replaced, tables

HALOS = np.arange(10.0, 13.51, 0.25)  # log10 M_vir [Msun] at redshift 0
WINDS = {"winds as published": -1.0, "a tenth of their energy": -2.0}  # log10 of the energy loading at 125 km/s
DRAWN = (10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/turbulence"))
    args = parser.parse_args()
    runtime.configure(precision="float64")
    found = solved()
    args.output.mkdir(parents=True, exist_ok=True)
    figure(found).savefig(args.output / "turbulence.png", dpi=150)
    for name, history in found.items():
        print(f"{name}: redshift from which on heat holds more energy than turbulence")
        for m, z in zip(HALOS, thermalised(history), strict=True):
            print(f"  10^{m:.2f} Msun: {'not yet' if z is None else f'{z:.1f}'}")


def solved() -> dict:
    """Histories with the eighth state, (halo, time), by the strength of the winds."""
    outputs = Outputs(n_times=64, n_steps=192)
    cycle = Pandya23(turbulence=turbulent(heat_of_inflow=0.1, heat_of_wind=0.1, eddy=1.99), outputs=outputs)
    halos = [diffmah_history(log10_mvir=m, cosmology=Cosmology()) for m in HALOS]
    prepared, own = tables(cycle, jax.tree.map(lambda *x: jnp.stack(x), *halos)), cycle.parameters()

    @jax.jit
    def run(log10_a):
        equations = cycle.equations(replaced(own, ("eta_energy.log10_a",), log10_a[None]))
        return jax.vmap(lambda t: evolve_prepared(equations, t))(prepared)

    return {name: run(jnp.asarray(value)) for name, value in WINDS.items()}


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


def figure(found: dict) -> Figure:
    """Both numbers in time, with winds as published, and one against the other today, with both."""
    made = Figure(figsize=(11.0, 3.7), layout="constrained")
    panels = made.subplots(1, 3)
    history = next(iter(found.values()))
    time, colours = np.asarray(history.time), matplotlib.colormaps["viridis"](np.linspace(0.05, 0.9, len(DRAWN)))
    for m, colour in zip(DRAWN, colours, strict=True):
        k = int(np.argmin(np.abs(HALOS - m)))
        panels[0].semilogy(time[k], ratio(history)[k], color=colour, label=rf"$10^{{{m:g}}}$ M$_\odot$")
        panels[1].plot(time[k], share(history)[k], color=colour)
    for (name, each), mark in zip(found.items(), "os", strict=True):
        dots = dict(c=HALOS, cmap="viridis", s=28, marker=mark, label=name)
        points = panels[2].scatter(ratio(each)[:, -1], share(each)[:, -1], **dots)
    made.colorbar(points, ax=panels[2], label=r"$\log_{10} M_{\rm vir}$ [M$_\odot$]")
    panels[2].set_xscale("log")
    for ax in panels[1:]:
        ax.axhline(0.5, color="k", lw=0.7, ls=":")
    for ax in panels[:2]:
        ax.set_xlabel("cosmic time [Gyr]")
    panels[0].legend(frameon=False, fontsize=7, ncols=2)
    panels[2].legend(frameon=False, fontsize=8)
    panels[0].set_ylabel(r"$t_{\rm cool}/t_{\rm ff}$")
    panels[1].set_ylabel("turbulent share of the energy of the CGM")
    panels[2].set(xlabel=r"$t_{\rm cool}/t_{\rm ff}$, today", ylabel="turbulent share, today")
    return made


if __name__ == "__main__":
    main()
