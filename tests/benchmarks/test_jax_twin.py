"""The JAX twin that other packages' samplers move in is the posterior that ours does."""

from pathlib import Path

import numpy as np
import pytest
from cobaya.model import get_model
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias import field_target

ROOT = Path(__file__).parents[2]


@pytest.fixture
def jax_twin(monkeypatch):
    pytest.importorskip("jax", reason="the twin is written in JAX: the extra `benchmarks`")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import jax_twin

    return jax_twin


def quickstart(n_grid, **likelihood):
    """Target of the quick start's posterior on another mesh."""
    info = yaml_load_file(str(ROOT / "yaml" / "quickstart.yaml"))
    info["theory"]["cobaya_neuralbias.LPT"]["n_grid"] = n_grid
    info["likelihood"]["cobaya_neuralbias.NeuralBias"] |= likelihood
    return field_target(get_model({k: info[k] for k in ("theory", "likelihood", "params")}))


def test_log_posterior_and_gradient(jax_twin):
    import jax

    target = quickstart(12)
    gradient_of_twin = jax.jit(jax.value_and_grad(jax_twin.twin_of(target).log_posterior))
    (likelihood,) = target.likelihoods.values()
    rng = np.random.default_rng(3)
    for scatter in (0.0, 0.05):
        weights = likelihood.default_weights
        weights = weights + scatter * rng.standard_normal(len(weights))
        z = np.concatenate([rng.standard_normal(12**3), weights])
        value, gradient = target.flat(z)
        twin_value, twin_gradient = gradient_of_twin(z)
        whole = value + likelihood.log_reference(12)
        assert float(twin_value) == pytest.approx(whole, rel=1e-9)
        for part in (slice(12**3), slice(12**3, None)):
            largest = np.abs(gradient[part]).max()
            np.testing.assert_allclose(twin_gradient[part], gradient[part], atol=1e-9 * largest)


def test_another_model_is_refused(jax_twin):
    with pytest.raises(ValueError, match="weights"):
        jax_twin.twin_of(quickstart(8, multipoles=[0, 1, 2]))
