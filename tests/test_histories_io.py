"""Histories leave galdiff with their units and come back bit for bit; catalogues are whole or absent, and honest."""

import dataclasses
import importlib.metadata
import itertools
import shutil
import sys
import tracemalloc
import types

import h5py
import jax
import numpy as np
import pytest
from astropy import units as u
from rich.console import Console

from galdiff import runtime
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.population import Population
from galdiff.baryons.two_zone import METALS
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.ensemble import diffmah_population
from galdiff.io import histories as module
from galdiff.io.catalogue import iterate_catalogue, read_catalogue, read_failed, stream_catalogue, write_catalogue
from galdiff.io.histories import read_history, to_dataset, write_history
from galdiff.io.progress import Steps
from galdiff.observables.history_columns import columns
from galdiff.records import LEDGERS, BaryonHistory, Diagnostics

RECYCLED, ETA, TAU = 0.4, 0.7, 4.0


def made_history(n=None, n_t=200, dtype=np.float64, first=0):
    """Galaxies whose flows are known functions of time, so that contents are their exact integrals."""
    scale = 1.0 if n is None else (1.0 + 0.1 * np.arange(first, first + n))[:, None]
    t = np.linspace(1.0, 13.0, n_t) * np.ones_like(scale)
    s_0, inflow, cooling, outflow, heat = 5e9 * scale, 9e9 * scale, 6e9 * scale, 1e9 * scale, 1e14 * scale  # per Gyr
    sfr, formed = s_0 * np.exp(-t / TAU), s_0 * TAU * (1 - np.exp(-t / TAU))
    rates = dict(inflow=inflow, cooling=cooling, star_formation=(1 - RECYCLED) * sfr, wind=ETA * sfr, outflow=outflow)
    z = 0.01
    stars, lost = 1e6 * scale + (1 - RECYCLED) * formed, ETA * formed
    ism = 3e10 * scale + cooling * t - (1 - RECYCLED) * formed - lost
    cgm = 5e10 * scale + (inflow - cooling - outflow) * t + lost
    mass = dict(stars=stars, ism=ism, cgm=cgm, outside=(outflow - inflow) * t)
    made = 0.02 * formed
    metals = {name: z * m for name, m in mass.items()}
    metals |= dict(ism=metals["ism"] + made, nucleosynthesis=-made)
    energy = dict(
        heat=5e14 * scale + 3 * heat * t, outside=-2 * heat * t, supernovae=-4 * heat * t, radiation=3 * heat * t
    )
    energy_flows = dict(inflow=4 * heat, wind=4 * heat, cooling=3 * heat, outflow=2 * heat)
    flows = dict(
        mass=rates,
        metals={k: z * v for k, v in rates.items()} | dict(enrichment=0.02 * sfr, loading=0 * sfr),
        energy=energy_flows,
    )
    one = np.ones_like(t)
    history = BaryonHistory(
        time=t, redshift=13.0 / t - 1, m_vir=3e11 * scale * t, r_vir=20 * t, v_vir=150 * one, c_nfw=8 * one,
        contents=dict(mass=mass, metals=metals, energy=energy),
        flows={q: {k: v * one for k, v in f.items()} for q, f in flows.items()},
        diagnostics=Diagnostics(
            sfr=sfr, t_dep=ism / sfr, eta_mass=ETA * one, z_inflow=z * one, eta_energy=0.1 * one,
            t_cool=2 * one, t_ff=0.25 * one, temperature=1e6 * one,
        ),
        error=np.array(1e-3) if n is None else np.full(n, 1e-3),
        solved=np.array(True) if n is None else np.ones(n, bool),
    )  # fmt: skip
    return jax.tree.map(lambda x: x if x.dtype == bool else x.astype(dtype), history)


def spoiled(history, rows, solved=False):
    """The same with NaN in the stellar mass of some galaxies."""
    history = jax.tree.map(np.copy, history)
    history.contents["mass"]["stars"][rows] = np.nan
    history.solved[rows] = solved
    return history


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x).dtype == np.asarray(y).dtype
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def solved():
    """Galaxies of the two-zone model."""
    cosmology = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
    halos = diffmah_population(log10_mvir=[10.8, 12.4], n=6, seed=2, cosmology=cosmology)
    stage = Pandya23()
    population = Population(stage, Outputs(redshifts=(2.0, 1.0, 0.0), n_steps=48), tolerance=None, chunk=3)
    return stage, halos, population, population.solve(halos)[0]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [None, 3])
def test_a_history_comes_back_bit_for_bit(tmp_path, n, dtype):
    history = made_history(n, dtype=dtype)
    write_history(history, tmp_path / "h.h5")
    back = read_history(tmp_path / "h.h5")
    assert_same(history, back)
    assert back.spin is None
    assert back.diagnostics.f_uv is None


def test_a_solved_population_comes_back_bit_for_bit(tmp_path, solved):
    history = dataclasses.replace(solved[-1], spin=np.full(6, 0.03))
    write_history(history, tmp_path / "h.h5")
    assert_same(history, read_history(tmp_path / "h.h5"))


def test_every_array_of_a_file_says_its_unit_and_meaning(tmp_path):
    write_history(made_history(), tmp_path / "h.h5")
    seen = {}
    with h5py.File(tmp_path / "h.h5") as file:
        file.visititems(lambda name, x: seen.update({name: dict(x.attrs)}) if isinstance(x, h5py.Dataset) else None)
        wind = file["flows/energy/wind"]
        erg = wind[()].astype(float) * wind.attrs["to_public_units"]
        np.testing.assert_allclose(erg, columns(made_history())["edot_wind"].values)
    assert all(attrs["long_name"] for attrs in seen.values())
    assert seen["flows/mass/wind"]["units"] == "Msun/Gyr"
    assert seen["contents/energy/heat"]["units"] == "Msun (km/s)^2"
    assert seen["contents/energy/heat"]["public_units"] == "erg"


def _no_group(path):
    with h5py.File(path, "a") as file:
        del file["flows"]


def _no_sfr(path):
    with h5py.File(path, "a") as file:
        del file["diagnostics/sfr"]


def _other_shape(path):
    with h5py.File(path, "a") as file:
        del file["contents/mass/stars"]
        file["contents/mass/stars"] = np.ones(7)


def _newer(path):
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99


def _other_kind(path):
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "weather"


DAMAGE = {
    "does not exist": lambda path: path.unlink(),
    "no HDF5 file": lambda path: path.write_text("time,mass"),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "no 'flows'": _no_group,
    "no 'diagnostics/sfr'": _no_sfr,
    "contents/mass/stars has shape": _other_shape,
    "newer than": _newer,
    "holds 'weather'": _other_kind,
}


@pytest.mark.parametrize("said", DAMAGE)
def test_a_bad_file_is_told_on_one_line(tmp_path, said):
    path = tmp_path / "h.h5"
    write_history(made_history(), path)
    DAMAGE[said](path)
    with pytest.raises(InputError, match=said) as caught:
        read_history(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_inside_an_array_is_an_input_error(tmp_path):
    path = tmp_path / "h.h5"
    with write_catalogue(path) as catalogue:
        catalogue.append(made_history(64), np.arange(64))
    with h5py.File(path, "a") as file:
        values, attrs = file["contents/mass/stars"][()], dict(file["contents/mass/stars"].attrs)
        del file["contents/mass/stars"]
        safe = file.create_dataset("contents/mass/stars", data=values, chunks=(64, 200), fletcher32=True)
        safe.attrs.update(attrs)
        offset = safe.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 100] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_history(path)


def test_an_existing_file_stays_unless_overwriting_is_allowed(tmp_path):
    path = tmp_path / "h.h5"
    path.write_text("precious")
    with pytest.raises(InputError, match="overwrite=true"):
        write_history(made_history(), path)
    assert path.read_text() == "precious"
    write_history(made_history(), path, overwrite=True)
    assert read_history(path).time.shape == (200,)


def test_a_full_disk_is_told_before_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=module.SPARE + 100))
    with pytest.raises(InputError, match="free space or choose another"):
        write_history(made_history(), tmp_path / "h.h5")
    with pytest.raises(InputError, match="free space"), write_catalogue(tmp_path / "c.h5") as catalogue:
        catalogue.append(made_history(3), range(3))
    with pytest.raises(InputError, match="folder"):
        write_history(made_history(), tmp_path / "no" / "h.h5")
    assert list(tmp_path.iterdir()) == []


# --- columns and datasets ---------------------------------------------------------------------------------------------


def test_units_are_those_of_astropy():
    history, given = made_history(), columns(made_history())
    heat, wind = history.contents["energy"]["heat"], history.flows["energy"]["wind"]
    inside = u.Msun * (u.km / u.s) ** 2
    np.testing.assert_allclose(given["e_heat"].values, (heat * inside).to_value("erg"), rtol=1e-6)
    np.testing.assert_allclose(given["edot_wind"].values, (wind * inside / u.Gyr).to_value("erg/s"), rtol=1e-6)
    np.testing.assert_allclose(given["sfr"].values, (history.sfr * u.Msun / u.Gyr).to_value("Msun/yr"), rtol=1e-12)
    for name, column in given.items():
        assert column.unit in ("dex", "1") or u.Unit(column.unit).bases, name
        assert column.meaning, name


def test_float32_histories_do_not_overflow_in_erg():
    given = columns(made_history(dtype=np.float32))
    assert given["e_heat"].values.dtype == np.float64
    assert given["e_heat"].values.min() > 1e57
    assert all(np.isfinite(c.values).all() for c in given.values())


def test_rates_are_the_slopes_of_contents_in_public_units():
    given = columns(made_history(n_t=2001))
    per_year = np.gradient(given["m_stars"].values, given["time"].values * 1e9)
    np.testing.assert_allclose(given["mdot_star_formation"].values[1:-1], per_year[1:-1], rtol=1e-5)
    seconds = given["time"].values * u.Gyr.to("s")
    gain = given["edot_inflow"].values + given["edot_wind"].values
    gain = gain - given["edot_cooling"].values - given["edot_outflow"].values
    np.testing.assert_allclose(gain, np.gradient(given["e_heat"].values, seconds), rtol=1e-6)


def test_budgets_close_in_the_columns(solved):
    for history in (made_history(4), solved[-1]):
        given = columns(history)
        for quantity, prefix in (("mass", "m"), ("metals", "mz"), ("energy", "e")):
            parts = np.stack([given[f"{prefix}_{name}"].values for name in history.contents[quantity]])
            total = parts.sum(0)
            np.testing.assert_allclose(
                total, total[..., :1] * np.ones_like(total), rtol=0, atol=1e-12 * np.abs(parts).max()
            )


def test_ledgers_are_no_baryons_of_the_halo():
    given, history = columns(made_history()), made_history()
    mass = history.contents["mass"]
    expected = (mass["stars"] + mass["ism"] + mass["cgm"]) / history.m_vir
    np.testing.assert_allclose(given["baryon_fraction"].values, expected, rtol=1e-14)
    assert set(METALS.ledgers) <= set(LEDGERS)
    assert "metallicity_outside" not in given


def test_a_ledger_of_any_name_is_no_baryon_of_the_halo_in_memory_and_in_files(tmp_path):
    history = made_history()
    igm = {**history.contents["mass"]}
    igm["igm"] = igm.pop("outside")
    renamed = dataclasses.replace(
        history, contents={**history.contents, "mass": igm}, ledgers=("igm", *history.ledgers)
    )
    expected = columns(history)["baryon_fraction"].values
    write_history(renamed, tmp_path / "history.h5")
    for given in (renamed, read_history(tmp_path / "history.h5")):
        assert given.ledgers == renamed.ledgers
        np.testing.assert_array_equal(columns(given)["baryon_fraction"].values, expected)
        assert "metallicity_igm" not in columns(given)


def test_a_file_that_names_no_ledgers_has_those_of_its_time(tmp_path):
    write_history(made_history(), tmp_path / "history.h5")
    with h5py.File(tmp_path / "history.h5", "r+") as file:
        del file.attrs["ledgers"]
    assert read_history(tmp_path / "history.h5").ledgers == LEDGERS


def test_derived_columns_are_what_they_say():
    given = columns(made_history())
    np.testing.assert_allclose(given["t_cool_over_t_ff"].values, 8.0)
    np.testing.assert_allclose(given["metallicity_cgm"].values, 0.01)
    np.testing.assert_allclose(given["log10_z_cgm"].values, np.log10(0.5))
    np.testing.assert_allclose(given["t_over_t_vir"].values, 1e6 / (35.9 * 150**2))
    np.testing.assert_allclose(given["eta_outflow"].values * given["sfr"].values, 1.0)
    np.testing.assert_allclose(given["mdot_wind"].values / given["sfr"].values, given["eta_mass"].values)


def test_what_has_no_ratio_is_nan_and_does_not_warn():
    history = made_history()
    history.contents["mass"]["ism"][:3] = 0.0
    history.contents["metals"]["cgm"][:3] = 0.0
    given = columns(history)
    assert np.isnan(given["metallicity_ism"].values[:3]).all()
    assert np.isnan(given["log10_z_cgm"].values[:3]).all()
    assert np.isfinite(given["log10_z_cgm"].values[3:]).all()


def test_a_dataset_has_units_names_and_axes(solved):
    stage, _, _, history = solved
    data = to_dataset(history, stage.parameters(), ids=range(100, 106))
    assert dict(data.sizes) == {"galaxy": 6, "t": 3}
    assert data.time.dims == data.redshift.dims == ("t",)
    assert data.galaxy.values.tolist() == list(range(100, 106))
    assert (data.error.dims, data.solved.dims) == (("galaxy",), ("galaxy",))
    for name, variable in data.variables.items():
        if name != "galaxy":
            assert variable.attrs["units"], name
            assert variable.attrs["long_name"], name
    assert data.e_heat.attrs["units"] == "erg"
    assert data.time.attrs["units"] == "Gyr"
    np.testing.assert_allclose(data.m_stars, history.m_star)
    np.testing.assert_allclose(data.edot_wind.sel(galaxy=102), data.edot_wind[2])
    assert float(data.parameter_star_formation_alpha0) == pytest.approx(-1.8)
    assert data.parameter_star_formation_log10_a.attrs["units"] == "dex"


def test_one_galaxy_has_one_axis_and_own_times_have_two():
    one = to_dataset(made_history())
    assert (one.m_stars.dims, one.error.dims) == (("t",), ())
    many = made_history(3)
    own = dataclasses.replace(many, time=many.time * np.array([[1.0], [1.1], [1.2]]))
    assert to_dataset(own).time.dims == ("galaxy", "t")
    assert to_dataset(many).time.dims == ("t",)


def test_parameters_may_differ_from_galaxy_to_galaxy():
    data = to_dataset(made_history(3), {"eta": {"log10_a": np.arange(3.0)}, "beta": 2.0})
    assert data.parameter_eta_log10_a.dims == ("galaxy",)
    assert data.parameter_beta.dims == ()
    with pytest.raises(InputError, match="parameter_eta has shape"):
        to_dataset(made_history(3), {"eta": np.arange(4.0)})


def test_wrong_axes_and_a_missing_package_are_told(monkeypatch):
    with pytest.raises(InputError, match=r"needs \(t\) or \(galaxy, t\)"):
        to_dataset(jax.tree.map(lambda x: x[None, None], made_history()))
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(InputError, match="pip install"):
        to_dataset(made_history())


# --- catalogues -------------------------------------------------------------------------------------------------------


def test_chunks_make_the_same_catalogue_as_one_piece(tmp_path):
    with write_catalogue(tmp_path / "c.h5", attributes={"config": "halo: table"}) as catalogue:
        for first, n in ((0, 4), (4, 1), (5, 7)):
            assert catalogue.append(made_history(n, first=first), range(first, first + n)) == n
    found = read_catalogue(tmp_path / "c.h5")
    assert_same(found.histories, made_history(12))
    assert found.ids.tolist() == list(range(12))
    assert found.failed == {}
    assert_same(read_history(tmp_path / "c.h5"), made_history(12))
    with h5py.File(tmp_path / "c.h5") as file:
        assert (file.attrs["config"], file.attrs["n_galaxies"]) == ("halo: table", 12)
    some = read_catalogue(tmp_path / "c.h5", slice(3, 6))
    assert some.ids.tolist() == [3, 4, 5]
    assert_same(some.histories, made_history(3, first=3))


def test_galaxies_without_a_solution_are_listed_and_have_no_row(tmp_path):
    with write_catalogue(tmp_path / "c.h5") as catalogue:
        assert catalogue.append(spoiled(made_history(5), [1, 3]), [10, 11, 12, 13, 14], reason="too stiff") == 3
        assert catalogue.append(spoiled(made_history(2), [0], solved=True), [20, 21]) == 1
        assert catalogue.append(spoiled(made_history(1), [0]), [30]) == 0
        catalogue.fail([40], "starts after the first output")
        assert (catalogue.n, catalogue.n_failed) == (4, 5)
    found = read_catalogue(tmp_path / "c.h5")
    assert found.ids.tolist() == [10, 12, 14, 21]
    assert np.isfinite(found.histories.m_star).all()
    assert found.failed == read_failed(tmp_path / "c.h5")
    assert list(found.failed) == [11, 13, 20, 30, 40]
    assert found.failed[11] == "too stiff"
    assert "not finite" in found.failed[20]
    assert found.failed[40] == "starts after the first output"


def test_ids_may_be_text(tmp_path):
    with write_catalogue(tmp_path / "c.h5") as catalogue:
        catalogue.append(spoiled(made_history(3), [1]), ["TNG-1", "TNG-22", "Antlia \u03b2"])
    found = read_catalogue(tmp_path / "c.h5")
    assert found.ids.tolist() == ["TNG-1", "Antlia \u03b2"]
    assert list(found.failed) == ["TNG-22"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError("solver"), OSError(28, "No space left on device")])
def test_an_interrupted_run_leaves_nothing_under_the_name(tmp_path, failure):
    path = tmp_path / "c.h5"
    path.write_text("old")

    def run():
        with write_catalogue(path, overwrite=True) as catalogue:
            catalogue.append(made_history(3), range(3))
            assert path.read_text() == "old"
            raise failure

    with pytest.raises(InputError if isinstance(failure, OSError) else (KeyboardInterrupt, RuntimeError)):
        run()
    assert [p.name for p in tmp_path.iterdir()] == ["c.h5"]
    assert path.read_text() == "old"


BAD_CHUNKS = {
    "one id for each galaxy": lambda: (made_history(3), range(4)),
    "time of shape": lambda: (made_history(), [1]),
    "in those before": lambda: (made_history(3, n_t=50), range(3)),
    "diagnostics/t_cool has shape": lambda: (
        dataclasses.replace(made_history(3), diagnostics=dataclasses.replace(made_history(3).diagnostics, t_cool=None)),
        range(3),
    ),
    "mixes text and numbers": lambda: (made_history(1), ["a"]),
}


@pytest.mark.parametrize("said", BAD_CHUNKS)
def test_chunks_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, said):
    def run():
        with write_catalogue(tmp_path / "c.h5") as catalogue:
            catalogue.append(made_history(2), [100, 101])
            catalogue.append(*BAD_CHUNKS[said]())

    with pytest.raises(InputError, match=said):
        run()
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_of_failures_alone_says_so(tmp_path):
    with write_catalogue(tmp_path / "c.h5") as catalogue:
        catalogue.append(spoiled(made_history(2), [0, 1]), [7, 8])
    assert list(read_failed(tmp_path / "c.h5")) == [7, 8]
    assert list(iterate_catalogue(tmp_path / "c.h5")) == []
    with pytest.raises(InputError, match=r"no galaxy \(2 failed\)"):
        read_catalogue(tmp_path / "c.h5")
    write_history(made_history(2), tmp_path / "h.h5")
    with pytest.raises(InputError, match="catalogue"):
        read_catalogue(tmp_path / "h.h5")


def test_a_population_streams_into_a_catalogue_with_a_bar(tmp_path, solved):
    _, halos, population, together = solved
    batches = [jax.tree.map(lambda x, k=k: x[k : k + 2], halos) for k in (0, 2, 4)]
    console = Console(record=True, width=90, file=open(tmp_path / "log.txt", "w"), force_terminal=True)  # noqa: SIM115
    with Steps(console) as steps:
        done = stream_catalogue(tmp_path / "c.h5", population.stream(batches), total=6, ids=range(50, 56), steps=steps)
    console.file.close()
    assert done == (6, 0)
    assert "6 galaxies" in console.export_text()
    assert "baryon histories of 6 galaxies" in steps.seconds
    found = read_catalogue(tmp_path / "c.h5")
    assert found.ids.tolist() == list(range(50, 56))
    np.testing.assert_allclose(found.histories.m_star, together.m_star, rtol=1e-12)
    pieces = list(iterate_catalogue(tmp_path / "c.h5", chunk=4))
    assert [len(p.ids) for p in pieces] == [4, 2]
    np.testing.assert_array_equal(np.concatenate([p.histories.m_star for p in pieces]), found.histories.m_star)


def test_a_wrong_total_is_refused(tmp_path):
    chunks = [(made_history(2), None)]
    quiet = Steps(Console(quiet=True))
    for total, said in ((1, "more galaxies"), (3, "hold 2 galaxies")):
        with pytest.raises(InputError, match=said):
            stream_catalogue(tmp_path / "c.h5", iter(chunks), total=total, steps=quiet)
    with pytest.raises(InputError, match="ids name 3"):
        stream_catalogue(tmp_path / "c.h5", iter(chunks), total=2, ids=range(3), steps=quiet)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_number_of_galaxies(tmp_path):
    n, n_t = 512, 30

    def peak(n_chunks):
        chunks = ((made_history(n, n_t, first=k * n), None) for k in range(n_chunks))
        tracemalloc.start()
        stream_catalogue(tmp_path / f"{n_chunks}.h5", chunks, total=n * n_chunks, steps=Steps(Console(quiet=True)))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(3), peak(12)
    assert many < 1.2 * few
    sizes = [p.stat().st_size for p in sorted(tmp_path.iterdir(), key=lambda p: p.stat().st_size)]
    assert all(b > 2 * a for a, b in itertools.pairwise(sizes))


def test_a_checkout_that_is_only_on_the_path_says_that_it_is_not_installed(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert runtime.version_of("galdiff") == "not installed"
