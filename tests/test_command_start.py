"""What the command refuses before it loads anything that computes."""

import subprocess
import sys

import pytest

REFUSED = """
import sys
from galdiff import cli
try:
    cli.main(sys.argv[1:])
finally:
    print(sorted({"jax", "flax", "diffrax", "scipy", "astropy", "matplotlib"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("inclinaton=3", "inclinaton: there is no such key; did you mean 'view.inclination'?"),
        ("instrument=muse_wmf", "instrument=muse_wmf: there is no such preset; did you mean 'muse_wfm'?"),
        ("view.inclination=[1", "view.inclination=[1: cannot read this override"),
    ],
)
def test_keys_and_presets_that_are_not_there_are_refused_before_jax_is_loaded(argument, said):
    done = subprocess.run([sys.executable, "-c", REFUSED, "simulate", argument], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"galdiff: {said}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == "[]\n"
