from common.cli import run
from ingestion.commands import main

run(main)
