"""Pack the strong lines of the photoionisation grid of Byler et al. (2017) into the file that the package ships.

Run: python experiments/pack_byler17.py
Data: $GALDIFF_DATA/nebular/fsps_ZAU_ND_mist.lines or ../shared/data/nebular/fsps_ZAU_ND_mist.lines, the file
`nebular/ZAU_ND_mist.lines` of FSPS (MIT licence, beside the packed file).
"""

import os
import pathlib

import numpy as np

from galdiff.nebular import byler17
from galdiff.nebular.lines import LINES

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data")) / "nebular"


def main() -> None:
    axes, wave, lum = byler17.read_text(DATA / "fsps_ZAU_ND_mist.lines")
    columns = [int(np.argmin(np.abs(wave - line.wave))) for line in LINES]
    for line, column in zip(LINES, columns, strict=True):
        if abs(wave[column] / line.wave - 1) > 1e-4 or not (lum[..., column] > 0).all():
            raise SystemExit(f"{line.name}: the grid has {wave[column]} Angstrom, or no light at some node")
    kept = np.log10(lum[..., columns]).astype(np.float32)
    np.savez_compressed(byler17.FILE, **axes, log10_lum=kept)
    size = byler17.FILE.stat().st_size / 1e3
    print(f"{kept.shape[-1]} lines, {size:.0f} kB, log10 from {kept.min():.1f} to {kept.max():.1f}")


if __name__ == "__main__":
    main()
