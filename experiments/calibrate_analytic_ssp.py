"""Calibrate the scalars of the embedded SSP library against MILES and MIUSCAT, and report how well it does.

Run: python experiments/calibrate_analytic_ssp.py --steps 12 --write --figures FOLDER
Data: $GALDIFF_DATA/ssp or ../shared/data/ssp, see the data's README. The fit is damped least squares (Levenberg 1944,
Marquardt 1963) on smoothed spectra, colours, mass-to-light ratios and indices, with a prior on each coefficient. Only
named scalars are fitted; nothing per wavelength is stored. The figures hold MILES spectra: do not publish them.
"""

import argparse
import json
import os
import pathlib
import time

import h5py
import jax
import jax.numpy as jnp
import numpy as np

from galdiff import units
from galdiff.sps import indices
from galdiff.sps.analytic import coefficients, features, kroupa, kroupa_revised, spectra, synthesis, tables
from galdiff.sps.analytic import tracks as tracks_module

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data")) / "ssp"
C_A_S = units.C_KMS * 1e13  # speed of light [Angstrom/s]
RESOLVING_POWER = 800.0  # of the comparison
WAVE = np.exp(np.arange(np.log(3556.0), np.log(9440.0), 0.5 / RESOLVING_POWER))  # vacuum Angstrom
LINES = ("Hbeta", "Mgb", "Fe5270", "Fe5335", "NaD", "G4300", "Hdelta_A")
MILES_Z = (0.0003, 0.001, 0.004, 0.008, 0.01, 0.0198, 0.03, 0.04)
MILES_AGES = (0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 10.0, 13.0)  # Gyr
MIUSCAT_Z = (0.01, 0.0198)
MIUSCAT_AGES = (0.04, 0.06, 0.1, 0.2, 0.3, 0.5, 0.9, 1.25, 2.25, 5.5, 8.5, 10.5, 12.5)
PRIOR = pathlib.Path(__file__).with_name("analytic_ssp_prior.json")  # published or rough values, and how far to trust


def load(name: str):
    """Wave, ages [Gyr], metallicities, flux per wavelength [Lsun/Angstrom/Msun] of a data file."""
    with h5py.File(DATA / name) as file:
        wave, age, met, flux = (file[f"ssp_{k}"][:].astype(float) for k in ("wave", "lg_age_gyr", "lgmet", "flux"))
    return wave, 10**age, 10**met, flux * C_A_S / wave**2


def smooth(wave, flux, target):
    """Bring spectra of FWHM 2.51 Angstrom to RESOLVING_POWER, at the target wavelengths."""
    sigma = np.sqrt((target / RESOLVING_POWER) ** 2 - 2.51**2) / 2.3548
    kernel = np.exp(-0.5 * ((wave - target[:, None]) / sigma[:, None]) ** 2) * np.gradient(wave)
    return flux @ (kernel / kernel.sum(-1, keepdims=True)).T


def passbands(wave):
    """Photon-counting weights of SDSS g, r and Bessell V on a grid, and their AB zero point in flux per frequency."""
    from speclite.filters import load_filters

    rows = []
    for band in load_filters("sdss2010-g", "sdss2010-r", "bessell-V"):
        response = np.interp(wave, band.wavelength, band.response, left=0.0, right=0.0)
        photons = response * wave * np.gradient(wave)
        rows.append(photons / (response / wave * np.gradient(wave)).sum() / C_A_S)
    return np.array(rows)


class Summary:
    """Colours, mass-to-light ratios and indices of spectra on a grid; differentiable."""

    def __init__(self, wave):
        self.wave, self.bands = wave, passbands(wave)

    def __call__(self, flux):
        mags = -2.5 * jnp.log10(flux @ self.bands.T)
        out = {"g-r": mags[..., 0] - mags[..., 1], "lg_ml": 0.4 * mags[..., 2], "Dn4000": self.index(flux, "Dn4000")}
        return out | {name: self.index(flux, name) for name in LINES}

    def index(self, flux, name):
        return indices.spectral_index(self.wave, flux, name)


SIGMA = {"g-r": 0.02, "lg_ml": 0.03, "Dn4000": 0.04} | dict.fromkeys(LINES, 0.3)


class Problem:
    """Data, model and prior of the fit, as one vector of residuals."""

    def __init__(self):
        self.sets = [
            self._set("ssp_miles_basti_kb.h5", MILES_Z, MILES_AGES, kroupa_revised(), (3556.0, 7400.0)),
            self._set("ssp_miuscat_thin.h5", MIUSCAT_Z, MIUSCAT_AGES, kroupa(), (6900.0, 9440.0)),
        ]
        self.centre, self.width = self._prior()
        self.free = np.flatnonzero(self.width > 0)
        laws = [coefficients.LAWS[name] for name in features.NAMES]
        self.stored = np.concatenate([list(coefficients.TRACKS.values()), *laws])

    def _set(self, name, mets, ages, imf, span):
        wave, all_ages, all_mets, flux = load(name)
        pairs = ((all_mets, mets), (all_ages, ages))
        pick = [[int(np.abs(np.log(grid / x)).argmin()) for x in wanted] for grid, wanted in pairs]
        use = (span[0] <= WAVE) & (span[1] >= WAVE)
        data = smooth(wave, flux[np.ix_(*pick)], WAVE[use])
        ages, mets = all_ages[pick[1]], all_mets[pick[0]]
        fwhm = WAVE[use] / RESOLVING_POWER
        made = (tables.track_tables(ages, mets), spectra.atmosphere_tables(WAVE[use], fwhm))
        weight = np.where((mets < 0.0035) | (mets > 0.035), 0.25, 1.0)[:, None] * np.where(ages < 0.09, 0.4, 1.0)
        whole = Summary(WAVE[use]) if span[0] < 3600 else None
        return {"data": data, "mets": mets, "imf": imf, "tables": made, "weight": weight, "summary": whole}

    def _prior(self):
        """Centre and width of the prior of all coefficients, in the order of `unpack`; width 0 means fixed."""
        prior = json.loads(PRIOR.read_text())
        track = np.array([prior["tracks"][name] for name in coefficients.TRACKS]).T
        law = np.array([prior["laws"][name] for name in features.NAMES])
        return [np.concatenate([track[k], law[:, k].reshape(-1)]) for k in (0, 1)]

    def unpack(self, free):
        full = jnp.asarray(self.centre).at[self.free].set(free)
        n = len(coefficients.TRACKS)
        track = tracks_module.TrackCoefficients(**dict(zip(coefficients.TRACKS, full[:n], strict=True)))
        laws = spectra.SpectrumCoefficients(laws=full[n:].reshape(-1, 5))
        return synthesis.Coefficients(tracks=track, spectra=laws)

    def residuals(self, free):
        c = self.unpack(free)
        rows = [(free - self.centre[self.free]) / self.width[self.free]]
        for s in self.sets:
            model = synthesis.synthesise(c, jnp.asarray(s["mets"]), s["tables"], s["imf"])
            scale = 1 / (0.1 * np.sqrt(model.shape[-1] / 60))
            rows.append(((jnp.log(model) - np.log(s["data"])) * scale * s["weight"][..., None]).reshape(-1))
            if s["summary"] is not None:
                ours, theirs = s["summary"](model), s["summary"](s["data"])
                rows += [((ours[k] - theirs[k]) / SIGMA[k] * s["weight"]).reshape(-1) for k in SIGMA]
        return jnp.concatenate(rows)


def fit(problem: Problem, free, steps: int) -> np.ndarray:
    """Damped least squares from the free coefficients given; prints the cost of each step."""
    free, residuals = jnp.asarray(free), jax.jit(problem.residuals)

    @jax.jit
    def jacobian(x):
        push = lambda v: jax.jvp(problem.residuals, (x,), (v,))[1]  # noqa: E731
        return jax.lax.map(push, jnp.eye(x.size), batch_size=4)

    damping, r = 0.3, residuals(free)
    print(f"{free.size} coefficients, {r.size} residuals, chi2 {float(r @ r):.1f}", flush=True)
    for step in range(steps):
        start = time.time()
        jac = np.asarray(jacobian(free))
        normal, slope = jac @ jac.T, jac @ np.asarray(r)
        for _ in range(6):
            move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slope)
            trial = free + jnp.asarray(move)
            new = residuals(trial)
            if float(new @ new) < float(r @ r):
                free, r, damping = trial, new, max(damping / 4, 1e-4)
                break
            damping *= 4
        print(f"step {step}: chi2 {float(r @ r):.1f} damping {damping:.1e} {time.time() - start:.1f} s", flush=True)
    full = problem.centre.copy()
    full[problem.free] = np.asarray(free)
    return full


def write(full: np.ndarray) -> None:
    """Store the coefficients in the package."""
    n = len(coefficients.TRACKS)
    text = f'"""{coefficients.__doc__}"""\n\nTRACKS = {{\n'
    text += "".join(f'    "{k}": {v:.5g},\n' for k, v in zip(coefficients.TRACKS, full[:n], strict=True))
    text += "}\n\n# feature: ln_strength, theta, theta2, gravity, zeta\nLAWS = {\n"
    for name, row in zip(features.NAMES, full[n:].reshape(-1, 5), strict=True):
        text += f'    "{name}": ({", ".join(f"{v:.4g}" if v % 1 else f"{v:.1f}" for v in row)}),\n'
    (ROOT / "galdiff/sps/analytic/coefficients.py").write_text(text + "}\n")


def compare(problem: Problem, full: np.ndarray):
    """Measured and modelled quantities over the whole range of the promise: Z 0.004-0.03, 0.1-13 Gyr."""
    wave, ages, mets, flux = load("ssp_miles_basti_kb.h5")
    mets_in, ages_in = (mets > 0.0039) & (mets < 0.0301), (ages > 0.099) & (ages < 13.01)
    use = WAVE < 7400.0
    data = smooth(wave, flux[np.ix_(mets_in, ages_in)], WAVE[use])
    made = (
        tables.track_tables(ages[ages_in], mets[mets_in]),
        spectra.atmosphere_tables(WAVE[use], WAVE[use] / RESOLVING_POWER),
    )
    c = problem.unpack(jnp.asarray(full[problem.free]))
    model = np.asarray(synthesis.synthesise(c, jnp.asarray(mets[mets_in]), made, kroupa_revised()))
    return WAVE[use], ages[ages_in], mets[mets_in], data, model


def report(wave, ages, mets, data, model) -> None:
    """Print rms and mean differences, all together and by metallicity."""
    theirs, ours = (Summary(wave)(x) for x in (data, model))
    print("rms (mean) of analytic - MILES;", "Z:", *(f"{z:.4g}" for z in mets))
    for name in theirs:
        gap = np.asarray(ours[name] - theirs[name])
        by_z = " ".join(f"{np.sqrt((row**2).mean()):.3f}" for row in gap)
        print(f"{name:9s} {np.sqrt((gap**2).mean()):.4f} ({gap.mean():+.4f})  max {np.abs(gap).max():.3f}  {by_z}")
    shape = np.log(model / data)
    shape = shape - shape.mean(-1, keepdims=True)
    print(f"shape of ln flux: rms {shape.std():.4f}, worst population {shape.std(-1).max():.4f}")


def figures(folder: pathlib.Path, wave, ages, mets, data, model) -> None:
    """Spectra and trends beside MILES; for looking at, not for publishing."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for z in (0.004, 0.0198, 0.03):
        i = int(np.abs(mets - z).argmin())
        fig, axes = plt.subplots(5, 1, figsize=(15, 20), sharex=True)
        for ax, age in zip(axes, (0.1, 0.5, 1.5, 5.0, 12.0), strict=True):
            j = int(np.abs(ages - age).argmin())
            scale = np.median(data[i, j])
            ax.plot(wave, data[i, j] / scale, "k", lw=0.9, label="MILES")
            ax.plot(wave, model[i, j] / scale, "r", lw=0.9, label="analytic")
            ax.set_title(f"Z = {mets[i]:.4g}, {ages[j]:.3g} Gyr", fontsize=9)
        axes[0].legend()
        fig.tight_layout()
        fig.savefig(folder / f"spectra_z{z}.png", dpi=70)
    theirs, ours = (Summary(wave)(x) for x in (data, model))
    fig, axes = plt.subplots(2, 4, figsize=(18, 9))
    shown = ("g-r", "lg_ml", "Dn4000", "Hbeta", "Mgb", "Fe5270", "NaD", "Hdelta_A")
    for ax, name in zip(axes.flat, shown, strict=True):
        for i, z in enumerate(mets):
            ax.semilogx(ages, theirs[name][i], f"C{i}--", lw=1)
            ax.semilogx(ages, ours[name][i], f"C{i}-", label=f"{z:.4g}")
        ax.set_title(name)
    axes[0, 0].legend()
    fig.tight_layout()
    fig.savefig(folder / "trends.png", dpi=70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=0, help="least-squares steps; 0 only reports")
    parser.add_argument("--restart", action="store_true", help="start from the stored coefficients, not the prior")
    parser.add_argument("--write", action="store_true", help="store the result in the package")
    parser.add_argument("--figures", type=pathlib.Path, help="folder for comparison figures")
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    problem = Problem()
    start = problem.stored if args.restart else problem.centre
    full = fit(problem, start[problem.free], args.steps) if args.steps else problem.stored
    if args.write:
        write(full)
    made = compare(problem, full)
    report(*made)
    if args.figures:
        figures(args.figures, *made)


if __name__ == "__main__":
    main()
