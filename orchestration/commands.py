"""Command line of the orchestration."""

import argparse

from common.embedded_postgres import EmbeddedPostgres
from common.settings import load_settings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestration")
    commands = parser.add_subparsers(dest="command", required=True)
    database = commands.add_parser("database", help="start or stop the embedded PostgreSQL")
    database.add_argument("action", choices=["start", "stop"])
    options = parser.parse_args(arguments)
    settings = load_settings()
    server = EmbeddedPostgres(settings.state_dir, settings.embedded_db_port)
    if options.action == "start":
        server.start()
        print(server.url)
    else:
        server.stop()
    return 0
