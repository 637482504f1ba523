"""Modules with the names of installed ones that record when they are imported."""

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
    """Lay a trap for each name; return the file that lists the sprung ones, which is absent if none was."""
    sprung = folder / "sprung.txt"
    folder.mkdir(parents=True, exist_ok=True)
    for name in set(NAMES) - set(but):
        note = f"open({str(sprung)!r}, 'a').write({name!r} + '\\n')\n"
        (folder / f"{name}.py").write_text(note + f"raise SystemExit('a stranger is {name}')\n")
    return sprung
