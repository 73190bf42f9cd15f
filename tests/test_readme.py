"""The Python example of the README runs and gives a gradient."""

import pathlib
import re

import jax.numpy as jnp

README = pathlib.Path(__file__).resolve().parent.parent / "README.md"


def test_the_example_of_the_readme_makes_a_cube_and_a_gradient(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(compile(code, str(README), "exec"), names)
    assert names["flux"].shape == (8, 8, 481)
    assert bool((names["flux"].sum(-1) > 0).all())
    slope = float(capsys.readouterr().out)
    assert jnp.isfinite(slope)
    assert slope != 0.0
