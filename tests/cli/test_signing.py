"""The command `signing`, and commands that load a version where the environment asks for signatures."""

import json

import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from lightfm_serve.cli.health_checks import examine
from recommender.storage.registry import Registry
from tests.support.shelves import registry_with
from tests.support.signed import OURS, THEIRS

OLDER, NEWEST = "00000001", "00000002"


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def state(tmp_path, monkeypatch):
    for name in ("RECOMMENDER_SIGNING_KEY", "RECOMMENDER_SIGNING_KEY_FILE", "RECOMMENDER_REQUIRE_SIGNED"):
        monkeypatch.delenv(name, raising=False)
    registry_with(tmp_path / "state" / "models", "ready", "ready")
    return tmp_path / "state"


@pytest.fixture
def key(state, tmp_path, monkeypatch):
    run("signing", "keygen", tmp_path / "key")
    monkeypatch.setenv("RECOMMENDER_SIGNING_KEY_FILE", str(tmp_path / "key"))
    assert state.is_dir()
    return tmp_path / "key.pub"


def test_a_key_is_made_versions_are_signed_and_verified(state, key):
    before = run("signing", "verify", "--state-dir", state, "--key", key, status=1)
    signed = run("signing", "sign", NEWEST, "--state-dir", state)
    one = run("signing", "verify", NEWEST, "--state-dir", state, "--key", key)
    run("signing", "sign", "--all", "--state-dir", state)
    everything = json.loads(run("signing", "verify", "--state-dir", state, "--key", key, "--json"))

    assert before.splitlines()[:2] == [f"version {each} is refused: it is not signed" for each in (OLDER, NEWEST)]
    assert signed == f"signed {NEWEST}\n"
    assert one == f"version {NEWEST} is signed and as it was signed\n"
    assert everything == {OLDER: None, NEWEST: None}


def test_verifying_reads_every_file_and_knows_whose_key_counts(state, key, tmp_path):
    run("signing", "sign", "--all", "--state-dir", state)
    path = state / "models" / NEWEST / "train_state.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    (tmp_path / "other.pub").write_text(THEIRS.public)
    damaged = run("signing", "verify", NEWEST, "--state-dir", state, "--key", key, status=1)
    of_others = run("signing", "verify", OLDER, "--state-dir", state, "--key", tmp_path / "other.pub", status=1)
    of_both = run("signing", "verify", OLDER, "--state-dir", state, "--key", tmp_path / "other.pub", "--key", key)

    assert f"{NEWEST}/train_state.safetensors has another xxh3_128" in damaged
    assert f"accepted are {THEIRS.fingerprint}" in of_others
    assert "is signed and as it was signed" in of_both


@pytest.mark.usefixtures("key")
def test_what_cannot_be_done_is_said_before_anything_is_done(state, tmp_path, monkeypatch):
    assert "no key is overwritten" in run("signing", "keygen", tmp_path / "key", status=1)
    assert "name versions, or --all" in run("signing", "sign", "--state-dir", state, status=2)
    assert "there is no version '00000009'" in run("signing", "sign", "00000009", "--state-dir", state, status=1)
    assert "name the public keys" in run("signing", "verify", "--state-dir", state, status=2)
    assert "there is no folder" in run("signing", "sign", "--all", "--state-dir", tmp_path / "none", status=1)
    monkeypatch.delenv("RECOMMENDER_SIGNING_KEY_FILE")
    assert "recommender signing keygen" in run("signing", "sign", "--all", "--state-dir", state, status=1)


def test_the_doctor_tells_of_versions_that_are_refused_and_the_way_out(state, key, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_REQUIRE_SIGNED", str(key))
    run("signing", "sign", OLDER, "--state-dir", state)
    found = [each for each in examine("http://127.0.0.1:9", None, state) if each.name == "versions"]

    (refused,) = found
    assert (refused.state, refused.said) == ("failed", f"version {NEWEST} is refused: it is not signed")
    assert "recommender signing sign" in refused.advice


def test_recommending_from_a_folder_refuses_it_by_name_where_signatures_are_asked_for(state, key, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_REQUIRE_SIGNED", str(key))
    told = run("recommend", "ann", "--model", state / "models", status=1)

    assert f"version {NEWEST} is refused: it is not signed" in told


@pytest.mark.slow
def test_what_train_publishes_is_signed_and_recommended_from(key, tmp_path, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_REQUIRE_SIGNED", f"{tmp_path / 'ours.pub'}:{key}")
    (tmp_path / "ours.pub").write_text(OURS.public)
    out = tmp_path / "models"
    run("train", "synthetic?n_users=40&n_items=20", "--out", out, "--epochs", 1, "--no-components", 4)

    assert "u1" in run("recommend", "u1", "--model", out)
    assert Registry(out).versions()[0].version == OLDER
