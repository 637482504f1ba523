"""Inspect a page in Chromium (Qt WebEngine), and print the observations as JSON.

python tests/browser.py page.html pictures/ light|dark [whole]
"""

import json
import os
import sys
from pathlib import Path

from PyQt6.QtCore import QEventLoop, Qt, QTimer, QUrl
from PyQt6.QtTest import QTest
from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication

FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --blink-settings={}"
WIDTHS = {"desktop": 1280, "phone": 390}
HEIGHT = 900
TABS = 400
PATIENCE = 250  # times 20 ms

LOOK = """(() => {
  const wide = [...document.querySelectorAll("body *")].filter(
    (one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, .skip"));
  return {
    background: getComputedStyle(document.body).backgroundColor,
    width: document.documentElement.scrollWidth,
    height: document.documentElement.scrollHeight,
    inner: innerWidth,
    wide: wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 120)),
    images: [...document.images].map((one) => one.complete && one.naturalWidth > 0),
    focusable: [...document.querySelectorAll("a[href], summary, [tabindex='0']")].filter(
      (one) => one.checkVisibility()).length,
  };
})()"""
FOCUS = """(() => {
  const one = document.activeElement, box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  return {
    name: one.getAttribute("href") || one.getAttribute("aria-label") || one.tagName,
    seen: box.bottom > 0 && box.top < innerHeight && box.width > 0 && style.outlineStyle != "none",
    place: box.top + scrollY,
  };
})()"""


class Page(QWebEnginePage):
    """A page that records the messages of its console."""

    def __init__(self, profile: QWebEngineProfile) -> None:
        super().__init__(profile)
        self.said: list[str] = []

    def javaScriptConsoleMessage(self, level, message, line, source):  # noqa: N802, Qt's name
        self.said.append(f"{message} ({source}:{line})")


def wait(milliseconds):
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def ask(page, script):
    """Return the result of a script, which bypasses the page's policy against scripts."""
    loop, answers = QEventLoop(), []
    page.runJavaScript(script, lambda answer: (answers.append(answer), loop.quit()))
    loop.exec()
    return answers[0]


def picture(view):
    """Return a screenshot once the page is drawn, which is after it is loaded."""
    for _ in range(PATIENCE):
        seen = view.grab().toImage()
        row = seen.height() // 20  # in the heading
        if len({seen.pixel(x, y) for x in range(0, seen.width(), 4) for y in (row, 2 * row)}) > 1:
            break
        wait(20)
    return seen


def walk(view):
    """Return the elements that Tab reaches, in order."""
    found = []
    for _ in range(TABS):
        ask(view.page(), "window.before = document.activeElement; true")
        QTest.keyClick(view.focusProxy(), Qt.Key.Key_Tab)
        # Keys and scripts reach the page independently, so the script may overtake the key.
        for _ in range(PATIENCE):
            if ask(view.page(), "document.activeElement !== window.before"):
                break
            wait(20)
        found.append(ask(view.page(), FOCUS))
        if found[-1]["name"] == "BODY":
            break
    return found


def main(path, pictures, scheme, whole=False):
    """Inspect the page at both widths; `whole` takes screenshots of the whole page, not just its top."""
    # Read by Chromium when it starts: there is no screen and no GPU, and tests may run as root.
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QTWEBENGINE_DISABLE_SANDBOX"] = "1"
    preferred = f"preferredColorScheme={0 if scheme == 'dark' else 1}"
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = FLAGS.format(preferred)
    app = QApplication(sys.argv[:1])
    profile = QWebEngineProfile()
    seen = {}
    for device, width in WIDTHS.items():
        view, page = QWebEngineView(), Page(profile)
        view.setPage(page)
        view.resize(width, HEIGHT)
        view.show()
        loop = QEventLoop()
        page.loadFinished.connect(loop.quit)
        page.load(QUrl.fromLocalFile(str(Path(path).resolve())))
        loop.exec()
        found = ask(page, LOOK)
        if whole:
            view.resize(width, min(int(found["height"]), 16_000))
        if whole:
            wait(1500)
        picture(view).save(str(Path(pictures) / f"{device}-{scheme}.png"))
        view.setFocus()
        found["tabs"] = walk(view) if device == "desktop" else []
        seen[device] = {**found, "console": page.said}
        view.setPage(None)
        page.deleteLater()
        app.processEvents()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:4], whole="whole" in sys.argv)
