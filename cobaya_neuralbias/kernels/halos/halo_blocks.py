"""Sums over halos that are sorted by voxel, for blocks of voxels at a time.

The halos of voxel ``voxel[v]`` are ``first[v]`` to ``first[v + 1] - 1``. Most voxels have one halo
or two, too few for a loop: those of a whole block stand in a row, and each knows its voxel's place
in the block.
"""

from ..jit import jit, vectorised
from .elementary import exp, log

# Voxels of a block: what is made of them and of their halos stays in the fastest caches.
BLOCK = 128


def n_blocks(voxel):
    """Blocks of the voxels that hold halos."""
    return -(-len(voxel) // BLOCK)


@jit
def largest_block(first, start, stop):
    """The most halos that one of the blocks ``start`` to ``stop - 1`` has."""
    most = 0
    for block in range(start, stop):
        end = min((block + 1) * BLOCK, first.size - 1)
        most = max(most, first[end] - first[block * BLOCK])
    return most


@jit
def expand(first, low, m, place):
    """Place of each halo's voxel among the m voxels from ``low`` on, into ``place``."""
    for k in range(m):
        for j in range(first[low + k] - first[low], first[low + k + 1] - first[low]):
            place[j] = k


@vectorised
def to_shares(terms, n, total):
    """Logarithms of terms, (n_components, >= n), become the terms' shares of their sum.

    Returns the sum over n of the logarithms of those sums; ``total`` (2, >= n) is overwritten.
    """
    largest, density = total[0], total[1]
    for j in range(n):
        largest[j] = terms[0, j]
        density[j] = 0.0
    for c in range(1, terms.shape[0]):
        term = terms[c]
        for j in range(n):
            largest[j] = max(largest[j], term[j])
    for c in range(terms.shape[0]):
        term = terms[c]
        for j in range(n):
            term[j] = exp(term[j] - largest[j])
            density[j] += term[j]
    value = 0.0
    for j in range(n):
        value += largest[j] + log(density[j])
        density[j] = 1.0 / density[j]
    for c in range(terms.shape[0]):
        term = terms[c]
        for j in range(n):
            term[j] *= density[j]
    return value
