"""What pulls the amplitude of the initial conditions away from the truth, without a chain.

    python docs/measure/score_at_truth.py CATALOGUE... [--meshes 32:32 64:32] [--scatter poisson]

At the true white noise of a catalogue (a cube of 250 Mpc/h) the bias weights of
yaml/quickstart.yaml are fitted, by maximum a posteriori. Then g is the gradient of ln L in the
modes x there, and F the mean square that g has in mocks drawn from the fitted model: its Fisher
information. In a right model, in each shell of k,

* noise: |g|^2 / F is 1. Below, the halos scatter less about the model than it allows for.
* pull: g.x / [(F + 1) |x|^2] is 0. It is, to first order, by how much the likelihood wants the
  amplitude of the shell larger than the truth's; the power of the samples is off by twice as much.

`pull` has the scatter of the mocks as its error. Meshes are `n_grid:bias_grid`. Printed besides:
ln L of the fit, its weights beyond those of the natural model, by how many standard deviations it
is above that of the mocks, and the halos over those expected without exclusion in the hundred and
the thousand voxels of highest rate. The particle mesh has 8 steps and twice the mesh.
"""

import argparse
import dataclasses
import logging
from pathlib import Path

import numpy as np
from cobaya.model import get_model
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.bias.fit import Objective, fit
from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity.fourier import bin_spectrum, resample, to_modes
from cobaya_neuralbias.likelihoods.allowed import SCATTERS
from cobaya_neuralbias.mock.draw import draw_halos
from cobaya_neuralbias.posterior.priors import WeightPriors
from cobaya_neuralbias.posterior.target import FieldTarget

YAML = Path(__file__).parents[2] / "yaml" / "quickstart.yaml"
SHELLS = 12


def set_up(catalogue, mesh, arguments):
    """(Cobaya model, its likelihood) at the truth's white noise."""
    info = yaml_load_file(str(YAML))
    n_grid, bias_grid = mesh
    options = info["theory"].pop("cobaya_neuralbias.LPT")
    options.update(n_grid=n_grid, bias_grid=bias_grid, phases=f"{catalogue}::truth/white_noise")
    if arguments.theory != "LPT":
        del options["order"]
        options.update(n_steps=8, mesh_factor=2)
    info["theory"][f"cobaya_neuralbias.{arguments.theory}"] = options
    (like,) = info["likelihood"].values()
    like.update(
        catalogue=catalogue,
        mass_threshold=arguments.threshold,
        scatter=arguments.scatter,
        saturates=arguments.saturates,
    )
    model = get_model({name: info[name] for name in ("theory", "likelihood", "params")})
    return model, next(iter(model.likelihood.values()))


def fitted(model, like, delta, data_model):
    """The weights that fit best at the density ``delta``."""
    names = list(model.parameterization.sampled_params())
    priors = WeightPriors([model.prior.pdf[names.index(name)] for name in like.weight_names])

    def log_prior(weights):
        return *priors.value_and_gradient(weights), priors.curvature(weights)

    return fit(Objective.of(data_model, delta, log_prior), like.default_weights, n_starts=1)


def relative(data_model, delta, weights):
    """ln L over that of as many halos at random."""
    return data_model.log_likelihood(delta, weights) - data_model.homogeneous(delta.size)


def measure(catalogue, mesh, arguments):
    """Words on the fit, and (SHELLS,) F, noise, pull and its error."""
    model, like = set_up(catalogue, mesh, arguments)
    target = FieldTarget(model)
    theory, grid = target.theory, target.grid
    x = to_modes(resample(read_truth(catalogue)["white_noise"], grid.n))
    start = dict(zip(like.weight_names, like.default_weights, strict=True))
    model.logposterior(start)
    delta = np.array(theory.get_matter_density())
    data_model = like.data_model(mesh[1])
    found = fitted(model, like, delta, data_model)
    forward = theory.get_forward_model()

    def score(halos):
        _, delta_bar, _ = halos.value_and_gradient(delta, found.weights)
        return forward.density_vjp(forward.density(x), delta_bar)

    def binned(a, b=None):
        return bin_spectrum(a, grid.shells, SHELLS + 1, b)[1:]

    rng = np.random.default_rng(arguments.seed)
    drawn, likely = [], []
    for _ in range(arguments.mocks):
        draw = draw_halos(rng, data_model, delta, found.weights)
        halos = dataclasses.replace(data_model, voxel=draw.voxel, t=draw.t)
        drawn.append(score(halos))
        likely.append(relative(halos, delta, found.weights))
    own = score(data_model)
    fisher = np.mean([binned(g) for g in drawn], axis=0)
    unit = (fisher + 1) * binned(x)
    error = np.std([binned(g, x) for g in drawn], axis=0) / unit
    likelihood = data_model.log_likelihood(delta, found.weights)
    above = (relative(data_model, delta, found.weights) - np.mean(likely)) / np.std(likely)
    rates = data_model.undisturbed_counts(delta, found.weights).ravel()
    counts, order = np.bincount(data_model.voxel, minlength=rates.size), np.argsort(-rates)
    ratios = [counts[order[:m]].sum() / rates[order[:m]].sum() for m in (100, 1000)]
    more = ", ".join(
        f"{name} {value:.2f}"
        for name, value in zip(like.weight_names, found.weights, strict=True)
        if name == "npe_c" or name.startswith(("exclusion_", "ln_"))
    )
    words = (
        f"ln L {likelihood:.1f} ({above:+.1f} sd of mocks), halos over expected in 100 and 1000 "
        f"voxels {ratios[0]:.2f} {ratios[1]:.2f}{', ' * bool(more)}{more}"
    )
    return words, fisher, binned(own) / fisher, binned(own, x) / unit, error


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalogues", nargs="+", metavar="CATALOGUE")
    parser.add_argument("--meshes", nargs="+", default=["32:32", "64:32"], metavar="N:M")
    parser.add_argument("--threshold", type=float, default=1e13)
    parser.add_argument("--theory", default="LPT", choices=["LPT", "ParticleMesh"])
    parser.add_argument("--scatter", default="poisson", choices=list(SCATTERS))
    parser.add_argument("--saturates", action="store_true", help="the option of the natural rate")
    parser.add_argument("--mocks", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)

    def row(name, values, form="{:7.3f}"):
        print(f"  {name:8s}", " ".join(form.format(value) for value in values), flush=True)

    print("  k       ", " ".join(f"{2 * np.pi / 250 * s:7.3f}" for s in range(1, SHELLS + 1)))
    for text in arguments.meshes:
        mesh = tuple(int(n) for n in text.split(":"))
        pulls = []
        for catalogue in arguments.catalogues:
            words, fisher, noise, pull, error = measure(catalogue, mesh, arguments)
            pulls.append(pull)
            print(f"{Path(catalogue).stem}, {text}: {words}")
            row("F", fisher, "{:7.1f}")
            row("noise", noise, "{:7.2f}")
            row("pull", pull)
            row("  +-", error)
        print(f"mean of {len(pulls)}, {text}")
        row("pull", np.mean(pulls, axis=0))


if __name__ == "__main__":
    main()
