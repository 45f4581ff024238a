"""Likelihood: local bias models of a halo catalogue, to compare the neural one with."""

import numpy as np
from cobaya.log import LoggedError

from ..bias.mass_function import MassFunction
from ..bias.neyrinck import FORMS, DensityContrast, LocalBias, LocalRate
from ..bias.scatter import SCATTERS
from ..component import POSITIVE_INTEGER, POSITIVE_NUMBER, is_integer, is_number
from ..kernels.threads import SERIAL
from .halo_likelihood import HaloLikelihood

NON_NEGATIVE = ("a number >= 0", lambda v: is_number(v, 0))
OPTIONAL_DENSITY = (
    "a positive number [(h/Mpc)^3] or null",
    lambda v: v is None or (is_number(v) and v > 0),
)


class Neyrinck(HaloLikelihood):
    """Neyrinck's local bias model of a halo catalogue; see ``Neyrinck.yaml`` for the options.

    Without a Cobaya model, ``Neyrinck({"box_size": 250.0})`` gives :meth:`log_likelihood` and
    :meth:`value_and_gradient` for a density of any mesh.
    """

    form: str
    floor: float
    nbar_unit: float | None
    n_components: int
    sigma_prior: float

    _OPTIONS = {
        **HaloLikelihood._OPTIONS,
        "scatter": tuple(SCATTERS),  # those of counts alone
        "form": FORMS,
        "floor": NON_NEGATIVE,
        "nbar_unit": OPTIONAL_DENSITY,
        "n_components": POSITIVE_INTEGER,
        "sigma_prior": POSITIVE_NUMBER,
    }

    @classmethod
    def bias_model(cls, options, mean_density=None, threads=SERIAL):
        if options["form"] not in FORMS or not is_integer(options["n_components"], 1):
            raise ValueError("form, n_components")
        unit = options["nbar_unit"] or mean_density or 1.0
        rate = LocalRate(options["form"], float(options["floor"]), float(unit), threads)
        if options["likelihood"] == "counts":
            return DensityContrast(), rate
        return DensityContrast(), LocalBias(
            rate,
            MassFunction(
                options["n_components"], threads, width_floor=float(options["width_floor"] or 0.0)
            ),
        )

    @classmethod
    def default_prior(cls, options):
        return {"dist": "norm", "loc": 0, "scale": options["sigma_prior"]}

    def initialize(self):
        self._told_of_empty_voxels = False
        super().initialize()

    def _check_bins(self):
        super()._check_bins()
        if self.likelihood == "binned" and len(self.mass_bins) == 2:
            raise LoggedError(
                self.log,
                "Option 'mass_bins' is %r; expected at least two bins, for one says nothing of the "
                "masses, or likelihood: counts without mass_bins.",
                self.mass_bins,
            )

    @property
    def options_from_catalogue(self):
        unit = getattr(self.network, "rate", self.network).density_unit
        return {**super().options_from_catalogue, "nbar_unit": float(unit)}

    def value_and_gradient(self, density, weights):
        result = super().value_and_gradient(density, weights)
        if self.floor == 0 and not np.isfinite(result[0]) and not self._told_of_empty_voxels:
            self._tell_of_empty_voxels(density, weights)
        return result

    def _tell_of_empty_voxels(self, density, weights):
        """Say once that halos stand where the model without floor has none."""
        model = self.data_model(density.shape[0])
        rate = getattr(self.network, "rate", self.network)
        rates = rate.log_number_density(
            density.ravel()[model.voxel], model.split(weights)[1][: rate.n_weights]
        )
        if n_lost := np.count_nonzero(np.isneginf(rates)):
            self._told_of_empty_voxels = True
            self.log.warning(
                "%d halos stand in voxels where the model has none, for the density there is too "
                "low and floor is 0: such points have zero likelihood. Raise floor to allow them.",
                n_lost,
            )
