"""Unit system and constants, one source each.

Inside galdiff: Msun, kpc, km/s, Gyr, Lsun, Angstrom (vacuum), mag; on the sky arcsec and 1e-20 erg/s/cm2/Angstrom.
Constants are Python floats, so they never decide the precision of a computation. Every solar metallicity is here: that
of the run, and those that define the scale of a published fit or table, which convert its [Z/H] into a mass fraction.
Metals travel between stages as mass fractions Z, which need no Sun.
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
ATOMIC_MASS_G = 1.66053906892e-24  # atomic mass unit; CODATA 2022
THOMSON_CM2 = 6.6524587051e-25  # cross-section [cm2]; CODATA 2022
EDDINGTON_GYR = THOMSON_CM2 * C_KMS * 1e5 / (4 * 3.141592653589793 * G_CGS * PROTON_MASS_G) / GYR_S  # M c^2 / L_Edd
BOLTZMANN_ERG_K = 1.380649e-16  # exact (SI 2019)
HC_K_ANGSTROM = 1.438776877e8  # h c / k [Angstrom K]; CODATA 2018
HC_ERG_ANGSTROM = HC_K_ANGSTROM * BOLTZMANN_ERG_K  # h c [erg Angstrom]: energy of a photon times its wavelength
T_CMB = 2.7255  # K, of the microwave background today (Fixsen 2009, ApJ 707, 916)
MEAN_WEIGHT = 0.59  # mean molecular weight of fully ionised gas [proton masses]
YR_PER_GYR = 1e9
TEN_PC_MPC = 1e-5  # distance of absolute magnitudes [Mpc]
ARCSEC_PER_RADIAN = 206264.80624709636  # 180 * 3600 / pi
FWHM_PER_SIGMA = 2.3548200450309493  # sqrt(8 ln 2) of a Gaussian
MPC_KMS_PER_GYR = 977.7922216807891  # 1/H0 [Gyr] for H0 = 1 km/s/Mpc (Mpc in km over Gyr in s)
FLUX_UNIT = 1e-20  # one unit of a cube [erg/s/cm2/Angstrom]
AB_ZERO_POINT = -48.60  # Oke & Gunn 1983, AB = -2.5 log10(F_nu [erg/s/cm2/Hz]) - 48.60

# Lsun / (4 pi Mpc^2) in units of FLUX_UNIT [1e-20 erg/s/cm2 at 1 Mpc for 1 Lsun]
FLUX_OF_ONE_LSUN_AT_ONE_MPC = LSUN_ERG_S / (4 * 3.141592653589793 * MPC_CM) / MPC_CM / FLUX_UNIT

# Metal mass fraction of the Sun: of drivers, columns and relations ("Z over solar"); that of Pandya et al. (2023)
Z_SUN = 0.02
# What the scale of a published fit or table calls solar; nothing else is measured with these
Z_SUN_COOLING = 0.02  # Sutherland & Dopita (1993, ApJS 88, 253), rounded from Anders & Grevesse (1989, GeCoA 53, 197)
Z_SUN_TRACKS = 0.02  # Tout et al. (1996) and Hurley et al. (2000): zeta = log10(Z / 0.02)
Z_SUN_BYLER17 = 0.0185  # Byler et al. (2017, ApJ 840, 44) with MIST in FSPS; Anders & Grevesse (1989) have 0.0189
Z_SUN_ASPLUND09 = 0.0134  # Asplund et al. (2009, ARA&A 47, 481), table 4; with the next, turns Z into O/H for dust
OXYGEN_SUN_ASPLUND09 = 8.69  # 12 + log10(O/H), same source, table 1
Z_SUN_ISOCHRONES = {  # Z at [M/H] = 0
    "BaSTI": 0.0172,  # Pietrinferni et al. (2004, ApJ 612, 168), as the MILES team uses them
    "Padova00": 0.019,  # Girardi et al. (2000, A&AS 141, 371)
    "MIST": 0.0142,  # Choi et al. (2016, ApJ 823, 102)
    "BC03": 0.02,  # Bruzual & Charlot (2003, MNRAS 344, 1000)
    "PARSEC": 0.0152,  # Bressan et al. (2012, MNRAS 427, 127)
}

# What codes and libraries took for a constant when they wrote their files
MSUN_GADGET_G = 1.989e33  # Gadget and AREPO [g]
MPC_GADGET_CM = 3.085678e24  # the same [cm]
MSUN_HORIZON_G = 2e33  # Horizon-AGN as cut out for SimSpin [g]
KPC_HORIZON_CM = 3.08e21  # the same [cm]
LSUN_MILES_ERG_S = 3.826e33  # MILES and E-MILES spectra [erg/s]
LSUN_FSPS_ERG_S = 3.839e33  # FSPS, sps_vars.f90 [erg/s]
