"""What was observed and how, in numbers."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from galdiff.kinematics.summary import summarise
from galdiff.observing.layout import Setup
from galdiff.observing.mock import Observation
from galdiff.observing.resolution import library_facts, psf_facts
from galdiff.observing.sampling import counts_of
from galdiff.records import BaryonHistory


def summary_of(seen: Observation) -> dict[str, Any]:
    """Distances, sizes, kinematics, numbers of stars, and how it was rendered."""
    setup, plan, tile = seen.setup, seen.layout.whole, seen.layout.tile
    scale = float(seen.placement.kpc_per_arcsec)
    found = summarise(seen.maps, jnp.array([plan.instrument.spaxel_x_arcsec, plan.instrument.spaxel_y_arcsec]) * scale)
    return {
        "redshift": plan.redshift,
        "luminosity_distance_mpc": float(seen.placement.luminosity_distance),
        "kpc_per_arcsec": scale,
        "instrument": plan.instrument.name,
        "library": setup.ssp.name,
        "imf": setup.ssp.imf,
        "kinematics": {**dataclasses.asdict(found), **seen.of_stars},
        "sampling": counts_of(seen.quality, seen.effective),
        "noise": noise_facts(setup),
        "psf": psf_facts(plan, setup.spectrograph["psf_scale"]),
        "library_resolution": library_facts(plan),
        "stars": seen.counts,
        **({"emission_lines": dict(seen.gas)} if seen.gas else {}),
        "engine": {
            "name": seen.layout.engine,
            "spaxels": [plan.instrument.n_y, plan.instrument.n_x],
            "tile": [tile.instrument.n_y, tile.instrument.n_x],
            "wavelengths": len(plan.wave),
            "wave_angstrom": [plan.wave[0], plan.wave[-1], plan.instrument.medium],
            "velocity_nodes_kms": [plan.bins.v_nodes[0], plan.bins.v_nodes[-1], len(plan.bins.v_nodes)],
            "rank": len(plan.templates),
            "basis_rms": plan.basis.rms,
            "accuracy": seen.accuracy,
            "a_v_max": plan.precision.a_v_max,
        },
    }


def noise_facts(setup: Setup) -> dict[str, Any]:
    """How much noise there is, by S/N or by exposure [s], and the sigma by which spaxels share it [arcsec]."""
    said = {name: setup.noise[name] for name in ("snr", "exposure_s", "n_exposures") if name in setup.noise}
    shared = 0.0 if setup.noise.get("sigmas") is None else setup.instrument.correlation_arcsec
    return {**said, "mode": setup.noise["mode"], "seed": setup.seed, "correlation_arcsec": shared}


def grown_facts(history: BaryonHistory, plain: BaryonHistory | None = None) -> dict[str, float]:
    """What a grown galaxy has become: masses [dex(Msun)], star formation [Msun/yr], metallicities, error [dex].

    `log10_mstar` is what survives, remnants included, `log10_mstar_formed` all that ever formed.
    With `plain`, the history of the same physics without corrections, what these shift the stellar mass by [dex].
    """
    sizes = {"mvir": history.m_vir, "mstar": history.m_star, "mstar_formed": history.m_formed, "mism": history.m_ism}
    found = {f"log10_{name}": float(np.log10(mass[-1])) for name, mass in sizes.items()}
    metals = {f"z_{name}": float(history.metallicity(name)[-1]) for name in ("stars", "ism")}
    shift = {} if plain is None else {"log10_mstar_shift": float(np.log10(history.m_star[-1] / plain.m_star[-1]))}
    return {**found, **shift, "sfr_msun_yr": float(history.sfr[-1]) / 1e9, **metals, "error_dex": float(history.error)}
