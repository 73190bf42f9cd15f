"""The page from a halo to LSST magnitudes runs as it stands, and says what comes out."""

import re

import numpy as np

from galdiff.runtime import project_dir

PAGE = project_dir("docs") / "halo_to_magnitudes.md"


def test_the_page_runs_and_its_slopes_are_what_it_says(capsys):
    names: dict = {}
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S))
    exec(compile(code, str(PAGE), "exec"), names)
    out = capsys.readouterr().out
    rows = dict(re.findall(r"^(efficiency there|A_V) \[.*?\] +(.*)$", out, re.M))
    efficiency, dust = (np.array(rows[name].split(), float) for name in ("efficiency there", "A_V"))
    assert ((efficiency > -2.6) & (efficiency < -2.2)).all()
    assert (np.diff(dust) < 0).all()
    assert 1.3 < dust[0] < 2.0
    assert (np.diff(names["table"], axis=0) < 0).all()
    assert names["sed"].apparent.mag.shape == (6,)
