"""The exchange: rows of one key meet from all partitions, and every cut, cluster and number of buckets gives the same bits."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.comparing import assert_same_table
from tests.laws.running import content, run

from headrace import dealing, plan, side_tables
from headrace.cluster import open_cluster
from headrace.dataset import Dataset
from headrace.errors import DataError
from headrace.ops.base import Op
from headrace.ops.categorify import Categorify
from headrace.ops.decayed_sum import DecayedSum
from headrace.ops.dedupe import Dedupe
from headrace.ops.derive import Derive
from headrace.ops.difference_lag import DifferenceLag
from headrace.ops.fill_missing import FillMissing
from headrace.ops.filter import Filter
from headrace.ops.groupby import Groupby
from headrace.ops.join import Apart
from headrace.ops.join_external import JoinExternal
from headrace.ops.join_groupby import JoinGroupby
from headrace.ops.normalize import Normalize
from headrace.ops.rolling import Rolling
from headrace.ops.session_id import SessionId
from headrace.ops.target_encoding import TargetEncoding
from headrace.ops.time_since_last import TimeSinceLast
from headrace.partitions import cut
from headrace.pipeline import FittedPipeline, Pipeline
from headrace.spool import Pieces, Spool

# Ordered steps before and after filters and fitted ones, on each other's results, in other groups.
CHAIN: tuple[Op, ...] = (
    Filter("amount > -900"),
    FillMissing(["amount"], value="mean"),
    DecayedSum(["amount"], half_life="1h", order="time", by=["card"]),
    TimeSinceLast("time", by=["card"]),
    Dedupe(["card", "time"], keep="last"),
    Rolling(["amount"], window="90m", order="time", by=["card"], stats=["count", "mean", "max"]),
    Normalize(["amount_mean_90m"], dtype="float64"),
    DifferenceLag(["amount_mean_90m"], order="time", by=["shop"]),
    SessionId("time", by=["card"]),
    JoinGroupby(["shop"], {"time_since_last": ["mean", "std"]}),
    TargetEncoding(["shop"], target="fraud", key=["id"]),
    Categorify(["shop"]),
)


def payments(n_rows: int = 2_000, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    cards = random.choice(["a", "b", "c", "", "é" * 20, *map(str, range(60))], n_rows)
    return pa.table(
        {
            "id": pa.array(np.arange(n_rows)),
            "card": pa.array(cards, mask=random.random(n_rows) < 0.05).dictionary_encode(),
            "shop": pa.array(random.choice(["x", "y", "z"], n_rows)),
            "time": pa.array(random.integers(0, 3 * 86_400, n_rows) * 10**6, pa.timestamp("us", "UTC"), mask=random.random(n_rows) < 0.02),
            "amount": pa.array(random.normal(100.0, 400.0, n_rows), mask=random.random(n_rows) < 0.1),
            "fraud": pa.array(random.random(n_rows) < 0.2),
        }
    )


@pytest.fixture(params=[1 << 18, 150], ids=["one bucket", "many buckets"])
def bucket_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(dealing, "BUCKET_ROWS", request.param)
    return int(request.param)


@pytest.mark.parametrize(("row_groups", "workers", "memory"), [(1, 1, 0), (7, 2, 1 << 40), (7, 2, 200_000), (64, 4, 0)])
def test_cuts_workers_buckets_and_memory_change_no_bit(
    bucket_rows: int, row_groups: int, workers: int, memory: int, parquet: Callable[..., Path]
) -> None:
    once = run(CHAIN, payments(), {}, partition_size=None)
    found = run(CHAIN, parquet(payments(), row_groups), {}, workers=workers, exchange_bytes=memory)
    assert found.partitions == row_groups
    assert_same_table(found.table, once.table)
    assert content(found.states) == content(once.states)
    assert found.counts() == once.counts()
    assert found.counts()[4][0]["event"] == "duplicates"


def test_filters_come_before_an_exchange_that_fitting_waits_for() -> None:
    kept = payments().filter(pc.greater(payments()["amount"], 100.0))
    ops: list[Op] = [Rolling("amount", window="1d", order="time", by="card"), Normalize("amount_sum_1d")]
    assert_same_table(Pipeline([Filter("amount > 100"), *ops]).fit_transform(payments()).table, Pipeline(ops).fit_transform(kept).table)


def test_the_chain_equals_its_steps_one_by_one() -> None:
    """Ordered steps that share an exchange find what each finds alone."""
    together = Pipeline(CHAIN[2:4]).fit_transform(payments()).table
    first = Pipeline(CHAIN[2:3]).fit_transform(payments()).table
    assert_same_table(Pipeline(CHAIN[3:4]).fit_transform(first).table, together)


def test_the_last_row_of_a_partition_and_the_first_of_the_next_meet(parquet: Callable[..., Path]) -> None:
    data = pa.table({"k": ["b", "a", "a", "b"], "t": [0, 1, 2, 3], "x": [1.0, 2.0, 4.0, 8.0]})
    found = run([DifferenceLag("x", order="t", by="k")], parquet(data, 2), {}, workers=2)
    assert found.partitions == 2
    assert found.table["x_difference_lag_1"].to_pylist() == [None, None, 2.0, 7.0]


def test_partitions_left_empty_by_a_filter_and_keys_in_one_bucket(bucket_rows: int, parquet: Callable[..., Path]) -> None:
    data = pa.table({"k": ["a"] * 400, "t": np.arange(400), "x": np.ones(400)})
    found = run([Filter("t >= 100"), Rolling("x", window=1000, order="t", by="k")], parquet(data, 8), {}, workers=2)
    assert found.table["x_sum_1000"].to_pylist() == [float(n + 1) for n in range(300)]


def test_without_a_key_all_rows_are_one_group(bucket_rows: int, parquet: Callable[..., Path]) -> None:
    data = pa.table({"t": np.arange(400)[::-1], "x": np.ones(400)})
    found = run([DecayedSum("x", half_life=1e9, order="t", include_current=False), TimeSinceLast("t")], parquet(data, 5), {})
    assert found.table["t_since_last"].to_pylist() == [1.0] * 399 + [None]


def test_everything_filtered_away_leaves_an_empty_table(parquet: Callable[..., Path]) -> None:
    data = parquet(pa.table({"t": [1, 2], "x": [1.0, 2.0]}), 2)
    done = Pipeline([Filter("x > 5"), TimeSinceLast("t"), Dedupe("x")]).fit_transform(str(data))
    assert done.table.num_rows == 0
    assert done.table.column_names == ["t", "x", "t_since_last"]


def test_new_rows_are_transformed_by_themselves(tmp_path: Path) -> None:
    fitted = Pipeline(CHAIN).fit(payments())
    fitted.save(tmp_path / "fitted")
    new = payments(300, seed=1)
    loaded = FittedPipeline.load(tmp_path / "fitted").transform(new)
    assert_same_table(loaded, fitted.transform(new))
    alone = Pipeline(CHAIN[:5]).fit_transform(new).table  # nothing that was learnt stands before these steps but a mean
    assert loaded["time_since_last"].to_pylist() == alone["time_since_last"].to_pylist()


def test_rows_without_their_label_are_transformed(parquet: Callable[..., Path]) -> None:
    fitted = Pipeline([Filter("fraud IS NOT NULL"), *CHAIN[1:]]).fit(payments())
    new = payments(300, seed=1)
    assert_same_table(fitted.transform(new.drop_columns(["fraud"])), fitted.transform(new).drop_columns(["fraud"]))


def test_update_learns_from_the_results_of_new_rows() -> None:
    ops = [TimeSinceLast("time", by=["card"]), Derive({"late": "time_since_last > 3600"}), Categorify(["late"])]
    updated = Pipeline(ops).fit(payments()).update(payments(500, seed=1))
    assert updated.categories("late")["count"].to_pylist() != Pipeline(ops).fit(payments()).categories("late")["count"].to_pylist()
    assert sum(updated.categories("late")["count"].to_pylist()) == 2_500


def test_steps_of_one_grouping_share_an_exchange() -> None:
    by_card = CHAIN[2], CHAIN[3], Derive({"big": "amount > 500"}), Rolling("amount", window=60, order="time", by="card")
    assert _exchanges(by_card) == ["exchange by card"]
    assert _exchanges((*by_card, SessionId("time", by="shop"))) == ["exchange by card", "exchange by shop"]


def test_steps_that_see_other_rows_or_values_have_their_own_exchange() -> None:
    by_card = CHAIN[3], Rolling("amount", window=60, order="time", by="card")
    assert _exchanges((by_card[0], Filter("amount > 0"), by_card[1])) == ["exchange by card"] * 2
    assert _exchanges((by_card[0], Derive({"amount": "amount * 2"}), by_card[1])) == ["exchange by card"] * 2
    assert _exchanges((by_card[0], Rolling("time_since_last", window=60, order="time", by="card"))) == ["exchange by card"] * 2


def test_a_step_that_keeps_one_row_of_a_key_shares_no_exchange_and_only_what_it_keeps_is_handed_on(
    bucket_rows: int, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = CHAIN[3], Dedupe(["card"], keep="last", order="time"), Groupby(["shop"], {"amount": ["count"]})
    assert _exchanges(ops) == ["exchange by card"] * 2 + ["exchange by shop"]
    held, real = [], Spool.hold

    def hold(self: Spool, stage: str, pieces: Iterable[pa.Table]) -> Pieces:
        tables = list(pieces)
        held.append((stage, sum(table.num_rows for table in tables)))
        return real(self, stage, tables)

    monkeypatch.setattr(Spool, "hold", hold)
    found = Pipeline(ops).fit_transform(str(parquet(payments(), 7)))
    n_cards, n_shops = len(set(payments()["card"].to_pylist())), 3
    assert sum(found.table["amount_count"].to_pylist()) <= n_cards
    assert sum(n_rows for stage, n_rows in held if stage == dealing.FOUND) == 2_000 + n_cards + n_shops


def test_an_exchange_takes_no_pass_of_its_own_and_is_not_repeated() -> None:
    ops = (CHAIN[3], Normalize("time_since_last"))
    stages = _stages(ops)
    assert stages == ["exchange by card", "fit 1 of 1", "transform"]


def test_the_plan_says_what_is_exchanged_and_counts_its_memory() -> None:
    made, without = Pipeline(CHAIN).plan(payments()), Pipeline(CHAIN[:2]).plan(payments())
    assert [(one.step, one.keys, one.order) for one in made.exchanges[:3]] == [
        (2, ("card",), "time"),
        (3, ("card",), "time"),
        (4, ("card", "time"), None),
    ]
    assert made.describe()["exchanges"][2] == {"step": 4, "keys": ["card", "time"], "order": None}
    assert made.predicted_peak_bytes >= without.predicted_peak_bytes + 8 * 2_000 * len(made.exchanges)


def _exchanges(ops: tuple[Op, ...]) -> list[str]:
    return [stage for stage in _stages(ops) if stage.startswith("exchange")]


def _stages(ops: tuple[Op, ...]) -> list[str]:
    watched = _Watched()
    Pipeline(ops).fit_transform(payments(), progress=watched)
    return watched.stages


class _Watched:
    def __init__(self) -> None:
        self.stages: list[str] = []

    def start(self, stage: str, total: int) -> None:
        self.stages.append(stage)

    def advance(self) -> None:
        pass


@pytest.fixture
def scheduler() -> Iterator[str]:
    """The address of a Dask scheduler with two workers, started as a user would."""
    started: list[subprocess.Popen[str]] = []

    def start(mark: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1", "--no-dashboard"]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True))
        stream = started[-1].stderr
        assert stream is not None
        return next(line for line in stream if mark in line)

    try:
        address = start("Scheduler at:", "scheduler", "--port", "0").split()[-1]
        for _ in range(2):
            start("Registered to:", "worker", address, "--nworkers", "1", "--nthreads", "1", "--no-nanny")
        yield address
    finally:
        for process in reversed(started):  # each worker takes leave of a scheduler that is still there
            process.terminate()
            process.communicate(timeout=30)


SHOPS = pa.table({"shop": ["z", None, "x"], "area": [1.5, 2.5, None], "town": ["Lima", "Oslo", "Łódź"]})


@pytest.mark.parametrize("name", ["processes", "scheduler"])
def test_pieces_go_from_worker_to_worker(
    name: str, request: pytest.FixtureRequest, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    """Between processes of this machine by files, on a scheduler's workers by Dask; tables that are joined too."""
    monkeypatch.setattr("headrace.partitions.SMALLEST", 1)
    monkeypatch.setattr("headrace.partitions.LEAST_ROWS", 1)
    ops = [*CHAIN[:3], JoinExternal("shops", on=["shop"], columns=["area", "town"]), *CHAIN[4:7]]
    path, shops = parquet(payments(), 3), parquet(SHOPS, 2, name="shops.parquet")
    once = Pipeline(ops).fit_transform(payments(), tables={"shops": SHOPS})
    cluster = open_cluster("processes", 2) if name == "processes" else open_cluster(request.getfixturevalue("scheduler"))
    monkeypatch.setattr(dealing, "BUCKET_ROWS", 700)  # two buckets
    monkeypatch.setattr(side_tables, "SHARE", 1 << 62)
    written = _watch_folders(monkeypatch)
    try:
        assert len(cut(Dataset.open(path), once.table.column_names[:6])) == 3
        found = Pipeline(ops).fit_transform(str(path), tables={"shops": str(shops)}, cluster=cluster)
    finally:
        cluster.close()
    assert isinstance(found.fitted.fitted.states[3], Apart)
    assert_same_table(found.table, once.table)
    learnt = [{step: state for step, state in one.fitted.fitted.states.items() if step != 3} for one in (found, once)]
    assert content(learnt[0]) == content(learnt[1])
    assert bool(written) == (name == "processes")
    assert not list(temporary.glob("headrace-exchange-*"))


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that temporary files go to."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def _watch_folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files in an exchange's folder when a stage is over."""
    seen: list[str] = []
    original = Spool.release

    def release(self: Spool, stage: str) -> None:
        if self.folder is not None:
            seen.extend(path.name for path in self.folder.rglob("*.arrow"))
        original(self, stage)

    monkeypatch.setattr(Spool, "release", release)
    return seen


def test_an_exchange_that_fails_leaves_no_file(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_tables, "SHARE", 1 << 62)
    monkeypatch.setattr(plan, "usual_bytes", lambda: 0)
    twice = pa.concat_tables([SHOPS, SHOPS])
    with pytest.raises(DataError, match="more than once"):
        Pipeline([*CHAIN[2:3], JoinExternal("shops", on=["shop"], columns=["area"])]).fit_transform(payments(), tables={"shops": twice})
    assert list(temporary.iterdir()) == []


def test_memory_that_exchanges_may_hold_is_part_of_the_budget() -> None:
    peak = Pipeline(CHAIN).plan(payments()).predicted_peak_bytes
    roomy = Pipeline(CHAIN).plan(payments(), memory=2 * peak)
    needed = roomy.exchange_bytes
    least = roomy.predicted_peak_bytes - needed
    tight = Pipeline(CHAIN).plan(payments(), memory=least + 1_000)
    assert (tight.exchange_bytes, tight.predicted_peak_bytes) == (500, least + 500)
    assert 0 < needed < peak


# The peak of this process alone: what getrusage tells begins with the peak of the process that started it.
MEASURED = """
import re, sys
import numpy as np, pyarrow as pa
from headrace import Pipeline, Rolling, plan
plan.usual_bytes = lambda: int(sys.argv[2])
ops = [Rolling([f"x{n}" for n in range(6)], window=100, order="t", by=["k"], stats=["mean", "max"])]
from headrace.opened import Opened
from headrace.local_cluster import LocalCluster
from headrace.exchange import Rows, exchange_steps, exchanging
from headrace.execution import Silent, transform_partition
from headrace.ledger import Ledger
opened, cluster, total = Opened.of(ops, sys.argv[1], None), LocalCluster(1), 0.0
made = opened.plan(cluster)
with exchanging(cluster, opened.work(), made.exchange_bytes) as work:
    rows = exchange_steps(cluster, work, opened.steps, Rows.of(made.partitions), [0], Silent())
    for partition in cluster.gather(rows.partitions):
        for table in transform_partition(work, made.passes[-1].columns, [0], partition, Ledger()):
            total += float(table.columns["x0_mean_100"].to_numpy(zero_copy_only=False).sum())
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) << 10
print(peak, made.predicted_peak_bytes, total.hex())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak there")
def test_a_budget_bounds_the_memory_of_a_process(parquet: Callable[..., Path]) -> None:
    n_rows, random = 1_500_000, np.random.default_rng(0)
    columns = {"k": random.integers(0, 50_000, n_rows), "t": np.arange(n_rows), **{f"x{n}": random.normal(size=n_rows) for n in range(6)}}
    path = parquet(pa.table(columns), 24)
    roomy, tight = (_measured(path, memory) for memory in (1 << 40, 0))
    assert roomy[2] == tight[2]
    for peak, predicted, _ in (roomy, tight):
        assert int(peak) <= int(predicted), "more than the plan said"
    assert int(roomy[0]) - int(tight[0]) > 150 << 20


def _measured(path: Path, memory: int) -> list[str]:
    done = subprocess.run([sys.executable, "-c", MEASURED, path, str(memory)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
