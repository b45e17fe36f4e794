"""Job: a job file, checked, against its data too, and ready to be planned or run."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.backends import find_device, thread_count
from headrace.cluster import is_remote, planned_workers, prepare_cluster
from headrace.dataset import Dataset
from headrace.errors import HeadraceError, JobError, JobErrors, unknown_name
from headrace.jobs.settings import JobSettings, ModelSection, RunSettings, check_settings
from headrace.jobs.text import JobText
from headrace.listing import takes_below
from headrace.metrics import check_metrics, metric_names
from headrace.models import ModelSettings
from headrace.models.settings import ALL_WORKERS, KINDS, MOST_ITERATIONS, OBJECTIVES, QUANTILE_ROWS, TREES
from headrace.pipeline import Pipeline
from headrace.plan import Plan, make_plan
from headrace.rates import Estimate, MachineRates, estimate
from headrace.side_tables import SideTables
from headrace.split import AnySplit, check_key, make_split
from headrace.steps import Steps

if TYPE_CHECKING:
    from headrace.execution import Progress
    from headrace.jobs.run import Run

E = TypeVar("E", bound=HeadraceError)


@dataclass(frozen=True, eq=False)
class Job:
    """One job file.

    Examples
    --------
    >>> job = Job.from_text('''
    ... job: demo
    ... source: {path: data/*.parquet}
    ... pipeline: [normalize: [km]]
    ... output: {path: out/demo}
    ... ''')
    >>> job.settings.run.cluster, job.pipeline.steps[0].name
    ('local', 'normalize')
    """

    settings: JobSettings
    pipeline: Pipeline
    text: JobText

    def __repr__(self) -> str:
        return f"Job({self.name!r}, file={self.text.file!r})"

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Job:
        """Read a job file.

        Parameters
        ----------
        path : path
            The YAML file.
        overrides : list of str
            ``a.b=value`` settings that replace what the file says.

        Raises
        ------
        JobErrors
            For all mistakes of the file together: file, line, key path, the nearest right name.
        """
        return cls.of(JobText.read(path, overrides))

    @classmethod
    def from_text(cls, text: str, overrides: Sequence[str] = ()) -> Job:
        """Make a job of YAML text."""
        return cls.of(JobText.of(text, overrides))

    @classmethod
    def of(cls, text: JobText) -> Job:
        """Check what was read; raise JobErrors for all its mistakes together."""
        values = text.values
        with text.placed():
            errors: list[JobError] = []
            settings, pipeline = None, None
            try:
                settings = check_settings(values)
            except JobErrors as found:
                errors += found.errors
            except JobError as found:
                errors.append(found)
            steps = values.get("pipeline") if isinstance(values, dict) else None
            try:
                pipeline = Pipeline.from_settings(steps if isinstance(steps, list) else [])
            except JobErrors as found:
                errors += found.errors
            if errors or settings is None or pipeline is None:
                raise JobErrors(errors)
            if settings.model is not None:
                model = _model_settings(settings)
                _check_target(settings.model, model)
                _check_rounds(settings.model)
                _check_training(settings.run, model)
                _check_metrics(settings.evaluate or (), model)
            if settings.evaluate and settings.model is None:
                raise JobError("there is no model to evaluate", key="evaluate", hint="add `model:`, or leave `evaluate:` out")
            if settings.run.training == ALL_WORKERS and settings.model is None:
                raise JobError("there is no model to train", key="run.training", hint="add `model:`, or leave it out")
            return cls(settings, _seeded(pipeline, settings), text)

    @property
    def name(self) -> str:
        return self.settings.job

    @cached_property
    def split(self) -> AnySplit:
        return make_split(self.settings.split.model_dump() if self.settings.split else None, self.settings.run.seed)

    @property
    def model_settings(self) -> ModelSettings | None:
        return _model_settings(self.settings) if self.settings.model is not None else None

    def open(self) -> OpenJob:
        """Read footers and check every step against them; raise JobErrors that name the line."""
        with self.text.placed():
            try:
                source = Dataset.open(self.settings.source.path)
            except JobError as error:
                raise JobError(error.message, key="source.path", hint=error.hint) from error
            tables = self._open_tables()
            errors: list[JobError] = []
            output = self.settings.output.path
            above = [place for place in (*self.settings.source.path, *self.settings.tables.values()) if takes_below(place, output)]
            if above:
                message = f"{output!r} lies in {above[0]!r}: the next run would take what this one writes for rows of the source"
                errors.append(JobError(message, key="output.path", hint="write elsewhere, or name the source's files by a glob"))
            steps = None
            for index, name in enumerate(self.settings.source.key):
                if name not in source.schema:
                    message, hint = unknown_name("column", name, source.schema)
                    errors.append(JobError(message, key=f"source.key[{index}]", hint=hint))
                    continue
                with _gathered(errors):
                    check_key(source.schema, name, f"source.key[{index}]")
            with _gathered(errors):
                self.split.check(source.schema)
            with _gathered(errors):
                steps = Steps.of(self.pipeline.steps, source.schema, tables.schemas)
            if errors or steps is None:
                raise JobErrors(errors)
            opened = OpenJob(self, source, tables, steps)
            opened.check_model()
            opened.check_names()
            return opened

    def plan(self) -> Plan:
        """Return what will run; nothing is computed."""
        return self.open().plan()

    def run(self, progress: Progress | None = None) -> Run:
        """Run the job and return what it left; nothing is visible of it if it fails."""
        prepare_cluster(self.settings.run.cluster)
        from headrace.jobs.run import run_job

        with self.text.placed():
            return run_job(self, progress)

    def _open_tables(self) -> SideTables:
        opened = {}
        for name, path in self.settings.tables.items():
            try:
                opened[name] = Dataset.open(path)
            except JobError as error:
                raise JobError(error.message, key=f"tables.{name}", hint=error.hint) from error
        return SideTables.open(self.pipeline.steps, opened, self.settings.run.memory)


@dataclass(frozen=True, eq=False)
class OpenJob:
    """A job with its data opened: footers read, every step checked against the schema."""

    job: Job
    source: Dataset
    tables: SideTables
    steps: Steps

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The columns that reach the model.

        Those listed under `model.features`; else every number or boolean that a step made, changed or selected. The target,
        the row key, and columns of the source that no step mentions are none.
        """
        section = self.job.settings.model
        if section is None:
            return ()
        if section.features is not None:
            return tuple(section.features)
        touched = self.steps.touched
        return tuple(
            name for name, type_ in self.steps.schema.columns.items() if name in touched and name != section.target and type_.is_feature
        )

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.job.settings.source.key)

    def check_model(self) -> None:
        """Raise JobErrors if target or features are not there, are no numbers, or give the target away."""
        section = self.job.settings.model
        schema = self.steps.schema
        if section is None:
            return
        errors = []
        if section.target is None:
            pass  # the kind takes none: `_check_target` has seen to that
        elif section.target not in schema:
            message, hint = unknown_name("column", section.target, schema)
            errors.append(JobError(message, key="model.target", hint=hint))
        elif not schema[section.target].is_feature:
            errors.append(
                JobError(
                    f"{section.target!r} is {schema[section.target]}, and a number or boolean is needed",
                    key="model.target",
                    hint="derive a number of it, as in derive: {label: \"CAST(answer = 'yes' AS INT)\"}",
                )
            )
        for index, name in enumerate(section.features or ()):
            key = f"model.features[{index}]"
            if name not in schema:
                message, hint = unknown_name("column", name, schema)
                errors.append(JobError(message, key=key, hint=hint))
            elif name == section.target:
                errors.append(JobError(f"{name!r} is the target: the model would see the answer", key=key, hint="leave it out"))
            elif name in (section.features or ())[:index]:
                errors.append(JobError(f"{name!r} stands twice", key=key, hint="leave it out"))
            elif not schema[name].is_feature:
                errors.append(
                    JobError(f"{name!r} is {schema[name]}, and a number or boolean is needed", key=key, hint="categorify it first")
                )
        if errors:
            raise JobErrors(errors)
        if not self.features:
            raise JobError(
                "no step makes a number for the model",
                key="pipeline",
                hint="name the columns in a step, in `select`, or under model.features",
            )
        if section.features is None and section.target is not None:
            self._refuse_leaks(section.target)
        _model_settings(self.job.settings).check_features(self.features)

    def check_names(self) -> None:
        """Raise JobError if two columns of the feature files, or of the prediction files, would have one name."""
        settings, files = self.job.settings, {}
        target = settings.model.target if settings.model else None
        told = [] if target is None else [target, "prediction"]
        split = [] if settings.split is None else ["split"]
        if settings.output.features:
            files["features"] = [*split, *(new for new, _ in self._renamed_key()), *self.outputs]
        if settings.model is not None and settings.output.predictions:
            files["predictions"] = [*split, *(self.key or ["row"]), *told]
        for file, names in files.items():
            twice = next((name for name, count in Counter(names).items() if count > 1), None)
            if twice is not None:
                hint = "split, row key, target and prediction have their names there: rename the other column, as in rename: {old: new}, or drop it"
                raise JobError(f"two columns would be called {twice!r}", key=f"output.{file}", hint=hint)

    def _refuse_leaks(self, target: str) -> None:
        lineage = self.steps.lineage
        label = set(lineage[target].values)
        leaks = {name: sorted(label & set(lineage[name].all_columns())) for name in self.features}
        leaking = [f"{name} (from {', '.join(columns)})" for name, columns in leaks.items() if columns]
        if leaking:
            raise JobError(
                f"the model would see what its target {target!r} is made of: {', '.join(leaking)}",
                key="model.features",
                hint="drop these columns; or, if they are known when predicting, list all features under model.features",
            )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Columns of the feature files beside the row key: target and features; without a model, all columns."""
        section = self.job.settings.model
        if section is None:
            return self.steps.schema.names
        return self.features if section.target is None else (section.target, *self.features)

    def plan(self, n_workers: int | None = None, device: str | None = None) -> Plan:
        """Return what will run; on this machine's own device unless another is given, which the workers have."""
        run, model = self.job.settings.run, self.job.model_settings
        if n_workers is None:
            with self.job.text.placed():
                n_workers = planned_workers(run.cluster, thread_count(run.cluster, run.workers, run.device))
        with self.job.text.placed():
            return make_plan(
                self.source,
                self.steps,
                self.job.split,
                self.outputs,
                key=self.key,
                partition_size=run.partition,
                n_workers=n_workers,
                n_processes=1 if run.cluster == "local" else 1 + n_workers,
                memory=run.memory,
                matrix_columns=len(self.features),
                training=run.training if model else None,
                shared_rows=QUANTILE_ROWS if model and run.training == ALL_WORKERS and model.together == TREES else 0,
                look_ups=self.tables.look_ups,
                device=find_device(run.device) if device is None else device,
                strict=run.strict,
            )

    def estimate(self, plan: Plan, rates: MachineRates | None) -> Estimate:
        """Return the time that a plan would take by measured rates, training left out."""
        run, output = self.job.settings.run, self.job.settings.output
        columns = (len(self.outputs) if output.features else 0) + (2 if output.predictions and self.job.settings.model else 0)
        return estimate(plan, plan.source["rows"] * columns, planned_workers(run.cluster, run.workers), rates)

    def key_outputs(self) -> dict[str, str]:
        """The row key's columns by the names they have in the feature files: a feature of the same name comes first."""
        return dict(self._renamed_key())

    def _renamed_key(self) -> list[tuple[str, str]]:
        taken = set(self.outputs) if self.job.settings.model else self.steps.touched
        known = set(self.outputs) - taken  # the key's own columns, as they were
        return [(f"key_{name}" if name in taken else name, name) for name in self.key if name not in known]


@contextmanager
def _gathered(errors: list[JobError]) -> Iterator[None]:
    """Take in mistakes, so that others are looked for, too."""
    try:
        yield
    except JobErrors as found:
        errors += found.errors
    except JobError as found:
        errors.append(found)


def _model_settings(settings: JobSettings) -> ModelSettings:
    section = settings.model
    assert section is not None  # noqa: S101  (callers have checked)
    return ModelSettings(section.kind, section.task, section.params, section.rounds, settings.run.seed)


def _check_target(section: ModelSection, model: ModelSettings) -> None:
    """Refuse a kind that learns from a target without one, and a target of a kind that looks at the features alone."""
    if model.has_target and section.target is None:
        raise JobError(f"is missing: {model.kind} learns from a target", key="model.target")
    if section.target is not None and not model.has_target:
        raise JobError(f"{model.kind} has no target: it looks at the features alone", key="model.target", hint="leave it out")


def _check_rounds(section: ModelSection) -> None:
    """Refuse rounds of a kind that has none: they would be ignored."""
    kind = KINDS[section.kind]
    if kind.has_rounds or "rounds" not in section.model_fields_set:
        return
    able = ", ".join(name for name, one in KINDS.items() if one.has_rounds)
    hint = f"nearest: model.params.{MOST_ITERATIONS}" if MOST_ITERATIONS in kind.params else "leave it out"
    raise JobError(f"{section.kind} has no rounds", key="model.rounds", hint=f"{hint}. Kinds with rounds: {able}")


def _check_training(run: RunSettings, model: ModelSettings) -> None:
    """Refuse what all workers cannot train, or not without opening ports that nobody has agreed to."""
    if run.training != ALL_WORKERS:
        return
    model.check_together()
    if model.together == TREES and is_remote(run.cluster) and not run.trusted_network:
        raise JobError(
            "workers that train together exchange sums of gradients over plain TCP, which TLS does not cover",
            key="run.training",
            hint="write run.trusted_network: true where nobody else is on their network; or one_worker",
        )


def _check_metrics(names: Sequence[str], model: ModelSettings) -> None:
    """Refuse a metric that no model of this kind has; the task may be known only when the target is read."""
    if not model.has_target:
        from headrace.models.measures import check_measures

        check_measures(model.kind, names)
        return
    decided = model.task or OBJECTIVES.get(str(model.params.get("objective")))
    tasks = (decided,) if decided else KINDS[model.kind].tasks
    check_metrics(max(tasks, key=lambda task: len(set(names) & set(metric_names(task)))), names)


def _seeded(pipeline: Pipeline, settings: JobSettings) -> Pipeline:
    """Give ops that take a seed, and were given none, the job's."""
    steps = []
    for op in pipeline.steps:
        names = {field.name for field in dataclasses.fields(op)}  # type: ignore[arg-type]
        changes: dict[str, Any] = {}
        if "seed" in names and getattr(op, "seed") is None:  # noqa: B009  (not every op has one)
            changes["seed"] = settings.run.seed
        steps.append(dataclasses.replace(op, **changes) if changes else op)  # type: ignore[type-var]
    return Pipeline(steps)
