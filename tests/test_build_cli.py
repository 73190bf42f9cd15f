"""Building from configs, the settings of a process, and the command line with its one-line errors."""

import importlib.metadata
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from flax import nnx
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from galdiff import cli, program_cache, runtime
from galdiff.arguments import check_seeds, ordered
from galdiff.build import build, key_of
from galdiff.core.buildable import buildable
from galdiff.core.correction import LogGain
from galdiff.core.pipeline import Pipeline
from galdiff.errors import InputError

NET = {"_target_": "flax.nnx.Linear", "_partial_": True, "in_features": 2, "out_features": 3}
GAIN = {"_target_": "galdiff.core.correction.LogGain", "bound": 1.5, "net": NET}


# --- build ---------------------------------------------------------------------------------------------------------


def test_a_config_is_the_constructor_calls():
    config = OmegaConf.create({"width": 1.5, "gain": {**GAIN, "bound": "${width}"}, "rest": [1, {"a": 2.5}]})
    built = build(config)
    assert isinstance(built["gain"], LogGain)
    assert isinstance(built["gain"].net, nnx.Linear)
    assert built["gain"].bound == 1.5
    assert built["rest"] == [1, {"a": 2.5}]


def test_an_empty_pipeline_is_built_with_types_named_by_path():
    node = {
        "_target_": "galdiff.core.pipeline.Pipeline",
        "stages": {},
        "inputs": {"stars": "galdiff.records.StarParticles"},
    }
    built = build(node)
    assert isinstance(built, Pipeline)
    assert built.describe().startswith("stars: StarParticles (input)\n    pos [kpc] position")


def test_initial_weights_depend_on_the_seed_and_the_place_alone():
    def weights(config, *place, **kwargs):
        built = build(config, **kwargs)
        for name in place:
            built = built[name]
        return np.asarray(built.net.kernel[...])

    alone = weights({"a": GAIN}, "a")
    np.testing.assert_array_equal(weights({"new": GAIN, "a": GAIN}, "a"), alone)  # a neighbour changes nothing
    np.testing.assert_array_equal(weights(GAIN, path="a"), alone)  # nor does building a part alone
    assert (weights({"new": GAIN, "a": GAIN}, "new") != alone).all()
    assert (weights({"a": GAIN}, "a", seed=1) != alone).all()
    assert (jax.random.key_data(key_of(0, "a.net")) != jax.random.key_data(key_of(0, "b.net"))).any()


def test_partial_nodes_without_random_streams_stay_partial():
    node = {"_target_": "jax.nn.leaky_relu", "_partial_": True, "negative_slope": 0.5}
    assert float(build(node)(-2.0)) == -1.0
    assert callable(build({"_target_": "optax.adam", "learning_rate": 0.1}).update)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"a": {"b": {"_target_": "os.system", "command": "true"}}},
            r"a\.b: _target_ is 'os\.system'; only what galdiff opens",
        ),
        (
            {"a": {"_target_": "galdiff.runtime.subprocess.run"}},
            r"a: there is no galdiff\.runtime\.subprocess\.run; check the module",
        ),
        ({"a": {"_target_": 3}}, "a: _target_ is 3"),
        ({"a": {"_target_": "galdiff.core.correction.LogGian"}}, r"a: there is no .*did you mean .*\.LogGain\?"),
        ({"a": {"_target_": "galdiff.core.corection.LogGain"}}, "a: there is no .*check the module"),
        ({"a": [GAIN | {"bond": 1.0}]}, r"a\.0\.bond: .*LogGain takes no 'bond'; did you mean 'bound'"),
        ({"a": {"_target_": "galdiff.core.correction.LogGain", "net": NET}}, r"a: .*LogGain needs bound; add it"),
        ({"a": GAIN | {"bound": -1.0}}, r"a\.bound is -1.0; .* above 0"),
        ({"a": {**GAIN, "net": {k: v for k, v in NET.items() if k != "_partial_"}}}, r"a\.net: .*add _partial_: true"),
    ],
)
def test_build_errors_name_the_place_in_the_config(config, said):
    with pytest.raises(InputError, match=said):
        build(OmegaConf.create(config))


def test_a_bug_in_a_constructor_keeps_its_type_and_says_where(monkeypatch):
    def broken(*, net, bound):
        raise ZeroDivisionError("bug")

    broken.__module__ = "galdiff.core.correction"
    monkeypatch.setattr("galdiff.core.correction.LogGain", buildable(broken))
    with pytest.raises(ZeroDivisionError) as caught:
        build({"a": GAIN})
    assert caught.value.__notes__ == ["while building a (galdiff.core.correction.LogGain)"]


# --- runtime -------------------------------------------------------------------------------------------------------


def test_the_mesh_has_a_data_axis_over_the_devices_asked_for():
    assert dict(runtime.data_mesh().shape) == {"data": len(jax.devices()), "model": 1}
    assert dict(runtime.data_mesh(1).shape) == {"data": 1, "model": 1}
    with pytest.raises(InputError, match="99 devices asked for, but there are"):
        runtime.data_mesh(99)


def test_configure_sets_precision_devices_and_cache_in_a_fresh_process(tmp_path):
    code = f"""
        from galdiff import runtime
        runtime.configure(precision="float64", platforms="cpu", cpu_devices=3, cache_dir={str(tmp_path)!r})
        import jax, jax.numpy as jnp
        assert jnp.ones(2).dtype == jnp.float64 and len(jax.devices()) == 3
        assert jax.config.jax_compilation_cache_dir == {str(tmp_path)!r}
        try:
            runtime.configure(cpu_devices=4)
        except runtime.InputError as error:
            print(error)
    """
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "cpu_devices=4 comes after JAX has started; configure it first"


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="precision is 'half'; choose float32 or float64"):
        runtime.configure(precision="half")
    with pytest.raises(InputError, match="no folder 'nowhere'"):
        runtime.project_dir("nowhere")


def test_versions_name_what_decides_numbers():
    found = runtime.versions()
    assert found["jax"] == jax.__version__
    assert found["galdiff"] == importlib.metadata.version("galdiff")
    assert found["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert all(isinstance(v, str) and v for v in found.values())


# --- command line --------------------------------------------------------------------------------------------------

SCRIPT = '''
"""A dummy experiment."""
import os
import pathlib
import signal
import sys

from galdiff import cli
from galdiff.errors import InputError


@cli.experiment("dummy", conf=pathlib.Path(__file__).parents[1] / "conf")
def main(cfg):
    """Do what the config says."""
    if cfg.do == "input":
        raise InputError("mass holds 3 negative values [Msun];\\n drop them")
    if cfg.do == "interrupt":
        raise KeyboardInterrupt
    if cfg.do == "terminate":
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            print("cleaned")
    if cfg.do == "bug":
        raise ZeroDivisionError("a bug")
    if cfg.do == "missing":
        print(cfg.input.path)
    if cfg.do == "typo":
        print(cfg.view.inclinaton)
    print("spaxels", cfg.instrument.spaxels, "inclination", cfg.view.inclination)


if __name__ == "__main__":
    main()
'''

CONF = {
    "dummy.yaml": """
        defaults:
          - {instrument: muse_wfm}
          - _self_
          - {override hydra/job_logging: none}
          - {override hydra/hydra_logging: none}
        do: nothing
        input: {path: "???"}
        view: {inclination: 60.0, position_angle: 0.0}
        hydra: {run: {dir: out}, sweep: {dir: sweep}, output_subdir: null}
    """,
    "instrument/muse_wfm.yaml": "# MUSE, wide field\nspaxels: 300\n",
    "instrument/manga.yaml": "# MaNGA, 127 fibres\nspaxels: 74\nfibres: 127\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> pathlib.Path:
    """A throw-away project with one experiment and two presets of an instrument."""
    root = tmp_path_factory.mktemp("project")
    for name, text in CONF.items():
        (root / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "conf" / name).write_text(textwrap.dedent(text))
    (root / "experiments").mkdir()
    (root / "experiments" / "dummy.py").write_text(SCRIPT)
    return root


@pytest.fixture
def galdiff(project, monkeypatch, tmp_path, capfd):
    """Call the `galdiff` command in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "project_dir", lambda name: project / name)
    monkeypatch.setattr(sys, "argv", ["galdiff"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def call(*args):
        code = 0
        try:
            cli.main(args)
        except SystemExit as leaving:
            code = leaving.code
        return code, *capfd.readouterr()

    return call


def test_an_experiment_runs_with_overrides_and_presets(galdiff):
    assert galdiff("dummy") == (0, "spaxels 300 inclination 60.0\n", "")
    assert galdiff("dummy", "instrument=manga", "view.inclination=5")[1] == "spaxels 74 inclination 5\n"
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_a_sweep_runs_every_combination(galdiff):
    code, out, _ = galdiff("dummy", "-m", "view.inclination=1,2")
    assert code == 0
    assert [line for line in out.splitlines() if "spaxels 300" in line] == [
        "spaxels 300 inclination 1",
        "spaxels 300 inclination 2",
    ]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_sweep_runs_wherever_its_flag_stands(galdiff, at):
    args = ["instrument=manga", "view.inclination=1,2"]
    code, out, err = galdiff("dummy", *args[:at], "-m", *args[at:])
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith("spaxels")] == [
        "spaxels 74 inclination 1",
        "spaxels 74 inclination 2",
    ]


@pytest.mark.parametrize(
    ("args", "kept"),
    [
        (["a=1", "-m", "b=2"], ["a=1", "b=2", "-m"]),
        (["--cfg", "job", "a=1"], ["a=1", "--cfg", "job"]),
        (["--config-dir", "runs/epoch=9", "a=1"], ["a=1", "--config-dir", "runs/epoch=9"]),
        (["-i", "a=1", "-m", "~b"], ["a=1", "~b", "-i", "-m"]),
    ],
)
def test_keys_come_before_options_and_options_keep_their_values(args, kept):
    assert ordered(args) == kept


@pytest.mark.parametrize(
    "value", ["runs/epoch=9/snap.hdf5", "run#1", "run(1)", "it's", "run[1]", '"a"b"', "two words=3"]
)
def test_a_text_with_signs_of_hydra_comes_with_a_remedy_that_works_in_a_shell(galdiff, value):
    code, _, err = galdiff("dummy", f"do={value}")
    if code == 0:  # Hydra reads it as it is
        assert value == "run#1"
        return
    assert (code, err.count("\n")) == (2, 1)
    pasted = shlex.split(err.split("for the shell: ")[1])
    assert len(pasted) == 1
    assert OverridesParser.create().parse_override(pasted[0]).value() == (value if value[0] != '"' else 'a"b')


def test_a_key_inside_of_a_value_is_named_in_full(galdiff):
    code, _, err = galdiff("dummy", "view={inclinaton: 1}")
    assert code == 2
    assert err == "galdiff: view.inclinaton: there is no such key; did you mean 'view.inclination'?\n"


@pytest.mark.parametrize("folder", ["taken", "taken/run", "dangling", "n" * 300, "/proc/x"])
@pytest.mark.parametrize("sweep", [(), ("-m",)])
def test_an_output_that_cannot_be_a_folder_is_one_line(galdiff, tmp_path, folder, sweep):
    (tmp_path / "taken").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
    code, out, err = galdiff("dummy", *sweep, f"{key}={folder}")
    assert (code, "spaxels" in out, err.count("\n")) == (2, False, 1)
    assert folder in err
    assert err.endswith("; choose another output folder\n")


def test_a_link_to_a_folder_is_an_output(galdiff, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert galdiff("dummy", "hydra.run.dir=link")[0] == 0


@pytest.mark.parametrize("seed", ["null", "99999999999999999999", "-1", "1.5", "true", "one", "[1]"])
def test_what_is_no_seed_is_named_before_anything_is_computed(galdiff, seed):
    code, out, err = galdiff("dummy", f"+seed={seed}")
    assert (code, out) == (2, "")
    assert err.startswith("galdiff: seed is ")
    assert err.endswith("; give a whole number from 0 to 4294967295\n")


def test_seeds_are_checked_in_every_place_of_galdiff_s():
    check_seeds({"a": {"seed": 0}, "b": {"seed": "${a.seed}"}, "c": {"_target_": "mynet.Net", "seed": "words"}})
    with pytest.raises(InputError, match=r"halos\.fit\.seed is None; give"):
        check_seeds({"halos": {"fit": {"_target_": "galdiff.halo.x", "seed": None}}})


def test_sigterm_cleans_up_and_exits_with_143(galdiff):
    before = signal.getsignal(signal.SIGTERM)
    assert galdiff("dummy", "do=terminate") == (143, "cleaned\n", "galdiff: terminated\n")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("args", [["list"], ["dummy"]])
def test_a_reader_that_goes_away_hears_no_complaint(project, tmp_path, args):
    reader, writer = os.pipe()
    os.close(reader)
    code = f"import pathlib; from galdiff import cli; cli.project_dir = pathlib.Path({str(project)!r}).joinpath; "
    code += "cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *args], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["dumy"], "there is no experiment 'dumy'; did you mean 'dummy'?"),
        (["dummy", "instrument=muse_wmf"], "instrument=muse_wmf: there is no such preset; did you mean 'muse_wfm'?"),
        (["dummy", "instrument=x"], "instrument=x: there is no such preset; choose one of manga, muse_wfm"),
        (["dummy", "instrumnt=manga"], "instrumnt: there is no such key; did you mean 'instrument'?"),
        (["dummy", "view.inclinaton=3"], "view.inclinaton: there is no such key; did you mean 'view.inclination'?"),
        (
            ["dummy", "instrument=manga", "instrument.fibers=3"],
            "instrument.fibers: there is no such key; did you mean 'instrument.fibres'?",
        ),
        (
            ["dummy", "instrument.fibres=3"],
            "instrument.fibres: the instrument chosen has no such key; give one of spaxels, or instrument=manga"
            " instrument.fibres=...",
        ),
        (
            ["dummy", "instrument.colour=3"],
            "instrument.colour: the instrument chosen has no such key; give one of spaxels",
        ),
        (
            ["dummy", "instrument@view.none=manga"],
            "instrument@view.none: there is no such key; did you mean 'instrument'?",
        ),
        (["dummy", "do=input"], "mass holds 3 negative values [Msun]; drop them"),
        (["dummy", "do=missing"], "input.path: a value is required; give input.path=VALUE"),
        (["dummy", "do=typo"], "view.inclinaton: there is no such key; did you mean 'view.inclination'?"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy_and_exit_code_2(galdiff, args, said):
    assert galdiff(*args) == (2, "", f"galdiff: {said}\n")


def test_a_launcher_that_is_not_installed_is_named_with_the_extra_that_brings_it(galdiff):
    code, _, err = galdiff("dummy", "-m", "hydra/launcher=none_such")
    assert code == 2
    assert err.startswith("galdiff: hydra/launcher=none_such: there is no such preset; choose one of")
    assert err.endswith("(more with: pip install 'galdiff[launchers]')\n")


def test_a_broken_override_is_one_line(galdiff):
    code, out, err = galdiff("dummy", "view.inclination=[1")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "view.inclination=[1" in err


def test_a_broken_config_file_is_one_line(galdiff, project):
    path = project / "conf" / "instrument" / "broken.yaml"
    path.write_text("a: [1\n")
    code, out, err = galdiff("dummy", "instrument=broken")
    path.unlink()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "broken.yaml" in err


def test_bad_input_in_a_sweep_says_which_job_it_was(galdiff):
    code, _, err = galdiff("dummy", "-m", "do=nothing,input")
    assert code == 2
    assert "do=input" in err
    assert err.endswith("galdiff: mass holds 3 negative values [Msun]; drop them\n")


def test_an_interrupt_exits_with_130_and_a_bug_keeps_its_traceback(galdiff, capfd):
    assert galdiff("dummy", "do=interrupt") == (130, "", "galdiff: interrupted\n")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        galdiff("dummy", "do=bug")


def test_the_full_error_is_there_for_who_asks_for_it(galdiff, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(InputError, match="negative values"):
        galdiff("dummy", "do=input")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


def test_list_names_experiments_and_presets_with_their_first_lines(galdiff):
    code, out, _ = galdiff("list")
    assert code == 0
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "experiments",
        "dummy A dummy experiment.",
        "",
        "instrument=...",
        "manga MaNGA, 127 fibres",
        "muse_wfm MUSE, wide field",
    ]
    assert galdiff()[1].startswith("usage: galdiff EXPERIMENT")
    assert galdiff("--version")[1] == f"galdiff {importlib.metadata.version('galdiff')}\n"


def test_a_script_behaves_like_the_command(project, tmp_path):
    script = str(project / "experiments" / "dummy.py")

    def call(*args):
        return subprocess.run([sys.executable, script, *args], capture_output=True, text=True, cwd=tmp_path)

    good, bad = call("instrument=manga"), call("instrument=muse_wmf")
    assert (good.returncode, good.stdout) == (0, "spaxels 74 inclination 60.0\n")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "galdiff: instrument=muse_wmf: there is no such preset; did you mean 'muse_wfm'?\n"


def test_a_decorated_main_takes_a_config_directly():
    @cli.experiment("unused")
    def main(cfg):
        return cfg.x + 1

    assert main(OmegaConf.create({"x": 1})) == 2


def test_python_m_galdiff_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "galdiff", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("galdiff ")
    assert done.returncode == 0


def test_the_cache_of_programs_is_the_users_and_limited_in_size(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    try:
        program_cache.keep_programs("auto")
        assert jax.config.jax_compilation_cache_dir == before  # another is set
        jax.config.update("jax_compilation_cache_dir", None)
        program_cache.keep_programs("auto")
        folder = pathlib.Path(jax.config.jax_compilation_cache_dir)
        assert folder.is_relative_to(tmp_path / "galdiff")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    for k in range(4):
        (folder / str(k)).write_bytes(bytes(100))
        os.utime(folder / str(k), (k, k))
    program_cache.limit(folder, 250)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["2", "3"]


def test_a_cache_that_cannot_be_written_is_left_out(tmp_path, monkeypatch):
    (tmp_path / "galdiff").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        program_cache.keep_programs("auto")
        assert jax.config.jax_compilation_cache_dir is None
        with pytest.raises(OSError, match="galdiff"):
            program_cache.keep_programs(tmp_path / "galdiff" / "here")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
