"""Run the notebooks on whatever `make up` has loaded and write them as pages: `python -m analysis.render`.

Each becomes docs/analysis/NAME.md with its pictures beside it; the notebooks themselves are kept without outputs. A
cell that shows single films is tagged `films`: what it printed stays out of the page, because films of the real
sources may not be handed on. A page names the notebook's sources by their hash, so that a test sees when it is out of
date.
"""

import argparse
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from common import cli
from common.environment import library_environment
from common.settings import ROOT, load_settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS = ROOT / "analysis"
PAGES = ROOT / "docs" / "analysis"
FILMS_TAG = "films"
LEFT_OUT = "*Films by name are not part of this page. Run the notebook to see them.*"
SECONDS_PER_CELL = 300
_PREPARE = "from analysis.render import prepare_kernel\n\nprepare_kernel()"


def main() -> int:
    """Render every notebook."""
    argparse.ArgumentParser(
        prog="python -m analysis.render", description=(__doc__ or "").splitlines()[0]
    ).parse_args()
    cli.require_tools("nbclient", "nbformat", "ipykernel")
    settings = load_settings()
    PAGES.mkdir(parents=True, exist_ok=True)
    for path in list_notebooks():
        notebook = read_notebook(path)
        cells = run_notebook(notebook, environment={**library_environment(settings), "PYTHONPATH": str(ROOT)})
        text, pictures = as_page(path.stem, notebook, cells)
        write_page(path.stem, text, pictures)
        write_without_outputs(path)
        print(f"written: {PAGES.relative_to(ROOT)}/{path.stem}.md, {len(text) // 1000} kB, {len(pictures)} pictures")
    return 0


def list_notebooks() -> list[Path]:
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def read_notebook(path: Path) -> "NotebookNode":
    import nbformat

    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def hash_sources(notebook: "NotebookNode") -> str:
    """SHA-256 over what people wrote: kind, tags and text of every cell."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        digest.update(f"{cell.cell_type}\x1f{','.join(_tags(cell))}\x1f{cell.source}\x1e".encode())
    return digest.hexdigest()


def run_notebook(notebook: "NotebookNode", *, environment: Mapping[str, str]) -> list["NotebookNode"]:
    """The notebook's cells with what they printed, run in the project's folder; the notebook stays as it is.

    Args:
        notebook: from `read_notebook()`.
        environment: variables of the kernel beside our own.
    """
    import nbformat
    from nbclient import NotebookClient

    run = nbformat.from_dict(notebook)
    run.cells.insert(0, nbformat.v4.new_code_cell(_PREPARE))
    client = NotebookClient(
        run, timeout=SECONDS_PER_CELL, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute(env={**os.environ, "LOG_LEVEL": "WARNING", **environment})
    cells: list[NotebookNode] = run.cells[1:]
    return cells


def prepare_kernel() -> None:
    """In the kernel: tables also as Markdown, pictures as small SVG that is the same in every run."""
    import matplotlib as mpl
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    shell: Any = get_ipython()
    shell.run_line_magic("matplotlib", "inline")
    shell.display_formatter.formatters["text/markdown"].for_type(pd.DataFrame, as_table)
    set_matplotlib_formats("svg", metadata={"Date": None})
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bechdel", "figure.figsize": (7.0, 3.2)})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": "white"})


def as_table(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table; an index without a name is left out."""
    has_index = any(frame.index.names)
    shown = frame.reset_index() if has_index else frame
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in shown.dtypes]
    rows = [[_cell(value) for value in row] for row in shown.itertuples(index=False, name=None)]
    head = ["" if str(name) == "index" else str(name) for name in shown.columns]
    rule = ["---:" if is_number else "---" for is_number in numeric]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value).replace("|", "\\|").replace("\n", " ")


def as_page(name: str, notebook: "NotebookNode", cells: Iterable["NotebookNode"]) -> tuple[str, dict[str, str]]:
    """The page as Markdown, and its pictures by file name.

    Args:
        name: of the notebook.
        notebook: its sources.
        cells: the same cells with their outputs.
    """
    pictures: dict[str, str] = {}
    parts = [
        f"<!-- Written by `make notebooks` from analysis/{name}.ipynb; sources {hash_sources(notebook)} -->",
    ]
    for cell in cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"<details><summary>Code</summary>\n\n```python\n{cell.source}\n```\n\n</details>")
        if FILMS_TAG in _tags(cell):
            parts.append(LEFT_OUT)
        else:
            parts += _say_outputs(cell, name, pictures)
    parts.append(
        f"Run it: [analysis/{name}.ipynb](../../analysis/{name}.ipynb). Write this page anew: `make notebooks`."
    )
    return "\n\n".join(parts) + "\n", pictures


def _say_outputs(cell: "NotebookNode", name: str, pictures: dict[str, str]) -> Iterator[str]:
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/svg+xml" in data:
            file = f"{name}_{len(pictures) + 1}.svg"
            pictures[file] = _slim(data["image/svg+xml"])
            yield f"![{_caption(cell.source)}]({file})"
        elif "text/markdown" in data:
            yield data["text/markdown"]
        elif output.output_type == "stream" and output.name == "stdout":
            yield f"```\n{output.text.rstrip()}\n```"


def _caption(source: str) -> str:
    """What a picture shows: the title that its cell sets."""
    titles = re.findall(r'title="([^"]+)"', source)
    return titles[-1] if titles else "Picture"


def _slim(svg: str) -> str:
    """Without document type and metadata, which no reader needs."""
    svg = svg[svg.index("<svg") :]
    return re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL).rstrip() + "\n"


def write_page(name: str, text: str, pictures: Mapping[str, str]) -> None:
    """The page and its pictures; pictures of before are removed."""
    for old in PAGES.glob(f"{name}_*.svg"):
        old.unlink()
    (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
    for file, picture in pictures.items():
        (PAGES / file).write_text(picture, encoding="utf-8")


def write_without_outputs(path: Path) -> None:
    """Outputs grow, differ from run to run, and may hold films: what was run lives in the page alone."""
    import nbformat

    notebook = read_notebook(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)


def _tags(cell: "NotebookNode") -> list[str]:
    return list(cell.metadata.get("tags", []))


if __name__ == "__main__":
    cli.run(main)
