"""Small files that pynbody, yt and swiftsimio open, which ask for more than galdiff does."""

import h5py
import numpy as np
from simulation_files import N_GAS, N_STAR, A, H, galaxy, write_gizmo

SWIFT_UNITS = {
    "Unit current in cgs (U_I)": 1.0, "Unit length in cgs (U_L)": 3.08567758149e24,
    "Unit mass in cgs (U_M)": 1.98841e43, "Unit temperature in cgs (U_T)": 1.0,
    "Unit time in cgs (U_t)": 3.08567758149e19,
}  # fmt: skip
SWIFT_COSMOLOGY = {
    "Cosmological run": 1, "Omega_m": 0.3046, "Omega_lambda": 0.6954, "Omega_b": 0.0486, "Omega_k": 0.0,
    "Omega_r": 0.0, "Omega_g": 0.0, "Omega_nu_0": 0.0, "h": H, "H0 [internal units]": 100.0 * H, "w_0": -1.0,
    "w_a": 0.0, "w": -1.0, "Scale-factor": A, "Redshift": 1 / A - 1, "T_CMB_0 [internal units]": 0.0,
    "T_CMB_0 [K]": 0.0,
    "N_eff": 0.0,
    "N_nu": 0.0, "N_ur": 0.0, "M_nu_eV": 0.0, "deg_nu": 0.0, "Critical density [internal units]": 12.87,
}  # fmt: skip
GROUPS = ("Code", "HydroScheme", "Parameters", "SubgridScheme", "UnusedParameters", "Policy", "GravityScheme")
GROUPS += ("StarsScheme",)
EXPONENTS = ("U_I", "U_L", "U_M", "U_T", "U_t")


def write_gizmo_file(path):
    """GIZMO with kpc/h, as the header says; plain numbers in the header, and IDs."""
    counts = np.array([N_GAS, 0, 0, 0, N_STAR, 0], np.int32)
    units = {"UnitLength_In_CGS": 3.085678e21, "UnitMass_In_CGS": 1.989e43, "UnitVelocity_In_CGS": 1e5}
    header = {"NumPart_ThisFile": counts, "NumPart_Total": counts, "NumPart_Total_HighWord": counts * 0} | units
    header |= {"MassTable": np.zeros(6), "NumFilesPerSnapshot": 1, "OmegaLambda": 0.728, "Flag_Metals": 11}
    flags = {"Flag_Sfr": 1, "Flag_Cooling": 1, "Flag_StellarAge": 1, "Flag_Feedback": 1}
    write_gizmo(path, initial_mass=False, **header | flags)
    with h5py.File(path, "r+") as file:
        attributes = file["Header"].attrs
        for name, value in dict(attributes).items():
            if np.size(value) == 1:
                attributes[name] = np.ravel(value)[0]
        file["PartType0/ParticleIDs"], file["PartType4/ParticleIDs"] = np.arange(N_GAS), np.arange(N_STAR) + N_GAS
        file["PartType0/Density"] = np.full(N_GAS, 1e-5)
        pynbody_units = {"UnitLength_in_cm": 3.085678e21, "UnitMass_in_g": 1.989e43, "UnitVelocity_in_cm_per_s": 1e5}
        file.create_group("Units").attrs.update(pynbody_units)


def write_swift_file(path):
    """SWIFT with the attributes of datasets and the groups that swiftsimio asks for."""
    powers = {"L": {"U_L": 1.0}, "v": {"U_L": 1.0, "U_t": -1.0}, "m": {"U_M": 1.0}, "1": {}}
    sizes = {"L": 3.08567758149e24, "v": 1e5, "m": 1.98841e43, "1": 1.0}
    with h5py.File(path, "w") as file:
        counts = np.array([N_GAS, 0, 0, 0, N_STAR, 0, 0], np.uint32)
        header = file.create_group("Header").attrs
        header.update({"BoxSize": [50.0] * 3, "Dimension": [3], "NumPart_ThisFile": counts, "NumPart_Total": counts})
        header.update({"NumPart_Total_HighWord": counts * 0, "MassTable": np.zeros(7), "NumFilesPerSnapshot": [1]})
        header.update({"Scale-factor": [A], "Redshift": [1 / A - 1], "Time": [0.01], "Code": b"SWIFT"})
        header.update({"OutputType": b"FullVolume", "Flag_Entropy_ICs": [0]})
        for group in ("Units", "InternalCodeUnits"):
            file.create_group(group).attrs.update({name: [value] for name, value in SWIFT_UNITS.items()})
        file.create_group("Cosmology").attrs.update({name: [value] for name, value in SWIFT_COSMOLOGY.items()})
        for group in GROUPS:
            file.create_group(group)
        for group, part in (("PartType0", galaxy(2, N_GAS)), ("PartType4", galaxy())):
            count = len(part["mass"])
            fields = {
                "Coordinates": (part["pos"] / A / 1e3 + 25.0, "L", 1.0),
                "Velocities": (part["vel"], "v", 0.0),
                "Masses": (part["mass"] * 0.6 / 1e10, "m", 0.0),
                "MetalMassFractions": (np.full(count, 0.01), "1", 0.0),
                "ParticleIDs": (np.arange(count), "1", 0.0),
            }
            if group == "PartType4":
                fields["InitialMasses"] = part["mass"] / 1e10, "m", 0.0
                fields["BirthScaleFactors"] = part["birth"], "1", 0.0
            for name, (values, kind, power) in fields.items():
                attributes = file.create_dataset(f"{group}/{name}", data=values).attrs
                attributes.update({f"{unit} exponent": [powers[kind].get(unit, 0.0)] for unit in EXPONENTS})
                attributes.update({"a-scale exponent": [power], "h-scale exponent": [0.0], "Description": name})
                cgs = "Conversion factor to CGS (not including cosmological corrections)"
                physical = "Conversion factor to physical CGS (including cosmological corrections)"
                attributes.update({cgs: [sizes[kind]], physical: [sizes[kind] * A**power]})
                attributes["Expression for physical CGS units"] = "a^1"
