"""The page of a report as headless Chromium shows it."""

import json
import shutil
import subprocess

import pytest
from html_page import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom"),
)

PROBE = """
<script>
window.addEventListener("load", () => setTimeout(() => {
  const seen = () => Array.from(document.querySelectorAll("img.slice")).map((i) => i.src);
  const slider = document.getElementById("slab"), where = document.getElementById("where");
  const result = {
    inner: innerWidth, scroll: document.documentElement.scrollWidth,
    broken: Array.from(document.images).filter((i) => !i.naturalWidth).length,
    font: parseFloat(getComputedStyle(document.body).fontSize), at: [[where.textContent, seen()]],
  };
  const note = () => result.at.push([where.textContent, seen()]);
  slider.value = 1; slider.dispatchEvent(new Event("input")); note();
  document.getElementById("on").click(); note();
  document.getElementById("slices").scrollIntoView();
  document.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft"})); note();
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  document.querySelectorAll("button.enlarge").forEach((b) => { b.click(); });
  result.unfolded = document.documentElement.scrollWidth;
  parent.postMessage(result, "*");
}, 50));
</script></body>"""
# A window of Chromium is at least 500 pixels wide, so the page is put into a frame.
FRAME = """<!DOCTYPE html><title>frame</title>
<iframe src="{file}" style="width:{width}px;height:800px"></iframe><pre id="result"></pre><script>
addEventListener("message", (event) => {{
  document.getElementById("result").textContent = JSON.stringify(event.data);
}});
</script>"""


def in_browser(text, folder, width):
    """(what the probe found in a page, messages on the browser's console)"""
    (folder / "page.html").write_text(text.replace("</body>", PROBE))
    (folder / "frame.html").write_text(FRAME.format(file="page.html", width=width))
    result = subprocess.run(
        [
            *(CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}"),
            *(f"--window-size={max(width + 100, 800)},1000", f"file://{folder / 'frame.html'}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = Page(result.stdout).all("pre", id="result")[0][1]
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return (json.loads(found) if found else None), console


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"
)


@needs_chromium
@pytest.mark.parametrize("width", [360, 1400])
def test_in_a_browser(compared, tmp_path, width):
    found, console = in_browser((compared / "report.html").read_text(), tmp_path, width)
    assert console == []
    assert found["inner"] == width and found["broken"] == 0 and found["font"] == 16
    assert found["scroll"] <= found["inner"] and found["unfolded"] <= found["inner"]
    places = [where for where, _ in found["at"]]
    assert [where.partition(":")[0] for where in places] == ["5 of 8", "2 of 8", "3 of 8", "2 of 8"]
    first, second, third, fourth = (pictures for _, pictures in found["at"])
    assert all(a != b for a, b in zip(first, second, strict=True)), "the slider pages"
    assert second != third and second == fourth, "so do button and key"


@needs_chromium
def test_the_browser_is_heard(page_text, tmp_path):
    """A page that is wrong in both ways is found so."""
    wrong = page_text.replace("</header>", "<div style='width:3000px'>wide</div></header>")
    wrong = wrong.replace("</main>", "</main><script>nothing.at_all()</script>")
    found, console = in_browser(wrong, tmp_path, 360)
    assert found["scroll"] > found["inner"]
    assert any("nothing is not defined" in line for line in console)


@needs_chromium
def test_the_page_may_load_nothing(page_text, tmp_path):
    """Not even a picture beside it: the browser refuses, and says so."""
    (tmp_path / "beside.png").write_bytes(b"")
    outside = page_text.replace("</main>", "<img src='beside.png' alt='outside'></main>")
    _, console = in_browser(outside, tmp_path, 1400)
    assert any("Content Security Policy" in line for line in console)
