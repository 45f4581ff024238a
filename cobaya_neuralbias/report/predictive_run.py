"""Draws from the stored samples of a run."""

import numpy as np

from ..errors import InputError
from ..gravity.fourier import linear_density
from ..mock.draw import place_halos
from ..mock.files import ModelPoint, file_names, write_mocks
from ..posterior.from_yaml import MODEL_BLOCKS
from .predictive import joined, predictive


def predict(run, n_draws, seed, folder=None, overwrite=False):
    """Compare draws from a run's posterior with its data.

    Parameters
    ----------
    run : Run
    n_draws : int, spread evenly over the stored samples
    seed : int
    folder : Path, optional, where to write the drawn catalogues
    overwrite : bool, whether they may replace others

    Returns
    -------
    results : dict, likelihood -> Predictive
    n_samples : int, stored samples used
    """
    which, times = np.unique(
        np.arange(n_draws) * len(run.white_noise) // n_draws, return_counts=True
    )
    names = list(run.likelihoods)
    files = [
        {} if folder is None else file_names(folder / f"{i:04d}.h5", names, overwrite)
        for i in range(1, n_draws + 1)
    ]
    streams = iter(np.random.SeedSequence(seed).spawn(n_draws))
    results = {name: [] for name in names}
    for row, sample, n_times in zip(which, run.samples(which), times, strict=True):
        for stream in [next(streams) for _ in range(n_times)]:
            catalogues = {}
            for name, branch in zip(names, stream.spawn(len(names)), strict=True):
                rng, drawn = np.random.default_rng(branch), []
                like = run.likelihoods[name]
                at = like.data_model(len(sample.delta)), sample.delta, sample.weights[name]
                try:
                    results[name].append(predictive(*at, rng, catalogues=drawn))
                    if folder is not None:
                        catalogues[name] = place_halos(
                            *(rng, drawn[0], run.density_grid, like.mass_threshold),
                            mark=like.quantity,
                        )
                except InputError as error:
                    raise InputError(
                        f"'{run.prefix}', likelihood '{name}', stored sample {row}: {error}"
                    ) from error
            if folder is not None:
                point = _point(run, sample)
                about = {"seed": seed, "run": run.prefix, "stored_sample": int(row)}
                write_mocks(point, files[len(results[names[0]]) - 1], catalogues, about, overwrite)
    return {name: joined(parts) for name, parts in results.items()}, len(which)


def _point(run, sample):
    info = run.target.model.info()
    return ModelPoint(
        info={block: info[block] for block in MODEL_BLOCKS if info.get(block)},
        grid=run.grid,
        density_grid=run.density_grid,
        redshift=run.redshift,
        likelihoods=run.likelihoods,
        parameters=sample.parameters,
        weights=sample.weights,
        white_noise=sample.white_noise,
        delta_linear=linear_density(run.grid, sample.white_noise, sample.linear_power),
        delta_final=sample.delta,
    )
