"""Field-level inference with a neural halo-bias model, as components of the Cobaya framework.

The public names load on first use, so importing the package costs milliseconds and no Cobaya.
"""

from importlib import import_module

__version__ = "0.2.0"

_HOMES = {
    "EisensteinHu": ".theories.eisenstein_hu",
    "LPT": ".theories.lpt",
    "NeuralBias": ".likelihoods.neural_bias",
    "Neyrinck": ".likelihoods.neyrinck",
    "ParticleMesh": ".theories.particle_mesh",
    "QNHMC": ".qnhmc.sampler",
    "field_target": ".posterior.target",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
