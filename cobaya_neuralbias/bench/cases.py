"""What ``cobaya-neuralbias bench`` times: pieces of one gradient of the log posterior.

Either a yaml file's own model or, without one, that of a case, on a mesh of any size. Its
halos are the bundled catalogue, tiled periodically (or cut) to the box in which ``n_grid^3``
voxels have the size of its own 64^3; the white noise is that of its simulation, tiled alike. So a
voxel costs the same on every mesh.
"""

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from cobaya.model import get_model

from ..catalogue import HaloCatalogue, read_catalogue, read_truth, write_catalogue
from ..errors import InputError
from ..gravity import fourier
from ..gravity.sublattices import Sublattices
from ..posterior.from_yaml import build, quiet, read_yaml
from ..posterior.target import FieldTarget, reference_point

BUNDLED_GRID, BUNDLED_BOX = 64, 250.0
MASS_THRESHOLD = 2e12
COSMOLOGY = {
    "H0": 68.0,
    "ombh2": 0.0226576,
    "omch2": 0.1229984,
    "ns": 0.97,
    "sigma8": 0.81,
    "mnu": 0.0,
}
PAPER = {"parametrisation": "charnock2019", "spacing": "softplus"}
# Numbers of steps of the particle mesh whose difference is timed.
STEPS = 1, 5
DTYPES = "float64", "float32"

# Case -> (method of Setup, theory, its options, options of the likelihood); "step" is the
# difference of two runs of `gravity`; `coarser`: voxels of the field along one of the density.
LPT_CIC = "LPT", {"order": 1, "assignment": "cic"}
LPT2_CIC = "LPT", {"order": 2, "assignment": "cic"}
LPT2_TSC = "LPT", {"order": 2, "assignment": "tsc"}
COARSE = "LPT", {**LPT2_TSC[1], "coarser": 2}
EIGHT = "LPT", {**LPT2_TSC[1], "particles_per_voxel": 8}
EIGHT_FOURIER = "LPT", {**EIGHT[1], "particle_interpolation": "fourier"}
EIGHT_COARSE = "LPT", {**EIGHT[1], "coarser": 2}
LPT2_TSC_LIBRARY = "LPT", {**LPT2_TSC[1], "transforms": "library"}
CASES = {
    "1lpt_cic": ("gravity", *LPT_CIC, PAPER),
    "2lpt_cic": ("gravity", *LPT2_CIC, PAPER),
    "2lpt_tsc": ("gravity", *LPT2_TSC, PAPER),
    "2lpt_tsc_library": ("gravity", *LPT2_TSC_LIBRARY, PAPER),
    "2lpt_tsc_coarse": ("gravity", *COARSE, PAPER),
    "2lpt_tsc_8": ("gravity", *EIGHT, PAPER),
    "2lpt_tsc_8_fourier": ("gravity", *EIGHT_FOURIER, PAPER),
    "2lpt_tsc_8_coarse": ("gravity", *EIGHT_COARSE, PAPER),
    "pm_step": ("step", "ParticleMesh", {"assignment": "tsc", "mesh_factor": 1}, PAPER),
    "likelihood": ("likelihood_alone", *LPT2_TSC, PAPER),
    "likelihood_natural": ("likelihood_alone", *LPT2_TSC, {}),
    "likelihood_exclusion": ("likelihood_alone", *LPT2_TSC, {"scatter": "exclusion"}),
    "posterior_1lpt_cic": ("posterior", *LPT_CIC, PAPER),
    "posterior_2lpt_tsc": ("posterior", *LPT2_TSC, PAPER),
    "posterior_2lpt_tsc_natural": ("posterior", *LPT2_TSC, {}),
    "posterior_2lpt_tsc_coarse": ("posterior", *COARSE, PAPER),
    "posterior_2lpt_tsc_coarse_natural": ("posterior", *COARSE, {}),
    "posterior_2lpt_tsc_8_natural": ("posterior", *EIGHT, {}),
    "posterior_2lpt_tsc_8_coarse_natural": ("posterior", *EIGHT_COARSE, {}),
}


def tiled_catalogue(n_grid):
    """The bundled halos above the threshold in a box of ``n_grid`` of its voxels a side."""
    bundled = read_catalogue("bundled", box_size=BUNDLED_BOX).above(MASS_THRESHOLD)
    box_size = BUNDLED_BOX * n_grid / BUNDLED_GRID
    copies = np.arange(-(-n_grid // BUNDLED_GRID)) * BUNDLED_BOX
    shifts = np.stack(np.meshgrid(copies, copies, copies), -1).reshape(-1, 1, 3)
    position = (bundled.position + shifts).reshape(-1, 3)
    mass = np.tile(bundled.mass, len(shifts))
    inside = (position < box_size).all(1)
    return HaloCatalogue(position[inside], mass[inside], box_size)


def tiled_white_noise(n_grid):
    """(n_grid,)*3 white noise of the bundled simulation, repeated."""
    index = np.arange(n_grid) % BUNDLED_GRID
    return read_truth("bundled")["white_noise"][np.ix_(index, index, index)].astype(float)


class Timed:
    """A posterior and the point at which it is timed: its white noise, weights at their start."""

    def __init__(self, target):
        self.target = target
        self.modes = target.theory.get_modes().copy()
        starts = {
            name: value
            for likelihood in target.likelihoods.values()
            for name, value in zip(likelihood.weight_names, likelihood.default_weights, strict=True)
        }
        self.weights = np.array([starts[name] for name in target.weight_names])

    def gravity(self):
        """Parts of the density and its adjoint."""
        model = self.target.forward_model
        shape = self.target.density_grid.shape
        cotangent = np.random.default_rng(1).standard_normal(shape)
        return [
            lambda: model.density(self.modes),
            lambda evolved: model.density_vjp(evolved, cotangent),
        ]

    def likelihood_alone(self):
        """The log-likelihoods at a given density, with their gradients."""
        delta = self.target.forward_model.density(self.modes).delta.copy()
        return [lambda: self.target.likelihood_and_gradient(delta, self.weights)]

    def posterior(self):
        """The log posterior and its gradient, as the sampler calls it."""
        return [lambda: self.target.modes_value_and_gradient(self.modes, self.weights)]


class Setup(Timed):
    """A Cobaya model on one mesh, as a yaml file would have it, at the bundled white noise."""

    def __init__(self, catalogue, n_grid, dtype, threads, theory, gravity, bias):
        gravity = dict(gravity)
        if coarser := gravity.pop("coarser", None):
            gravity["bias_grid"] = n_grid // coarser
        logging.disable(logging.WARNING)
        try:
            model = get_model(
                {
                    "theory": {
                        "cobaya_neuralbias.EisensteinHu": None,
                        f"cobaya_neuralbias.{theory}": {
                            "n_grid": n_grid,
                            "box_size": BUNDLED_BOX * n_grid / BUNDLED_GRID,
                            "dtype": dtype,
                            "threads": threads,
                            **gravity,
                        },
                    },
                    "likelihood": {
                        "cobaya_neuralbias.NeuralBias": {
                            "catalogue": str(catalogue),
                            "mass_threshold": MASS_THRESHOLD,
                            "threads": threads,
                            **bias,
                        }
                    },
                    "params": COSMOLOGY,
                }
            )
            target = FieldTarget(model)
            weights, others = target.split(reference_point(model))
            target.evaluate(fourier.to_modes(tiled_white_noise(n_grid)), weights, others)
        finally:
            logging.disable(logging.NOTSET)
        super().__init__(target)

    def pieces(self):
        """Name and function of the pieces of the posterior, in the order of the calculation."""
        model = self.target.forward_model
        particles = getattr(model, "sublattices", None)
        if particles is None:  # a plain model paints its one lattice itself
            particles = Sublattices(model.workspace, 1, model.assignment)
        shape = self.target.density_grid.shape
        bar = np.random.default_rng(1).standard_normal(shape).astype(particles.workspace.dtype)

        def painted(moved):
            field, hessian = moved
            density, kept = particles.density(field)
            density -= 1
            return kept, hessian, density

        def judged(moved):
            self.target.likelihood_and_gradient(moved[2], self.weights)
            return moved[:2]

        def pulled(moved):
            kept, hessian = moved
            return particles.density_vjp(kept, bar), hessian

        return [
            ("displacement", lambda: model.displacement(self.modes)),
            ("painting", painted),
            ("likelihood", judged),
            ("painting, adjoint", pulled),
            ("displacement, adjoint", lambda moved: model.displacement_vjp(moved[1], moved[0])),
        ]


def of_yaml(path):
    """:class:`Timed` of a yaml file's model, at its own white noise and reference cosmology."""
    _, target = build(read_yaml(path, "theory, likelihood and params"), path)
    point = reference_point(target.model, np.random.default_rng(0))
    with quiet():
        target.model.logposterior(point)
    if not target.theory.evaluated:
        raise InputError(f"'{path}': the matter density cannot be computed at {point}.")
    target.refresh()
    return Timed(target)


@contextmanager
def catalogue_file(n_grid):
    """A temporary file with :func:`tiled_catalogue`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "halos.h5"
        write_catalogue(path, tiled_catalogue(n_grid))
        yield path
