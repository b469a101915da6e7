"""Exposures as a Parquet file."""

from recommender.datasets.exposure_file import read_exposures, write_exposures


def record(name: str, *items: dict) -> dict:
    about = {"user_id": "u", "placement": None, "model_version": "7", "experiment": None, "variant": None, "at": 1.5}
    return {"recommendation_id": name, **about, "items": list(items)}


def test_what_was_written_comes_back(tmp_path):
    item = {"item_id": "a", "position": 1, "propensity": 0.25, "interactions": {"click": 2, "buy": 1}}
    plain = {"item_id": "b", "position": 2}
    path, rows = write_exposures(tmp_path, [record("1", item, plain), record("2")])

    assert rows == 2
    first, second = read_exposures(path)
    assert first["items"] == [item, {**plain, "propensity": None, "interactions": {}}]
    assert second == record("2")
