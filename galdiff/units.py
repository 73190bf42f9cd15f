"""Unit system and constants, one source each.

Inside galdiff: Msun, kpc, km/s, Gyr, Lsun, Angstrom (vacuum), mag; on the sky arcsec and 1e-20 erg/s/cm2/Angstrom.
Constants are Python floats, so they never decide the precision of a computation.
"""

C_KMS = 299792.458  # speed of light [km/s]; exact (SI 2019)
MPC_CM = 3.0856775814913673e24  # 1 Mpc [cm]; IAU 2012 B2 (au) and 648000/pi au per pc
KPC_KM = MPC_CM / 1e8  # 1 kpc [km]
LSUN_ERG_S = 3.828e33  # nominal solar luminosity [erg/s]; IAU 2015 B3
MSUN_G = 1.988409870698051e33  # [g]; nominal GM_sun (IAU 2015 B3) over G of CODATA 2018
G_KPC_KMS2_MSUN = 4.30091727003628e-6  # G Msun [kpc (km/s)^2]; nominal GM_sun, IAU 2015 B3
G_CGS = 6.67430e-8  # [cm3/g/s2]; CODATA 2018
STEFAN_BOLTZMANN_CGS = 5.670374419e-5  # [erg/s/cm2/K4]; exact (SI 2019), rounded
GYR_S = 3.15576e16  # 1 Gyr [s]; Julian year of 365.25 d
PROTON_MASS_G = 1.67262192595e-24  # CODATA 2022
BOLTZMANN_ERG_K = 1.380649e-16  # exact (SI 2019)
ARCSEC_PER_RADIAN = 206264.80624709636  # 180 * 3600 / pi
FWHM_PER_SIGMA = 2.3548200450309493  # sqrt(8 ln 2) of a Gaussian
MPC_KMS_PER_GYR = 977.7922216807891  # 1/H0 [Gyr] for H0 = 1 km/s/Mpc (Mpc in km over Gyr in s)
FLUX_UNIT = 1e-20  # one unit of a cube [erg/s/cm2/Angstrom]
AB_ZERO_POINT = -48.60  # Oke & Gunn 1983, AB = -2.5 log10(F_nu [erg/s/cm2/Hz]) - 48.60

# Lsun / (4 pi Mpc^2) in units of FLUX_UNIT [1e-20 erg/s/cm2 at 1 Mpc for 1 Lsun]
FLUX_OF_ONE_LSUN_AT_ONE_MPC = LSUN_ERG_S / (4 * 3.141592653589793 * MPC_CM) / MPC_CM / FLUX_UNIT
