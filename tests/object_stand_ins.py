"""Stand-ins for snapshots of pynbody 2.8, data sets of yt 4.4 and data of swiftsimio 12.4: the parts that are used.

Their names and behaviour are those of the real packages, as benchmarks/real_objects.py opens them.
"""

import types

import numpy as np
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from simulation_files import N_GAS, A, H, galaxy

UNITS = {"Msol": "solMass", "Msol yr^-1": "solMass/yr", "km s^-1": "km/s", "dimensionless": "", "1": ""}


class Array:
    """Numbers with a unit, in the words of all three packages; comoving ones have a power of the scale factor."""

    def __init__(self, values, unit, power=0.0):
        self.values, self.units, self.power = np.asarray(values), unit, power

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def to_value(self, unit):
        """As unyt."""
        return (self.values * u.Unit(UNITS.get(self.units, self.units))).to_value(u.Unit(UNITS.get(unit, unit)))

    def to_physical_value(self, unit):
        """As swiftsimio's cosmo_array."""
        return self.to_value(unit) * A**self.power

    def in_units(self, unit, **context):
        """As pynbody, which knows what comoving means by itself."""
        return self.to_physical_value(unit)


class Family(dict):
    """Arrays of one family of pynbody."""

    def __len__(self):
        return len(self["pos"]) if "pos" in self else 0


def stars_and_gas(ages):
    """Columns of a galaxy: in Mpc, m/s, 1e10 Msun, and ages [Myr] or scale factors."""
    part, gas = galaxy(), galaxy(2, N_GAS)
    stars = {
        "pos": Array(part["pos"] / 1e3 + 25.0, "Mpc"),
        "vel": Array(part["vel"] * 1e3, "m/s"),
        "formed": Array(part["mass"] / 1e10, "1e10 solMass"),
        "now": Array(part["mass"] * 0.6, "solMass"),
        "age": Array(ages * 1e3, "Myr"),
        "birth": Array(part["birth"], ""),
        "z": Array(np.full(len(ages), 0.01), ""),
    }
    return stars, {
        "pos": Array(gas["pos"] / 1e3 + 25.0, "Mpc"),
        "vel": Array(gas["vel"], "km/s"),
        "now": Array(gas["mass"], "solMass"),
        "z": Array(np.full(N_GAS, 0.01), ""),
        "t": Array(np.full(N_GAS, 1e4), "K"),
        "sfr": Array(np.where(np.arange(N_GAS) % 2, 0.02, -0.5), "solMass/yr"),
    }


def pynbody_sim(ages):
    """A snapshot in physical units."""
    stars, gas = stars_and_gas(ages)
    names = {"pos": "pos", "vel": "vel", "formed": "massform", "now": "mass", "age": "age", "z": "metals"}
    of_gas = {"pos": "pos", "vel": "vel", "now": "mass", "z": "metals", "t": "temp", "sfr": "sfr"}
    return types.SimpleNamespace(
        filename="/far/away/snapshot_600.hdf5",
        star=Family({name: stars[key] for key, name in names.items()}),
        gas=Family({name: gas[key] for key, name in of_gas.items()}),
        properties={"a": A, "boxsize": Array(50.0, "Mpc"), "h": H},
        conversion_context=lambda: {"a": A, "h": H},
    )


class Region(dict):
    """A region of yt: fields by (type, name), and its data set."""

    def __init__(self, fields, data):
        super().__init__(fields)
        self.ds = data


class Dataset(types.SimpleNamespace):
    """A data set of yt."""

    def __str__(self):
        return "snapshot_600.hdf5"

    def all_data(self):
        return Region(self.fields, self)

    @property
    def field_list(self):
        return list(self.fields)[:3]

    @property
    def derived_field_list(self):
        return list(self.fields)[3:]


def yt_dataset(ages):
    """A data set of particles."""
    stars, gas = stars_and_gas(ages)
    names = {"pos": "particle_position", "vel": "particle_velocity", "now": "particle_mass", "z": "metallicity"}
    of_stars = names | {"formed": "InitialMass", "age": "age"}
    of_gas = names | {"t": "temperature", "sfr": "StarFormationRate"}
    fields = {("PartType4", name): stars[key] for key, name in of_stars.items()}
    fields |= {("PartType0", name): gas[key] for key, name in of_gas.items()}
    return Dataset(
        fields=fields,
        particle_types=("PartType0", "PartType4"),
        current_redshift=1 / A - 1,
        cosmological_simulation=1,
        hubble_constant=H,
        omega_matter=0.3046,
        domain_width=Array(np.full(3, 50.0), "Mpc"),
        periodicity=(True, True, True),
    )


def swiftsimio_data(ages):
    """Comoving data of a cosmological run."""
    stars, gas = stars_and_gas(ages)
    for part in (stars, gas):
        part["pos"] = Array(part["pos"].values / A, "Mpc", 1.0)
    names = {"pos": "coordinates", "vel": "velocities", "now": "masses", "z": "metal_mass_fractions"}
    of_stars = names | {"formed": "initial_masses", "birth": "birth_scale_factors"}
    of_gas = names | {"t": "temperatures", "sfr": "star_formation_rates"}
    return types.SimpleNamespace(
        stars=types.SimpleNamespace(**{name: stars[key] for key, name in of_stars.items()}),
        gas=types.SimpleNamespace(**{name: gas[key] for key, name in of_gas.items()}),
        metadata=types.SimpleNamespace(
            filename="/far/away/snapshot_600.hdf5",
            scale_factor=A,
            cosmology=FlatLambdaCDM(H0=100 * H, Om0=0.3046),
            boxsize=Array(np.full(3, 50.0 / A), "Mpc", 1.0),
        ),
    )
