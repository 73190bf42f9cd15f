"""What codes leave to be derived for gas: its temperature."""

import numpy as np

from galdiff import units

HYDROGEN = 0.76  # mass fraction assumed in AREPO's ElectronAbundance and mean molecular weight
GAMMA = 5.0 / 3.0


def temperature(energy: np.ndarray, electrons: np.ndarray, hydrogen: np.ndarray | float = HYDROGEN) -> np.ndarray:
    """Gas temperature [K] from specific energy [(km/s)^2] and electrons per hydrogen nucleus [1], each (gas,).

    T = (gamma - 1) u mu m_p / k_B, mu = 4 / (1 + 3 X + 4 X x_e) (Nelson et al. 2019, data release notes), with the mass
    fraction X of hydrogen [1], one number or (gas,), in a mixture with helium.
    """
    mu = 4.0 / (1.0 + 3.0 * hydrogen + 4.0 * hydrogen * electrons)
    return (GAMMA - 1.0) * energy * 1e10 * mu * units.PROTON_MASS_G / units.BOLTZMANN_ERG_K
