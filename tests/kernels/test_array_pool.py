"""Arrays whose memory is used again: never while anyone holds them."""

import pickle
import threading

import numpy as np
import pytest

from cobaya_neuralbias.kernels import array_pool

SHAPE = (40, 30, 20)


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again():
    first = array_pool.empty(SHAPE)
    place = address(first)
    del first
    assert address(array_pool.empty(SHAPE)) == place


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a[3],
        lambda a: a.reshape(-1)[5::7],
        lambda a: a.T[1:].view(np.int64),
        lambda a: np.asarray(memoryview(a)),
    ],
)
def test_not_while_it_is_held(view):
    first = array_pool.empty(SHAPE)
    first[:] = 3.0
    place, held = address(first), view(first)
    expected = held.copy()
    del first
    others = [array_pool.empty(SHAPE) for _ in range(5)]
    for other in others:
        other[:] = 7.0
    assert place not in map(address, others)
    np.testing.assert_array_equal(held, expected)
    del held, other, others
    assert place in {address(array) for array in [array_pool.empty(SHAPE) for _ in range(8)]}


@pytest.mark.parametrize("shape", [7, (3, 4), SHAPE, (2, *SHAPE)])
@pytest.mark.parametrize("dtype", [float, np.float32, np.int64])
def test_is_an_array_like_any_other(shape, dtype):
    array = array_pool.zeros(shape, dtype)
    expected = np.zeros(shape, dtype)
    assert array.shape == expected.shape and array.dtype == expected.dtype
    assert array.flags.c_contiguous and array.flags.writeable and not array.any()
    array[...] = np.arange(array.size).reshape(array.shape)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array)), array)
    if array.nbytes >= array_pool.SMALLEST:
        assert address(array) % 64 == 0


def test_used_memory_is_cleared_by_zeros():
    dirty = array_pool.empty(SHAPE)
    dirty[:] = 5.0
    del dirty
    assert not array_pool.zeros(SHAPE).any()


def test_threads_get_different_memory():
    wrong = []

    def work(mark):
        for _ in range(300):
            array = array_pool.empty(SHAPE)
            array[:] = mark
            if not (array == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
