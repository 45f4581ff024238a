"""What the figures of a report show, and how to read them: captions and alternative texts."""

#: Name of a figure -> (title, caption), in the order of the page. A name may be followed by "_" and
#: that of a likelihood.
CAPTIONS = {
    "fields": (
        "Maps of a slab",
        "Initial conditions above, the density of today and the halos below. The mean should show "
        "the truth's structures, washed out where halos do not tell; one sample should look as "
        "rough as the truth.",
    ),
    "cross_correlation": (
        "Correlation with the truth",
        "1 is perfect, 0 is no relation. The mean is closer to the truth than a single sample, and "
        "both fall where the halos are too few to tell.",
    ),
    "power_spectrum": (
        "Power of the initial conditions",
        "The posterior should lie within the grey band of the prior and, where the truth is known, "
        "the circles within the blue bands. A drift at high k means that small scales of the halos "
        "are explained by the field.",
    ),
    "mass_function": (
        "Halos by mass, or mark, and density",
        "Left, their distribution by mass in quarters of the volume by density; right, data over "
        "the mean of the draws. The points should lie within the bands: of ten, about seven in the "
        "darker.",
    ),
    "weights_trace": (
        "Bias weights along the chain",
        "A converged chain looks like noise around a level from beginning to end, and several "
        "chains lie on each other. A drift means that the run is too short.",
    ),
    "warm_up": (
        "From the cold start on",
        "The power of the field, and each weight, in the warm-up (negative numbers) and in the "
        "samples. All lines should have settled before the solid line, where the samples begin.",
    ),
    "triangle": (
        "Posterior of the parameters",
        "On the diagonal the density of each, below it that of each pair with 68 and 95 per cent "
        "contours. Long thin contours are degeneracies, which take long to explore. The weights "
        "are those that mix worst: see their effective samples before you trust a contour.",
    ),
    "compare_power": (
        "Power of the initial conditions, by run",
        "Mean and standard deviation of each run's posterior. Runs of the same volume should agree "
        "within their bars; the grey band is the scatter of one draw from the prior.",
    ),
    "compare_correlation": (
        "Correlation with the truth, by run",
        "Of each run's posterior mean. The run whose line is higher has learned more of the "
        "initial conditions.",
    ),
    "compare_weights": (
        "Weights in common",
        "The mean of each run less that of the first, in units of the first one's standard "
        "deviation; bars are standard deviations. Runs of one posterior should agree about 0.",
    ),
}


def known(name):
    """The name in ``CAPTIONS`` of a figure, which may have that of a likelihood; "" if none."""
    names = sorted(CAPTIONS, key=len, reverse=True)
    return next((one for one in names if name == one or name.startswith(f"{one}_")), "")


def caption_of(name):
    """(title, caption) of a figure of that name; the name itself and "" if there is none."""
    if not (of := known(name)):
        return name, ""
    title, caption = CAPTIONS[of]
    return f"{title}: {name.removeprefix(f'{of}_')}" if name != of else title, caption


def reading_order(file):
    """Sorts files of figures as ``CAPTIONS`` does; unknown ones come last."""
    name = file.rpartition(".")[0]
    of = known(name)
    return (list(CAPTIONS).index(of) if of else len(CAPTIONS)), name
