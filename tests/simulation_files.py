"""Small snapshot files in the documented layouts, for simulations whose files are not at hand, and for bad input."""

import h5py
import numpy as np

H, A = 0.704, 0.77342
N_STAR, N_GAS = 300, 40
CGS = ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent")


def field(group, name, values, attributes=None):
    """One dataset with (cgs, a power, h power) as attributes of length 1, if given."""
    dataset = group.create_dataset(name, data=values)
    for key, value in zip(CGS, attributes or (), strict=False):
        dataset.attrs[key] = np.array([value])


def header(file, **attributes):
    """Group Header whose attributes are arrays of length 1, as in the files of SimSpin."""
    group = file.create_group("Header")
    for key, value in attributes.items():
        group.attrs[key] = np.atleast_1d(value)


def galaxy(seed=1, count=N_STAR):
    """A round galaxy: positions [kpc], velocities [km/s], mass formed [Msun], scale factors at birth."""
    rng = np.random.default_rng(seed)
    return {
        "pos": rng.normal(0, 2.0, (count, 3)),
        "vel": rng.normal(0, 120.0, (count, 3)),
        "mass": rng.uniform(1e6, 2e6, count),
        "birth": rng.uniform(0.1, A - 0.01, count),
    }


def write_magneticum(path, *, offset=(20000.0, 30000.0, 10000.0), run_label=True):
    """Positions in ckpc/h, masses in 1e10 Msun/h, metals as masses of 11 elements, odd star formation rates."""
    stars, gas = galaxy(), galaxy(2, N_GAS)
    with h5py.File(path, "w") as file:
        label = {"RunLabel": "Magneticum"} if run_label else {}
        header(file, Time=A, ExpansionFactor=A, HubbleParam=H, Omega0=0.272, OmegaLambda=0.728, BoxSize=48000.0)
        for key, value in label.items():
            file["Header"].attrs[key] = value
        length, mass = (3.085678e21, 1.0, -1.0), (1.989e43, 0.0, -1.0)
        for name, part in (("PartType0", gas), ("PartType4", stars)):
            group = file.create_group(name)
            code_mass = part["mass"] * H / 1e10
            field(group, "Coordinates", part["pos"] * H / A + np.array(offset), length)
            field(group, "Velocity", part["vel"] / np.sqrt(A) + 400.0, (1e5, 0.5, 0.0))
            now = code_mass * (0.6 if name == "PartType4" else 1.0)
            field(group, "Mass", now, mass)
            metals = np.zeros((len(code_mass), 11))
            metals[:, 0], metals[:, 3], metals[:, 7] = 0.25 * code_mass, 0.01 * code_mass, 0.004 * code_mass
            field(group, "Metallicity", metals, (1.0, 0.0, 0.0))
            group.create_group("SmoothedElementAbundance")
            field(group, "ParticleIDs", np.arange(len(now)) - 5, (1.0, 0.0, 0.0))
        field(file["PartType4"], "InitialMass", stars["mass"] * H / 1e10, mass)
        field(file["PartType4"], "StellarFormationTime", stars["birth"], (1.0, 0.0, 0.0))
        field(file["PartType0"], "Temperature", np.full(N_GAS, 1e4), (1.0, 0.0, 0.0))
        field(file["PartType0"], "StarFormationRate", np.full(N_GAS, 0.02), (6.3e35, 0.0, 0.0))
        field(file["PartType0"], "SmoothingLength", np.full(N_GAS, 1.0), length)
    return stars


def write_horizon(path):
    """Physical kpc of 3.08e21 cm, masses of 2e33 g, no Time in the header, gas as AMR cells."""
    stars, gas = galaxy(), galaxy(2, N_GAS)
    with h5py.File(path, "w") as file:
        counts = np.array([N_GAS, 0, 0, 0, N_STAR, 0])
        header(file, ExpansionFactor=0.98233, HubbleParam=H, Omega0=0.272, OmegaLambda=0.728, BoxSize=100.0)
        file["Header"].attrs["NumPart_This"] = counts
        for name, part in (("PartType0", gas), ("PartType4", stars)):
            group = file.create_group(name)
            field(group, "Coordinates", part["pos"] + 5e4, (3.08e21, 0.0, 0.0))
            field(group, "Velocity", part["vel"] - 300.0, (1e5, 0.0, 0.0))
            field(group, "Mass", part["mass"] * 0.88, (2e33, 0.0, 0.0))
            field(group, "SmoothedMetallicity", np.full(len(part["mass"]), 0.01), (1.0, 0.0, 0.0))
        field(file["PartType4"], "InitialMass", stars["mass"], (2e33, 0.0, 0.0))
        field(file["PartType4"], "StellarFormationTime", stars["birth"], (1.0, 0.0, 0.0))
        field(file["PartType0"], "dx", np.full(N_GAS, 0.5), (3.08e21, 0.0, 0.0))
        field(file["PartType0"], "Temperature", np.full(N_GAS, 1e4), (1.0, 0.0, 0.0))
        field(file["PartType0"], "StarFormationRate", np.full(N_GAS, 3.0), (6.3e17, 0.0, 0.0))
    return stars


def write_eagle(path, *, attributes=True, box=67.77, **changes):
    """An EAGLE-like file; `changes` replace star datasets by name (None leaves one out)."""
    stars = galaxy()
    fields = {
        "Coordinates": (stars["pos"] * H / A / 1e3 + 30.0, (3.085678e24, 1.0, -1.0)),
        "Velocity": (stars["vel"] / np.sqrt(A), (1e5, 0.5, 0.0)),
        "Mass": (stars["mass"] * 0.6 * H / 1e10, (1.989e43, 0.0, -1.0)),
        "InitialMass": (stars["mass"] * H / 1e10, (1.989e43, 0.0, -1.0)),
        "StellarFormationTime": (stars["birth"], (1.0, 0.0, 0.0)),
        "SmoothedMetallicity": (np.full(N_STAR, 0.02), (1.0, 0.0, 0.0)),
    }
    with h5py.File(path, "w") as file:
        header(file, ExpansionFactor=A, Time=A, HubbleParam=H, Omega0=0.272, BoxSize=box, Redshift=1 / A - 1)
        group = file.create_group("PartType4")
        for name, (values, units) in fields.items():
            values = changes.get(name, values)
            if values is not None:
                field(group, name, values, units if attributes else None)
    return stars


def write_gizmo(path, *, initial_mass=False, tracers=0, **attributes):
    """As FIRE-2 writes it: kpc/h and 1e10 Msun/h in single precision, mass fractions, no units anywhere."""
    stars, gas = galaxy(), galaxy(2, N_GAS)
    with h5py.File(path, "w") as file:
        known = {"Time": A, "Redshift": 1 / A - 1, "HubbleParam": H, "Omega0": 0.272, "BoxSize": 60000.0}
        header(file, **known | attributes)
        for name, part in (("PartType0", gas), ("PartType4", stars)):
            group = file.create_group(name)
            count, share = len(part["mass"]), 0.6 if name == "PartType4" else 1.0
            metals = np.full((count, 11 + tracers), 0.001)
            metals[:, 0], metals[:, 1], metals[:, 4] = 0.02, 0.25, 0.008
            fields = {
                "Coordinates": part["pos"] * H / A + 30000.0,
                "Velocities": part["vel"] / np.sqrt(A),
                "Masses": part["mass"] * share * H / 1e10,
                "Metallicity": metals,
            }
            for key, values in fields.items():
                field(group, key, values.astype("f8" if key == "Coordinates" else "f4"))
        field(file["PartType4"], "StellarFormationTime", stars["birth"].astype("f4"))
        if initial_mass:
            field(file["PartType4"], "InitialMass", (stars["mass"] * H / 1e10).astype("f4"))
        field(file["PartType0"], "InternalEnergy", np.full(N_GAS, 100.0))
        field(file["PartType0"], "ElectronAbundance", np.full(N_GAS, 1.1))
        field(file["PartType0"], "StarFormationRate", np.full(N_GAS, 0.02))
        field(file["PartType0"], "SmoothingLength", np.full(N_GAS, 1.0))
    return stars


def write_tng(path, rows=slice(None), **attributes):
    """As AREPO writes it, without units: all stars, or some rows of them."""
    stars = {name: values[rows] for name, values in galaxy().items()}
    with h5py.File(path, "w") as file:
        header(file, **{"Time": A, "HubbleParam": H, "Omega0": 0.3089, "BoxSize": 75000.0} | attributes)
        group = file.create_group("PartType4")
        field(group, "Coordinates", stars["pos"] * H / A + 2000.0)
        field(group, "Velocities", stars["vel"] / np.sqrt(A))
        field(group, "GFM_InitialMass", stars["mass"] * H / 1e10)
        field(group, "GFM_Metallicity", np.full(len(stars["mass"]), 0.01))
        field(group, "GFM_StellarFormationTime", stars["birth"])
    return stars


def write_swift(path, rows=slice(None), **attributes):
    """As SWIFT writes it, without units: no h, lengths in Mpc."""
    stars = {name: values[rows] for name, values in galaxy().items()}
    with h5py.File(path, "w") as file:
        header(file, **{"Scale-factor": A, "h": H, "Omega_m": 0.3046, "BoxSize": 50.0} | attributes)
        group = file.create_group("PartType4")
        field(group, "Coordinates", stars["pos"] / A / 1e3 + 25.0)
        field(group, "Velocities", stars["vel"])
        field(group, "InitialMasses", stars["mass"] / 1e10)
        field(group, "MetalMassFractions", np.full(len(stars["mass"]), 0.01))
        field(group, "BirthScaleFactors", stars["birth"])
    return stars


def write_gadget(path):
    """A disc of particles without birth or metals."""
    part = galaxy()
    with h5py.File(path, "w") as file:
        header(file, Time=0.0, MassTable=np.array([0, 0, 1e-4, 0, 0, 0]))
        group = file.create_group("PartType2")
        field(group, "Coordinates", part["pos"])
        field(group, "Velocities", part["vel"])
    return part
