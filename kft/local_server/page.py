"""The page for trying a recipe: an input for files or texts, with the answers below."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from kft.report.style import STYLE

if TYPE_CHECKING:
    from kft.local_server.asking import Asked

__all__ = ["page", "policy"]

_ACCEPT = {"image": "image/*", "clip": "video/*,image/gif"}
_STYLE = """
textarea { width: 100%; min-height: 6rem; font: inherit; padding: .5rem; color: inherit;
  background: var(--raised); border: 1px solid var(--grid); border-radius: .4rem; }
label { display: block; margin: 0 0 .75rem; font-weight: 600; }
label textarea, label input { font: inherit; font-weight: 400; margin-top: .25rem; }
.drop label { margin: 0; }
.drop input { display: block; }
button { font: inherit; padding: .5rem 1.25rem; border: 0; border-radius: .4rem; cursor: pointer;
  background: var(--link); color: var(--ground); }
.drop { border: 2px dashed var(--grid); border-radius: .6rem; padding: 1.5rem; }
.drop.over { border-color: var(--link); background: var(--raised); }
.asked { display: flex; flex-wrap: wrap; gap: 1rem; padding: 1rem 0; border-bottom: 1px solid var(--grid); }
.asked > img { width: 10rem; height: 10rem; object-fit: contain; background: var(--raised); }
.asked > div { flex: 1 1 18rem; min-width: 0; }
.asked p { margin: 0 0 .5rem; }
.classes { width: 100%; max-width: 34rem; }
.classes td:nth-child(2) { width: 60%; vertical-align: middle; }
.bar { display: block; height: .8rem; min-width: 1px; background: var(--series-1); border-radius: .2rem; }
.chosen th { font-weight: 700; }
.drawn img { max-width: 100%; height: auto; }
.time { color: var(--muted); font-size: .875rem; }
.wrong { color: var(--series-6); }
"""
_SCRIPT = """
const answers = document.getElementById("answers");
const form = document.querySelector("form");

async function ask(body, name, picture) {
  const card = document.createElement("article");
  card.className = "asked";
  if (picture) {
    const image = document.createElement("img");
    image.alt = name;
    image.onerror = () => image.remove();
    image.src = picture;
    card.append(image);
  }
  const found = document.createElement("div");
  const title = document.createElement("p");
  title.textContent = name;
  const panel = document.createElement("div");
  panel.textContent = "...";
  found.append(title, panel);
  card.append(found);
  answers.prepend(card);
  try {
    const response = await fetch("answer", {method: "POST", body: body});
    const reply = await response.json();
    if (reply.error) throw new Error(reply.error);
    panel.innerHTML = reply.html;
    panel.className = "drawn";
    const time = document.createElement("p");
    time.className = "time";
    time.textContent = reply.milliseconds + " ms";
    found.append(time);
  } catch (error) {
    panel.textContent = error.message;
    panel.className = "wrong";
  }
}

async function askFiles(files) {
  for (const file of files) await ask(file, file.name, PREVIEW ? URL.createObjectURL(file) : "");
}

if (FILES) {
  const chosen = form.querySelector("input");
  chosen.onchange = () => { askFiles([...chosen.files]); chosen.value = ""; };
  form.ondragover = (event) => { event.preventDefault(); form.classList.add("over"); };
  form.ondragleave = () => form.classList.remove("over");
  form.ondrop = (event) => {
    event.preventDefault();
    form.classList.remove("over");
    askFiles([...event.dataTransfer.files]);
  };
} else {
  form.onsubmit = (event) => {
    event.preventDefault();
    const texts = [...form.querySelectorAll("textarea")];
    const values = Object.fromEntries(texts.map((one) => [one.name, one.value]));
    ask(PARTS ? JSON.stringify(values) : texts[0].value, texts[0].value.slice(0, 100), "");
  };
}
"""


def policy(nonce: str) -> str:
    """Return a Content-Security-Policy that allows only the page's script and requests to its server.

    Args:
        nonce: The nonce of the page's script.
    """
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def page(asked: Asked, name: str, nonce: str) -> str:
    """Return the page as HTML.

    Args:
        asked: The recipe, which answers.
        name: The title of the page, such as the recipe's run directory.
        nonce: As for `policy`.
    """
    modality = asked.recipe.modality
    constants = {
        "FILES": asked.takes_files,
        "PARTS": bool(asked.parts),
        "PREVIEW": modality == "image",
    }
    declared = "".join(f"const {key} = {json.dumps(value)};" for key, value in constants.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(name)}</title><style>{STYLE}{_STYLE}</style></head>
<body><main><h1>{escape(name)}</h1><p>{escape(_about(asked))}</p>
{_form(asked, modality)}
<section aria-live="polite" id="answers" aria-label="Answers"></section></main>
<script nonce="{nonce}">{declared}{_SCRIPT}</script></body></html>
"""


def _about(asked: Asked) -> str:
    """Return a description of the recipe, and the purpose of the page."""
    recipe = asked.recipe
    names = recipe.classes
    listed = ""
    if isinstance(names, list | tuple) and names:
        more = f" and {len(names) - 12:,} more" if len(names) > 12 else ""
        listed = f": {', '.join(map(str, names[:12]))}{more}"
    return (
        f"{type(recipe).__name__}{listed}. This page is for trying the model on this machine; kft export "
        "makes a version for a server."
    )


def _form(asked: Asked, modality: str) -> str:
    if asked.takes_files:
        return (
            f'<form class="drop"><label>Choose {modality}s, or drop them here '
            f'<input type="file" multiple accept="{_ACCEPT.get(modality, "")}"></label></form>'
        )
    names = asked.parts or ("prompt" if asked.continues else "text",)
    boxes = "".join(
        f'<label>{escape(name.capitalize())}<textarea name="{escape(name)}" required></textarea></label>'
        for name in names
    )
    return f"<form>{boxes}<button>{'Continue' if asked.continues else 'Ask'}</button></form>"
