"""The structure of the two programs by their imports: folders, directions, no cycles."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

COMMANDS = {
    "datagen": {"launch", "verify", "inspect", "ingest", "publish", "overlay", "doctor"},
    "trainer": {"fit", "evaluate", "predict", "compare", "export", "tables"},
}
ROOT_MODULES = {"datagen": set(), "trainer": {"errors", "geometry"}}
"""Modules beside the commands in a program's root."""

FOLDERS = {
    "datagen": [
        "common", "bodies", "backgrounds", "clips", "flow", "output", "cluster", "footage",
        "replay", "report", "launcher",
    ],
    "trainer": ["common", "model", "data", "evaluation", "training", "analysis", "paper"],
}  # fmt: skip
"""Folders in the order of data flow: a folder imports only itself and earlier folders."""

SUBFOLDERS = {
    "bodies": ["smpl", "motion", "appearance", "render"],
}
"""Subfolders in the same order; modules of the folder itself come last."""


def modules(program: str) -> dict[str, Path]:
    """Return a program's modules by dotted name, without the scripts that built its assets."""
    found = {}
    for path in sorted((ROOT / program).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "build" not in parts:
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of `known` that a file imports, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known or node.module in known:
                    yield inner if inner in known else str(node.module)


def graph(program: str) -> dict[str, set[str]]:
    known = modules(program)
    return {name: set(imported(path, known)) - {name} for name, path in known.items()}


def folder_of(module: str) -> str:
    """Return the folder right below the program that holds a module; "" for its root."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and ROOT.joinpath(*parts[:2]).is_dir() else ""


def place(module: str, split: str) -> str:
    """Return the folder within folder `split` that holds a module; "" for the folder itself."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and ROOT.joinpath(*parts[:3]).is_dir() else ""


@pytest.mark.parametrize("program", COMMANDS)
def test_the_root_holds_commands(program: str) -> None:
    found = {path.stem for path in (ROOT / program).glob("*.py")} - {"__init__", "__main__"}
    assert found == COMMANDS[program] | ROOT_MODULES[program]
    assert len(ROOT_MODULES[program]) <= 5


@pytest.mark.parametrize("program", COMMANDS)
def test_every_folder_is_known_and_has_a_docstring(program: str) -> None:
    folders = {path.parent for path in (ROOT / program).rglob("*.py")}
    for folder in folders - {ROOT / program}:
        if "assets" not in folder.parts:
            text = (folder / "__init__.py").read_text()
            assert ast.get_docstring(ast.parse(text)), f"{folder}/__init__.py has no docstring"
    folders = {folder_of(module) for module in modules(program) if module.count(".") > 1}
    assert folders - {"assets", ""} == set(FOLDERS[program])


@pytest.mark.parametrize("program", COMMANDS)
def test_no_circular_imports(program: str) -> None:
    waiting = graph(program)
    while free := {name for name, targets in waiting.items() if not targets & waiting.keys()}:
        for name in free:
            del waiting[name]
    assert not waiting, f"circular imports, or imports of such modules: {sorted(waiting)}"


@pytest.mark.parametrize("program", COMMANDS)
def test_folders_import_only_earlier_folders(program: str) -> None:
    """A folder imports only earlier folders; no module imports a command."""
    order = {name: rank for rank, name in enumerate(["", *FOLDERS[program]])}
    commands = {f"{program}.{name}" for name in COMMANDS[program]}
    starts = {program, f"{program}.__main__", *commands}
    upward = [
        (module, target)
        for module, targets in graph(program).items()
        for target in targets
        if target in commands or order[folder_of(target)] > order[folder_of(module)]
        if module not in starts
    ]
    assert not upward


@pytest.mark.parametrize("split", SUBFOLDERS)
def test_subfolders_import_only_earlier_subfolders(split: str) -> None:
    order = {name: rank for rank, name in enumerate([*SUBFOLDERS[split], ""])}
    upward = [
        (module, target)
        for module, targets in graph("datagen").items()
        for target in targets
        if folder_of(module) == split == folder_of(target) and not target.endswith(".options")
        if order[place(target, split)] > order[place(module, split)]
    ]
    assert not upward


def test_the_programs_share_nothing() -> None:
    for program, other in (("trainer", "datagen"), ("datagen", "trainer")):
        known = {**modules(other), other: ROOT / other}
        for module, path in modules(program).items():
            assert not list(imported(path, known)), f"{module} imports {other}"


def test_the_trainer_needs_none_of_the_generators_libraries() -> None:
    for module, path in modules("trainer").items():
        tree = ast.walk(ast.parse(path.read_text()))
        names = {str(node.module) for node in tree if isinstance(node, ast.ImportFrom)}
        tree = ast.walk(ast.parse(path.read_text()))
        names |= {a.name for node in tree if isinstance(node, ast.Import) for a in node.names}
        roots = {name.split(".")[0] for name in names}
        assert not roots & {"cv2", "ray", "h5py", "pyrender", "skimage", "smplx"}, module


COPIES = {
    "datagen.common.sizes": "trainer.common.sizes",
    "datagen.common.config_file": "trainer.common.config_file",
    "datagen.common.options.named_object": "trainer.common.options.named_object",
    "datagen.common.errors.near": "trainer.errors.near",
    "datagen.common.cli.refuse_empty": "trainer.common.cli.refuse_empty",
    "datagen.common.cli.report_missing_packages": "trainer.common.cli.report_missing_packages",
    "datagen.common.cli._report": "trainer.common.cli._report",
}
"""Modules and functions with a copy in each program, as the programs share no code."""


def source(name: str) -> str:
    """Return the code of a module or function, with one name for each program's own errors."""
    known = {**modules("datagen"), **modules("trainer")}
    module, _, function = (name, "", "") if name in known else name.rpartition(".")
    node = ast.parse(known[module].read_text())
    if function:
        (node,) = (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == function)
    code = ast.unparse(node).replace("datagen.common.errors", "trainer.errors")
    return code.replace("BadOption", "BadInput")


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_equal(name: str) -> None:
    assert source(name) == source(COPIES[name])


TWO_MEANINGS = {"datagen": set(), "trainer": set(), "both": {"BadInput"}}
"""Class names that may occur twice: each program has its own `BadInput`, as they share no code."""


@pytest.mark.parametrize(
    "programs",
    [("datagen",), ("trainer",), ("datagen", "trainer")],
)
def test_one_class_name_has_one_meaning(programs: tuple[str, ...]) -> None:
    defined = defaultdict(set)
    for program in programs:
        for module, path in modules(program).items():
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    defined[node.name].add(module)
    twice = {name: where for name, where in defined.items() if len(where) > 1}
    known = set().union(*(TWO_MEANINGS[key] for key in (*programs, "both")))
    assert twice.keys() <= known, twice


def test_no_test_file_is_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / "tests").rglob("*.py")
    }
    assert not {path: lines for path, lines in lengths.items() if lines > 400}


def test_the_readme_names_every_folder() -> None:
    """The tree has two blanks per level, one or several paths, then a comment."""
    (tree,) = re.findall(r"^```\n(datagen/ .*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    named, above = set(), []
    for line in tree.splitlines():
        indent, paths, _ = re.fullmatch(r"( *)(\S+(?: \S+)*)  +(\S.*)", line).groups()
        above = above[: len(indent) // 2]
        for path in paths.split():
            place = Path(*above, path)
            assert (ROOT / place).exists(), f"README names {place}"
            named.add(place.as_posix())
        above.append(paths)
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for program in COMMANDS
        for path in (ROOT / program).rglob("__init__.py")
    }
    assert folders <= named, f"README's tree lacks {folders - named}"
    assert {f"trainer/{name}.py" for name in ROOT_MODULES["trainer"]} <= named


LONG = {"datagen.clips.compose.compose", "datagen.bodies.smpl.unpickle._stand_ins"}
"""Functions with more than 60 lines; a comment in each gives the reason."""
MANY = {
    "trainer.model.motion_hmr.MotionHMR.__init__",
    "trainer.model.motion_joints.MotionJoints.__init__",
}
"""Functions with more than eight parameters; a comment in each gives the reason."""


def functions(node: ast.AST, name: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield all functions below a module or class, by dotted name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{name}.{child.name}"
            if isinstance(child, ast.FunctionDef):
                yield inner, child
            yield from functions(child, inner)
        else:
            yield from functions(child, name)


@pytest.mark.parametrize("program", COMMANDS)
def test_functions_are_short_and_take_few_parameters(program: str) -> None:
    long, many = set(), set()
    for module, path in modules(program).items():
        for name, function in functions(ast.parse(path.read_text()), module):
            if function.end_lineno - function.lineno >= 60:  # pyright: ignore[reportOptionalOperand]
                long.add(name)
            args = function.args
            given = [*args.posonlyargs, *args.args, *args.kwonlyargs]
            if len([arg for arg in given if arg.arg not in ("self", "cls")]) > 8:
                many.add(name)
    assert long == {name for name in LONG if name.startswith(program)}
    assert many == {name for name in MANY if name.startswith(program)}
