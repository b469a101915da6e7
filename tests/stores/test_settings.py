"""Settings of a service in each kind of store: numbered, all or none, with their last changes."""

from recommender.stores.settings_log import KEPT_CHANGES, SettingChange, SettingPut, StoredSettings
from tests.support.store_servers import opened, run


def placement(name: str, document: bytes | None = b'{"k": 5}') -> SettingPut:
    return SettingPut("placement", name, document)


def test_a_setting_comes_back_with_its_number_and_its_time(url: str) -> None:
    async def work() -> tuple[int | None, StoredSettings]:
        async with opened(url) as store:
            number = await store.put_settings([placement("ü: 1", '{"filter": ["a:ü b"]}'.encode())], 12.5)
            return number, await store.settings()

    number, stored = run(work())

    assert number == 1
    assert stored == (1, [SettingChange("placement", "ü: 1", 1, 12.5, '{"filter": ["a:ü b"]}'.encode())])


def test_every_fetch_brings_the_number_of_the_newest_change(url: str) -> None:
    async def work() -> list[int]:
        async with opened(url) as store:
            before = await store.fetch(["u1"])
            await store.put_settings([placement("a"), placement("b")], 1.0)
            after = await store.fetch([])
            await store.put_settings([placement("a", None)], 1.0)
            return [before.settings_number, after.settings_number, (await store.fetch([])).settings_number]

    assert run(work()) == [0, 2, 3]


def test_settings_that_somebody_else_has_changed_meanwhile_are_left_alone(url: str) -> None:
    async def work() -> tuple[int | None, int | None, StoredSettings]:
        async with opened(url) as store:
            await store.put_settings([placement("a")], 1.0)
            late = await store.put_settings([placement("a", b"{}"), placement("b")], 2.0, after=0)
            in_time = await store.put_settings([SettingPut("experiment", "a", b"{}")], 3.0, after=1)
            return late, in_time, await store.settings()

    late, in_time, stored = run(work())

    assert (late, in_time) == (None, 2)
    assert sorted((each.kind, each.name, each.document) for each in stored.settings) == [
        ("experiment", "a", b"{}"),
        ("placement", "a", b'{"k": 5}'),
    ]


def test_settings_come_by_kind_and_name_in_every_store(url: str) -> None:
    async def work() -> StoredSettings:
        async with opened(url) as store:
            for name in ("b", "ü", "a"):
                await store.put_settings([placement(name), SettingPut("experiment", name, b"{}")], 1.0)
            return await store.settings()

    assert [(each.kind, each.name) for each in run(work()).settings] == [
        (kind, name) for kind in ("experiment", "placement") for name in ("a", "b", "ü")
    ]


def test_the_last_changes_of_a_setting_stay_readable_though_it_is_deleted(url: str) -> None:
    async def work() -> tuple[StoredSettings, list[SettingChange], list[SettingChange]]:
        async with opened(url) as store:
            for number in range(KEPT_CHANGES + 5):
                await store.put_settings([placement("a", b'{"k": %d}' % (number + 1))], float(number))
            await store.put_settings([placement("a", None)], 99.0)
            return (
                await store.settings(),
                await store.setting_history("placement", "a"),
                await store.setting_history("placement", "never"),
            )

    stored, history, never = run(work())

    assert stored == (KEPT_CHANGES + 6, [])
    assert [each.number for each in history] == list(range(KEPT_CHANGES + 6, 6, -1))
    assert (history[0].document, history[1].document) == (None, b'{"k": 55}')
    assert never == []
