"""Why the largest scales mix slowly: a likelihood that is rough inside a voxel.

    python docs/measure/roughness.py [--n-grid 64] [--warmup 60] [--samples 20]

The bundled catalogue above 2e12 Msun/h, 2LPT and TSC, from the true phases. Mean squared gradient
of the log-likelihood (its mean curvature) in a mode of each of the largest shells,

* alone: all other modes stand still;
* carried: the white noise x moves along with the large-scale displacement u that the mode makes,
  by dx = [u.grad x + grad.(u x)] / 2, which is a rotation, so prior and volume stay as they
  are. In the fraction of u that lowers the square most. Structures then keep their places;
* continuum: if matter were a fluid rather than particles, that would change the density by no more
  than -div u. (With one particle a voxel only.)

What is between the last two is due to particles that sample a displacement as rough as themselves.
"""

import argparse

import numpy as np
from cobaya.run import run
from densities import BOX_SIZE, COSMOLOGY
from scipy.ndimage import map_coordinates

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.lagrangian import Lagrangian

SHELLS = 8


def derivative(field, axis):
    """Per voxel, antisymmetric, of fourth order."""
    near, far = (np.roll(field, -s, axis) - np.roll(field, s, axis) for s in (1, 2))
    return 8 / 12 * near - far / 12


def large_scale_gradient(forward, flux):
    """Gradient in the modes whose first-order displacement u moves along ``flux`` (3, n, n, n)."""
    first = Lagrangian(forward.grid, forward.amplitude, order=1)
    return first.displacement_vjp(None, np.array(flux))


def gradients(target, position):
    """Name -> (n, n, n) gradient of the log-likelihood in each mode; "moved": by the carrying."""
    n = target.grid.n**3
    modes = position[:n].reshape(target.grid.shape)
    forward = target.forward_model
    evolved = forward.density(modes)
    delta_bar = target.likelihood_and_gradient(evolved.delta, position[n:])[1]
    out = {}
    if isinstance(forward, Lagrangian):
        places = np.indices(target.grid.shape) + forward.displacement(modes)[0]
        there = map_coordinates(np.asarray(delta_bar), places, order=1, mode="grid-wrap")
        out["continuum"] = large_scale_gradient(forward, [derivative(there, i) for i in range(3)])
    out["alone"] = forward.density_vjp(evolved, delta_bar)
    x, x_bar = fourier.from_modes(modes), fourier.from_modes(out["alone"])
    flux = [0.5 * (x_bar * derivative(x, i) - x * derivative(x_bar, i)) for i in range(3)]
    out["moved"] = large_scale_gradient(forward, flux)
    return out


def curvatures(n_grid, particles, warmup, samples):
    """Name -> (SHELLS,) mean squared gradients over ``samples`` of a run."""
    sums = []

    def add(sampler):
        shells = sampler.target.grid.shells
        g = gradients(sampler.target, sampler.state.current.position)
        rows = {"alone": g["alone"] ** 2, "product": g["alone"] * g["moved"]}
        rows["square"] = g["moved"] ** 2
        if "continuum" in g:
            rows["continuum"] = g["continuum"] ** 2
        mean = fourier.bin_spectrum
        sums.append({k: mean(v, shells, SHELLS + 1, 1)[1:] for k, v in rows.items()})

    theory = {"n_grid": n_grid, "box_size": BOX_SIZE, "phases": "bundled::truth/white_noise"}
    options = {"warmup": warmup, "max_samples": samples, "store_every": 0, "seed": 1}
    run(
        {
            "theory": {
                "cobaya_neuralbias.EisensteinHu": None,
                "cobaya_neuralbias.LPT": {**theory, "particles_per_voxel": particles},
            },
            "likelihood": {"cobaya_neuralbias.NeuralBias": {"mass_threshold": 2e12}},
            "params": COSMOLOGY,
            "sampler": {
                "cobaya_neuralbias.QNHMC": {
                    **options,
                    "callback_function": add,
                    "callback_every": 1,
                }
            },
            "debug": 40,
        }
    )
    means = {name: np.mean([s[name] for s in sums], axis=0) for name in sums[0]}
    part = -means.pop("product") / means["square"]
    means["carried"] = means["alone"] - part**2 * means.pop("square")
    return {**means, "fraction": part}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-grid", type=int, default=64)
    parser.add_argument("--warmup", type=int, default=60)
    parser.add_argument("--samples", type=int, default=20)
    arguments = parser.parse_args()
    k = 2 * np.pi / BOX_SIZE * np.arange(1, SHELLS + 1)
    print("k [h/Mpc]            " + " ".join(f"{value:8.3f}" for value in k))
    for particles in (1, 8):
        found = curvatures(arguments.n_grid, particles, arguments.warmup, arguments.samples)
        print(f"{particles} particles a voxel")
        for name in ("alone", "carried", "fraction", "continuum"):
            if name in found:
                digits = 2 if name == "fraction" else 1
                print(f"  {name:18} " + " ".join(f"{value:8.{digits}f}" for value in found[name]))


if __name__ == "__main__":
    main()
