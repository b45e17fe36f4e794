"""The report as a reader sees it: in a real browser, wide and narrow, light, dark and printed."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.report import render

pytestmark = pytest.mark.browser

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_record.json"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run")
WIDE, NARROW = 1280, 380
AA = 4.5  # WCAG 2.2, 1.4.3: contrast of text at the least

# What each <svg> measures, how much it draws, and whether all that it draws with resolves in this colour scheme.
DRAWN = """
return [...document.querySelectorAll('svg.chart')].map(svg => {
  const box = svg.getBoundingClientRect();
  const shapes = [...svg.querySelectorAll('path, use')].filter(shape => shape.getBBox().width + shape.getBBox().height > 0);
  return {id: svg.id, width: box.width, height: box.height, shapes: shapes.length, texts: svg.querySelectorAll('text').length};
});
"""
BEYOND = """
return [...document.querySelectorAll('main *:not(svg *)')]
  .filter(element => element.getBoundingClientRect().right > innerWidth + 1).map(element => element.outerHTML.slice(0, 90));
"""
# The WCAG contrast of every visible text with the nearest opaque background behind it; translucent ones are rare and skipped.
CONTRAST = """
const parse = colour => colour.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = element => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
  if (!text || !element.getClientRects().length || element.closest('title')) continue;
  const style = getComputedStyle(element), inChart = element.closest('svg');
  const fore = luminance(parse(inChart ? style.fill : style.color)), back = luminance(behind(element));
  found.push([(Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05), text.slice(0, 40)]);
}
return found;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium that keeps its console and the network requests it makes."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install 'headrace[test]'")
    if not CHROMIUM or not DRIVER:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the addresses of three reports: of a real run, of a regression, of names that nobody would wish for."""
    real: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))
    regression = copy.deepcopy(real)
    regression["model"]["task"] = "regression"
    regression["metrics"] = {"test": {"mae": 2.31, "r2": 0.83}}
    regression["curves"] = {"regression": {"actual": list(range(100)), "predicted": [value**0.97 for value in range(100)]}}
    nasty = copy.deepcopy(real)
    nasty["job"]["name"] = "<script>document.title = 'taken'</script>"
    nasty["profile"] = [dict(real["profile"][place % 17], column=f"c{place}_" + "W" * place) for place in range(120)]
    nasty["steps"][0]["text"] = "unbroken" * 100
    nasty["importance"]["by_source"] = [{"name": column["column"], "share": 0.01} for column in nasty["profile"][::8]]
    folder = tmp_path_factory.mktemp("reports")
    addresses = {}
    for name, record in {"real": real, "regression": regression, "nasty": nasty}.items():
        (folder / f"{name}.html").write_text(render(record), encoding="utf-8")
        addresses[name] = (folder / f"{name}.html").as_uri()
    return addresses


def show(browser: Any, address: str, width: int, scheme: str = "light", media: str = "screen") -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(address)
    browser.execute_script("document.querySelectorAll('details').forEach(details => details.open = true)")


@pytest.mark.parametrize("page", ["real", "regression", "nasty"])
def test_no_error_in_the_console_and_no_request(browser: Any, pages: dict[str, str], page: str) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    show(browser, pages[page], WIDE)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {address for address in asked if not address.startswith("data:")} == {pages[page]}


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("page", ["real", "regression", "nasty"])
def test_every_chart_is_drawn(browser: Any, pages: dict[str, str], page: str, width: int) -> None:
    show(browser, pages[page], width)
    charts = browser.execute_script(DRAWN)
    assert len(charts) > 12
    assert [chart for chart in charts if chart["width"] < 60 or chart["height"] < 20 or not chart["shapes"]] == []
    assert all(chart["texts"] for chart in charts if chart["id"].startswith("chart-"))


@pytest.mark.parametrize("page", ["real", "regression", "nasty"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, pages: dict[str, str], page: str) -> None:
    show(browser, pages[page], NARROW)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= NARROW
    beyond = browser.execute_script(BEYOND)
    assert beyond == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(browser: Any, pages: dict[str, str], scheme: str) -> None:
    show(browser, pages["real"], WIDE, scheme)
    found = browser.execute_script(CONTRAST)
    assert len(found) > 300
    assert [(round(contrast, 2), text) for contrast, text in found if contrast < AA] == []


def test_dark_mode_is_dark_and_paper_is_light(browser: Any, pages: dict[str, str]) -> None:
    background = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    show(browser, pages["real"], WIDE, "dark")
    assert max(browser.execute_script(background)) < 60
    show(browser, pages["real"], WIDE, "dark", media="print")
    assert min(browser.execute_script(background)) == 255


def test_names_from_the_data_run_nothing(browser: Any, pages: dict[str, str]) -> None:
    show(browser, pages["nasty"], WIDE)
    assert browser.title.startswith("<script>")
    assert browser.find_element("css selector", "h1").text == "<script>document.title = 'taken'</script>"
