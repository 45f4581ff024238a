"""The posterior of sigma8 on a mesh of 4^3 voxels, by a chain and by the sum over all fields.

With so few modes and halos, draws of the field from its prior cover the posterior: the likelihood
averaged over them is that of sigma8 alone. No sampler, no gradient and no model of the power has a
part in it.
"""

import numpy as np
import pytest
from cobaya.model import get_model
from cobaya.run import run

from cobaya_neuralbias import field_target
from cobaya_neuralbias.catalogue import HaloCatalogue, write_catalogue
from cobaya_neuralbias.sampling import diagnostics

pytestmark = pytest.mark.slow

N, BOX, THRESHOLD, N_HALOS = 4, 60.0, 1e13, 12
GRID = 0.3 + 0.1 * (np.arange(14) + 0.5)  # midpoints, over the prior
N_FIELDS = 6000


def info_of(folder, sampler=None):
    """Halos that cluster in one corner of the box, more than they would by chance."""
    path = folder / "halos.h5"
    rng = np.random.default_rng(2)
    position = BOX * rng.uniform(size=(N_HALOS, 3)) ** 1.5
    mass = THRESHOLD * rng.uniform(size=N_HALOS) ** -0.9
    write_catalogue(path, HaloCatalogue(position, mass, BOX), overwrite=True)
    return {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": BOX, "order": 2},
        },
        "likelihood": {
            "cobaya_neuralbias.NeuralBias": {"catalogue": str(path), "mass_threshold": THRESHOLD}
        },
        "params": {
            "sigma8": {"prior": {"min": 0.3, "max": 1.7}, "ref": 0.9, "proposal": 0.2},
            **{"omega_m": 0.3, "omega_b": 0.05, "h": 0.7, "n_s": 0.97},
        },
        **({"sampler": {"cobaya_neuralbias.QNHMC": sampler}} if sampler else {}),
    }


def by_brute_force(folder):
    """Mean and standard deviation of sigma8; error of the mean, from two halves of the fields."""
    target = field_target(get_model(info_of(folder)))
    weights = target.likelihoods["cobaya_neuralbias.NeuralBias"].default_weights
    fields = np.random.default_rng(7).standard_normal((N_FIELDS, N, N, N))
    log_likelihood = np.empty((len(GRID), N_FIELDS))
    for row, sigma8 in zip(log_likelihood, GRID, strict=True):
        target.evaluate(fields[0], weights, [sigma8])
        for i, modes in enumerate(fields):
            delta = target.forward_model.density(modes).delta
            row[i] = target.likelihood_and_gradient(delta, weights)[0]
    of_fields = np.exp(log_likelihood - log_likelihood.max())

    def moments(likelihood):
        mean = np.average(GRID, weights=likelihood)
        return mean, np.sqrt(np.average((GRID - mean) ** 2, weights=likelihood))

    halves = [moments(of_fields[:, i::2].mean(1))[0] for i in (0, 1)]
    return *moments(of_fields.mean(1)), abs(halves[0] - halves[1]) / 2


def test_sigma8_is_that_of_the_sum_over_fields(tmp_path):
    mean, sd, error = by_brute_force(tmp_path)
    assert mean < 0.8 and error < 0.02  # the data tell something, and the sum has converged
    sampler = {
        **{"seed": 3, "warmup": 400, "max_samples": 3000, "weights": "fixed", "store_every": 0},
        **{"metropolis_updates": 1, "mixed_updates": 0},
    }
    _, chain = run(info_of(tmp_path, sampler))
    assert list(chain.state.guided.model["index"]) == [0]
    draws = chain.samples().data["sigma8"].to_numpy(dtype=float)
    squares = (draws - mean) ** 2
    for values, expected in ((draws, mean), (squares, sd**2)):
        noise = values.std() / np.sqrt(diagnostics.ess(values[None]))
        noise = np.hypot(noise, error if values is draws else 2 * sd * error)
        assert abs(values.mean() - expected) < 4 * noise
        assert noise < 0.1 * values.std()
