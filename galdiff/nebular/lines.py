"""Emission lines of H II regions that are followed: their names and vacuum wavelengths.

Wavelengths of hydrogen from Lyman-alpha to H-gamma and of [O II], [O III], [N II], [O I] and [S II] in the optical are
those of the NIST Atomic Spectra Database (as in the list of the SDSS); the others are those of Byler et al. (2017),
about 5 km/s redder.
"""

import re
from typing import NamedTuple


class Line(NamedTuple):
    """One line: its name, air wavelengths in it as is the custom, and vacuum wavelength [Angstrom]."""

    name: str
    wave: float


LINES = tuple(
    Line(*each)
    for each in (
        ("Lyalpha", 1215.67),
        ("HeII1640", 1640.43),
        ("OIII]1661", 1660.81),
        ("OIII]1666", 1666.00),
        ("AlIII1855", 1854.72),
        ("AlIII1863", 1862.79),
        ("[CIII]1907", 1906.68),
        ("CIII]1909", 1908.73),
        ("NII]2141", 2141.71),
        ("[OIII]2321", 2321.70),
        ("CII]2324", 2324.25),
        ("CII]2325", 2325.44),
        ("CII]2328", 2327.68),
        ("CII]2329", 2328.87),
        ("[OII]2471", 2471.79),
        ("[AlII]2660", 2661.18),
        ("AlII]2669", 2669.99),
        ("MgII2796", 2796.40),
        ("MgII2803", 2803.58),
        ("[SIII]3722", 3722.75),
        ("[OII]3726", 3727.092),
        ("[OII]3729", 3729.875),
        ("H10", 3799.03),
        ("H9", 3836.53),
        ("[NeIII]3869", 3869.92),
        ("HeI3889", 3889.79),
        ("H8", 3890.21),
        ("[NeIII]3968", 3968.65),
        ("Hepsilon", 3971.26),
        ("[SII]4069", 4069.81),
        ("[SII]4076", 4077.56),
        ("Hdelta", 4102.89),
        ("Hgamma", 4341.68),
        ("[OIII]4363", 4364.436),
        ("HeI4471", 4472.81),
        ("Hbeta", 4862.68),
        ("[OIII]4959", 4960.295),
        ("[OIII]5007", 5008.240),
        ("[NI]5200", 5201.79),
        ("[NII]5755", 5756.29),
        ("HeI5876", 5877.36),
        ("[OI]6300", 6302.046),
        ("[SIII]6312", 6313.90),
        ("[OI]6364", 6365.536),
        ("[NII]6548", 6549.86),
        ("Halpha", 6564.61),
        ("[NII]6584", 6585.27),
        ("HeI6678", 6680.10),
        ("[SII]6716", 6718.29),
        ("[SII]6731", 6732.67),
        ("HeI7065", 7067.28),
        ("[ArIII]7136", 7137.87),
        ("[OII]7320", 7325.13),
        ("[OII]7330", 7334.13),
        ("[ArIII]7751", 7753.36),
        ("[ClII]8579", 8581.19),
        ("Pa10", 9017.48),
        ("[SIII]9069", 9071.25),
        ("Pa9", 9231.64),
        ("[SIII]9531", 9533.38),
        ("Paepsilon", 9548.69),
        ("[CI]9850", 9852.85),
        ("Padelta", 10052.21),
        ("[SII]10323", 10323.48),
        ("HeI10830", 10833.43),
        ("Pagamma", 10941.16),
        ("[FeII]12567", 12570.43),
        ("Pabeta", 12821.70),
        ("Br10", 17367.00),
        ("Br9", 18179.24),
        ("Paalpha", 18756.40),
        ("Brdelta", 19451.00),
        ("Brgamma", 21661.34),
    )
)
NAMES = tuple(line.name for line in LINES)
HYDROGEN = tuple(name.startswith(("Ly", "H", "Pa", "Br")) and not name.startswith("HeI") for name in NAMES)
ATOMIC_MASS = {
    **{"H": 1.008, "He": 4.003, "C": 12.011, "N": 14.007, "O": 15.999, "Ne": 20.180, "Mg": 24.305, "Al": 26.982},
    **{"S": 32.06, "Cl": 35.45, "Ar": 39.95, "Fe": 55.845},
}  # u, standard weights (IUPAC 2021)
NITROGEN = tuple(name.startswith(("[NI", "NI")) for name in NAMES)


def atomic_mass(name: str) -> float:
    """Mass of the atom that a line comes from [u]."""
    element = "H" if HYDROGEN[NAMES.index(name)] else re.match(r"\[?([A-Z][a-z]?)[IVX]", name).group(1)  # type: ignore[union-attr]
    return ATOMIC_MASS[element]
