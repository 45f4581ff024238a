"""The memory that a mesh is refused for: the estimate against what a gradient allocates."""

import copy

import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.bench.timing import peak_memory
from cobaya_neuralbias.theories import memory

LPT, MESH = "cobaya_neuralbias.LPT", "cobaya_neuralbias.ParticleMesh"
N = 40
# Bytes of halos, tables and the edges of meshes: of a process, rather than of a voxel.
OF_HALOS = 1e6


def with_theory(info, theory, **options):
    """The same with another theory, on a mesh of N voxels a side."""
    info = copy.deepcopy(info)
    common = info["theory"].pop(LPT)
    info["theory"][theory] = {**common, "n_grid": N, **options}
    return info


@pytest.mark.parametrize(
    ("theory", "options"),
    [
        (LPT, {}),
        (LPT, {"order": 1, "dtype": "float32"}),
        (LPT, {"rsd": "z"}),
        (LPT, {"bias_grid": N // 2}),
        (LPT, {"bias_grid": N // 4, "order": 1}),
        (LPT, {"bias_grid": N // 2, "rsd": "x", "dtype": "float32"}),
        (LPT, {"bias_grid": N // 2, "particles_per_voxel": 8}),
        (LPT, {"particles_per_voxel": 8, "dtype": "float32"}),
        (LPT, {"particles_per_voxel": 8, "particle_interpolation": "fourier"}),
        (LPT, {"rsd": "radial", "observer": [50.0, 50.0, 50.0]}),
        (LPT, {"light_cone": True, "observer": [50.0, 50.0, 50.0], "order": 1}),
        (LPT, {"rsd": "radial", "observer": [50.0, 50.0, 50.0], "particles_per_voxel": 8}),
        (LPT, {"transforms": "library"}),
        (MESH, {}),
        (MESH, {"n_steps": 1, "dtype": "float32"}),
        (MESH, {"rsd": "x"}),
        (MESH, {"rsd": "radial", "observer": [50.0, 50.0, 50.0]}),
        (MESH, {"rsd": "radial", "observer": [0.0, 0.0, 0.0], "particles_per_voxel": 8}),
        (MESH, {"mesh_factor": 2}),
        (MESH, {"mesh_factor": 2, "transforms": "library"}),
        (MESH, {"bias_grid": N // 2}),
        (MESH, {"bias_grid": N // 2, "mesh_factor": 2}),
        (MESH, {"particles_per_voxel": 8, "deconvolve": True}),
    ],
)
def test_of_a_gradient(small_model, theory, options):
    """All numpy arrays at the worst moment: never more than estimated, and not much less."""
    info, found = with_theory(small_model, theory, **options), []

    def gradient():
        target = field_target(get_model(info))
        found.append(target.theory)
        (likelihood,) = target.likelihoods.values()
        modes, weights = target.theory.get_modes(), likelihood.default_weights
        return [lambda: target.modes_value_and_gradient(modes, weights)]

    gradient()  # what is allocated once and has nothing to do with it
    estimate = N**3 * memory.of_gradient(found[0]) + OF_HALOS
    assert 0.82 < peak_memory(gradient) / estimate < 1


@pytest.mark.parametrize("share", [0.9, 1.1, 2])
def test_refused_where_there_is_less(small_model, share, monkeypatch, caplog):
    info = with_theory(small_model, LPT)
    theory = field_target(get_model(info)).theory
    needed = memory.OF_PROCESS + memory.of_gradient(theory) * N**3
    sampler = memory.OF_SAMPLER * N**3
    limits = {0.9: needed - 1, 1.1: needed + sampler - 1, 2: needed + sampler + 1}
    monkeypatch.setattr(memory, "memory_limit", lambda: limits[share])
    if share < 1:
        with pytest.raises(LoggedError):
            get_model(info)
    else:
        get_model(info)
    told = [r.getMessage() for r in caplog.records if "takes about" in r.getMessage()]
    assert len(told) == (share < 2)
    assert all("A gradient on 40^3 voxels" in message for message in told)
