"""The flights job as a plain script: what a data scientist would write today with pandas, scikit-learn and XGBoost.

It predicts at schedule time whether a flight arrives more than 15 minutes late, with the same features, statistics and
model settings as ``configs/flights.yaml``, and is the yardstick for its metrics and its time::

    headrace data flights --out data/flights
    python benchmarks/flights_reference.py --data data/flights

prints one line of JSON. The settings were chosen with ``--validate`` (trained on January to August, scored on September
and October); the test months had no say in them. Needs pandas, scikit-learn and XGBoost.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler, TargetEncoder

SEED = 7
LATE_MINUTES = 15
EARTH_RADIUS_KM = 6371.0088
# What is known when the flight is scheduled; dep_time, dep_delay, arr_time and air_time are not, arr_delay makes the target.
SCHEDULE = ["month", "day", "sched_dep_time", "sched_arr_time", "carrier", "tailnum", "origin", "dest", "time_hour", "arr_delay"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
NUMBERS = [*WEATHER, "age", "seats", "km", "minute_of_day", "scheduled_minutes", "weekday"]
CATEGORIES = ["carrier", "origin", "dest", "manufacturer"]
TARGET_ENCODED = ["tailnum", "route"]
PARAMS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 6,
    "learning_rate": 0.1,
    "min_child_weight": 20,
    "subsample": 0.8,
    "seed": SEED,
}
ROUNDS = 100


def read_flights(folder: Path) -> pd.DataFrame:
    """Return the flights that arrived, with weather, plane and airports joined."""
    flights = pd.concat([_read(path, SCHEDULE) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)
    flights = flights[flights["arr_delay"].notna()]
    weather = _read(folder.parent / "weather.parquet", ["origin", "time_hour", *WEATHER])
    planes = _read(folder.parent / "planes.parquet", ["tailnum", "year", "seats", "manufacturer"])
    airports = _read(folder.parent / "airports.parquet", ["faa", "lat", "lon"])
    flights = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
    flights = flights.merge(planes, on="tailnum", how="left", validate="many_to_one")
    for end in ("origin", "dest"):
        places = airports.rename(columns={"faa": end, "lat": f"{end}_lat", "lon": f"{end}_lon"})
        flights = flights.merge(places, on=end, how="left", validate="many_to_one")
    return flights


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    frame = pd.read_parquet(path, columns=columns)
    # Each file has categories of its own: as plain strings they can be put together and joined.
    strings = {name: "str" for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)}
    return frame.astype(strings)


def add_features(flights: pd.DataFrame) -> pd.DataFrame:
    """Return the flights with the target and all derived columns."""
    departure, arrival = (_minutes(flights[name]) for name in ("sched_dep_time", "sched_arr_time"))
    date = pd.to_datetime(flights[["month", "day"]].assign(year=2013))
    return flights.assign(
        late=(flights["arr_delay"] > LATE_MINUTES).astype("int8"),
        minute_of_day=departure,
        scheduled_minutes=(arrival - departure) % 1440,
        weekday=date.dt.dayofweek,
        age=2013 - flights["year"],
        km=_haversine_km(flights["origin_lat"], flights["origin_lon"], flights["dest_lat"], flights["dest_lon"]),
        route=flights["origin"] + "-" + flights["dest"],
    )


def _minutes(clock: pd.Series) -> pd.Series:
    clock = clock.astype("int32")
    return clock // 100 * 60 + clock % 100


def _haversine_km(lat1: pd.Series, lon1: pd.Series, lat2: pd.Series, lon2: pd.Series) -> pd.Series:
    lat1, lon1, lat2, lon2 = (np.radians(degrees) for degrees in (lat1, lon1, lat2, lon2))
    half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    distance: pd.Series = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half))
    return distance


def encoder() -> ColumnTransformer:
    """Return the fitted steps: every statistic comes from the training rows, the target encoding is out of fold."""
    ordinal = OrdinalEncoder(min_frequency=15, handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("categories", ordinal, CATEGORIES),
            ("rates", TargetEncoder(target_type="binary", smooth=20, cv=folds), TARGET_ENCODED),
        ]
    )


def train_and_score(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """Train on some months, score on others, and return the metrics."""
    steps = encoder()
    matrix = xgb.QuantileDMatrix(steps.fit_transform(train, train["late"]).astype("float32"), train["late"])
    started = time.perf_counter()
    model = xgb.train(PARAMS, matrix, num_boost_round=ROUNDS)
    seconds = time.perf_counter() - started
    chance = model.inplace_predict(steps.transform(test).astype("float32"))
    return {
        "train_rows": len(train),
        "test_rows": len(test),
        "train_base_rate": float(train["late"].mean()),
        "test_base_rate": float(test["late"].mean()),
        "auc": float(roc_auc_score(test["late"], chance)),
        "log_loss": float(log_loss(test["late"], chance)),
        "average_precision": float(average_precision_score(test["late"], chance)),
        "train_seconds": seconds,
    }


def main() -> None:
    """Run the script: read, join, encode, train, score; print one JSON line."""
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the monthly files; the side tables lie beside it")
    parser.add_argument("--validate", action="store_true", help="train on January to August, score on September and October")
    arguments = parser.parse_args()
    flights = add_features(read_flights(arguments.data))
    last, until = (8, 10) if arguments.validate else (10, 12)
    months = flights["month"]
    scores = train_and_score(flights[months <= last], flights[(months > last) & (months <= until)])
    rounded = {name: round(value, 5) for name, value in scores.items()}
    print(json.dumps({**rounded, "seconds": round(time.perf_counter() - started, 2)}))


if __name__ == "__main__":
    main()
