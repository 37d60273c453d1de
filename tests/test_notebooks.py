"""The notebooks have no outputs and run from top to bottom on small data."""

import json
import re
from pathlib import Path

import pytest
from trainer_fixtures import write_shards

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with two evaluated runs, and the shards they were evaluated on."""
    from trainer.evaluate import evaluate
    from trainer.evaluation.options import EvaluateConfig
    from trainer.fit import fit
    from trainer.training.options import FitConfig

    root = tmp_path_factory.mktemp("runs")
    toy = write_shards(root / "toy", shards=2, clips=4, frames=6, size=32, rgb=True)
    small = {"backbone": "small", "lstm_width": 16, "image_size": 32, "device": "cpu"}
    for name, inputs in (("points", "keypoints"), ("both", "flow+keypoints")):
        folder = root / "runs" / name
        fit(FitConfig(shards=toy, val_shards=(toy,), out=folder, steps=2, batch_size=2, val_every=1,
                      inputs=inputs, **small))  # fmt: skip
        evaluate(EvaluateConfig(checkpoint=folder / "last.pt", shards=toy, device="cpu"))
    return root / "runs", toy


def test_there_are_three_notebooks_without_outputs() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "compare_runs.ipynb", "inspect_libraries.ipynb", "inspect_shards.ipynb",
    ]  # fmt: skip
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [] and cell["execution_count"] is None
                assert len(cell["source"]) <= 10, "move logic into functions"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, small_set: Path, request: pytest.FixtureRequest) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    parameters = {"shards": str(small_set)}
    if path.stem == "compare_runs":
        folder, toy = request.getfixturevalue("runs")
        parameters = {"runs": str(folder), "shards": str(toy)}
    place = next(
        i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])
    )
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    for name in parameters:
        assert re.search(rf"^{name} = ", notebook.cells[place].source, re.M)
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(given))
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    shown = [
        set(output.get("data", {}))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    wanted = {"image/png": 8, "text/html": 4} if path.stem == "compare_runs" else {"text/html": 4}
    for kind, least in wanted.items():
        assert sum(kind in kinds for kinds in shown) >= least, (kind, shown)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output
