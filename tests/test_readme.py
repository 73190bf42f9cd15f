"""The Python examples of the README run, leave a mock and give a gradient."""

import functools
import pathlib
import re

import jax.numpy as jnp
import pytest

import galdiff

README = pathlib.Path(__file__).resolve().parent.parent / "README.md"


@pytest.mark.filterwarnings("ignore:.*lie outside the SSP library:UserWarning")  # the first stars
@pytest.mark.filterwarnings("ignore:templates are broader:UserWarning")
def test_the_examples_of_the_readme_make_a_mock_a_cube_and_a_gradient(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    psf = {"instrument.psf.kind": "gaussian", "instrument.psf.fwhm_arcsec": 0.45}
    fewer = {"observe": {"gauss_hermite": False}, "pipeline": {}}  # maps: h3 and h4 are in other tests
    for name, more in fewer.items():  # through a narrow PSF, which needs narrow margins of the field
        narrow = functools.partial(getattr(galdiff, name), **psf, **more)
        monkeypatch.setattr(galdiff, name, narrow)
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, str(README), "exec"), names)
    assert {"cube.fits", "maps.png", "history.h5", "summary.json"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert names["flux"].shape == names["mock"].cube.flux.shape == (8, 8, 481)
    assert bool((names["flux"].sum(-1) > 0).all())
    slope = float(capsys.readouterr().out)
    assert jnp.isfinite(slope)
    assert slope != 0.0
