"""How grown galaxies move, beside observed ones: the Tully-Fisher and Faber-Jackson relations."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from galdiff.observables import observed

COLOURS = ("#999999", "#31688e", "#e0a100", "#35b779")
PANELS = (  # x, y, whether of galaxies that form stars, from which log10 of the stellar mass on
    ("stars", "turns", True, 8.5),
    ("baryons", "turns", True, 8.5),
    ("stars", "sigma", False, 10.3),
)
LABELS = {
    "stars": r"$\log_{10}\ M_\star$ [M$_\odot$]",
    "baryons": r"$\log_{10}\ (M_\star + M_{\rm gas})$ [M$_\odot$]",
    "turns": r"$\log_{10}$ rotation of the gas [km s$^{-1}$]",
    "sigma": r"$\log_{10}\ \sigma$ within 3 kpc [km s$^{-1}$]",
}


def plot_motions(drawn: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Tully-Fisher relations of galaxies that form stars, in stars and in baryons, and Faber-Jackson of the others.

    Args:
      drawn: by name of a model, arrays (galaxy,): log10 of `stars` and `baryons` [Msun], of `turns` and `sigma` [km/s],
        and `forms`, whether a galaxy forms stars.

    Returns:
      Three panels, each with the fit to observed galaxies in its range: Reyes et al. (2011), McGaugh (2012), Zahid et
      al. (2016).
    """
    made = Figure(figsize=(11.0, 3.7), layout="constrained")
    panels = made.subplots(1, 3)
    for ax, (x, y, forming, least) in zip(panels, PANELS, strict=True):
        for (name, found), colour in zip(drawn.items(), COLOURS, strict=False):
            chosen = (np.asarray(found["forms"]) == forming) & (np.asarray(found["stars"]) > least)
            ax.plot(found[x][chosen], found[y][chosen], ".", ms=4, color=colour, label=name)
        ax.set(xlabel=LABELS[x], ylabel=LABELS[y])
    light, massive = np.linspace(8.9, 11.0, 50), np.linspace(10.3, 11.5, 50)
    panels[0].plot(light, observed.log10_v_reyes11(light), "k-", label="Reyes et al. (2011)")
    panels[1].plot(light, observed.log10_v_mcgaugh12(light), "k-", label="McGaugh (2012)")
    panels[2].plot(massive, observed.log10_sigma_zahid16(massive), "k-", label="Zahid et al. (2016)")
    for ax in panels:
        ax.legend(frameon=False, fontsize=8)
    return made
