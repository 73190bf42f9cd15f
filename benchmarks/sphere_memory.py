"""Memory of reading a sphere out of a large snapshot: python benchmarks/sphere_memory.py --stars 1e8 --radius 30.

Writes a snapshot in the layout of IllustrisTNG (36 bytes a star) into a temporary folder, whose disk must hold it,
reads one sphere in a process of its own, prints the peak of its resident memory, and deletes the file.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

from galdiff.io.simulations import read_galaxy

BOX, H = 75000.0, 0.6774  # kpc/h
HALO = 30.0  # kpc/h: galaxies are clumps of this size
PART = 2**20  # stars written at once


def write(path: pathlib.Path, stars: int, chunks: bool) -> None:
    """A box of galaxies, the first around the middle."""
    rng = np.random.default_rng(0)
    columns = {"Coordinates": 3, "Velocities": 3, "GFM_InitialMass": 0, "GFM_Metallicity": 0}
    columns["GFM_StellarFormationTime"] = 0
    with h5py.File(path, "w") as file:
        file.create_group("Header").attrs.update(Time=1.0, HubbleParam=H, Omega0=0.3089, BoxSize=BOX)
        made = {
            name: file.create_dataset(
                f"PartType4/{name}",
                (stars, width) if width else (stars,),
                "f4",
                chunks=((2**16, width) if width else (2**16,)) if chunks else None,
            )
            for name, width in columns.items()
        }
        for start in range(0, stars, PART):
            count = min(PART, stars - start)
            middle = np.full(3, BOX / 2) if start == 0 else rng.uniform(0, BOX, 3)
            made["Coordinates"][start : start + count] = (middle + HALO * rng.standard_normal((count, 3))) % BOX
            made["Velocities"][start : start + count] = 100.0 * rng.standard_normal((count, 3), np.float32)
            made["GFM_InitialMass"][start : start + count] = 1e-4
            made["GFM_Metallicity"][start : start + count] = 0.01
            made["GFM_StellarFormationTime"][start : start + count] = rng.uniform(0.1, 1.0, count)


def peak_mb() -> float:
    """Largest resident memory of this process so far [MB of 1e6 bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def read(path: str, radius: float) -> None:
    """Read the sphere and print what it took."""
    before, start = peak_mb(), time.perf_counter()
    found = read_galaxy(path, centre=[BOX / 2 / H] * 3, r_max_kpc=radius)
    seconds, cpu = time.perf_counter() - start, time.process_time()
    print(json.dumps({"stars": len(found.stars.mass), "seconds": seconds, "cpu": cpu, "mb": [before, peak_mb()]}))


def main() -> None:
    """Write, read in another process, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=float, default=1e8)
    parser.add_argument("--radius", type=float, default=30.0, help="kpc")
    parser.add_argument("--chunks", action="store_true", help="in chunks of 65536 rows instead of in one piece")
    parser.add_argument("--folder", help="where the file is written for the while; default: the temporary folder")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.read:
        read(chosen.read, chosen.radius)
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        path = pathlib.Path(folder) / "large.hdf5"
        write(path, int(chosen.stars), chosen.chunks)
        command = [sys.executable, __file__, "--read", str(path), "--radius", str(chosen.radius)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(
            f"{chosen.stars:.0e} stars, {path.stat().st_size / 1e9:.2f} GB on disk: {found['stars']} stars within"
            f" {chosen.radius:g} kpc in {found['seconds']:.1f} s; peak {found['mb'][1]:.0f} MB, of which"
            f" {found['mb'][0]:.0f} MB before reading"
        )


if __name__ == "__main__":
    main()
