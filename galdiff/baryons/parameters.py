"""Numbers of the two-zone model: as plain pytrees for the equations, and as bounded variables for training."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.core.fitted import Range
from galdiff.core.record import quantity, record
from galdiff.core.variables import physical
from galdiff.units import Z_SUN as Z_SUN

FIRE2 = Range("m_vir", "Msun", 1e10, 1e12, "13 halos of FIRE-2: Pandya et al. 2020, ApJ 905, 4", at_end=True)
V_0 = 125.0  # km/s, pivot of the power laws


@record
class Turbulence:
    """Turbulent energy of the CGM (Pandya et al. 2023)."""

    heat_of_inflow: Float[Array, ""] = quantity("", "share of the energy of the inflow that arrives as heat")
    heat_of_wind: Float[Array, ""] = quantity("", "share of the energy of the wind that arrives as heat")
    eddy: Float[Array, ""] = quantity("", "outer scale of the turbulence over R_vir")


@record
class Parameters:
    """All parameters of the two-zone model in natural units; those of its laws as `Law.parameters` gives them."""

    star_formation: Any = quantity("", "of the law of star formation")
    eta_mass: Any = quantity("", "of the mass loading of the wind")
    eta_energy: Any = quantity("", "of the energy loading of the wind, before its limit of 1")
    eta_metal: Any = quantity("", "of the share of new metals that the wind takes, before its limit of 1")
    z_inflow: Any = quantity("", "of the metal mass fraction of the inflow")
    prevent: Any = quantity("", "of preventative feedback")
    cooling: Any = quantity("", "of the law of cooling")
    yields: Any = quantity("", "of what a generation of stars gives back")
    black_hole: Any = quantity("", "of the law of the black hole")
    turbulence: Turbulence | None = quantity("", "turbulent energy; None for the thermal limit", default=None)


@buildable
class Bounded(nnx.Module):
    """Physical variables of one record; calling it gives the record with the bounded values."""

    def __init__(self, kind: type, **variables: Any) -> None:
        self.kind = kind
        self.names = tuple(variables)
        for name, variable in variables.items():
            setattr(self, name, variable)

    def __call__(self) -> Any:
        """The record of plain values."""
        return self.kind(**{name: getattr(self, name).bounded for name in self.names})


@buildable
def turbulent(*, heat_of_inflow: float = 0.5, heat_of_wind: float = 0.5, eddy: float = 0.5) -> Bounded:
    """Trainable turbulence of the CGM. The shares and the scale are round numbers, not published fits."""
    return Bounded(
        Turbulence,
        heat_of_inflow=physical(heat_of_inflow, unit="1", lo=0.0, hi=1.0),
        heat_of_wind=physical(heat_of_wind, unit="1", lo=0.0, hi=1.0),
        eddy=physical(eddy, unit="R_vir", lo=0.01, hi=2.0),
    )
