"""The console's import wizard, over the real service: what is understood, sent, counted and refused."""

from pathlib import Path

from playwright.sync_api import expect

HEAD = "userId,movieId,rating,timestamp,event\n"


def choose(page, text: str) -> None:
    page.get_by_label("File:").set_input_files({"name": "ratings.csv", "mimeType": "text/csv", "buffer": text.encode()})


def test_a_file_is_understood_sent_and_counts_once(open_page, client):
    good = "".join(f'import-{n},"a, ""b""",2,90000000{n},buy\n' for n in range(3))
    late = f"import-9,x,1,5,{'e' * 129}\n"  # only the service knows how long an event may be
    page = open_page("import")
    choose(page, f"{HEAD}{good}import-4,,1,5,buy\nimport-5,x,-1,5,buy\nimport-6,x\n{late}")
    expect(page.get_by_label("What userId is")).to_have_value("user_id")
    expect(page.locator(".failure li")).to_have_text(
        [
            "Line 5, column movieId: there is no id.",
            "Line 6, column rating: -1 is no number above 0.",
            "Line 7: 2 cells, where there are 5 columns.",
        ]
    )

    page.get_by_role("button", name="Import 4 rows").click()
    expect(page.locator(".outcome")).to_have_text("3 accepted, 0 duplicates, 4 refused.")
    stored = client.get("/v1/users/import-1/interactions").json()["interactions"]
    assert [(each["item_id"], each["weight"], each["event"]) for each in stored] == [('a, "b"', 2.0, "buy")]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download what was refused").click()
    refused = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert refused[0] == HEAD.strip() + ",refused"
    assert [line.partition(",")[0] for line in refused[1:]] == ["import-4", "import-5", "import-6", "import-9"]

    choose(page, HEAD + good)
    page.get_by_role("button", name="Import 3 rows").click()
    expect(page.locator(".outcome")).to_have_text("0 accepted, 3 duplicates, 0 refused.")


def test_what_is_no_table_says_so_and_columns_can_be_named(open_page):
    page = open_page("import")
    choose(page, "")
    expect(page.locator(".failure li")).to_have_text("Line 1: the file is empty.")
    choose(page, "who,what\na,b\n")
    expect(page.get_by_role("alert")).to_contain_text("No column is item_id")
    page.get_by_label("What what is").select_option("item_id")
    expect(page.get_by_role("button", name="Import 1 row")).to_be_enabled()
    expect(page.get_by_label("What what is")).to_be_focused()
