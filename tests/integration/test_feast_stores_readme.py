"""A stranger's first project: what feast_stores' README shows, from the configuration to the answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg


def run(folder: Path, database_url: str, *command: str) -> str:
    environment = {**os.environ, "DB_CONNECTION_STRING": database_url}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_project_runs(root: Path, database_url: str, tmp_path: Path) -> None:
    text = (root / "feast_stores" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(yaml|sql|python)\n(.*?)```", text, re.DOTALL)
    assert [language for language, _ in blocks] == ["yaml", "sql", "python", "python"]
    configuration, table, definitions, questions = (block for _, block in blocks)
    (tmp_path / "feature_store.yaml").write_text(configuration)
    (tmp_path / "definitions.py").write_text(definitions)
    with psycopg.connect(database_url) as connection:
        connection.execute(table.encode())
        (now,) = connection.execute("select to_char(now(), 'YYYY-MM-DD\"T\"HH24:MI:SS')").fetchone() or ("",)
    feast = str(Path(sys.executable).with_name("feast"))
    run(tmp_path, database_url, feast, "apply")
    run(tmp_path, database_url, feast, "materialize-incremental", now)
    said = run(tmp_path, database_url, sys.executable, "-c", questions)
    assert re.search(r"^0 +1 .* 3$", said, re.MULTILINE), said
    assert "{'customer_id': [1], 'orders_count': [4]}" in said
