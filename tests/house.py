"""The packages of kft and their imports, read from the source: `python tests/house.py` prints them."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each package may import from itself and from those above it.
ORDER = (
    "errors",
    "backends",
    "arguments",
    "regular_files",
    "plain_yaml",
    "import_path",
    "printing",
    "library_logs",
    "plots",
    "model",
    "data",
    "runs",
    "answers",
    "tasks",
    "stages",
    "report",
    "distribution",
    "cache",
    "callbacks",
    "training",
    "family",
    "tuning",
    "export",
    "insight",
    "recipe",
    "local_server",
    "testing",
    "cli",
    "__main__",
)


def modules() -> dict[str, Path]:
    """Return the file of each module of kft and of the recipes."""
    found = {}
    for folder in ("kft", "recipes"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def imports(path: Path, *, typing: bool) -> set[str]:
    """Return the names of kft and the recipes that a file imports, including in functions.

    Args:
        path: The file.
        typing: Whether to include imports for type checkers only.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not typing:
            left_out |= {id(inner) for inner in ast.walk(node)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: write the full name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] in ("kft", "recipes")}


def package(name: str) -> str:
    """Return the package of kft that contains a module or a name; empty for kft itself."""
    return (*name.split("."), "")[1]


def circles() -> list[list[str]]:
    """Return groups of modules with circular imports."""
    every = modules()
    graph = {}
    for name, path in every.items():
        # `from a.b import c` names a module or an object in one.
        found = {n if n in every else n.rpartition(".")[0] for n in imports(path, typing=False)}
        graph[name] = found & every.keys() - {name}
    reachable: dict[str, set[str]] = {}
    for name in graph:
        seen, waiting = set(), list(graph[name])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += graph[one]
        reachable[name] = seen
    groups = {
        tuple(sorted({name} | {one for one in reachable[name] if name in reachable[one]}))
        for name in graph
        if name in reachable[name]
    }
    return [list(group) for group in sorted(groups)]


def function_lengths(source: str, *, signatures: bool = True) -> dict[str, int]:
    """Return the number of lines of each function without its docstring, by name and line.

    Args:
        source: The code of the module.
        signatures: Whether to count the lines of signatures.
    """
    found = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        has_docstring = ast.get_docstring(node, clean=False) is not None
        lines = _lines(node) - (_lines(first) if has_docstring else 0)
        if not signatures:
            lines -= first.lineno - node.lineno
        found[f"{node.name}, line {node.lineno}"] = lines
    return found


def _lines(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def backend_branches(source: str) -> list[str]:
    """Return the places where code asks Keras for its backend, or depends on a backend's name.

    Args:
        source: The code of a module outside of `kft.backends`.
    """
    nodes = list(ast.walk(ast.parse(source)))
    sources = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    asks = any(module.startswith("kft.backends") for module in sources)
    found = [f"from {module}" for module in sources if module in ("keras.backend", "keras.config")]
    for node in nodes:
        match node:
            case ast.Attribute(attr="backend", value=ast.Attribute(attr="backend" | "config")):
                found.append(ast.unparse(node))
            case ast.Compare() if _names_a_backend(node):
                said = ast.unparse(node)
                found += [said] if asks or "backend" in said.lower() else []
            case ast.Dict(keys=keys) if any(key and _names_a_backend(key) for key in keys):
                found.append(ast.unparse(node))
            case ast.match_case(pattern=pattern) if _names_a_backend(pattern):
                found.append(ast.unparse(node))
    return found


def _names_a_backend(node: ast.AST) -> bool:
    names = ("jax", "tensorflow", "torch")
    return any(isinstance(one, ast.Constant) and one.value in names for one in ast.walk(node))


def drawing() -> str:
    """Return a line per package with the number of its files and the packages that it imports."""
    lines = []
    for name in ORDER:
        files = [path for module, path in modules().items() if package(module) == name]
        used = {package(one) for path in files for one in imports(path, typing=True)}
        below = [one for one in ORDER if one in used and one != name]
        lines.append(f"{name:<14}{len(files):>3}  {' '.join(below)}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawing())
