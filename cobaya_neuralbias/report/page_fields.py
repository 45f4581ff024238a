"""Pictures of slabs through the fields, as the page shows them: PNG of few colours, in base64."""

import matplotlib
import numpy as np

from .page_images import picture

# Colours of a picture. Fewer take less room: noise is what the fields mostly are.
LEVELS = 64
GREY = (0.75, 0.75, 0.75)
# Of the values, in per cent, those at the ends of the colours
ENDS = (0.5, 99.5)
SMALLEST_DENSITY = 1e-3  # of 1 + delta: a resampled truth can dip below zero

DENSITY = "linear density contrast \N{GREEK SMALL LETTER DELTA}"
LOG_DENSITY = "log\N{SUBSCRIPT ONE}\N{SUBSCRIPT ZERO}(1 + \N{GREEK SMALL LETTER DELTA})"
SD_LABEL = "sd of \N{GREEK SMALL LETTER DELTA}"
TITLES = {
    "truth": ("truth", "what the catalogue was made from"),
    "mean": ("mean", "posterior mean: what the data tell"),
    "sample": ("one sample", "one draw from the posterior: as rough as the field itself"),
}
SD = {
    "initial": "standard deviation over the stored samples: small where halos tell",
    "final": "standard deviation over the stored samples: it grows with the density",
}


def pictures(slabs):
    """Groups of panels of a :class:`.slabs.Slabs`, for the template.

    Returns
    -------
    list of dict: ``title`` of the group, and its ``panels``, each a dict of ``title``, ``words``,
    ``images`` (one a slab, base64 of PNG), ``bar`` (the same, of its colours), ``low``, ``high``
    (values at its ends), ``label`` (of the values) and ``grey`` (what is grey, or "")
    """
    fields = slabs.fields
    linear = np.percentile(np.abs(fields["initial_sample"]), ENDS[1])
    log = {
        name: np.log10(np.maximum(1 + fields[name], SMALLEST_DENSITY))
        for name in ("final_truth", "final_mean", "final_sample")
        if name in fields
    }
    ends = tuple(np.percentile(log["final_sample"], ENDS))
    groups = [
        {"title": "Initial conditions (linear density)", "panels": []},
        {"title": "Density at the catalogue's redshift, and halos", "panels": []},
    ]
    for group, which in zip(groups, ("initial", "final"), strict=True):
        for kind, (title, words) in TITLES.items():
            if (name := f"{which}_{kind}") in fields:
                if which == "initial":
                    panel = _drawn(fields[name], "RdBu_r", (-linear, linear), DENSITY)
                else:
                    panel = _drawn(log[name], "magma", ends, LOG_DENSITY)
                group["panels"].append({"title": title, "words": words, **panel})
        std = fields.get(f"{which}_std")
        if std is not None and std.any():
            panel = _drawn(std, "cividis", (0.0, np.percentile(std, ENDS[1])), SD_LABEL)
            group["panels"].append({"title": "sd", "words": SD[which], **panel})
    halos = [name for name in fields if name.startswith("halos/")]
    for name in halos:
        title = "halos" + f" of {name.partition('/')[2]}" * (len(halos) > 1)
        top = max(fields[name].max(), 1.0)
        panel = _drawn(fields[name], "viridis", (0.0, top), "halos a pixel", "none")
        words = "number of halos of the catalogue"
        groups[1]["panels"].append({"title": title, "words": words, **panel})
    if "observed" in fields:
        panel = _drawn(fields["observed"], "cividis", (0.0, 1.0), "observed part")
        words = "where there are data: elsewhere the field is that of the prior"
        groups[1]["panels"].append({"title": "data", "words": words, **panel})
    return groups


def _drawn(values, colours, ends, label, grey=""):
    """What :func:`pictures` says of a panel; where ``grey`` is given, a value of 0 is grey."""
    low, high = (float(end) for end in ends)
    palette = matplotlib.colormaps[colours](np.linspace(0, 1, LEVELS))[:, :3]
    level = np.rint(np.clip((values - low) / ((high - low) or 1.0), 0, 1) * (LEVELS - 1))
    if grey:
        # Level 0 is of 0 alone.
        level = np.where(values > 0, np.maximum(level, 1), 0)
        palette[0] = GREY
    palette = np.rint(255 * palette).astype(np.uint8)
    # Rows of a picture go down, y goes up.
    level = level.astype(np.uint8).transpose(2, 1, 0)[:, ::-1]
    return {
        "images": [picture(slab, palette) for slab in level],
        "bar": picture(np.arange(LEVELS, dtype=np.uint8)[None, bool(grey) :], palette),
        # The least of the numbers that have a colour
        "low": 1 if grey else low,
        "high": int(high) if grey else high,
        "label": label,
        "grey": grey,
    }
