"""Run: one execution of a job, from footers to a committed directory."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace import json_text
from headrace.backends import CPU, thread_count
from headrace.cluster import Cluster, open_cluster
from headrace.dataset import Dataset
from headrace.errors import DataError
from headrace.exchange import Rows, exchange_steps, exchanging
from headrace.execution import Progress, Sample, Silent, Work, fit_steps, keeping_rows
from headrace.fitted import FittedSteps
from headrace.jobs.bundle import Bundle, prediction_schema
from headrace.jobs.directory import Listing, Written, file_entry, new_run_id, run_directory, write_manifest
from headrace.jobs.evaluation import Outcome, evaluated
from headrace.jobs.tasks import Counted, Predicted, Prepare, counted_of, predict_prepared, prepare_partition, sample_rows
from headrace.jobs.training import Target, train_on_all, train_on_one
from headrace.ledger import Ledger
from headrace.models import Model, ModelSettings, preload
from headrace.models.settings import ALL_WORKERS
from headrace.ops import op_name
from headrace.ops.base import StatefulOp
from headrace.plan import Plan
from headrace.profile import merge_profiles
from headrace.startup import ahead, touch_memory
from headrace.versions import installed_versions
from headrace.worker_setup import load_kernels
from headrace.workers import told_if_lost, worker_device

if TYPE_CHECKING:
    from headrace.jobs.job import Job, OpenJob

PACKAGES = ("headrace", "pyarrow", "numpy", "numba", "xgboost-cpu", "xgboost", "scikit-learn", "dask", "pandas")
# Up to this many values, rows times columns, all are profiled; of more, about so many, from the start of partitions that give at least
# so many rows each, because each column of each costs the same however few they are.
PROFILE_VALUES, SAMPLED_VALUES, LEAST_ROWS = 16_000_000, 1_600_000, 500
FORMAT = 1
# How often a run looks for feature files that are complete.
LOOKS = 16


@dataclass(frozen=True, eq=False)
class Run:
    """A committed run: its directory and what it recorded.

    Raises DataError when made of a directory that holds no run.
    """

    directory: Path
    record: Mapping[str, Any] = field(repr=False)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Run:
        """Read a run from its directory (or from `latest`)."""
        folder = Path(directory).resolve()
        try:
            record = json.loads((folder / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise DataError(
                "holds no run: there is no readable run.json",
                file=str(directory),
                hint="name a folder below <output.path>/runs, or <output.path>/latest",
            ) from error
        needed = {"run", "job", "seconds", "dataset", "ledger"}
        if not isinstance(record, dict) or record.get("format") != FORMAT or not needed <= record.keys():
            raise DataError(
                "holds a run.json that this headrace does not read", file=str(directory), hint="it was altered, or is of another version"
            )
        return cls(folder, record)

    @property
    def id(self) -> str:
        return str(self.record["run"])

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics of the test rows (of the training rows where nothing was split off)."""
        found = self.record.get("metrics", {})
        return dict(found.get("test") or found.get("train") or {})

    @cached_property
    def bundle(self) -> Bundle:
        """The fitted pipeline and the model."""
        return Bundle.load(self.directory / "bundle")

    @property
    def report(self) -> Path:
        return self.directory / "report.html"


@dataclass
class Stages:
    """Seconds by stage, for the record and the report."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def run_job(job: Job, progress: Progress | None = None) -> Run:
    """Execute a job; see `Job.run`."""
    started = dt.datetime.now(dt.UTC)
    run_id = new_run_id(started)
    stages = Stages()
    if job.settings.model is not None:
        preload(job.settings.model.kind)
    with stages.stage("plan"):
        opened = job.open()
    with run_directory(job.settings.output.path, run_id) as folder, Listing(folder) as listing:
        with stages.stage("plan"):
            run = job.settings.run
            loaded = threading.Event()
            here = (load_kernels,) if run.cluster == "local" else ()  # workers of their own have them, and take all cores to start
            ahead(*here, loaded.set, _load_report)
            cluster = open_cluster(run.cluster, thread_count(run.cluster, run.workers, run.device))
        try:
            execution = _Execution(opened, cluster, folder, listing, progress or Silent(), stages, loaded)
            with told_if_lost():
                record = execution.execute()
        finally:
            cluster.close()
        record = {
            "format": FORMAT,
            "run": run_id,
            "job": _job_record(job),
            "status": "done",
            "started": started.isoformat(timespec="seconds"),
            **record,
        }
        with stages.stage("report"):
            _finish(folder, record, stages, listing)
    return Run.load(Path(job.settings.output.path) / "runs" / run_id)


@dataclass(frozen=True, eq=False)
class _Execution:
    """The stages of a run, in order."""

    opened: OpenJob
    cluster: Cluster
    folder: Path
    listing: Listing
    progress: Progress
    stages: Stages
    loaded: threading.Event  # kernels are

    def execute(self) -> dict[str, Any]:
        """Plan, fit, transform, train, predict, evaluate; return the record."""
        opened, job = self.opened, self.opened.job
        with self.stages.stage("plan"):
            with opened.job.text.placed():
                device = worker_device(self.cluster, job.settings.run.device)
            plan = opened.plan(self.cluster.n_workers, device)
        if self.cluster.one_process and device == CPU:
            ahead(lambda: touch_memory(_kept_bytes(plan, opened.source), self.loaded))
        states = opened.tables.states(opened.steps.ops)
        unlearnt = Work(opened.source, opened.steps.ops, job.split, states, opened.key, sides=opened.tables.shuffled)
        unlearnt = replace(unlearnt, device=device, strict=job.settings.run.strict, sample=_sample(plan))
        with (
            keeping_rows(self.cluster, unlearnt, plan) as kept,
            exchanging(self.cluster, kept, plan.exchange_bytes) as work,
        ):
            with self.stages.stage("fit"):
                found = fit_steps(self.cluster, work, opened.steps, plan, self.progress)
            with self.stages.stage("transform"):
                work = replace(work, states=found.states)
                rows = exchange_steps(self.cluster, work, opened.steps, found.rows, range(len(opened.steps.ops)), self.progress)
                what, handles = self._prepare(plan, work, rows)
                # What needs no row of the result is done beside the tasks.
                fitted = FittedSteps(opened.steps.ops, opened.source.schema, opened.tables.schemas, found.states, found.parts)
                if job.model_settings is None:
                    self._write_pipeline(fitted)
                record: dict[str, Any] = {
                    "machine": _machine(self.cluster, plan),
                    "versions": {"python": platform.python_version(), **installed_versions(PACKAGES)},
                    "dataset": opened.source.describe(),
                    "plan": plan.describe(),
                    "lineage": _lineage(opened),
                }
                counted = self._counted(handles)
                record["profile"] = _profile_records(counted)  # strings that did not fit in memory are in the run's files
        ledger = Ledger.total([*(one.ledger for one in counted), found.ledger, rows.ledger])
        record |= {
            "steps": _step_records(opened, fitted, ledger),
            "ledger": {
                "rows": ledger.rows(),
                "counts": _all_counts(opened, ledger),
                "transfers": ledger.transfers.describe(),
                "device": dict(sorted(ledger.device.items())),
                "fallbacks": list(plan.fallbacks),
            },
        }
        if job.model_settings is None:
            return record
        return {**record, **self._model(plan, what, fitted, handles)}

    def _prepare(self, plan: Plan, work: Work, rows: Rows) -> tuple[Prepare, list[Any]]:
        """Start the tasks that apply the steps and write features; return what they were told, and their handles."""
        opened, settings = self.opened, self.opened.job.settings
        folder = None
        if settings.output.features:
            folder = self.folder / "features"
            folder.mkdir()
        section = settings.model
        what = Prepare(
            columns=plan.passes[-1].columns,
            outputs=opened.steps.schema.select(opened.outputs),
            keys=opened.key_outputs(),
            key_types=opened.source.schema.select(opened.key),
            features=opened.features,
            target=section.target if section else None,
            folder=folder.resolve() if folder else None,
            has_split=settings.split is not None,
        )
        shared, shared_what = self.cluster.share(work), self.cluster.share(what)
        self.progress.start("transform", len(plan.partitions))
        if plan.training == ALL_WORKERS:
            self.cluster.spread(len(plan.partitions))
        tasks = enumerate(rows.partitions)
        return what, [self.cluster.submit_about(place, prepare_partition, shared, shared_what, partition) for place, partition in tasks]

    def _counted(self, handles: list[Any]) -> list[Counted]:
        """Wait for the tasks, beginning with the entries of the files that they leave, and return what they counted, merged by each worker."""
        n_done, look_every = itertools.count(1), max(len(handles) // LOOKS, 1)

        def done() -> None:
            self.progress.advance()
            if next(n_done) % look_every == 0:
                self.listing.begin()

        self.cluster.wait(handles, done)
        runs = self.cluster.neighbours(handles)
        counted = self.cluster.gather([self.cluster.submit_beside(run[0], counted_of, *run) for run in runs])
        for one in counted:
            self.listing.know(one.files)
        if not sum(one.ledger.rows_out for one in counted):
            hint = "look at the filters: they leave nothing"
            raise DataError("no row is left after the pipeline", file=self.opened.source.source, hint=hint)
        return counted

    def _model(self, plan: Plan, what: Prepare, fitted: FittedSteps, handles: list[Any]) -> dict[str, Any]:
        job, opened = self.opened.job, self.opened
        settings, section = job.model_settings, job.settings.model
        assert settings is not None  # noqa: S101  (the caller has checked)
        assert section is not None  # noqa: S101
        with self.stages.stage("train"):
            self.progress.start("train", 1)
            model, handle, n_trainers = self._trained(plan, settings, handles)
            self.progress.advance()
        with self.stages.stage("predict"):
            folder = None
            if job.settings.output.predictions:
                folder = self.folder / "predictions"
                folder.mkdir()
                folder = folder.resolve()
            known = opened.steps.schema.select([] if section.target is None else [section.target])
            schema = prediction_schema(what.key_types, known, model)
            self.progress.start("predict", len(handles))
            asked = [
                self.cluster.submit(predict_prepared, what, schema, folder, handle, part, p)
                for part, p in zip(handles, plan.partitions, strict=True)
            ]
            self.cluster.wait(asked, self.progress.advance)
            predicted = self.cluster.gather(asked)
            for one in predicted:
                self.listing.know(one.files)
        self.listing.begin()
        with self.stages.stage("evaluate"):
            record = evaluated(opened, model, Outcome.of(predicted), lambda n, which: self._sample(n, which, predicted, handles))
        record["model"]["training"] = {"on": plan.training, "workers": n_trainers}
        bundle = Bundle(fitted, model, opened.features, section.target, opened.key, job.name, record["metrics"])
        self.listing.know(_hashed(bundle.write(self.folder / "bundle")))
        return record

    def _trained(self, plan: Plan, settings: ModelSettings, handles: list[Any]) -> tuple[Model, Any, int]:
        """Return the model, a handle of it, and how many workers trained it."""
        features, section = self.opened.features, self.opened.job.settings.model
        target = Target((section and section.target) or "", tuple(self.opened.job.settings.evaluate or ()))
        if plan.training == ALL_WORKERS:
            model, n_workers = train_on_all(self.cluster, settings, features, plan.device, target, handles)
            return model, self.cluster.share(model), n_workers
        handle = self.cluster.submit(train_on_one, settings, features, os.cpu_count() or 1, plan.device, target, *handles)
        return self.cluster.gather([handle])[0], handle, 1

    def _sample(self, n_rows: int, which: str, predicted: list[Predicted], handles: list[Any]) -> np.ndarray:
        counts = [len(part.predicted) if which == "all" else int(getattr(part, which).sum()) for part in predicted]
        return sample_rows(self.cluster, n_rows, which, counts, handles)

    def _write_pipeline(self, fitted: FittedSteps) -> None:
        from headrace.fitted import write_fitted
        from headrace.sha256sums import write_sums

        folder = self.folder / "bundle"
        folder.mkdir()
        write_fitted(fitted, folder)
        self.listing.know(_hashed(write_sums(folder)))


def _hashed(sums: Mapping[Path, str]) -> dict[Path, Written]:
    return {path: Written(digest) for path, digest in sums.items()}


def _kept_bytes(plan: Plan, source: Dataset) -> int:
    """Return about what the rows will take that are kept between passes, with what is learnt of them: most of a run's memory.

    A code or a number takes up to twice the bytes that it has in a file, and a number no more than its type says.
    """
    if len(plan.passes) == 1:
        return 0
    nbytes = 0
    for name in max(plan.passes, key=lambda one: one.nbytes).columns:
        type_ = source.schema[name]
        stored = 2 * sum(group.nbytes.get(name, 0) for group in source.row_groups)
        nbytes += min(stored, source.n_rows * type_.arrow.bit_width // 8) if type_.is_number else stored
    return min(plan.cache_bytes, nbytes)


def _load_report() -> None:
    from headrace.report.page import prepare

    prepare()


def _finish(folder: Path, record: dict[str, Any], stages: Stages, listing: Listing) -> None:
    """Write the record, the report and the manifest."""
    record["seconds"] = {**stages.seconds, "total": sum(stages.seconds.values())}
    record["files"] = listing.entries()
    from headrace.report import render

    pages = {"report.html": render(record), "run.json": json_text.dump(record) + "\n"}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_manifest(folder, [*record["files"], *(file_entry(folder / name, folder) for name in pages)])


def _job_record(job: Job) -> dict[str, Any]:
    return {"name": job.name, "file": job.text.file, "settings": job.text.values}


def _machine(cluster: Cluster, plan: Plan) -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory_bytes": memory, "device": plan.device, "cluster": cluster.name, "workers": cluster.n_workers}


def _sample(plan: Plan) -> Sample:
    """Return which rows are profiled."""
    n_partitions, rows = len(plan.partitions), sum(partition.n_rows for partition in plan.partitions)
    columns = max(len(plan.passes[-1].columns), 1)
    if rows * columns <= PROFILE_VALUES:
        return Sample(None)
    wanted = SAMPLED_VALUES // columns
    every = -(-n_partitions // max(wanted // LEAST_ROWS, 1))
    return Sample(max(wanted // -(-n_partitions // every), 1), every)


def _step_records(opened: OpenJob, fitted: FittedSteps, ledger: Ledger) -> list[dict[str, Any]]:
    records = []
    for index, (op, declaration) in enumerate(zip(opened.steps.ops, opened.steps.declarations, strict=True)):
        tally = ledger.tallies.get(index)
        records.append(
            {
                "index": index,
                "op": op_name(op),
                "text": op.text(),
                "fitted": isinstance(op, StatefulOp),
                "reads": list(declaration.reads),
                "makes": list(declaration.makes),
                "rows_in": tally.rows_in if tally else 0,
                "rows_out": tally.rows_out if tally else 0,
                "seconds": round(tally.seconds, 4) if tally else 0.0,
                "learnt": fitted.learnt(index),
                "counts": ledger.step_counts(index),
            }
        )
    return records


def _all_counts(opened: OpenJob, ledger: Ledger) -> list[dict[str, Any]]:
    return [{"step": index, "op": op_name(op), **count} for index, op in enumerate(opened.steps.ops) for count in ledger.step_counts(index)]


def _profile_records(counted: list[Counted]) -> list[dict[str, Any]]:
    return [profile.describe(name) for name, profile in merge_profiles([one.profile for one in counted]).items()]


def _lineage(opened: OpenJob) -> dict[str, Any]:
    lineage = opened.steps.lineage
    names = opened.features or opened.steps.schema.names
    return {
        name: {"from": list(found.values), "looked_up_by": list(found.keys), "learnt_from": list(found.learnt), "steps": list(found.steps)}
        for name, found in ((name, lineage[name]) for name in names)
    }
