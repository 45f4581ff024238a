"""Sums of products on the thread that asks for them.

``a @ b`` and ``np.vdot`` of long vectors wake the threads of numpy's linear-algebra library, which
then wait for more work by spinning: a run of one thread would take every core of the machine.
"""

import numpy as np

# Elements that are summed naively, at a time
BLOCK = 1024


def dot(a, b):
    """Sum of the products of two arrays of one shape, as a float.

    The sum over blocks is pairwise, so its error grows with the block, not with the array.
    """
    a, b = np.ravel(a), np.ravel(b)
    n = a.size // BLOCK * BLOCK
    blocks = np.einsum("ij,ij->i", a[:n].reshape(-1, BLOCK), b[:n].reshape(-1, BLOCK))
    return float(np.sum(blocks)) + float(np.einsum("i,i->", a[n:], b[n:]))
