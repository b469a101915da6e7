"""Arrays come back as they went, and the safetensors package agrees on every byte."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from recommender.errors import ArtifactError
from recommender.storage.registry.safetensors_file import (
    CHUNK_BYTES,
    DTYPES,
    non_finite,
    read_arrays,
    specs_of,
    write_arrays,
)

any_array = npst.arrays(
    st.sampled_from(sorted(DTYPES)), npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
)
any_arrays = st.dictionaries(st.text(max_size=8).filter(lambda name: name != "__metadata__"), any_array, max_size=4)


def stored_and_read(path: Path, arrays):
    return read_arrays(path, write_arrays(path, arrays), specs_of(arrays))


def is_same(one: np.ndarray, other: np.ndarray) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@settings(max_examples=60, deadline=None)
@given(any_arrays)
def test_every_dtype_and_shape_comes_back_bit_by_bit(arrays):
    with tempfile.TemporaryDirectory() as folder:
        found = stored_and_read(Path(folder) / "a.safetensors", arrays)

    assert found.keys() == arrays.keys()
    assert all(is_same(found[name], arrays[name]) for name in arrays)


@settings(max_examples=40, deadline=None)
@given(any_arrays)
def test_the_safetensors_package_reads_the_same(arrays):
    with tempfile.TemporaryDirectory() as folder:
        write_arrays(Path(folder) / "a.safetensors", arrays)
        found = safetensors.numpy.load_file(Path(folder) / "a.safetensors")

    assert found.keys() == arrays.keys()
    assert all(is_same(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12.0)[::-1],
        np.arange(12.0).reshape(3, 4)[:, 1::2],
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(12, dtype=">i4"),
        np.broadcast_to(np.float32(3), (2, 3)),
    ],
    ids=["transposed", "backwards", "strided", "fortran", "big-endian", "broadcast"],
)
def test_an_array_that_is_not_contiguous_comes_back_equal(tmp_path, array):
    found = stored_and_read(tmp_path / "a.safetensors", {"a": array})

    np.testing.assert_array_equal(found["a"], array)


def test_an_array_longer_than_a_chunk_comes_back_equal(tmp_path):
    array = np.arange(CHUNK_BYTES // 4 + 3, dtype=np.int32)

    found = stored_and_read(tmp_path / "a.safetensors", {"a": array, "flag": np.array(True)})

    np.testing.assert_array_equal(found["a"], array)


def test_arrays_are_aligned_read_only_and_share_one_memory(tmp_path):
    arrays = {"flag": np.array([True]), "a": np.arange(3.0), "b": np.arange(5, dtype=np.int16)}

    found = stored_and_read(tmp_path / "a.safetensors", arrays)

    assert all(array.flags.aligned and not array.flags.writeable for array in found.values())
    assert len({array.base.ctypes.data for array in found.values()}) == 1


def test_an_array_of_objects_is_refused():
    with pytest.raises(ArtifactError, match="'names' is of dtype object"):
        specs_of({"names": np.array(["a", None], dtype=object)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_one_value_that_is_not_finite_is_found(dtype, value):
    array = np.zeros((7, 3), dtype)
    array[6, 1] = value

    assert non_finite({"fine": np.ones(3), "whole": np.arange(3), "none": np.zeros(0), "bad": array}) == ["bad"]
