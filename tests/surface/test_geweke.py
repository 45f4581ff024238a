"""Getting it right (Geweke 2004): model and sampler agree on one joint distribution.

Parameters and data have a joint distribution, p(z) p(data | z). Halos drawn from the model at z,
then a cycle of the sampler on the posterior of these halos, then new halos from where it ended:
a chain that leaves the joint distribution as it is, so its z must go on having their prior. A
mistake in the density, in its gradient's use, in the draws or in the kernel shows.
"""

import dataclasses

import numpy as np
import pytest
from cobaya.model import get_model
from exactness import FALSE_ALARM, chance_of_chains, frozen, statistics
from prior_model import N, model_info, prior_scale, write_placeholder

from cobaya_neuralbias import field_target
from cobaya_neuralbias.mock.draw import draw_halos
from cobaya_neuralbias.posterior.free_posterior import FreePosterior
from cobaya_neuralbias.posterior.layout import ParameterLayout
from cobaya_neuralbias.sampling import blocks, hamiltonian
from cobaya_neuralbias.sampling.metric import Metric

# Some 40 halos: few, so that phases and weights are soon far from what made the last ones.
ALPHA_SHIFT = -11.3
MOVES = blocks.Moves(length=2.0, max_steps=4, refresh=1.0, dense_updates=(1, 1), dense_steps=3)
STEP_SIZE = 0.7


class Joint:
    """The joint distribution of z = (modes, weights) and the halos, at 8^3.

    ``options`` are those of :func:`model_info`; the first ``carry`` shells carry the others.
    """

    def __init__(self, folder, alpha_shift=ALPHA_SHIFT, carry=0, **options):
        write_placeholder(folder / "placeholder.h5")
        model = get_model(model_info(folder / "placeholder.h5", alpha_shift, **options))
        self.target = field_target(model)
        self.likelihood = self.target.likelihoods["bias"]
        self.mean = np.concatenate([np.zeros(N**3), self.likelihood.default_weights])
        scales = np.array([prior_scale(name) for name in self.target.weight_names])
        self.scale = np.concatenate([np.ones(N**3), scales])
        layout = ParameterLayout(self.target.grid, len(scales))
        self.posterior = FreePosterior(self.target, layout, carry)
        shells = self.target.grid.shells.ravel()
        self.shells = [shells == shell for shell in range(1, N // 2)]
        self.tuning = frozen(
            Metric(shells, np.ones(shells.max() + 1), np.diag(scales**2), self.mean[N**3 :]),
            *(STEP_SIZE, STEP_SIZE, self.posterior.dense_blocks),
        )
        self.tuning.carried_fractions += 1.0

    def draw_prior(self, rng):
        return self.mean + self.scale * rng.standard_normal(self.mean.size)

    def draw_data(self, rng, z):
        """New halos, of the model at ``z``, take the place of the likelihood's."""
        data_model = self.likelihood.data_model(self.target.density_grid.n)
        delta = self.target.forward_model.density(z[: N**3].reshape(N, N, N)).delta
        halos = draw_halos(rng, data_model, delta, z[N**3 :])
        drawn = dataclasses.replace(data_model, voxel=halos.voxel, t=halos.t)
        self.likelihood.data_model = lambda n: drawn

    def cycle(self, rng, z):
        """The position after one cycle on the posterior of the present halos."""

        posterior = self.posterior
        state = hamiltonian.init(posterior.value_and_gradient, z)
        state, info = blocks.cycle(
            *(rng, posterior.value_and_gradient, posterior.conditionals, state, self.tuning, MOVES),
            posterior.transport,
        )
        self.accepted = info.joint.accepted, *(dense.accepted for dense in info.dense)
        return state.position

    def numbers(self, z):
        """(n, q) of mean 0 and variance 1 under the prior: modes, weights, bins of P(k)."""
        u = (z - self.mean) / self.scale
        modes, weights = u[:, : N**3], u[:, N**3 :]
        few = np.flatnonzero(self.shells[0])[:6]
        power = [
            ((modes[:, shell] ** 2).sum(1) - shell.sum()) / np.sqrt(2 * shell.sum())
            for shell in self.shells
        ]
        moments = np.hstack([weights, (weights**2 - 1) / np.sqrt(2)])
        return np.hstack([moments, statistics(modes[:, few]), np.transpose(power)])

    def chains(self, n_chains, n_steps, seed=0, least_accepted=0.3):
        """(n_chains, n_steps, q) numbers along successive-conditional chains."""
        out, accepted = [], []
        for rng in np.random.default_rng(seed).spawn(n_chains):
            z, rows = self.draw_prior(rng), []
            for _ in range(n_steps):
                self.draw_data(rng, z)
                z = self.cycle(rng, z)
                rows.append(z)
                accepted.append(self.accepted)
            out.append(self.numbers(np.array(rows)))
        assert (np.mean(accepted, axis=0) >= least_accepted).all()
        return np.array(out)


@pytest.fixture
def joint(tmp_path):
    return Joint(tmp_path)


def test_joint_distribution_small(joint):
    assert chance_of_chains(joint.chains(2, 400), fewest=50) > FALSE_ALARM


@pytest.mark.slow
def test_joint_distribution(joint):
    assert chance_of_chains(joint.chains(2, 5000), fewest=500) > FALSE_ALARM


@pytest.mark.slow
@pytest.mark.parametrize("bias_grid", [None, N // 2])
def test_joint_distribution_of_modes_that_carry(tmp_path, bias_grid):
    joint = Joint(tmp_path, carry=1, theory={"bias_grid": bias_grid})
    assert joint.posterior.transport is not None
    assert chance_of_chains(joint.chains(2, 3000), fewest=300) > FALSE_ALARM


# Halos that exclude each other, of a density coarser than the field: voxels with several halos.
EXCLUSION = {
    "alpha_shift": -10.5,
    "options": {"scatter": "exclusion"},
    "theory": {"bias_grid": N // 2},
}


@pytest.mark.slow
def test_joint_distribution_of_exclusion(tmp_path):
    chains = Joint(tmp_path, **EXCLUSION).chains(2, 4000)
    assert chance_of_chains(chains, fewest=200) > FALSE_ALARM


def test_exclusion_that_is_left_out_of_the_draws_is_seen(tmp_path):
    joint = Joint(tmp_path, **{**EXCLUSION, "alpha_shift": -11.5})
    assert joint.target.weight_names[-1] == "exclusion_mass"
    exact = joint.draw_data

    def draw_data(rng, z):
        exact(rng, np.append(z[:-3], [-60.0] * 3))

    joint.draw_data = draw_data
    # More halos, for which the weights allow more again: soon no step fits.
    chains = joint.chains(2, 100, least_accepted=0.0)
    assert chance_of_chains(chains, fewest=0) < FALSE_ALARM


# Negative controls: one mistake each.


def spoil_draws(joint, change):
    """Replace what is drawn, (voxel, t), by ``change(voxel, t)``."""
    exact = joint.draw_data

    def draw_data(rng, z):
        exact(rng, z)
        drawn = joint.likelihood.data_model(N)
        voxel, t = change(drawn.voxel, drawn.t)
        changed = dataclasses.replace(drawn, voxel=voxel, t=t)
        joint.likelihood.data_model = lambda n: changed

    joint.draw_data = draw_data


def a_voxel_off(joint):
    """Halos are read as if the mesh began half a voxel elsewhere, and rounded."""
    spoil_draws(joint, lambda voxel, t: ((voxel + 1) % N**3, t))


def too_heavy(joint):
    """Masses in other units: ln M is a tenth farther above the threshold."""
    spoil_draws(joint, lambda voxel, t: (voxel, 1.1 * t))


def tempered(joint):
    """The likelihood to the power of 0.7."""
    exact = joint.likelihood.value_and_gradient
    joint.likelihood.value_and_gradient = lambda *at: tuple(0.7 * part for part in exact(*at))


def no_prior_of_weights(joint):
    """Of the prior's log density a quarter is left."""
    exact = joint.target.priors.value_and_gradient
    joint.target.priors.value_and_gradient = lambda w: tuple(part / 4 for part in exact(w))


def less_prior_of_phases(joint):
    """-0.4 |x|^2 in the place of -|x|^2/2."""
    exact = joint.target.modes_value_and_gradient

    def changed(modes, weights):
        value, modes_bar, weights_bar = exact(modes, weights)
        return value + 0.1 * np.vdot(modes, modes), modes_bar + 0.2 * modes, weights_bar

    joint.target.modes_value_and_gradient = changed


def test_misplaced_halos_are_seen(joint):
    a_voxel_off(joint)
    assert chance_of_chains(joint.chains(2, 150), fewest=0) < FALSE_ALARM


@pytest.mark.slow
@pytest.mark.parametrize(
    "mistake", [too_heavy, tempered, no_prior_of_weights, less_prior_of_phases]
)
def test_mistakes_are_seen(joint, mistake):
    mistake(joint)
    assert chance_of_chains(joint.chains(2, 400), fewest=0) < FALSE_ALARM
