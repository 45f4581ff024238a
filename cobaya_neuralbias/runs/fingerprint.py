"""What a run must have in common with the one it goes on from: version, options, priors, data."""

import hashlib
import json

from .. import __version__

# Of a parameter or component: names, where a run starts, and how fast or careful it is
_IRRELEVANT = {
    *("latex", "renames", "ref", "proposal"),
    *("speed", "stop_at_error", "input_params", "output_params"),
}


def identity(sampler):
    """Everything that decides which chain ``sampler`` makes, once it has started.

    Options that its class or a component's has in Cobaya's ``_at_resume_prefer_new`` may change.

    Parameters
    ----------
    sampler : QNHMC

    Returns
    -------
    dict of str: dotted path of an option -> its value as JSON; ``data.NAME`` -> the digest of the
    halos and the mask of a likelihood, whatever files they came from
    """
    model = sampler.model
    components = {**model.likelihood, **model.theory}
    info = model.info()
    info["sampler"] = {sampler.get_name(): sampler.info()}
    components[sampler.get_name()] = sampler
    out = {"version of cobaya_neuralbias": json.dumps(__version__)}
    out["number of chains"] = str(sampler.chains.number)
    for block in ("params", "prior", "likelihood", "theory", "sampler"):
        for name, options in (info.get(block) or {}).items():
            ignored = _IRRELEVANT.union(getattr(components.get(name), "_at_resume_prefer_new", ()))
            _flatten(out, f"{block}.{name}", options, ignored)
    for name, likelihood in sampler.target.likelihoods.items():
        out[f"data.{name}"] = _digest(likelihood.data)
    return out


def _flatten(out, path, value, ignored):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if key not in ignored:
                _flatten(out, f"{path}.{key}", inner, ignored)
    else:
        # Of a Python function only the name can be told.
        out[path] = json.dumps(value, default=lambda x: getattr(x, "__qualname__", str(type(x))))


def _digest(arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def difference(theirs, mine):
    """What differs first between two identities, in words; None if nothing does."""
    for name in (*mine, *theirs):
        before, now = (side.get(name, "not there") for side in (theirs, mine))
        if before != now:
            return f"its {name} is {before}, this run's is {now}"
    return None
