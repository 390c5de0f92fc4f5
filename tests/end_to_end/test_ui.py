"""What people look at, in a real browser: the asset graph, a picture in metadata, a model with lineage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from demo.ui import serve_ui
from tests.end_to_end.conftest import Demo

pytestmark = [pytest.mark.xdist_group("end_to_end"), pytest.mark.timeout(900)]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
SECOND = 1000
expect.set_options(timeout=60 * SECOND)


@pytest.fixture(scope="module")
def addresses(demo: Demo) -> Iterator[tuple[str, str]]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    before = dict(os.environ)
    try:
        with serve_ui(demo.paths, port=0, docs_port=0) as both:
            yield both
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def page(addresses: tuple[str, str]) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(60 * SECOND)
        yield page
        browser.close()


def test_both_code_locations_load(page: Page, addresses: tuple[str, str]) -> None:
    page.goto(f"{addresses[0]}/locations")
    expect(page.get_by_text("batch", exact=True).first).to_be_visible()
    expect(page.get_by_text("realtime", exact=True).first).to_be_visible()
    expect(page.get_by_text("Loaded").nth(1)).to_be_visible()
    assert page.get_by_text("Failed").count() == 0


def test_asset_graph_shows_the_five_groups(page: Page, addresses: tuple[str, str]) -> None:
    page.goto(f"{addresses[0]}/asset-groups")
    for word in ("raw", "staging", "unified", "scores", "push"):
        expect(page.get_by_text(word, exact=True).first).to_be_visible()


def test_a_picture_stands_in_the_metadata_of_a_score(page: Page, addresses: tuple[str, str]) -> None:
    page.goto(f"{addresses[0]}/assets/scores/segments")
    # The UI shows short Markdown in place and opens a dialog for what is longer than a thousand characters.
    page.get_by_text("Show Markdown").first.click()
    image = page.locator("img[src^='data:image/png']").first
    expect(image).to_be_visible()
    assert image.evaluate("picture => picture.naturalWidth") > 200


def test_dbt_docs_show_a_model_with_its_columns(page: Page, addresses: tuple[str, str]) -> None:
    page.goto(f"{addresses[1]}#!/model/model.gridcrm.customer_360")
    expect(page.get_by_role("heading", name="customer_360").first).to_be_visible()
    expect(page.get_by_text("arrears_usd").first).to_be_visible()


def test_dbt_docs_draw_lineage(page: Page, addresses: tuple[str, str]) -> None:
    page.goto(f"{addresses[1]}#!/model/model.gridcrm.customer_360")
    expect(page.get_by_text("arrears_usd").first).to_be_visible()
    page.locator(".launcher-btn").click()
    expect(page.locator("canvas[data-id='layer2-node']")).to_be_visible()
