"""The console's views that judge: attribution over time, two lists side by side, and a user's page."""

import re
import time

from playwright.sync_api import Page, expect

from tests.support.waiting import wait_for

KNOWN = "305"
STAR_WARS = "50"


def short_list(page: Page, title: str) -> list[str]:
    rows = page.locator(f'ol[data-list="{title}"] > li')
    expect(rows.first).to_be_visible()
    return [row.get_attribute("data-id") or "" for row in rows.all()]


def test_what_came_of_what_was_shown_is_drawn_day_by_day(open_page, client):
    variants = [{"name": name, "share": 0.5} for name in ("new", "old")]
    client.put("/v1/placements/aside", json={}).raise_for_status()
    client.put("/v1/experiments/aside", json={"placement": "aside", "variants": variants}).raise_for_status()
    about = {"placement": "aside", "experiment": "aside"}
    shown = [
        {**about, "variant": variant, "items": [STAR_WARS], "user_id": KNOWN, "at": time.time() - days * 86_400}
        for days, variant, amount in ((1, "old", 3), (0, "old", 2), (0, "new", 4))
        for _ in range(amount)
    ]
    named = client.post("/v1/exposures", json={"exposures": shown}).json()["recommendation_ids"]
    clicks = [
        {"user_id": KNOWN, "item_id": STAR_WARS, "event": "click", "recommendation_id": named[at]} for at in (3, 5)
    ]
    client.post("/v1/interactions", json={"interactions": clicks}).raise_for_status()

    def counted():
        rows = client.get("/v1/attribution?by=variant&daily=true&placement=aside").json()["rows"]
        return rows if sum(row["interactions"].get("click", 0) for row in rows) == 2 else None

    wait_for(counted, within_s=30)
    rows = counted()
    assert [(row["variant"], row["exposures"]) for row in rows] == [("old", 3), ("new", 4), ("old", 2)]
    today = ("^25 %.*of 4", "^50 %.*of 2")
    # an experiment's page begins where the experiment did
    for view, bands, told in (
        ("attribution?by=variant&placement=aside", 1, ("^.$", "^0 %.*of 3", *today)),
        ("experiments?name=aside", 0, today),
    ):
        page = open_page(view)
        drawn = page.locator("svg.curve")
        expect(drawn).to_have_accessible_name(re.compile("old lately 50 %.*The table below"))
        expect(drawn.locator(".band")).to_have_count(bands)
        page.get_by_text("As a table").click()
        cells = page.get_by_role("region", name="click rate by day").get_by_role("cell")
        expect(cells).to_have_text([re.compile(each) for each in told])


def test_two_settings_and_two_versions_are_compared_for_one_user(open_page, client):
    ask = {"settings": {"k": 10, "diversity": 0.9}, "user_id": KNOWN}
    other = [item["item_id"] for item in client.post("/v1/placements/x/preview", json=ask).json()["items"]]
    page = open_page(f"compare?user={KNOWN}")
    one = short_list(page, "A")
    page.get_by_role("group", name="B", exact=True).get_by_label("Settings on top").fill('{"diversity": 0.9}')
    page.get_by_role("button", name="Compare").click()
    expect(page.locator('ol[data-list="B"] > li').last).to_have_attribute("data-id", other[-1])

    assert short_list(page, "B") == other
    only = {row.get_attribute("data-id") for row in page.locator("li", has_text="only in B").all()}
    assert only == set(other) - set(one)
    assert "diversity" in page.url
    version = client.get("/v1/models").json()["models"][-1]["version"]
    page.get_by_role("group", name="B", exact=True).get_by_label("Version").select_option(version)
    expect(page.locator(".heading .id").last).to_have_text(version)
    page.get_by_role("group", name="B", exact=True).get_by_label("Settings on top").fill("{")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("is not JSON")


def test_a_user_has_a_page_with_all_that_they_did(open_page, client):
    history = client.get(f"/v1/users/{KNOWN}/interactions?limit=40").json()["interactions"]
    page = open_page("users")
    page.get_by_label("Find a user").fill(KNOWN)
    page.keyboard.press("Enter")
    rows = page.get_by_role("region", name="Interactions").locator("tbody tr")
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Show more").click()
    expect(rows.nth(39).get_by_role("link")).to_have_attribute("href", re.compile(f"id={history[39]['item_id']}$"))

    page.get_by_role("link", name="What they get").click()
    expect(page.get_by_role("heading", name=f"For {KNOWN}")).to_be_visible()
    page.goto(re.sub("#.*", "#/nowhere", page.url))
    expect(page.get_by_role("heading", name="No such view")).to_be_visible()


def test_options_act_at_once_stay_in_the_address_and_are_always_to_be_seen(open_page, client):
    page = open_page(f"recommend?user={KNOWN}")
    expect(page.locator("ol.ranking > li")).to_have_count(10)
    page.get_by_text("Options", exact=True).click()
    field = page.get_by_label("Feature of items")
    field.fill("genres:Comedy")
    field.press("Enter")
    field.fill("genres:Drama")
    page.get_by_role("button", name="Boost").click()
    slider = page.get_by_role("slider", name="genres:Drama")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".chip.removable")).to_contain_text(["only genres:Comedy", "genres:Drama +1.1"])
    asked = f"/v1/users/{KNOWN}/recommendations?filter=genres:Comedy&boost=genres:Drama:1.1"
    for row, item in zip(page.locator("ol.ranking > li").all(), client.get(asked).json()["items"], strict=True):
        expect(row).to_have_attribute("data-id", item["item_id"])
    expect(slider).to_be_focused()

    page.reload()
    expect(page.locator(".chip.removable")).to_have_count(2)
    page.get_by_role("button", name="Take away: only genres:Comedy").click()
    expect(page).to_have_url(re.compile(r"#/recommend\?user=305&boost=genres%3ADrama%3A1.1$"))
