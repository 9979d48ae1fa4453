"""The notebooks' pages belong to the notebooks as they are, and hold no single films."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from analysis.render import (
    FILMS_TAG,
    LEFT_OUT,
    PAGES,
    as_page,
    as_table,
    hash_sources,
    list_notebooks,
    read_notebook,
    write_without_outputs,
)

MAX_BYTES = 60_000


@pytest.mark.parametrize("path", list_notebooks(), ids=lambda path: path.stem)
def test_page_was_written_from_the_notebook_as_it_is(path: Path) -> None:
    notebook = read_notebook(path)
    page = (PAGES / f"{path.stem}.md").read_text()

    assert hash_sources(notebook) in page, "the notebook has changed: make notebooks"
    assert all(cell.source in page for cell in notebook.cells)
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert pictures
    assert {file.name for file in PAGES.glob(f"{path.stem}_*.svg")} == {*pictures}
    assert all((PAGES / picture).stat().st_size < MAX_BYTES for picture in pictures)


@pytest.mark.parametrize("path", list_notebooks(), ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    code = [cell for cell in read_notebook(path).cells if cell.cell_type == "code"]

    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)


def test_every_page_has_its_notebook_and_is_linked_from_the_model() -> None:
    names = {path.stem for path in list_notebooks()}
    model = (PAGES.parent / "model.md").read_text()

    assert {page.stem for page in PAGES.glob("*.md")} == names
    assert all(f"(analysis/{name}.md)" in model for name in names)


def run(source: str, *outputs: NotebookNode, tags: tuple[str, ...] = ()) -> NotebookNode:
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def test_page_holds_text_tables_and_pictures_but_no_films_by_name() -> None:
    svg = "<?xml?><svg><metadata>\nnobody reads\n</metadata><path/></svg>"
    cells = [
        new_markdown_cell("# Films"),
        run(
            "print(2)", new_output("stream", name="stdout", text="2\n"), new_output("stream", name="stderr", text="x")
        ),
        run('plot(title="Heaps")', new_output("display_data", data={"image/svg+xml": svg, "text/plain": "<Figure>"})),
        run("titles", new_output("execute_result", data={"text/markdown": "| Frozen |"}), tags=(FILMS_TAG,)),
    ]

    page, pictures = as_page("09_x", new_notebook(cells=cells), cells)

    assert "# Films" in page
    assert "```\n2\n```" in page
    assert "![Heaps](09_x_1.svg)" in page
    assert pictures == {"09_x_1.svg": "<svg><path/></svg>\n"}
    assert "Frozen" not in page
    assert page.count(LEFT_OUT) == 1


def test_hash_follows_text_kind_and_tags_alone() -> None:
    notebook = new_notebook(cells=[run("a")])

    assert hash_sources(notebook) == hash_sources(new_notebook(cells=[run("a", new_output("stream", text="b"))]))
    others = [new_notebook(cells=[cell]) for cell in (run("b"), new_markdown_cell("a"), run("a", tags=(FILMS_TAG,)))]
    assert len({hash_sources(notebook), *map(hash_sources, others)}) == 4


def test_table_keeps_a_named_index_and_escapes_its_cells() -> None:
    frame = pd.DataFrame({"share": [0.25, None], "name": ["a|b", "c\nd"]})

    assert as_table(frame) == "| share | name |\n| ---: | --- |\n| 0.25 | a\\|b |\n|  | c d |"
    assert as_table(frame.set_index("name")).startswith("| name | share |\n| --- | ---: |")


def test_outputs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    nbformat.write(new_notebook(cells=[run("a", new_output("stream", text="b"))]), path)
    before = hash_sources(read_notebook(path))

    write_without_outputs(path)

    assert read_notebook(path).cells[0].outputs == []
    assert hash_sources(read_notebook(path)) == before
