"""`python -m serving run` serves pages and API; `predict` asks a running one; `backfill` and `expire` keep house."""

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from typing import Any

import requests

from common import cli
from common.errors import PlatformError, ServiceError
from common.logs import configure_logging
from common.settings import Settings, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and do it."""
    options = _read_arguments(arguments)
    settings = load_settings()
    configure_logging(settings.log_level)
    if options.command == "run":
        workers, threads = options.workers or settings.serving_workers, options.threads or settings.serving_threads
        run(settings, workers=workers, threads=threads)
    elif options.command == "backfill":
        from serving.upkeep import backfill

        backfill(settings, limit=options.limit)
    elif options.command == "expire":
        from serving.upkeep import expire

        expire(settings)
    else:
        predict(settings, title=options.title, year=options.year, tmdb_id=options.tmdb_id, as_json=options.json)
    return 0


def run(settings: Settings, *, workers: int, threads: int) -> None:
    """Serve until the process is told to stop.

    Args:
        workers: processes; each holds the model and about 400 MB.
        threads: requests at a time in each process. Waiting for TMDB holds a thread.
    """
    if workers > 1:
        _share_metrics(settings)
    from serving.rolling import RollingServer
    from serving.services import make_tmdb
    from serving.worker import make_app

    make_tmdb(settings)  # a token that cannot be used stops the start here, with one sentence
    RollingServer(
        partial(make_app, workers=workers),
        host=settings.host,
        port=settings.port,
        workers=workers,
        threads=threads,
        report=settings.state_dir / "serving" / "reload.json",
    ).run()


def _share_metrics(settings: Settings) -> None:
    """An empty folder in which the workers add up what they count; prometheus_client reads its variable."""
    folder = settings.state_dir / "serving" / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def predict(
    settings: Settings, *, title: str | None, year: int | None, as_json: bool, tmdb_id: int | None = None
) -> None:
    """Ask the running server for a prediction and print it.

    Args:
        title: of the film; None when `tmdb_id` names it.
        year: tells films of one title apart.
        as_json: as the API gives it, not as lines for people.
        tmdb_id: TMDB's number, which no two films share.

    Raises:
        PlatformError: with the server's own sentence when it has no answer.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - not a bind
    address = f"http://{host}:{settings.port}"
    question = {"tmdb_id": tmdb_id} if tmdb_id is not None else {"title": title} | ({"year": year} if year else {})
    try:
        response = requests.post(f"{address}/api/v1/predictions", json=question, timeout=30)
        answer = response.json()
    except (requests.RequestException, ValueError) as error:
        raise ServiceError(f"No server answers at {address}. Start it: make up") from error
    if response.status_code != 200:
        raise PlatformError("\n".join([str(answer.get("detail")), *_list_candidates(answer)]))
    print(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else describe(answer))


def describe(answer: dict[str, Any]) -> str:
    """An answer as lines for a terminal."""
    movie, prediction, rating, data = (answer[k] for k in ("movie", "prediction", "known_rating", "data"))
    verdict = {"pass": "probably passes", "fail": "probably fails"}.get(prediction["verdict"], "too close to call")
    lines = [
        f"{movie['title']} ({movie['year'] or 'year unknown'})" + (" [synthetic film]" if movie["synthetic"] else ""),
        f"  Prediction:   {verdict} the Bechdel test, probability {prediction['probability']:.0%}"
        if prediction["verdict"] != "too_close_to_call"
        else f"  Prediction:   {verdict}, probability of passing {prediction['probability']:.0%}",
        "  Known rating: " + _describe_rating(rating),
        *[f"  {'+' if reason['contribution'] > 0 else '-'} {reason['text']}" for reason in answer["reasons"]],
        *[f"  Missing: {item}" for item in data["missing"]],
        *[f"  Note: {item}" for item in data["degraded"]],
        f"  Data: {'live from TMDB, ' + data['fetched_at'] if data['live'] else 'from the catalogue, not live'}; "
        f"model version {answer['model']['version']}",
    ]
    return "\n".join(lines)


def _describe_rating(rating: dict[str, Any] | None) -> str:
    if rating is None:
        return "none"
    return f"{rating['rating']} of 3{', disputed' if rating['dubious'] else ''} ({rating['source']})"


def _list_candidates(answer: dict[str, Any]) -> list[str]:
    candidates = answer.get("candidates") or []
    lines = [
        f"  {film['title']} ({film.get('year') or 'year unknown'}), TMDB id {film['tmdb_id']}" for film in candidates
    ]
    return [*lines, f"To choose one: make predict TMDB_ID={candidates[0]['tmdb_id']}"] if candidates else []


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("run", help="serve pages and API in the foreground")
    serve.add_argument("--workers", type=int, help="processes (default: SERVING_WORKERS)")
    serve.add_argument("--threads", type=int, help="requests at a time in each process (default: SERVING_THREADS)")
    fill = commands.add_parser("backfill", help="fetch TMDB's answer for every catalogue film that has no fresh one")
    fill.add_argument("--limit", type=int, help="at most so many films (default: all)")
    commands.add_parser("expire", help="delete TMDB's answers and logged predictions older than 180 days")
    ask = commands.add_parser("predict", help="ask the running server about a film")
    film = ask.add_mutually_exclusive_group(required=True)
    film.add_argument("--title", help="title of the film")
    film.add_argument("--tmdb-id", type=int, help="TMDB's number of the film, when several have title and year")
    ask.add_argument("--year", type=int, help="year of release, when several films have the title")
    ask.add_argument("--json", action="store_true", help="print the answer as the API gives it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
