"""Is it one mass function? Warnings where light, recycling and the run's mass function do not belong together."""

import re
import warnings

from galdiff.core.compiled import quickly
from galdiff.imf.returns import return_fraction
from galdiff.imf.shape import Imf

FAMILIES = ("salpeter", "kroupa", "chabrier")
REVISED = "kroupa_revised"
UNKNOWN = ("", "not stated")

_returned = quickly(return_fraction)


def family(name: str) -> str:
    """What a library's words on its mass function mean: "Kroupa universal 1.30" -> "kroupa"; "" where it says nothing.

    Kroupa (2001) with and without unresolved binaries ("revised" and "universal") are two: per mass formed they differ
    by 0.20 to 0.25 mag in the optical. Of the MILES team's, unimodal 1.30 is Salpeter's and bimodal 1.30 close to
    Kroupa's (Vazdekis et al. 2010, MNRAS 404, 1639).
    """
    if re.search("kroupa.*revised", name.lower()):
        return REVISED
    words = name.lower().replace("unimodal 1.30", "salpeter").replace("bimodal 1.30", "kroupa")
    found = [f for f in FAMILIES if f in words]
    return found[0] if found else "" if words in UNKNOWN else re.sub(r"\s+", " ", words)


def warn_other_imf(imf: Imf, stated: str, what: str) -> None:
    """One warning where `what`, such as a library, states another mass function than the run has."""
    theirs = family(stated)
    if theirs not in ("", family(imf.name)):
        remedy = f"imf={theirs}" if theirs in (*FAMILIES, REVISED) else "imf=own with the slopes of the library"
        warnings.warn(
            f"{what} has the IMF '{stated}', the run '{imf.name}': its light is not that of the stars that form; give"
            f" {remedy}, or another library",
            stacklevel=3,
        )


def warn_recycling(imf: Imf, f_recycle: float, age: float = 10.0) -> None:
    """One warning where a recycled share [1] is more than 0.1 from what the mass function returns by an age [Gyr]."""
    found = float(_returned(imf, age))
    if abs(float(f_recycle) - found) > 0.1:
        warnings.warn(
            f"f_recycle is {float(f_recycle):.3g}, but stars of the IMF '{imf.name}' return {found:.3g} of their mass"
            f" in {age:g} Gyr; give baryons/yields=imf or yields.f_recycle={found:.2f}, or the IMF that it is for",
            stacklevel=3,
        )
