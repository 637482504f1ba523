"""Use a page of `kft serve` in Chromium like a person, and print the observations as JSON.

python tests/browser_ask.py URL TEXT|FILE picture.png
"""

import json
import os
import sys
from pathlib import Path

from browser import FLAGS, Page, ask, wait
from PyQt6.QtCore import QEventLoop, Qt, QUrl
from PyQt6.QtTest import QTest
from PyQt6.QtWebEngineCore import QWebEngineProfile
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication

PATIENCE = 600  # times 50 ms


class Choosing(Page):
    """A page that chooses the given file in file dialogs."""

    def chooseFiles(self, mode, old, accepted):  # noqa: N802, Qt's name
        return [sys.argv[2]]


def main(url, given, picture):
    """Enter a text or choose a file, and wait for the answer."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QTWEBENGINE_DISABLE_SANDBOX"] = "1"
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = FLAGS.format("preferredColorScheme=1")
    app = QApplication(sys.argv[:1])
    profile = QWebEngineProfile()
    view, page = QWebEngineView(), Choosing(profile)
    view.setPage(page)
    view.resize(900, 700)
    view.show()
    loop = QEventLoop()
    page.loadFinished.connect(loop.quit)
    page.load(QUrl(url))
    loop.exec()
    if Path(given).is_file():
        ask(page, "document.querySelector('input[type=file]').focus(); true")
        QTest.keyClick(view.focusProxy(), Qt.Key.Key_Space)  # only user input may open the dialog
    else:
        typed = f"document.querySelector('textarea').value = {json.dumps(given)};"
        ask(page, f"{typed} document.querySelector('button').click(); true")
    for _ in range(PATIENCE):
        if ask(page, "document.querySelector('#answers .drawn, #answers .wrong') != null"):
            break
        wait(50)
    wait(300)
    view.grab().save(picture)
    said = ask(page, "document.getElementById('answers').innerText")
    images = ask(page, "[...document.images].map((one) => one.naturalWidth)")
    print(json.dumps({"said": said, "images": images, "console": page.said}))
    view.setPage(None)
    page.deleteLater()
    app.processEvents()


if __name__ == "__main__":
    main(*sys.argv[1:4])
