"""Whether gravity responds to the initial modes as the simulation does: its own matter, no halos.

    python docs/measure/response.py [CATALOGUE] [--meshes 64:32] [--theory LPT] [--order 2]

The density of the true white noise is compared with the simulation's final one, both on the coarse
mesh and with the same window (a transfer function in shells of k). D is the derivative of the
model's density in the logarithm of the amplitude of all modes of one shell. What is printed is the
regression of the difference on D, with voxels weighted as ln(1.1 + delta) counts them: by how much
the simulation's matter responds more to that shell than the model's.
"""

import argparse
import logging

import numpy as np
from cobaya.model import get_model
from densities import BOX_SIZE, COSMOLOGY

from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity.fourier import from_modes, resample, to_modes
from cobaya_neuralbias.gravity.grid import Grid

SHELLS = 12
FLOOR = 0.1
STEP = 0.05


def density_of(theory, n_grid, bias_grid, options):
    """A function white noise (n_grid,)*3 -> density contrast (bias_grid,)*3."""
    name = f"cobaya_neuralbias.{theory}"
    mesh = {"n_grid": n_grid, "bias_grid": bias_grid, "box_size": BOX_SIZE}
    model = get_model(
        {
            "theory": {"cobaya_neuralbias.EisensteinHu": None, name: {**mesh, **options}},
            "likelihood": {"one": None},
            "params": COSMOLOGY,
        }
    )
    model.add_requirements({"matter_density": None})

    def density(white_noise):
        model.theory[name].set_phases(white_noise)
        model.logposterior({})
        return np.array(model.provider.get_matter_density())

    return density


def same_window(field, reference):
    """``field`` (m, m, m) times the transfer function that makes its shells those of the other."""
    m = len(field)
    k = np.fft.fftfreq(m, 1 / m)
    k2 = k[:, None, None] ** 2 + k[:, None] ** 2 + k**2
    shells = np.rint(np.sqrt(k2)).astype(int)
    a, b = np.fft.fftn(field), np.fft.fftn(reference)
    cross = np.bincount(shells.ravel(), (a * b.conj()).real.ravel())
    transfer = cross / np.maximum(np.bincount(shells.ravel(), (np.abs(a) ** 2).ravel()), 1e-300)
    return np.fft.ifftn(a * transfer[shells]).real


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalogue", nargs="?", default="bundled")
    parser.add_argument("--meshes", nargs="+", default=["32:32", "64:32"], metavar="N:M")
    parser.add_argument("--theory", default="LPT", choices=["LPT", "ParticleMesh"])
    parser.add_argument("--order", type=int, default=2, help="of LPT")
    parser.add_argument("--steps", type=int, default=8, help="of the particle mesh")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    truth = read_truth(arguments.catalogue)
    options = {"order": arguments.order}
    if arguments.theory != "LPT":
        options = {"n_steps": arguments.steps, "mesh_factor": 2}
    print("k    ", " ".join(f"{2 * np.pi / BOX_SIZE * s:7.3f}" for s in range(1, SHELLS + 1)))
    for text in arguments.meshes:
        n_grid, m = (int(n) for n in text.split(":"))
        density = density_of(arguments.theory, n_grid, m, options)
        step = len(truth["delta_final"]) // m
        final = truth["delta_final"].reshape(m, step, m, step, m, step).mean((1, 3, 5))
        x = to_modes(resample(truth["white_noise"], n_grid))
        delta = density(from_modes(x))
        difference = same_window(final, delta) - delta
        weight, shells, excess = 1 / (1 + FLOOR + delta) ** 2, Grid(n_grid, BOX_SIZE).shells, []
        for shell in range(1, SHELLS + 1):
            more, less = (
                density(from_modes(np.where(shells == shell, x * (1 + sign * STEP), x)))
                for sign in (1, -1)
            )
            response = (more - less) / (2 * STEP)
            total = np.sum(weight * response**2)
            excess.append(np.sum(weight * response * difference) / total)
        print(f"{text:5s}", " ".join(f"{value:7.3f}" for value in excess), flush=True)


if __name__ == "__main__":
    main()
