"""Modules that note that somebody has imported them, with the names of others."""

from pathlib import Path

NAMES = (
    "click",
    "keras",
    "keras_cv",
    "keras_hub",
    "keras_nlp",
    "kft",
    "matplotlib",
    "numpy",
    "recipes",
    "safetensors",
    "sitecustomize",
    "tensorboard",
    "tensorflow",
    "torch",
    "typer",
    "usercustomize",
    "wandb",
    "yaml",
)


def lay_traps(folder: Path, *, but: tuple[str, ...] = ()) -> Path:
    """Lay a trap for each name; returns the file that says which were sprung, absent if none was."""
    sprung = folder / "sprung.txt"
    folder.mkdir(parents=True, exist_ok=True)
    for name in set(NAMES) - set(but):
        note = f"open({str(sprung)!r}, 'a').write({name!r} + '\\n')\n"
        (folder / f"{name}.py").write_text(note + f"raise SystemExit('a stranger is {name}')\n")
    return sprung
