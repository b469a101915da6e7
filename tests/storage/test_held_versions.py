"""Versions that are tried first: a canary is not activated by itself, and one that was rolled back neither."""

from recommender.storage.registry import Current, Registry
from tests.support.shelves import registry_with


def statuses(registry: Registry) -> list[str]:
    return [info.status for info in registry.versions()]


def tried(folder) -> Registry:
    """Registry whose second version is tried while the first serves."""
    registry = registry_with(folder, "ready")
    registry.advance()
    registry_with(folder).publish(registry.load("00000001", ("snapshot", "train_state")), parent=None, status="ready")
    registry.hold("00000002")
    return registry


def test_a_canary_is_not_activated_until_it_is_promoted(tmp_path):
    registry = tried(tmp_path)

    assert registry.advance() == registry.current() == Current("00000001", pinned=False)
    assert statuses(Registry(tmp_path)) == ["canary", "active"]
    assert registry.promote() == registry.current() == Current("00000002", pinned=False)
    assert statuses(registry) == ["active", "ready"]


def test_a_canary_that_is_promoted_is_never_seen_neither_tried_nor_active(tmp_path, monkeypatch):
    registry, seen = tried(tmp_path), []
    point = registry.backend.point
    monkeypatch.setattr(registry.backend, "point", lambda content: (point(content), seen.append(statuses(registry)[0])))
    registry.promote()

    assert seen == ["active"]


def test_a_promotion_beside_a_pinned_version_ends_the_trial_and_leaves_the_pin(tmp_path):
    registry = tried(tmp_path)
    registry.activate("00000001", pinned=True)
    registry.hold("00000002")

    assert registry.promote() == registry.current() == Current("00000001", pinned=True)
    assert statuses(registry) == ["ready", "active"]


def test_what_was_rolled_back_stays_so_says_why_and_pins_nothing(tmp_path):
    registry = tried(tmp_path)
    registry.roll_back("00000002", "worse beyond doubt")

    assert registry.advance() == Current("00000001", pinned=False)
    assert next((info.status, info.reason) for info in Registry(tmp_path).versions()) == (
        "rolled_back",
        "worse beyond doubt",
    )
    registry.publish(registry.load("00000001", ("snapshot", "train_state")), parent="00000001", status="ready")
    assert registry.advance() == Current("00000003", pinned=False)
    assert statuses(registry) == ["active", "rolled_back", "ready"]


def test_a_version_that_is_chosen_by_hand_ends_the_trial(tmp_path):
    registry = tried(tmp_path)
    registry.activate("00000002", pinned=True)

    assert registry.pointer().canary is None
    assert statuses(registry) == ["active", "ready"]


def test_what_was_rolled_back_can_be_chosen_by_hand(tmp_path):
    registry = tried(tmp_path)
    registry.roll_back("00000002", "worse")
    registry.activate("00000002", pinned=True)

    assert registry.current() == Current("00000002", pinned=True)
    assert registry.follow() == Current("00000001", pinned=False)


def test_without_anything_else_a_version_that_was_rolled_back_stands_in(tmp_path):
    registry = tried(tmp_path)
    registry.roll_back("00000002", "worse")
    registry.quarantine("00000001", "damaged")

    assert Registry(tmp_path).current().version == "00000002"


def test_a_canary_is_not_pruned(tmp_path):
    registry = tried(tmp_path)
    for _ in range(3):
        registry.publish(registry.load("00000001", ("snapshot", "train_state")), parent="00000001", status="ready")
    registry.prune(1)

    assert "00000002" in {info.version for info in registry.versions()}
