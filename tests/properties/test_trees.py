"""Any tree of arrays, numbers and strings that goes into an HDF5 file comes out of it."""

import h5py
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cobaya_neuralbias.atomic_files import load_state, read_tree, save_state, write_tree

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
# A slash separates groups, and "." is the group itself.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1).filter(
    lambda name: set(name) != {"."}
)
DTYPES = st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_])
ARRAYS = DTYPES.flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_side=4, min_side=0))
)
LEAVES = st.one_of(ARRAYS, st.floats(), st.integers(-(2**63), 2**63 - 1), st.booleans(), TEXT)
TREES = st.dictionaries(
    NAMES, st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3))
)


def assert_equal(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_equal(found[name], expected[name])
    elif isinstance(expected, str):
        assert found == expected and type(found) is str
    else:
        assert np.asarray(found).dtype == np.asarray(expected).dtype
        np.testing.assert_array_equal(found, expected)


@given(TREES)
def test_tree(tree):
    with h5py.File("tree.h5", "w", driver="core", backing_store=False) as file:
        write_tree(file, tree)
        assert_equal(read_tree(file), tree)


@given(TREES)
def test_state(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("state") / "run.state.h5"
    save_state(path, tree)
    assert_equal(load_state(path), tree)
