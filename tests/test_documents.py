"""README and docs: every command parses, every link and path exists, one version everywhere."""

import itertools
import pkgutil
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer
from datagen.common import cli as generator
from trainer.common import cli as learner

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for folder in ("", "docs/**/", "benchmarks/**/", "manifests/", "*/assets/**/")
    for path in ROOT.glob(f"{folder}*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)  # fmt: skip
BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.M | re.S)
COMMAND = re.compile(
    r"(?:python -m |torchrun [^\n`]*?-m |motion-hmr-|(?<=`))"
    r"((?:datagen|trainer)\.[a-z_.]*[a-z]|benchmarks\.[a-z_]+|(?<=motion-hmr-)[a-z-]+)"
    r"(?![\w/])([^`\n]*)"
)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return (module, arguments) of each command in a Markdown text, in code blocks and spans."""
    blocks = "".join(BLOCK.findall(text)).replace("\\\n", " ")
    spans = re.findall(r"`([^`]+)`", BLOCK.sub("", text))  # a span may continue on the next line
    lines = [*blocks.splitlines(), *(f"`{' '.join(span.split())}`" for span in spans)]
    found = []
    for line in lines:
        for module, rest in COMMAND.findall(line):
            found.append((module, words(rest)))
    return found


def words(rest: str) -> list[str]:
    """Return a command's arguments as a shell splits them, up to its end, without variables."""
    lexer = shlex.shlex(rest, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    own = itertools.takewhile(lambda word: not set(word) <= set("();<>|&"), lexer)
    return [word for word in own if "$" not in word and word != "…"]


FOUND = sorted(
    {
        (path.relative_to(ROOT).as_posix(), module, tuple(arguments))
        for path in DOCUMENTS
        for module, arguments in commands(path.read_text())
    }
)


def test_commands_are_found_in_blocks_over_lines_and_in_a_sentence() -> None:
    text = (
        "Run `python -m datagen.verify\nshards/ --repair`, then\n"
        "```\ntorchrun --nproc-per-node 8 -m trainer.fit --shards a \\\n    --steps 3  # a\n```\n"
        "| `motion-hmr-fit --shards b` | and `trainer.data.clips` is none |"
    )
    assert commands(text)[:3] == [
        ("trainer.fit", ["--shards", "a", "--steps", "3"]),
        ("datagen.verify", ["shards/", "--repair"]),
        ("fit", ["--shards", "b"]),
    ]
    assert len(FOUND) > 40 and ("README.md", "trainer.fit", ()) in FOUND


@pytest.mark.parametrize("document, module, arguments", FOUND)
def test_every_command_of_the_documents_parses(
    document: str, module: str, arguments: tuple[str, ...], monkeypatch, capsys
) -> None:
    if module.startswith("benchmarks."):
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        options = [word for word in arguments if word.startswith("--")]
        assert [word for word in options if word not in source and word[2:] not in source] == []
        return
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    if "." not in module:
        package, name = scripts[f"motion-hmr-{module}"].split(":")
        module = package.replace("__main__", name)
    command = pkgutil.resolve_name(module)
    if not arguments or not hasattr(command, "main"):
        return  # named without arguments
    parsed: list[Any] = []
    for program in (generator, learner):
        run = program.run

        def parse(config: Any, call: Any, *rest: Any, run: Any = run) -> Any:
            return run(config, lambda options: parsed.append(options) or 0, *rest)

        monkeypatch.setattr(program, "run", parse)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    try:
        command.main()
    except SystemExit as stop:
        assert stop.code == 2
    # In a sentence, as in `trainer.fit --dann-shards real`, a required option may be left out.
    refused = capsys.readouterr().err
    line = f"{document}: python -m {module} {shlex.join(arguments)}"
    assert parsed or "must be given; see" in refused, line


def anchors(text: str) -> set[str]:
    """Return the anchors that a code host gives the headings of a Markdown text."""
    heads = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{target} has no such heading"


def test_one_version_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest and newest[1] == citation["version"] == trainer.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "trainer.__version__"


def test_the_workflow_runs_what_a_change_must_pass() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert any(step.get("run") == ".ci/run" for step in jobs["test"]["steps"])
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f">={jobs['test']['strategy']['matrix']['python'][0]}" == lowest
