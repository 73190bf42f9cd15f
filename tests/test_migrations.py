"""Records of older checkpoints in the names of today."""

import json

from omegaconf import OmegaConf

from galdiff.build import build
from galdiff.train.migrations import laws_in_slots, old_path, path_of_law
from galdiff.train.ship import shipped

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
    record = {"config": OmegaConf.to_yaml(OLD), "leaves": {"physics": {"t_dep.log10_a": [[], "float32", "0"]}}}
    new = laws_in_slots(record)
    assert list(new["leaves"]["physics"]) == ["star_formation.log10_a"]
    model = build(OmegaConf.create(new["config"]).model)
    assert abs(float(model.star_formation.log10_a.bounded) - 0.5) < 1e-6
    assert abs(float(model.eta_mass.alpha0.bounded) + 1.0) < 1e-6
    assert abs(float(model.prevent.low.bounded) - 0.3) < 1e-6
    assert abs(float(model.f_recycle.bounded) - 0.3) < 1e-6
    assert laws_in_slots(new) == new


def test_paths_of_arrays_lead_back_to_those_that_were_saved():
    for old in ("t_dep.log10_a", "stages.history.t_dep.beta", "eta_mass.alpha0", "correction.eta_mass.net.kernel"):
        assert old_path(path_of_law(old)) == old
    assert old_path("correction.star_formation.net.kernel") == "correction.star_formation.net.kernel"


def test_the_checkpoint_that_ships_needs_no_migration():
    (meta,) = shipped("wind_correction").glob("*/meta/metadata")
    record = json.loads(meta.read_text())
    assert laws_in_slots(record) == record
