"""The reference project's way to an answer, in one file, as the thing to be compared with.

For each request: a new connection for each of three TMDB calls, a pandas frame of ten columns, a random forest behind
MLflow's pyfunc. Run by gunicorn with two workers: `gunicorn "benchmarks.serving.reference:make_app()"`.
"""

import logging
import os
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import requests
from flask import Flask, Response, request
from sklearn.ensemble import RandomForestClassifier

COLUMNS = [
    "budget", "revenue", "runtime", "popularity", "vote_average", "vote_count",
    "cast_female_share", "crew_female_share", "cast_size", "crew_size",
]  # fmt: skip


def save_model(folder: Path) -> None:
    """A random forest of the reference's size on made-up rows: only its speed matters here."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(random.random((5000, len(COLUMNS))), columns=COLUMNS)
    passes = (frame["cast_female_share"] + random.normal(0, 0.3, len(frame)) > 0.5).astype(int)
    forest = RandomForestClassifier(n_estimators=100, n_jobs=1, random_state=7).fit(frame, passes)
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns of pickles; the reference uses them
    signature = mlflow.models.infer_signature(frame, passes.astype(float))
    mlflow.sklearn.save_model(
        forest, folder, signature=signature, pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
    )


def make_app() -> Flask:
    """The reference's server; its environment names the stub and the model."""
    app = Flask(__name__)
    model = mlflow.pyfunc.load_model(os.environ["REFERENCE_MODEL"])
    base = os.environ["REFERENCE_TMDB"]

    @app.post("/")
    def predict() -> dict[str, Any] | Response:
        film = int(request.get_json()["tmdb_id"])
        requests.get(f"{base}/search/movie", params={"query": str(film)}, timeout=5)
        details = requests.get(f"{base}/movie/{film}", timeout=5).json()
        people = requests.get(f"{base}/movie/{film}/credits", timeout=5).json()
        frame = pd.DataFrame([_row(details, people)], columns=COLUMNS)
        return {"probability": float(model.predict(frame)[0][1])}

    return app


def _row(details: dict[str, Any], people: dict[str, Any]) -> dict[str, float]:
    plain = {name: float(details.get(name) or 0) for name in COLUMNS[:6]}
    return plain | {
        "cast_female_share": _female_share(people["cast"]),
        "crew_female_share": _female_share(people["crew"]),
        "cast_size": float(len(people["cast"])),
        "crew_size": float(len(people["crew"])),
    }


def _female_share(people: list[dict[str, Any]]) -> float:
    frame = pd.DataFrame(people)
    return float((frame["gender"] == 1).mean()) if len(frame) else 0.0
