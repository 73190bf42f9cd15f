"""Tables of a survey of Jacobians: all derivatives, their means over the hypercube, and the values drawn."""

import functools
import gzip
from collections.abc import Iterator

import numpy as np

from galdiff.inference.survey import Survey
from galdiff.io.folder import Writer, csv_writer

ROW = 8  # bytes of a compressed row of jacobians.csv.gz


def survey_tables(survey: Survey) -> dict[str, Writer]:
    """Writers of the tables by file name."""
    names, galaxies = survey.found.parameters, survey.galaxies
    drawn = ((d, *(f"{x:.8g}" for x in v)) for d, v in zip(galaxies.draw, galaxies.values, strict=True))
    header = ["halo", "log10_mvir", "draw", "output", "redshift", "parameter", "value"]
    means = ["output", "redshift", "parameter", "mean", "std", "mean_size", "galaxies"]
    return {
        "jacobians.csv.gz": csv_writer(header, _all_rows(survey), functools.partial(gzip.open, compresslevel=5)),
        "means.csv": csv_writer(means, _mean_rows(survey)),
        "draws.csv": csv_writer(["draw", *names], drawn),
    }


def _all_rows(survey: Survey) -> Iterator[tuple]:
    """Rows (halo, log10_mvir, draw, output, redshift, parameter, value) of all galaxies."""
    found, (halo, draw, _) = survey.found, survey.galaxies
    redshifts = [f"{z:.5g}" for z in np.round(found.redshift[0], 6) + 0.0]
    for h, k, m, slopes in zip(halo, draw, survey.masses, found.jacobian, strict=True):
        for z, at_redshift in zip(redshifts, slopes, strict=True):
            for output, row in zip(found.outputs, at_redshift, strict=True):
                for parameter, value in zip(found.parameters, row, strict=True):
                    yield h, f"{m:.4f}", k, output, z, parameter, f"{value:.5g}"


def _mean_rows(survey: Survey) -> Iterator[tuple]:
    kept = survey.kept
    mean, std, size = kept.mean(0), kept.std(0), np.abs(kept).mean(0)
    for (k, i, j), value in np.ndenumerate(mean):
        names = survey.found.outputs[i], survey.redshifts[k], survey.found.parameters[j]
        yield *names, f"{value:.6g}", f"{std[k, i, j]:.6g}", f"{size[k, i, j]:.6g}", len(kept)
