"""How stiff the largest modes are, alone and with what they carry along.

    python docs/measure/carried.py CATALOGUE [--meshes 32:32 64:32] [--shells 3] [--particles 1 8]

At the true white noise of a catalogue, with the bias weights fitted there: the mean squared
gradient of ln L in a mode of each of the first shells, all else fixed ("alone"), and with the white
noise carried along (cobaya_neuralbias/gravity/advection.py), at the fraction in brackets, which
makes it least. The carried modes are those of a mesh of so many points a side; `*` is the sampler's
own choice. Meshes are `n_grid:bias_grid`, of a cube of 250 Mpc/h; 2LPT.
"""

import argparse
import logging

import numpy as np
from cobaya.model import get_model
from cobaya.yaml import yaml_load_file
from score_at_truth import YAML, fitted

from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity.advection import ODD_SIZES, Advection, mesh_of
from cobaya_neuralbias.gravity.fourier import resample, to_modes
from cobaya_neuralbias.posterior.target import FieldTarget


def set_up(catalogue, mesh, particles):
    """(target, modes of the truth, weights that fit best there)"""
    info = yaml_load_file(str(YAML))
    options = info["theory"]["cobaya_neuralbias.LPT"]
    options.update(n_grid=mesh[0], bias_grid=mesh[1], particles_per_voxel=particles)
    options.update(phases=f"{catalogue}::truth/white_noise")
    (like,) = info["likelihood"].values()
    like.update(catalogue=catalogue)
    model = get_model({name: info[name] for name in ("theory", "likelihood", "params")})
    target, like = FieldTarget(model), next(iter(model.likelihood.values()))
    modes = to_modes(resample(read_truth(catalogue)["white_noise"], mesh[0]))
    target.refresh()
    delta = np.array(target.forward_model.density(modes).delta)
    found = fitted(model, like, delta, like.data_model(mesh[1]))
    by_name = dict(zip(like.weight_names, found.weights, strict=True))
    return target, modes, np.array([by_name[name] for name in target.weight_names])


def words(target, modes, weights, n_shells):
    """A line for each mesh."""
    model = target.forward_model
    _, gradient, _ = target.modes_value_and_gradient(modes, weights)
    gradient = (gradient + modes).ravel()  # that of ln L
    own = mesh_of(model.grid.n, target.density_grid.n)
    meshes = sorted({n for n in ODD_SIZES if model.grid.n / 3 < n < model.grid.n} | {model.grid.n})
    for n_mesh in meshes:
        advection = Advection(model, n_shells, n_mesh)
        carried = advection.gradient(modes.ravel()[advection.carried], gradient[advection.carried])
        shells = model.grid.shells.ravel()[advection.carriers]
        rows = []
        for shell in range(1, n_shells + 1):
            g, c = gradient[advection.carriers][shells == shell], carried[shells == shell]
            fraction = -np.mean(g * c) / np.mean(c**2)
            rows.append((np.mean(g**2), np.mean((g + fraction * c) ** 2), fraction))
        if n_mesh == meshes[0]:
            yield "  alone    " + "".join(f"{alone:8.0f}       " for alone, _, _ in rows)
        mark = "*" if n_mesh == own else " "
        yield f"  {n_mesh:4d} {mark}   " + "".join(f"{rest:8.0f} ({f:4.2f})" for _, rest, f in rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalogue")
    parser.add_argument("--meshes", nargs="+", default=["32:32", "64:32"], metavar="N:M")
    parser.add_argument("--shells", type=int, default=3)
    parser.add_argument("--particles", nargs="+", type=int, default=[1, 8])
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    for text in arguments.meshes:
        mesh = tuple(int(n) for n in text.split(":"))
        for particles in arguments.particles:
            print(f"field {mesh[0]}^3, halos on {mesh[1]}^3, particles_per_voxel: {particles}")
            for line in words(*set_up(arguments.catalogue, mesh, particles), arguments.shells):
                print(line, flush=True)


if __name__ == "__main__":
    main()
