"""The page in a real browser, by mouse and keyboard."""

from pathlib import Path

import pytest
from chromium import Chromium, found
from reviewed_repository import serving

FILE = Path("vetoes/badood.csv")
TILE = "document.querySelectorAll('#candidates > li')"
FOCUSED = f"[...{TILE}].indexOf(document.activeElement.closest('#candidates > li'))"

pytestmark = pytest.mark.skipif(found() is None, reason="there is no Chromium here; on Debian `apt-get install chromium` brings one")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium, server):
    """The page, open."""
    chromium.open(server.address)
    return chromium


def name(browser, place: int) -> str:
    return browser.run(f"{TILE}[{place}].dataset.id")


def saved(browser, vetoed: int) -> list[list[str]]:
    """The lines of the file once the page says that so many are vetoed."""
    browser.until(f"document.querySelector('#vetoed').textContent === '{vetoed}' && !document.querySelector('#told').textContent")
    return [line.split(",") for line in FILE.read_text().splitlines()[1:]]


def test_every_picture_is_shown_and_nothing_is_refused(browser):
    browser.run("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    browser.until("[...document.images].every((image) => image.complete)")
    assert browser.run("[...document.images].filter((image) => image.naturalWidth !== 16).length") == 0
    assert browser.run("document.images.length") == 59
    assert browser.run("getComputedStyle(document.querySelector('.veto')).display") == "grid"  # its style was taken
    assert browser.run("getComputedStyle(document.querySelector('.low')).borderTopColor") == "rgb(86, 180, 233)"


def test_a_click_vetoes_and_a_second_one_takes_it_back(browser):
    browser.click("#candidates > li:nth-child(3) .veto")
    assert [line[0] for line in saved(browser, 1)] == [name(browser, 2)]
    assert browser.run(f"{TILE}[2].className") == "vetoed"
    browser.click("#candidates > li:nth-child(3) .veto")
    assert saved(browser, 0) == [] and browser.run(f"{TILE}[2].className") == ""


def test_the_keyboard_alone_walks_vetoes_gives_reasons_and_turns_nothing_else(browser):
    browser.press("ArrowDown")
    assert browser.run(FOCUSED) == 0
    browser.press("ArrowRight", "ArrowRight", "x")
    assert browser.run(FOCUSED) == 2 and [line[0] for line in saved(browser, 1)] == [name(browser, 2)]
    columns = browser.run("columns()")
    browser.press("ArrowDown", " ")
    assert columns > 1 and browser.run(FOCUSED) == 2 + columns
    assert {line[0] for line in saved(browser, 2)} == {name(browser, 2), name(browser, 2 + columns)}
    browser.press("r", *"two x", "Enter")
    browser.until(f"{FOCUSED} === {2 + columns}")
    browser.until("saving.then(() => true)")
    assert {line[2] for line in saved(browser, 2)} == {"", "two x"}
    browser.press("ArrowUp", "x")
    assert [line[2] for line in saved(browser, 1)] == ["two x"]


def test_what_is_vetoed_is_so_when_the_page_comes_again_and_where_it_is_asked_for(browser, server):
    browser.click("#candidates > li:nth-child(5) .veto")
    vetoed = name(browser, 4)
    saved(browser, 1)
    browser.open(f"{server.address}?state=vetoed")
    assert browser.run(f"[...{TILE}].map((tile) => tile.dataset.id)") == [vetoed]
    assert browser.run("document.querySelector('.veto').getAttribute('aria-pressed')") == "true"


def test_the_form_asks_and_the_keys_turn_the_page(browser, server, monkeypatch):
    monkeypatch.setattr("penumbra.review.page.SHOWN", 8)
    browser.run("document.querySelector('[name=order]').value = 'falling'")
    browser.click("form button")
    browser.until("location.search.includes('order=falling') && document.readyState === 'complete'")
    assert browser.run(f"{TILE}.length") == 8
    first = name(browser, 0)
    browser.press("n")
    browser.until("location.search === '?order=falling&page=2' && document.readyState === 'complete'")
    assert name(browser, 0) != first
    browser.press("p")
    browser.until("location.search === '?order=falling' && document.readyState === 'complete'")
    assert name(browser, 0) == first


def test_a_change_that_is_not_saved_is_said_and_not_shown(chromium, root):
    with serving() as server:
        chromium.open(server.address)
        FILE.parent.mkdir()
        FILE.write_text("id\n")
        chromium.click("#candidates > li:nth-child(1) .veto")
        chromium.until("document.querySelector('#told').textContent.startsWith('Not saved. vetoes/badood.csv line 1: must name')")
        assert chromium.run(f"{TILE}[0].className") == ""
    server.server_close()
    chromium.click("#candidates > li:nth-child(1) .veto")
    chromium.until("document.querySelector('#told').textContent.startsWith('Not saved. The server does not answer')")
    assert chromium.run(f"{TILE}[0].className") == "" and FILE.read_text() == "id\n"


def test_a_page_of_another_address_cannot_change_a_veto(chromium, server, root):
    chromium.open("data:text/html,<title>elsewhere</title>")
    script = (
        f"fetch('{server.address}veto', {{method: 'POST', headers: {{'Content-Type': '%s'}}, mode: '%s', "
        "body: JSON.stringify({sample_id: 'badood/000001', vetoed: true, reason: ''})}).then((answer) => answer.type, () => 'refused')"
    )
    assert chromium.run(script % ("application/json", "cors")) == "refused"
    assert chromium.run(script % ("text/plain", "no-cors")) in ("opaque", "refused")
    assert not FILE.exists()
