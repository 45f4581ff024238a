"""Cobaya's `bao.generic`, without the data that `cobaya-install` would have to fetch first."""

from cobaya.likelihoods.base_classes import BAO


class BAOFromFiles(BAO):
    """Options `path`, `measurements_file`, `cov_file`, `rs_fid`: those of `bao.generic`."""

    install_options = {}
