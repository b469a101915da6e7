"""The console in a real browser, over the real service."""

import os
import re
import time
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

KNOWN = "305"
STAR_WARS = "50"
MARKUP = "<img src=x onerror=alert(1)>"
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
RUN_AXE = "options => axe.run(document, {resultTypes: ['violations'], ...options}).then(found => found.violations)"
SCREENS = os.environ.get("RECOMMENDER_SCREENSHOTS")
VIEWS = {
    "recommend": f"recommend?user={KNOWN}",
    "item": f"item?id={STAR_WARS}",
    "browse": "browse",
    "users": f"users?id={KNOWN}",
    "compare": f"compare?user={KNOWN}",
    "attribution": "attribution",
    "placements": "placements",
    "experiments": "experiments",
    "import": "import",
    "models": "models",
    "health": "health",
}


def ranked(page: Page) -> list[str]:
    """Ids of the list, as soon as it stands there."""
    rows = page.locator("ol.ranking > li")
    expect(rows.first).to_be_visible()
    return [row.get_attribute("data-id") or "" for row in rows.all()]


def click_first(page: Page) -> str:
    first = page.locator("ol.ranking > li").first
    name = first.locator("a.title").inner_text()
    first.get_by_role("button", name=f"Click {name}").click()
    expect(page.locator(".moved-note")).to_contain_text(f"After the click on {name}")
    return name


def test_a_click_is_stored_and_moves_the_list(open_page, client):
    page = open_page("recommend?user=7")
    before = ranked(page)
    name = click_first(page)
    expect(page.locator(f'ol.ranking > li[data-id="{before[0]}"]')).to_have_count(0)
    after = ranked(page)

    assert len(after) == len(before) == 10
    came_in = set(after) - set(before)
    assert {row.get_attribute("data-id") for row in page.locator("li:has(.moved.in)").all()} == came_in
    for row in page.locator("li:has(.moved.rose), li:has(.moved.fell)").all():
        up, places = re.match(r"(▲|▼) (\d+)", row.locator(".moved").inner_text()).groups()
        item = row.get_attribute("data-id")
        assert before.index(item) - after.index(item) == int(places) * (1 if up == "▲" else -1)
    expect(page.get_by_label("About them").get_by_role("link", name=name)).to_be_visible()
    assert client.get("/v1/users/7/interactions?limit=1").json()["interactions"][0]["item_id"] == before[0]


def test_bars_tell_what_a_score_is_made_of(open_page):
    page = open_page(f"recommend?user={KNOWN}")
    with page.expect_response("**/v1/recommendations") as told:  # of the page itself: one alike may be degraded
        page.reload()
    first = told.value.json()["results"][0]["items"][0]
    shown = page.locator("ol.ranking > li").first.locator("dl.bars")

    expect(shown.locator(".amount").first).to_have_text(re.compile(r"^[+\u2212]\d+\.\d\d$"))
    amounts = [float(each.replace("\u2212", "-")) for each in shown.locator(".amount").all_inner_texts()]
    assert amounts == [pytest.approx(each["contribution"], abs=0.006) for each in first["explanation"]]
    said = page.locator("ol.ranking > li").first.locator(".chosen")
    for each in first["interactions"]:
        expect(said).to_contain_text(f"{each['title'] or each['item_id']} +")


def test_someone_is_invented_from_features_and_items_found_while_typing(open_page, client):
    page = open_page("recommend?new")
    expect(page.get_by_text("Popular: what everyone gets")).to_be_visible()

    page.get_by_label("gender").select_option("F")
    expect(page.locator(".strategy")).to_have_text("From features")
    field = page.get_by_role("combobox", name="Add an item")
    field.press_sequentially("wars")
    expect(page.get_by_role("option", name="Star Wars")).to_be_visible()
    field.press("Enter")
    expect(page.locator(".strategy")).to_have_text("From recent items")
    assert STAR_WARS not in ranked(page)
    guest = page.get_by_text("They are guest-").locator("code").inner_text()
    click_first(page)
    assert client.get(f"/v1/users/{guest}/interactions").json()["interactions"]
    assert client.get(f"/v1/users/{guest}").status_code == 404


def test_markup_in_ids_titles_and_features_is_text(open_page, client):
    name = f"\"'{MARKUP}&amp;"
    features = {"genres": ["Sci-Fi", MARKUP], MARKUP: MARKUP}
    items = [{"item_id": name, "title": MARKUP, "features": features}]
    assert client.post("/v1/items", json={"items": items}).is_success
    assert client.post("/v1/users", json={"users": [{"user_id": name, "features": features}]}).is_success
    event = {"user_id": name, "item_id": name, "event": MARKUP}
    assert client.post("/v1/interactions", json={"interactions": [event]}).is_success

    page = open_page("item")
    page.get_by_role("combobox").fill("<IMG src")
    page.get_by_role("option", name=MARKUP).first.click()
    expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    expect(page.locator(".item-head .id")).to_have_text(name)
    expect(page.locator(".facts")).to_contain_text(MARKUP)
    page.get_by_role("link", name="What would someone get").click()
    expect(page.locator(".tokens")).to_contain_text(MARKUP)
    page.goto(re.sub("#.*", "#/browse?what=latest", page.url))
    page.get_by_role("link", name=MARKUP).first.click()
    page.get_by_role("link", name="Recommend", exact=True).click()
    page.get_by_label("User id").fill(name)
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_role("heading", name=f"For {name}")).to_be_visible()
    expect(page.get_by_label("About them").get_by_role("link", name=MARKUP)).to_be_visible()
    expect(page.locator(".note")).to_contain_text(MARKUP)
    assert page.locator("img").count() == 0


def test_an_item_that_is_switched_off_is_not_recommended(open_page, client):
    first = client.get(f"/v1/users/{KNOWN}/recommendations?k=1").json()["items"][0]["item_id"]
    page = open_page(f"item?id={first}")
    switch = page.get_by_role("switch", name="Available")
    before = client.get(f"/v1/items/{first}").json()

    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    after = client.get(f"/v1/items/{first}").json()
    assert {**before, "available": False, "updated_at": 0} == {**after, "updated_at": 0}
    assert client.get(f"/v1/users/{KNOWN}/recommendations?k=1").json()["items"][0]["item_id"] != first
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")


def test_errors_are_their_problem_in_words(open_page):
    page = open_page("item?id=no-such-item")
    expect(page.get_by_role("alert")).to_contain_text("There is no such item")

    page.goto(re.sub("#.*", "#/browse?filter=Comedy", page.url))
    expect(page.get_by_role("alert")).to_contain_text("Comedy")
    page.goto(re.sub("#.*", "#/item?id=..", page.url))
    expect(page.get_by_role("alert")).to_contain_text("means a folder")


def test_a_key_is_asked_for_and_its_scope_is_respected(open_page):
    page = open_page("recommend?user=8", key=None)
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_contain_text("Send a valid key")

    dialog.get_by_label("Key of the scope").fill("read-key")
    dialog.get_by_role("button", name="Use this key").click()
    before = ranked(page)
    page.locator("ol.ranking > li button").first.click()
    expect(page.get_by_role("alert")).to_contain_text("This needs the scope write; the key has read.")
    assert ranked(page) == before
    assert page.context.storage_state()["origins"] == []  # nothing that outlives the tab


def test_training_rolling_back_and_following_again(open_page, client):
    page = open_page("models")
    serving = page.locator(".versions > li.serving .id-strong")
    old = serving.inner_text()

    page.get_by_role("button", name="From scratch").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator(".steps li").first).to_be_visible()
    expect(serving).not_to_have_text(old, timeout=60_000)
    expect(page.get_by_text("The last training (full) was published")).to_be_visible()
    new = serving.inner_text()
    page.get_by_role("button", name=f"Roll back to {old}").click()
    expect(serving).to_have_text(old)
    assert {each["model_version"] for each in client.get("/v1/status").json()["replicas"]} == {old}
    page.get_by_role("button", name="Follow the latest again").click()
    expect(serving).to_have_text(new)
    expect(page.get_by_text("chosen by hand")).to_have_count(0)


def test_health_counts_over_all_replicas(open_page, client):
    for _ in range(20):
        client.get(f"/v1/users/{KNOWN}/recommendations")
    page = open_page("health")
    expect(page.get_by_text("Every part is well.")).to_be_visible()
    told = client.get("/v1/metrics").json()

    assert [each["deployment"] for each in told["replicas"] if each["deployment"] != "Trainer"] == [
        name for name in ("FeatureFetcher", "Ingress", "Predictor") for _ in range(2)
    ]
    asked = [each for each in told["counters"] if each["labels"].get("route", "").endswith("/recommendations")]
    assert sum(each["value"] for each in asked if each["labels"]["method"] == "GET") >= 20
    row = page.get_by_role("row").filter(has_text="GET /v1/users/{user_id}/recommendations")
    expect(row.get_by_role("cell").nth(1)).to_have_text(re.compile(r"^[2-9]\d$"))
    expect(row.get_by_role("cell").nth(3)).to_have_text(re.compile(r"^[\d.]+ m?s$"))
    expect(page.get_by_text("Personalized")).to_be_visible()
    expect(page.locator(".parts li", has_text="Ingress")).to_have_count(2)
    expect(page.get_by_role("region", name="The last day", exact=True)).to_contain_text("kept since")
    assert client.get("/v1/metrics/history").json()["since"] <= time.time()
    expect(page.locator(".parts li", has_text="since")).to_have_count(4)  # ingresses answer beside predictors


def test_everything_can_be_done_by_keyboard(open_page):
    page = open_page("item")
    expect(page.locator(".tiles")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()

    page.get_by_role("combobox").focus()
    page.keyboard.type("star")
    options = page.get_by_role("option")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    chosen = options.nth(1).locator(".option-title").inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(chosen)
    page.get_by_role("button", name="Theme: auto").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_every_view_fits_its_screen(open_page, client, width):
    page = open_page("recommend", viewport={"width": width, "height": 844 if width < 1000 else 900})
    for name, view in VIEWS.items():
        page.goto(re.sub("#.*", f"#/{view}", page.url))
        expect(page.locator(f".view-{name}").locator("h1, h2").first).to_be_visible()
        page.wait_for_load_state("networkidle") if name not in ("models", "health") else None
        if SCREENS:
            take(page, client, name, width)

        wide = page.locator("html").evaluate("page => page.scrollWidth")
        assert wide <= width, name
        assert barriers(page) == [], (name, width)


def barriers(page: Page) -> list[str]:
    """What axe-core calls serious or critical of a page, in light colours, and of its contrast in dark ones."""
    if not page.evaluate("'axe' in window"):
        # by the protocol, as an extension would: the page's policy takes no script from elsewhere
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(RUN_AXE, {})
    page.emulate_media(color_scheme="dark")
    found += page.evaluate(RUN_AXE, {"runOnly": ["color-contrast"]})
    page.emulate_media(color_scheme="light")
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] in ("serious", "critical")]


def take(page: Page, client, name: str, width: int) -> None:
    """Write a screenshot of a view in which something is going on."""
    if name == "recommend":
        click_first(page)
    if name == "health":
        for number in range(150):
            client.get(f"/v1/users/{number}/recommendations")
            time.sleep(0.03 + 0.02 * (number // 10 % 3))
    page.wait_for_timeout(700)  # what moves has come to rest
    folder = Path(SCREENS or "")
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
    if width > 1000 and name in ("recommend", "health"):
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=folder / f"{name}-{width}-dark.png", full_page=True)
        page.emulate_media(color_scheme="light")


def short_list(page: Page, title: str) -> list[str]:
    rows = page.locator(f'ol[data-list="{title}"] > li')
    expect(rows.first).to_be_visible()
    return [row.get_attribute("data-id") or "" for row in rows.all()]


def test_a_placement_is_looked_at_put_and_put_back(open_page, client):
    page = open_page(f"placements?name=front&user={KNOWN}")
    page.get_by_label("Settings and rules, as JSON").fill(
        f'{{"k": 4, "rules": [{{"pin": "{STAR_WARS}", "position": 2}}]}}'
    )
    page.get_by_label("Look at it as user").fill("no-one-yet")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator('ol[data-list="With this"] .tag')).to_have_text("pinned")
    shown = short_list(page, "With this")
    assert client.get("/v1/placements/front").status_code == 404

    page.get_by_role("button", name="Put it live").click()
    expect(page.locator(".changes > li")).to_have_count(1)
    live = client.get("/v1/users/no-one-yet/recommendations?placement=front").json()["items"]
    page.get_by_label("Settings and rules, as JSON").fill('{"k": 2}')
    page.get_by_role("button", name="Put it live").click()
    expect(page.locator(".changes > li")).to_have_count(2)
    page.get_by_role("button", name=re.compile("Look at change")).last.click()

    assert [item["item_id"] for item in live] == shown
    assert shown[1] == STAR_WARS
    expect(page.get_by_label("Settings and rules, as JSON")).to_have_value(re.compile(STAR_WARS))
    page.get_by_label("Settings and rules, as JSON").fill(
        '{"rules": [{"bury": "a:b"}, {"promote": "a:b", "share": 0.5}]}'
    )
    page.get_by_role("button", name="Put it live").click()
    expect(page.locator(".failure")).to_contain_text("contradicts")


def test_an_experiment_is_read_and_ended(open_page, client):
    client.put("/v1/placements/row", json={"k": 3}).raise_for_status()
    variants = [{"name": "control", "share": 0.5}, {"name": "short", "share": 0.5, "settings": {"k": 1}}]
    client.put("/v1/experiments/shorter", json={"placement": "row", "variants": variants}).raise_for_status()
    page = open_page("experiments?name=shorter")
    expect(page.locator(".verdict")).to_contain_text("Wait")
    expect(page.locator("table.variants tbody tr")).to_have_count(2)
    page.get_by_label("What becomes of the placement").select_option("short")
    page.get_by_role("button", name="End it").click()
    expect(page.locator(".note")).to_contain_text("short was shipped")

    assert client.get("/v1/placements/row").json()["k"] == 1
