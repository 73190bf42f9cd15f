"""Spoil valid snapshots and tables at random and read them: python benchmarks/fuzz_snapshots.py --count 5000 --seed 0.

With --libraries the same for SSP libraries (tests/library_fuzz.py).

Each file of a convention or table gets one fault (tests/snapshot_fuzz.py has them). It must be refused on one line that
names the file and a remedy, or give a galaxy that is finite and true where the fault did not touch it. Prints the
failures and exits with 1 if there are any; --only N tries number N alone.
"""

import argparse
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))  # where the faults are

from library_fuzz import fuzz_libraries
from snapshot_fuzz import fuzz


def main() -> int:
    """Run, print the figures, and say whether anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--libraries", action="store_true")
    chosen = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = (fuzz_libraries if chosen.libraries else fuzz)(chosen.count, chosen.seed, folder, chosen.only)
    for line in report.failures:
        print(line)
    print(
        f"{report.refused} refused, {report.read} read, {len(report.failures)} failures"
        f" in {time.perf_counter() - start:.0f} s (seed {chosen.seed})"
    )
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
