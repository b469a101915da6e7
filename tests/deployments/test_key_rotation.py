"""Keys in a file, and what becomes of them when the file changes."""

import pytest

from deployments.http import key_rotation
from deployments.http.key_rotation import RotatingKeys


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    path.write_text("read:old\n")
    monkeypatch.setenv("RECOMMENDER_API_KEYS_FILE", str(path))
    clock = Clock()
    rotating = RotatingKeys(clock)

    def after(content: str | None) -> RotatingKeys:
        if content is None:
            path.unlink()
        else:
            new = tmp_path / "new"
            new.write_text(content)
            new.replace(path)
        clock.now += key_rotation.LOOK_EVERY_S
        return rotating

    return after


def scopes(rotating: RotatingKeys) -> tuple[str | None, str | None]:
    keys = rotating.current()
    return keys.scope_of("Bearer old"), keys.scope_of("Bearer new")


def test_keys_rotate_without_a_restart(keys):
    both = scopes(keys("read:old\nadmin:new"))
    one = scopes(keys("admin:new"))

    assert both == ("read", "admin")
    assert one == (None, "admin")


@pytest.mark.parametrize("content", ["", "root:new", "read:old\nnew", None])
def test_a_file_that_is_no_good_changes_nothing_and_the_log_says_so(keys, content, monkeypatch):
    said = []
    monkeypatch.setattr(key_rotation.logger, "warning", lambda *words: said.append(words))
    found = scopes(keys(content))

    assert found == ("read", None)
    assert len(said) == 1


def test_a_file_that_is_mended_counts_again(keys, monkeypatch):
    monkeypatch.setattr(key_rotation.logger, "warning", lambda *_: None)
    scopes(keys("root:new"))

    assert scopes(keys("admin:new")) == (None, "admin")
