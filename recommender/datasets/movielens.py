"""MovieLens-100k: downloaded on first use, verified by checksum, cached.

F. M. Harper and J. A. Konstan, The MovieLens Datasets: History and Context, 2015. Its licence forbids
redistribution, so this package carries no copy.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from recommender.datasets.dataset import Dataset
from recommender.errors import DownloadError
from recommender.storage.atomic_files import replacing, user_cache

NAME = "movielens-100k"
URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
CONNECT_TIMEOUT_S = 5
PIP_TIMEOUT_S = 300
WHEEL = "recbole==1.2.1"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k/"
CHUNK = 1 << 16

ARCHIVE = "ml-100k.zip"
FAULTS = (OSError, subprocess.SubprocessError, zipfile.BadZipFile, http.client.HTTPException, KeyError)
"""What goes wrong where files are fetched, unpacked and kept."""

GROUPLENS = {
    ARCHIVE: "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
}
RECBOLE = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]

# (V) marks the one film that was made for video
_YEAR = re.compile(r"^(.*?)\s*\((\d{4})\)\s*(?:\(V\)\s*)?$")


def cache_folder() -> Path:
    """Where fetched data is kept: ``$RECOMMENDER_CACHE``, or ``~/.cache/lightfm-serve``."""
    return user_cache() / NAME


def fetch() -> Path:
    """Make sure that the data is in the cache; returns its folder.

    Raises
    ------
    DownloadError
        Neither GroupLens nor the package index gave it.
    """
    folder = cache_folder()
    if _is_whole(folder, GROUPLENS) or _is_whole(folder, RECBOLE):
        return folder
    faults: list[str] = []
    for source, take, expected in (
        ("GroupLens", _from_grouplens, GROUPLENS),
        (f"pip download {WHEEL}", _from_recbole, RECBOLE),
    ):
        try:
            _keep(folder, take(), expected)
        except (*FAULTS, DownloadError) as error:
            faults.append(f"{source}: {error}")
        else:
            return folder
    raise DownloadError(
        f"{NAME} could not be fetched ({'; '.join(faults)}). Download {URL} and put it at {folder / ARCHIVE}"
    )


def load() -> Dataset:
    """Load the data set, fetching it first if need be.

    Every rating is an interaction of weight 1: its stars say whether the film was liked, which is not
    how often or how strongly it was watched. Users have age, gender and occupation (the zip code is nearly
    one category a user and left out), items a title, release year and genres.
    """
    folder = fetch()
    return from_grouplens(folder / ARCHIVE) if _is_whole(folder, GROUPLENS) else from_recbole(folder)


def from_grouplens(archive: Path) -> Dataset:
    """Read the original zip."""
    with zipfile.ZipFile(archive) as content:
        ratings = _table(content, "u.data", "\t", ["user_id", "item_id", "rating", "timestamp"])
        users = _table(content, "u.user", "|", ["user_id", "age", "gender", "occupation", "zip_code"])
        items = _table(content, "u.item", "|", ["item_id", "name", "date", "video", "url", *GENRES])
    flags = items[GENRES].to_numpy() == "1"
    items["genres"] = [[genre for genre, flag in zip(GENRES, row, strict=True) if flag] for row in flags]
    return _dataset(ratings, users, items)


def from_recbole(folder: Path) -> Dataset:
    """Read the three files of the RecBole wheel."""
    ratings = _atomic(folder / "ml-100k.inter", ["user_id", "item_id", "rating", "timestamp"])
    users = _atomic(folder / "ml-100k.user", ["user_id", "age", "gender", "occupation", "zip_code"])
    items = _atomic(folder / "ml-100k.item", ["item_id", "title", "year", "class"])
    items["genres"] = items["class"].str.split()
    # RecBole took what was last in brackets for the year, and misspells the one film without name and year
    items["name"] = (items["title"] + " (" + items["year"] + ")").replace("unkonwn (unkonwn)", "unknown")
    return _dataset(ratings, users, items)


def _dataset(ratings: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> Dataset:
    interactions = pd.DataFrame(
        {
            "user_id": ratings["user_id"],
            "item_id": ratings["item_id"],
            "weight": np.ones(len(ratings), np.float32),
            "timestamp": ratings["timestamp"].astype(np.float64),
        }
    )
    users["age"] = users["age"].astype(int)
    named = [_title_and_year(name) for name in items["name"]]
    items["title"] = [title for title, _ in named]
    items["release_year"] = pd.Series([year for _, year in named], dtype=object)
    return Dataset(
        interactions,
        users.set_index("user_id")[["age", "gender", "occupation"]],
        items.set_index("item_id")[["title", "release_year", "genres"]],
    )


def _title_and_year(name: str) -> tuple[str, int | None]:
    match = _YEAR.match(name)
    return (match[1], int(match[2])) if match else (name.strip(), None)


def _table(archive: zipfile.ZipFile, member: str, separator: str, names: list[str]) -> pd.DataFrame:
    with archive.open(f"ml-100k/{member}") as file:
        return pd.read_csv(
            file, sep=separator, names=names, dtype=str, encoding="latin-1", keep_default_na=False, quoting=3
        )


def _atomic(path: Path, names: list[str]) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", names=names, header=0, dtype=str, keep_default_na=False, quoting=3)


def _is_whole(folder: Path, expected: Mapping[str, str]) -> bool:
    return all(
        (folder / name).is_file() and _sha256((folder / name).read_bytes()) == sha for name, sha in expected.items()
    )


def _keep(folder: Path, files: Mapping[str, bytes], expected: Mapping[str, str]) -> None:
    for name, content in files.items():
        if _sha256(content) != expected[name]:
            raise DownloadError(f"{name} is not the file it should be (sha256 {_sha256(content)})")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)


def _from_grouplens() -> dict[str, bytes]:
    with urllib.request.urlopen(URL, timeout=CONNECT_TIMEOUT_S) as answer:
        total = int(answer.headers.get("content-length", 0)) or None
        with tqdm(total=total, desc=ARCHIVE, unit="B", unit_scale=True, disable=None) as bar:
            return {ARCHIVE: b"".join(_counted(lambda: answer.read(CHUNK), bar))}


def _counted(read: Callable[[], bytes], bar: tqdm[Any]) -> list[bytes]:
    parts: list[bytes] = []
    while part := read():
        parts.append(part)
        bar.update(len(part))
    return parts


def _from_recbole() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder, tqdm(total=2, desc=WHEEL, unit="step", disable=None) as bar:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
        if done.returncode:
            raise DownloadError("".join(done.stderr.strip().splitlines()[-1:]) or f"exit status {done.returncode}")
        bar.update()
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as content:
            files = {name: content.read(WHEEL_FOLDER + name) for name in RECBOLE}
        bar.update()
        return files


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
