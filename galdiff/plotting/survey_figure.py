"""The pictures of a survey of Jacobians, with their titles."""

import numpy as np
from matplotlib.figure import Figure

from galdiff.inference.sensitivity import Sensitivity
from galdiff.inference.survey import Survey
from galdiff.inference.survey_summary import agreement, pivot_mass
from galdiff.plotting.sensitivity_figure import (
    label,
    plot_agreement,
    plot_heat_maps,
    plot_mass_dependence,
    plot_one_halo,
)


def plot_survey_means(survey: Survey) -> Figure:
    """Mean derivatives over the hypercube at each redshift, and their mean size at the last."""
    kept = survey.kept
    redshift = [f"z = {z:g}" for z in survey.redshifts]
    panels = {f"mean, {z}": m for z, m in zip(redshift, kept.mean(0), strict=True)}
    panels[f"mean size, {redshift[survey.last]}"] = np.abs(kept).mean(0)[survey.last]
    title = f"d log$_{{10}}$(output) / d parameter, {len(kept)} galaxies over the hypercube"
    return plot_heat_maps(panels, survey.found.outputs, survey.found.parameters, title)


def plot_survey_masses(survey: Survey, output: str) -> Figure:
    """Derivatives of one output at the lowest redshift against halo mass."""
    good, at = survey.good, f"z = {survey.redshifts[survey.last]:g}"
    return plot_mass_dependence(
        survey.masses[good],
        survey.at_end(output),
        survey.galaxies.draw[good] == 0,
        survey.found.parameters,
        pivot_mass(survey),
        f"d log$_{{10}}$ {label(output)} / d parameter at {at}",
    )


def plot_survey_agreement(survey: Survey, floor: float) -> Figure:
    """Autodiff against central differences of the galaxies that were compared."""
    exact = survey.jacobian[survey.picks]
    found, relative = agreement(exact, survey.differences, floor)
    title = f"{found['compared']} derivatives of {len(survey.picks)} galaxies"
    return plot_agreement(exact, survey.differences, relative, title)


def plot_survey_halo(in_time: Sensitivity, log10_mvir: float) -> Figure:
    """Derivatives of one halo in time."""
    mass = f"one halo of $10^{{{log10_mvir:g}}}$ M$_\\odot$, baseline"
    title = f"d log$_{{10}}$(output) / d parameter: {mass}"
    return plot_one_halo(
        np.asarray(in_time.redshift), np.asarray(in_time.jacobian), in_time.outputs, in_time.parameters, title
    )
