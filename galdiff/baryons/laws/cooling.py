"""What a law of cooling is: two times, in which the CGM radiates its heat and reaches the ISM."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.patankar import Contents
from galdiff.core import soft
from galdiff.core.record import quantity, record


@record
class CoolingTimes:
    """How fast the CGM cools; a correction of `cooling` divides both."""

    radiation: Array = quantity("Gyr", "heat of the CGM over what it radiates")
    arrival: Array = quantity("Gyr", "mass of the CGM over what reaches the ISM")


class CoolingLaw(Law):
    """Cooling of the CGM, called inside the step."""

    sees_contents: ClassVar[bool] = True

    @abc.abstractmethod
    def __call__(
        self,
        p: Any,
        halo_state: HaloState,
        contents: Contents | None = None,
        at_least: Callable[[Array], Array] = soft.at_least,
    ) -> CoolingTimes:
        """Both times [Gyr], positive, in the shape of the halo.

        Args:
          p, halo_state, contents: as of every law.
          at_least: max(x, 1), smooth or, in a sharp model, with its kink.
        """
