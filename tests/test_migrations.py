"""Checkpoints of older layouts, in the names of today."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from omegaconf import OmegaConf

import galdiff
from galdiff.build import build
from galdiff.train.checkpoints import Checkpoints, by_path
from galdiff.train.export import bundled
from galdiff.train.load import config_of
from galdiff.train.migrations import as_written, laws_in_slots, saved_path
from galdiff.train.select import parts_of

LOADING = {"log10_a": 0.5, "alpha0": -1.0, "log10_a_range": [0.0, 1.1]}
OLD = {
    "model": {
        "_target_": "galdiff.baryons.regulator.Regulator",
        "t_dep": {"_target_": "galdiff.baryons.parameters.loading", **LOADING},
        "eta_mass": {"_target_": "galdiff.baryons.parameters.loading", **LOADING},
        "z_inflow": None,
        "prevent": {"_target_": "galdiff.baryons.parameters.preventing", "low": 0.3},
        "f_recycle": 0.3,
    }
}


def test_a_baryon_cycle_without_slots_is_built_with_its_numbers_in_slots():
    new = laws_in_slots(OLD)
    model = build(new["model"])
    assert abs(float(model.star_formation.log10_a.bounded) - 0.5) < 1e-6
    assert abs(float(model.eta_mass.alpha0.bounded) + 1.0) < 1e-6
    assert abs(float(model.prevent.low.bounded) - 0.3) < 1e-6
    assert abs(float(model.yields.f_recycle.bounded) - 0.3) < 1e-6
    assert laws_in_slots(new) == new


def test_a_two_zone_cycle_of_an_older_version_keeps_the_cooling_and_the_inflow_that_it_was_trained_with():
    cycle = "galdiff.baryons.pandya23.Pandya23"
    radius = {"_target_": "galdiff.baryons.laws.cooling_radius.CoolingRadius"}
    function = {"_target_": "galdiff.baryons.cooling.SmoothCooling"}
    for cooling, kind in ((None, "CoolingTime"), (radius, "CoolingRadius"), (function, "CoolingTime")):
        config = {"model": {"_target_": cycle} | ({} if cooling is None else {"cooling": cooling})}
        old = build(as_written(config, {"galdiff": "0.1.0"})["model"])
        assert (type(old.cooling).__name__, old.cooling.convention) == (kind, "n2")
        assert type(old.z_inflow).__name__ == "PowerLaw"
        for versions in ({"galdiff": "0.2.0"}, {}, None, {"galdiff": "unknown"}):
            new = build(as_written(config, versions)["model"])
            assert (new.cooling.convention, type(new.z_inflow).__name__) == ("ne_nt", "CappedPowerLaw")


def test_arrays_are_found_under_the_paths_that_they_were_saved_with():
    assert saved_path("stages.history.yields.f_recycle", ["stages.history.f_recycle"]) == "stages.history.f_recycle"
    saved = ("t_dep.log10_a", "stages.history.t_dep.beta", "eta_mass.alpha0", "correction.star_formation.net.kernel")
    for path in saved:
        today = path.replace("t_dep", "star_formation")
        assert saved_path(today, saved) == path
    assert saved_path("star_formation.log10_a", ["star_formation.log10_a"]) == "star_formation.log10_a"


def test_a_checkpoint_of_the_older_layout_loads_with_the_numbers_that_were_trained(tmp_path):
    _, corrections, physics, _ = parts_of(build(laws_in_slots(OLD)["model"]))
    trained = {
        path.replace("star_formation", "t_dep").replace("yields.", ""): x + jnp.asarray(0.01, x.dtype)
        for path, x in by_path(physics).items()
    }
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        parts = {"physics": trained, "corrections": by_path(corrections)}
        checkpoints.save(1, parts, meta={"config": OmegaConf.to_yaml(OLD)}, loss=1.0)
    loaded = by_path(nnx.state(galdiff.load(tmp_path).model, nnx.Param))
    assert len(loaded) == len(trained)
    assert {"f_recycle", "metal_yield"} <= set(trained)
    for path, number in loaded.items():
        np.testing.assert_array_equal(number, trained[path.replace("star_formation", "t_dep").replace("yields.", "")])


def test_the_checkpoint_that_ships_needs_no_migration():
    with Checkpoints(bundled("wind_correction"), reading=True) as checkpoints:
        record = checkpoints.meta()
    plain = OmegaConf.to_container(OmegaConf.create(record["config"]))
    assert config_of(record, "wind_correction") == plain
