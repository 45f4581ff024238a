"""The whole target, through Cobaya, against an independent JAX code (see tests/data/README.md)."""

import numpy as np
import pytest
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.catalogue import HaloCatalogue, write_catalogue


@pytest.mark.parametrize("n", [32, 64])
def test_log_posterior_and_gradients(n, reference, tmp_path):
    values = reference(n)
    box = float(values["box"])
    # Halos are given by voxel; both codes keep particle lattice and mesh on the same points.
    position = (values["halo_voxel_ijk"] + 0.5) * box / n
    write_catalogue(tmp_path / "mock.h5", HaloCatalogue(position, np.exp(values["lnM"]), box))
    model = get_model(
        {
            "theory": {
                "cobaya_neuralbias.EisensteinHu": {"wiggles": False, "T_cmb": 2.7255},
                "cobaya_neuralbias.LPT": {
                    "n_grid": n,
                    "box_size": box,
                    "order": 1,
                    "assignment": "cic",
                },
            },
            "likelihood": {
                "cobaya_neuralbias.NeuralBias": {
                    "catalogue": str(tmp_path / "mock.h5"),
                    "mass_threshold": float(values["Mth"]) * (1 - 1e-12),
                    "floor": float(values["floor"]),
                    "width_floor": 0.0,
                    "alpha_shift": 0.0,
                    "sigma_shift": 0.0,
                    "spacing": "relu",
                    "measure": "log_mass",
                    "parametrisation": "charnock2019",
                }
            },
            "params": {"omega_m": 0.315, "omega_b": 0.049, "h": 0.68, "sigma8": 0.81, "n_s": 0.97},
        }
    )
    target = field_target(model)
    value, d_phases, d_weights = target.value_and_gradient(values["x_true"], values["weights"])
    (like,) = target.likelihoods.values()
    expected = float(values["1LPT_truth_logpost"]) - like.log_reference(n)
    assert value == pytest.approx(expected, abs=1e-8 * abs(values["1LPT_truth_logpost"]))
    np.testing.assert_allclose(d_weights, values["1LPT_truth_grad_w"], rtol=1e-6)
    if n == 32:
        expected = values["1LPT_truth_grad_x"]
        np.testing.assert_allclose(d_phases, expected, atol=1e-6 * np.abs(expected).max())
        delta = target.forward_model.density(_modes(values["x_true"])).delta
        np.testing.assert_allclose(1 + delta, values["1LPT_truth_rho"], atol=1e-7)
    else:
        norm = float(values["1LPT_truth_grad_x_norm"])
        assert np.linalg.norm(d_phases) == pytest.approx(norm, rel=1e-6)
        corner = values["1LPT_truth_grad_x_corner"]
        np.testing.assert_allclose(d_phases[:8, :8, :8], corner, atol=1e-6 * np.abs(corner).max())


def _modes(field):
    from cobaya_neuralbias.gravity.fourier import to_modes

    return to_modes(field)
