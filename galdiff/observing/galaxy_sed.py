"""From a star formation history to the spectrum and the magnitudes of a whole galaxy."""

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from galdiff.core.compiled import cached, compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.dust.emission.glow import RED_END, continued
from galdiff.errors import InputError
from galdiff.igm.between import BetweenGalaxies
from galdiff.igm.none import NoIGM
from galdiff.light_records import (
    EmissionLines,
    Epoch,
    NebularLight,
    PopulationWeights,
    Spectrum,
    Starlight,
    StellarHistory,
)
from galdiff.nebular.h_ii_regions import NoGas
from galdiff.observing.galaxy_lines import MeasureLines
from galdiff.observing.grow import one_halo
from galdiff.observing.outside_fits import warn_metals
from galdiff.observing.spectrum_steps import SpectrumSteps
from galdiff.photometry.magnitudes import Magnitudes, Photometry
from galdiff.photometry.passband import Passband
from galdiff.records import HaloHistory, SSPGrid
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.model import FormStars, SfhLaw
from galdiff.sfh.panels import panels_of
from galdiff.sfh.weights import Enrich
from galdiff.sps.galaxy_light import GalaxyLight
from galdiff.sps.ionising import check_reach
from galdiff.sps.ionising_light import IonisingLight

LATE = 1e-4  # of the cosmic time, by which the history of a halo may end before the epoch
OUTSIDE = 0.01  # share of the mass beyond the metallicities of the library above which it is told


@record
class GalaxySed:
    """All that is known of the light of one galaxy."""

    epoch: Epoch = quantity("", "when and where from it is seen")
    stars: StellarHistory = quantity("", "stars by age")
    populations: PopulationWeights = quantity("", "stars at the nodes of the library")
    starlight: Starlight = quantity("", "their light before dust")
    nebular: NebularLight = quantity("", "light of ionised gas before dust")
    attenuated: Spectrum = quantity("", "what dust lets through")
    spectrum: Spectrum = quantity("", "what leaves the galaxy")
    seen: Spectrum = quantity("", "what arrives of it, still in the frame of the galaxy")
    lines: EmissionLines = quantity("", "emission lines as they are measured")
    apparent: Magnitudes = quantity("", "magnitudes in the observer's frame")
    absolute: Magnitudes = quantity("", "magnitudes in the frame of the galaxy")


def sed_pipeline(
    *,
    law: SfhLaw,
    metallicity: MetallicityLaw,
    library: SSPGrid,
    dust: Stage | Sequence[Stage],
    passbands: Sequence[Passband],
    light: GalaxyLight | None = None,
    nebular: Stage | None = None,
    rest_passbands: Sequence[Passband] | None = None,
) -> Pipeline:
    """The stages from a star formation history to magnitudes, to differentiate, train or vmap.

    Args:
      law: star formation history; metallicity: of the stars at birth.
      library: SSP library; also the input `library` of the pipeline, which may be a corrected one on the same nodes.
      dust: makes a `Spectrum` of `Starlight` and `NebularLight`; or that, and what the light meets after it, in order
        (`SpectrumSteps`); the last may be gas between the galaxies, which counts for apparent magnitudes alone.
      passbands: of the apparent magnitudes; rest_passbands: of the absolute ones, the same if None.
      light: birth clouds; the default ones if None.
      nebular: makes the `NebularLight` of the ionised gas; no gas if None.

    Returns:
      A pipeline with the inputs `epoch`, `library` and, where the law follows one, `halo`.

    Raises:
      InputError: gas without ionising light in the library, or stars of an [alpha/Fe] that it has not.
    """
    nebular = NoGas() if nebular is None else nebular
    screen, *steps = (dust,) if isinstance(dust, Stage) else dust
    between = steps.pop() if steps and isinstance(steps[-1], BetweenGalaxies) else NoIGM()
    light = GalaxyLight() if light is None else light
    light.check(library)
    ages = panels_of(library)
    rest = passbands if rest_passbands is None else rest_passbands
    stages: dict[str, Any] = {
        "stars": FormStars(law=law, ages=ages),
        "populations": Enrich(law=metallicity, ages=ages, library=library),
        "starlight": light,
        "nebular": nebular,
        "attenuated": screen,
        "spectrum": SpectrumSteps(steps=steps),
        "seen": between,
        "lines": MeasureLines(),
        "apparent": Photometry(passbands=passbands),
        "absolute": Photometry(passbands=rest, frame="rest"),
    }
    if "ionising" in nebular.reads():
        _check_ionising(library)
        stages["ionising"] = IonisingLight()
    inputs: dict[str, type | str] = {"epoch": Epoch, "library": SSPGrid}
    return Pipeline(stages=stages, inputs=inputs | ({"halo": object} if law.needs_halo else {}))


def galaxy_sed(pipeline: Pipeline, epoch: Epoch, library: SSPGrid, halo: Any = None) -> GalaxySed:
    """The light of one galaxy at an epoch, from a pipeline of `sed_pipeline`, with the halo that its law follows.

    Raises:
      InputError: a passband that the library does not cover, stars that begin after the epoch, several haloes, or one
        whose history ends before the epoch.
    """
    halo = None if halo is None else _reaching(halo, epoch)
    cast(FormStars, pipeline.stages["stars"]).law.check_epoch(epoch)
    photometry = [cast(Photometry, pipeline.stages[name]) for name in ("apparent", "absolute")]
    further = _reaches_further(pipeline, epoch, library)  # to the red; how far is known after the run alone
    _check_covered(photometry, np.append(library.ssp_wave, [RED_END] * further), epoch)
    given: dict[str, Any] = {"epoch": epoch, "library": library} | ({} if halo is None else {"halo": halo})
    run, state = compiled(pipeline, [name for name in pipeline.order if name != "ionising"])
    sed = GalaxySed(epoch=epoch, **run(state, **given))
    _check_covered(photometry, sed.spectrum.wave, epoch)
    _warn_of_metals(cast(Enrich, pipeline.stages["populations"]), sed.stars, library)
    warn_metals(cast(Enrich, pipeline.stages["populations"]).law, sed.stars)
    return sed


def _reaching(halo: Any, epoch: Epoch) -> Any:
    """One halo whose history reaches the epoch, else InputError."""
    if not isinstance(halo, HaloHistory):  # a formula, which has no end
        return halo
    halo = one_halo(halo)
    last = float(halo.time[-1])
    if last < float(epoch.time) * (1 - LATE):
        raise InputError(
            f"the history of the halo ends at {last:.4g} Gyr of cosmic time, but the galaxy is seen at"
            f" {float(epoch.time):.4g} Gyr (redshift {float(epoch.redshift):.4g}); leave out halo.observed_redshift, or"
            " give redshift the same value"
        )
    return halo


def added_by_steps(pipeline: Pipeline, sed: GalaxySed) -> list[Array]:
    """What each step after the dust of a pipeline of `sed_pipeline` adds to the spectrum of a galaxy.

    Returns:
      Luminosity densities [Lsun/Angstrom], shape (wave,) of `sed.spectrum`, a step each.
    """
    graph, state = nnx.split(pipeline.stages["spectrum"])
    return cached(_adding, graph)(state, sed.attenuated, sed.epoch)


def _adding(graph: nnx.GraphDef) -> Callable:
    @jax.jit
    def run(state: Any, attenuated: Spectrum, epoch: Epoch) -> list[Array]:
        spectra = nnx.merge(graph, state).each(attenuated, epoch)
        end = spectra[-1].wave
        at_end = [continued(end, s.wave, s.lum) for s in spectra]
        return [after - before for before, after in itertools.pairwise(at_end)]

    return run


def _check_ionising(library: SSPGrid) -> None:
    """Refuse gas around stars whose ionising light is not in the library."""
    try:
        check_reach(library)
    except InputError as error:
        raise InputError(f"{error}; without emission of gas: nebular=none") from error


def _reaches_further(pipeline: Pipeline, epoch: Epoch, library: SSPGrid) -> bool:
    """Whether the steps after the dust give a spectrum more wavelengths than the library has."""
    steps = cast(SpectrumSteps, pipeline.stages["spectrum"])
    wave = jax.ShapeDtypeStruct(np.shape(library.ssp_wave), np.float32)
    return jax.eval_shape(lambda w: steps(Spectrum(wave=w, lum=w), epoch).wave, wave).shape != wave.shape


def _check_covered(photometry: Sequence[Photometry], wave: Any, epoch: Epoch) -> None:
    """Refuse passbands that a spectrum does not cover."""
    for stage in photometry:
        try:
            stage.check_covered(wave, epoch.redshift)
        except InputError as error:
            if max(band.ends[1] for band in stage.passbands) <= wave[-1] or wave[-1] >= RED_END:
                raise
            raise InputError(f"{error}; with dust_emission=pah it goes on to {RED_END / 1e4:g} micron") from error


def _warn_of_metals(enrich: Enrich, stars: StellarHistory, library: SSPGrid) -> None:
    """Tell of stars that are beyond the metallicities of a library."""
    lgmet, nodes = np.asarray(enrich.law.lgmet(stars)), np.asarray(library.ssp_lgmet)
    mass = np.asarray(stars.mass)
    outside = float(mass[(lgmet < nodes[0]) | (lgmet > nodes[-1])].sum() / mass.sum())
    if outside > OUTSIDE:
        warnings.warn(
            f"{outside:.2%} of the mass formed has a mean log10 Z outside {nodes[0]:.2f} to {nodes[-1]:.2f} dex of the"
            f" SSP library '{library.name}' and takes the spectrum of its edge",
            stacklevel=3,
        )
