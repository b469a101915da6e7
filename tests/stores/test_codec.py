"""Records survive as bytes, and no bytes do harm."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.dense_vectors.packing import CODE, Vector, pack_vector
from recommender.errors import InvalidDataError, StoreError
from recommender.stores.codec import FORMAT, pack, unpack_event, unpack_item, unpack_user
from recommender.stores.protocols import Interaction, UnreadableEntry, UserDeleted
from tests.support.store_servers import click, item, user


def test_each_kind_comes_back_equal() -> None:
    assert unpack_user(pack(user("a", x=[]))) == user("a", x=[])
    assert unpack_item(pack(item("a", y=1))) == item("a", y=1)
    assert unpack_event(pack(click("a", "b", "c"))) == click("a", "b", "c")
    assert unpack_event(pack(UserDeleted("a"))) == UserDeleted("a")


def test_nothing_stays_nothing() -> None:
    assert unpack_user(None) is None
    assert unpack_item(None) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_the_documented_error(found: bytes) -> None:
    for packed in (found, FORMAT + found):
        for unpack in (unpack_user, unpack_item):
            with contextlib.suppress(StoreError):
                unpack(packed)
        assert isinstance(unpack_event(packed), Interaction | UserDeleted | UnreadableEntry)


@given(st.data())
def test_a_flipped_byte_is_a_record_or_poison(data: st.DataObject) -> None:
    packed = bytearray(pack(click("user", "item", "id")))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))

    assert isinstance(unpack_event(bytes(packed)), Interaction | UserDeleted | UnreadableEntry)


def test_a_number_beyond_64_bits_is_named() -> None:
    with pytest.raises(InvalidDataError, match="User cannot be stored"):
        pack(user("a", x=2**64))


def test_a_dense_vector_comes_back_equal_in_two_bytes_a_number() -> None:
    vector = pack_vector([0.1] * 384)
    packed = pack(item("a", text=vector, tags=["b"]))

    assert unpack_item(packed) == item("a", text=vector, tags=["b"])
    assert len(packed) < 2 * 384 + 60


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01", b"\x00\x01\x02", b"\x00" * 6])
def test_bytes_that_are_no_vector_are_the_documented_error(data: bytes) -> None:
    with pytest.raises(StoreError, match="the vector of feature 'text' is none"):
        unpack_item(pack(item("a", text=Vector(CODE, data))))
    with pytest.raises(StoreError, match="is none"):
        unpack_user(pack(user("a", text=Vector(CODE + 1, pack_vector([0.5, 1.5]).data))))
