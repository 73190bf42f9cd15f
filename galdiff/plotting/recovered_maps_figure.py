"""Maps recovered from a cube, beside the truth, their start and the limit of the noise."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from galdiff.inference.fit import Fit
from galdiff.inference.populations import Populations

DPI = 160
# field, name, label where drawn as a number (else as a logarithm), colours
QUANTITIES = (("log10_age", "log$_{10}$ age", "age [Gyr]", "magma"), ("log10_z", "log$_{10}$ Z", "", "viridis"))


def plot_recovered_maps(
    maps: Mapping[str, Populations], fit: Fit, snr: np.ndarray, field_arcsec: tuple[float, float]
) -> Figure:
    """Truth, start, recovered and residual maps of age and Z [dex], shape (y, x); S/N, loss, errors and pulls.

    Args:
      maps: truth, start, recovered and limit (the smallest possible errors).
      fit: that recovered them.
      snr: per pixel, of each spaxel (y, x).
      field_arcsec: width and height of the field.
    """
    x, y = field_arcsec[0] / 2, field_arcsec[1] / 2
    figure = Figure(figsize=(14, 9.6), layout="constrained", dpi=DPI)
    axes = figure.subplots(3, 4)

    def show(axis: Any, image: Any, title: Any, label: Any = None, **style: Any) -> None:
        drawn = axis.imshow(image, origin="lower", extent=(-x, x, -y, y), **style)
        axis.set(title=title, xlabel="East [arcsec]", xlim=(x, -x))
        if label is not None:
            extend = "both" if "vmin" in style else "neither"
            figure.colorbar(drawn, cax=axis.inset_axes((1.03, 0.0, 0.05, 1.0)), label=label, extend=extend)

    for row, (field, name, unit, cmap) in zip(axes, QUANTITIES, strict=False):
        values = {which: np.asarray(getattr(p, field)) for which, p in maps.items()}
        error = values["recovered"] - values["truth"]
        if unit:
            values = {which: 10**value for which, value in values.items()}
        style = dict(cmap=cmap, vmin=values["truth"].min(), vmax=values["truth"].max())
        for axis, which in zip(row, ("truth", "start", "recovered"), strict=False):
            show(axis, values[which], which, (unit or name) if which == "recovered" else None, **style)
        label, bound = f"error of {name} [dex]", 3 * error.std()
        show(row[3], error, f"recovered - truth, rms {error.std():.3f}", label, cmap="RdBu_r", vmin=-bound, vmax=bound)
    show(axes[2, 0], snr, "observed cube", "S/N per pixel", cmap="cividis")
    for axis in axes[:, 0]:
        axis.set_ylabel("North [arcsec]")
    _draw_fit(axes[2, 1:], maps, fit, snr)
    return figure


def _draw_fit(axes: Any, maps: Mapping[str, Populations], fit: Fit, snr: np.ndarray) -> None:
    axes[0].loglog(1 + np.arange(len(fit.losses)), fit.losses, color="C0")
    axes[0].axhline(1.0, color="0.5", lw=0.8, ls="--")
    axes[0].set(xlabel="step", ylabel=r"$\chi^2$ per pixel", title="loss")
    for (name, label, _, _), colour in zip(QUANTITIES, ("C3", "C2"), strict=True):
        found, true, limit = (np.asarray(getattr(maps[m], name)) for m in ("recovered", "truth", "limit"))
        axes[1].plot(snr.ravel(), np.abs(found - true).ravel(), ".", ms=3, color=colour, alpha=0.35)
        groups = np.array_split(np.argsort(snr.ravel()), min(8, snr.size))
        middle = [(snr.ravel()[g].mean(), np.sqrt(np.mean(limit.ravel()[g] ** 2))) for g in groups]
        axes[1].plot(*np.transpose(middle), color=colour, lw=2, label=f"{label}: limit of the noise")
        pulls = ((found - true) / limit).ravel()
        axes[2].hist(pulls, np.arange(-4, 4.01, 0.5), histtype="step", lw=1.5, color=colour, density=True, label=label)
    axes[1].set(
        yscale="log", ylim=(1e-3, 2), xlabel="S/N per pixel", ylabel="|error| [dex]", title="error of each spaxel"
    )
    t = np.linspace(-4, 4, 200)
    axes[2].plot(t, np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi), "k--", lw=1, label="unit normal")
    axes[2].set(xlabel="error / limit of the noise", ylabel="density", title="pulls", xlim=(-4, 4), ylim=(0, 0.62))
    for axis in axes:
        axis.set_box_aspect(1)
    for axis in axes[1:]:
        axis.legend(frameon=False, fontsize=9, loc="upper right", handlelength=1.2)
