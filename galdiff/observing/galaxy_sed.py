"""From a star formation history to the spectrum and the magnitudes of a whole galaxy."""

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.light_records import Epoch, PopulationWeights, Spectrum, Starlight, StellarHistory
from galdiff.photometry.magnitudes import Magnitudes, Photometry
from galdiff.photometry.passband import Passband
from galdiff.records import SSPGrid
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.model import FormStars, SfhLaw
from galdiff.sfh.panels import panels_of
from galdiff.sfh.weights import Enrich
from galdiff.sps.galaxy_light import GalaxyLight

OUTSIDE = 0.01  # share of the mass beyond the metallicities of the library above which it is told


@record
class GalaxySed:
    """All that is known of the light of one galaxy."""

    epoch: Epoch = quantity("", "when and where from it is seen")
    stars: StellarHistory = quantity("", "stars by age")
    populations: PopulationWeights = quantity("", "stars at the nodes of the library")
    starlight: Starlight = quantity("", "their light before dust")
    spectrum: Spectrum = quantity("", "what leaves the galaxy")
    apparent: Magnitudes = quantity("", "magnitudes in the observer's frame")
    absolute: Magnitudes = quantity("", "magnitudes in the frame of the galaxy")


def sed_pipeline(
    *,
    law: SfhLaw,
    metallicity: MetallicityLaw,
    library: SSPGrid,
    dust: Stage,
    passbands: Sequence[Passband],
    light: GalaxyLight | None = None,
    rest_passbands: Sequence[Passband] | None = None,
) -> Pipeline:
    """The stages from a star formation history to magnitudes, to differentiate, train or vmap.

    Args:
      law: star formation history; metallicity: of the stars at birth.
      library: SSP library; also the input `library` of the pipeline, which may be a corrected one on the same nodes.
      dust: makes a `Spectrum` of `Starlight`.
      passbands: of the apparent magnitudes; rest_passbands: of the absolute ones, the same if None.
      light: birth clouds; the default ones if None.

    Returns:
      A pipeline with the inputs `epoch`, `library` and, where the law follows one, `halo`.
    """
    ages = panels_of(library)
    rest = passbands if rest_passbands is None else rest_passbands
    stages: dict[str, Any] = {
        "stars": FormStars(law=law, ages=ages),
        "populations": Enrich(law=metallicity, ages=ages, library=library),
        "starlight": GalaxyLight() if light is None else light,
        "spectrum": dust,
        "apparent": Photometry(passbands=passbands),
        "absolute": Photometry(passbands=rest, frame="rest"),
    }
    inputs: dict[str, type | str] = {"epoch": Epoch, "library": SSPGrid}
    return Pipeline(stages=stages, inputs=inputs | ({"halo": object} if law.needs_halo else {}))


def galaxy_sed(pipeline: Pipeline, epoch: Epoch, library: SSPGrid, halo: Any = None) -> GalaxySed:
    """The light of one galaxy at an epoch, from a pipeline of `sed_pipeline`, with the halo that its law follows.

    Raises:
      InputError: a passband that the library does not cover, or stars that begin after the epoch.
    """
    cast(FormStars, pipeline.stages["stars"]).law.check_epoch(epoch)
    for name in ("apparent", "absolute"):
        cast(Photometry, pipeline.stages[name]).check_covered(library.ssp_wave, epoch.redshift)
    given: dict[str, Any] = {"epoch": epoch, "library": library} | ({} if halo is None else {"halo": halo})
    run, state = compiled(pipeline, pipeline.order)
    sed = GalaxySed(epoch=epoch, **run(state, **given))
    law = cast(Enrich, pipeline.stages["populations"]).law
    lgmet, nodes = np.asarray(law.lgmet(sed.stars)), np.asarray(library.ssp_lgmet)
    mass = np.asarray(sed.stars.mass)
    outside = float(mass[(lgmet < nodes[0]) | (lgmet > nodes[-1])].sum() / mass.sum())
    if outside > OUTSIDE:
        warnings.warn(
            f"{outside:.2%} of the mass formed has a mean log10 Z outside {nodes[0]:.2f} to {nodes[-1]:.2f} dex of the"
            f" SSP library '{library.name}' and takes the spectrum of its edge",
            stacklevel=2,
        )
    return sed
