"""Pipeline and FittedPipeline: the engine as a library, from Python and from YAML."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import pyarrow as pa

from headrace import yaml_text
from headrace.backends import find_device
from headrace.cache import CacheSettings
from headrace.cluster import Cluster, open_cluster
from headrace.dataset import Dataset
from headrace.errors import JobError, JobErrors
from headrace.exchange import Rows, exchange_steps, exchanging
from headrace.execution import (
    Progress,
    Silent,
    Work,
    fit_steps,
    keeping,
    keeping_rows,
    observe_pass,
    transform_to_files,
    transform_to_tables,
)
from headrace.fitted import FittedSteps, pipeline_settings, read_fitted, write_fitted
from headrace.frames import is_dask, map_partitions
from headrace.ledger import Ledger
from headrace.new_folder import new_folder
from headrace.opened import Opened, Tables, naming, open_source, passing_by
from headrace.ops import make_op, op_name
from headrace.ops.base import FittedOp, Op
from headrace.ops.categorify import Categorify
from headrace.partitions import cut
from headrace.plan import Pass, Plan, make_plan, usual_bytes
from headrace.pool import Room
from headrace.schema import Schema
from headrace.sha256sums import check_sums, write_sums
from headrace.side_tables import serve_tables
from headrace.split import NoSplit, Serving
from headrace.steps import Lineage, check_available
from headrace.workers import using, worker_device


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of operators, frozen; fitted on data, written as YAML and back to the same.

    Parameters
    ----------
    steps : list of operators
        As in ``[hr.Filter("x > 0"), hr.Normalize(["x"])]``.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from headrace.ops.normalize import Normalize
    >>> fitted = Pipeline([Normalize(["x"])]).fit(pa.table({"x": [1.0, 3.0]}))
    >>> fitted.transform(pa.table({"x": [2.0, 5.0]}))["x"].to_pylist()
    [0.0, 3.0]
    """

    steps: tuple[Op, ...]

    def __init__(self, steps: Sequence[Op]) -> None:
        if isinstance(steps, Op):
            raise JobError("a pipeline is a list of operators, and this is one alone", hint='write [hr.Normalize(["x"])]')
        wrong = next((step for step in steps if not isinstance(step, Op)), None)
        if wrong is not None:
            raise JobError(f"a pipeline is a list of operators, and {wrong!r} is none", hint='write them as hr.Normalize(["x"])')
        object.__setattr__(self, "steps", tuple(steps))

    @classmethod
    def from_settings(cls, settings: Sequence[Mapping[str, Any]]) -> Pipeline:
        """Make a pipeline of the list that stands under ``pipeline:`` in a job; raise JobErrors for all mistakes together."""
        steps: list[Op] = []
        errors: list[JobError] = []
        for index, item in enumerate(settings):
            key = f"pipeline[{index}]"
            if not isinstance(item, Mapping) or len(item) != 1:
                errors.append(JobError("a step is one operator and its settings, as in `normalize: [km]`", key=key))
                continue
            name, value = next(iter(item.items()))
            try:
                steps.append(make_op(name, value))
            except JobErrors as found:
                errors += [JobError(e.message, key=f"{key}.{name}" + (f".{e.key}" if e.key else ""), hint=e.hint) for e in found.errors]
            except JobError as error:
                errors.append(JobError(error.message, key=f"{key}.{name}" + (f".{error.key}" if error.key else ""), hint=error.hint))
        if errors:
            raise JobErrors(errors)
        return cls(steps)

    @classmethod
    def from_yaml(cls, text: str) -> Pipeline:
        """Make a pipeline of YAML text: the list that stands under ``pipeline:``."""
        settings = yaml_text.load(text)[0]
        if not isinstance(settings, list):
            raise JobError("a pipeline in YAML is a list of steps")
        return cls.from_settings(settings)

    def to_yaml(self) -> str:
        """Return the pipeline as YAML; `from_yaml` makes the same pipeline of it.

        >>> from headrace.ops.filter import Filter
        >>> print(Pipeline([Filter("x > 0")]).to_yaml(), end="")
        - filter: x > 0
        """
        return yaml_text.dump(pipeline_settings(self.steps))

    def plan(self, source: Any, *, tables: Tables | None = None, memory: int | None = None, workers: int = 1, device: str = "auto") -> Plan:
        """Return what fitting and transforming `source` would take, and on a GPU what the CPU would do; nothing is computed."""
        opened = Opened.of(self.steps, source, tables, memory)
        outputs = opened.steps.schema.names
        return make_plan(
            opened.source,
            opened.steps,
            NoSplit(),
            outputs,
            n_workers=workers,
            memory=memory,
            look_ups=opened.tables.look_ups,
            device=find_device(device),
        )

    def fit(
        self,
        source: Any,
        *,
        tables: Tables | None = None,
        cluster: str | Cluster = "local",
        progress: Progress | None = None,
        device: str = "auto",
    ) -> FittedPipeline:
        """Learn every operator's state from all rows of a source.

        Parameters
        ----------
        source : path, list of paths, or table
            Parquet files, a glob, a directory; or a pyarrow, pandas or polars table.
        tables : mapping of str to path or table, optional
            The tables that `JoinExternal` and `AsOfJoin` look things up in.
        cluster : str or Cluster
            ``local``, ``processes``, or a scheduler's address.
        device : "auto", "cpu" or "gpu"
            ``auto`` is the GPU if the workers have one, and cuDF.

        Raises
        ------
        JobErrors
            If the pipeline does not fit the source's schema.
        DataError
            If a file cannot be read or nothing is left to learn from.
        """
        opened = Opened.of(self.steps, source, tables)
        with using(cluster, device) as workers:
            plan = opened.plan(workers, fit_only=True, device=worker_device(workers, device))
            with keeping_rows(workers, opened.work(plan.device), plan) as kept, exchanging(workers, kept, plan.exchange_bytes) as work:
                return FittedPipeline(opened.fitted(fit_steps(workers, work, opened.steps, plan, progress or Silent())))

    def fit_transform(
        self,
        source: Any,
        output: str | os.PathLike[str] | None = None,
        *,
        tables: Tables | None = None,
        cluster: str | Cluster = "local",
        progress: Progress | None = None,
        device: str = "auto",
    ) -> Transformed:
        """Fit, and transform the same rows as training rows (target encodings out of fold).

        Parameters
        ----------
        output : path, optional
            A folder for the transformed rows as Parquet files; it must not exist. Without it they are returned as a
            table of the source's kind.
        """
        opened = Opened.of(self.steps, source, tables)
        with using(cluster, device) as workers:
            passing = passing_by(opened.source, opened.steps, opened.steps.schema.names) if output is None else frozenset()
            plan = opened.plan(workers, device=worker_device(workers, device), passing=passing)
            with keeping_rows(workers, opened.work(plan.device), plan) as kept, exchanging(workers, kept, plan.exchange_bytes) as work:
                found = fit_steps(workers, work, opened.steps, plan, progress or Silent())
                work, fitted, indices = replace(work, states=found.states), opened.fitted(found), range(len(self.steps))
                rows = exchange_steps(workers, work, opened.steps, found.rows, indices, progress or Silent())
                moved = _Moved(workers, work, plan.passes[-1].columns, indices, rows.partitions, fitted.steps.schema, passing)
                done = moved.to(output, opened.back, FittedPipeline(fitted), progress or Silent())
                done.ledger.add(found.ledger)
                done.ledger.add(rows.ledger)
                return done


@dataclass(frozen=True, eq=False)
class Transformed:
    """Transformed rows: a data set (with `output`) or a table of the source's kind; and what was counted on the way."""

    fitted: FittedPipeline
    ledger: Ledger
    dataset: Dataset | None = None
    table: Any = None

    def __repr__(self) -> str:
        rows = self.ledger.rows()
        made = repr(self.dataset) if self.dataset is not None else f"table of {type(self.table).__module__.partition('.')[0]}"
        return f"Transformed: {rows['in']:,} rows in, {rows['out']:,} out; {made}\nfitted = {self.fitted!r}"


@dataclass(frozen=True, eq=False)
class FittedPipeline:
    """A pipeline and what it learnt: transforms unseen data, learns more, is saved and loaded.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from headrace.ops.categorify import Categorify
    >>> fitted = Pipeline([Categorify(["city"])]).fit(pa.table({"city": ["Oslo", "Rome", "Oslo"]}))
    >>> fitted
    FittedPipeline
      0 categorify: city
          learnt: city: 2 categories
    >>> fitted.transform(pa.table({"city": ["Rome", "Oslo", "Lima", None]}))["city"].to_pylist()
    [3, 2, 1, 0]
    >>> fitted.update(pa.table({"city": ["Lima"]})).transform(pa.table({"city": ["Lima", "Oslo"]}))["city"].to_pylist()
    [4, 2]
    """

    fitted: FittedSteps

    def __repr__(self) -> str:
        shown = ["FittedPipeline"]
        for index, (op, learnt) in enumerate(zip(self.fitted.ops, self.learnt(), strict=True)):
            shown.append("  " + shorten(f"{index} {op_name(op)}: {op.text()}", 200, placeholder=" ..."))
            if learnt:
                shown.append("      " + shorten(f"learnt: {learnt}", 200, placeholder=" ..."))
        return "\n".join(shown)

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(self.fitted.ops)

    @property
    def schema(self) -> Schema:
        """The columns after the last step."""
        return self.fitted.steps.schema

    @property
    def lineage(self) -> dict[str, Lineage]:
        """Which source columns each column comes from."""
        return self.fitted.steps.lineage

    def learnt(self) -> list[str]:
        """Return for each step in one line what it learnt; empty for steps that learn nothing."""
        return [self.fitted.learnt(index) for index in range(len(self.fitted.ops))]

    def categories(self, column: str) -> pa.Table:
        """Return what the ids of a column made by `Categorify` stand for.

        Returns
        -------
        Table of `id`, `category` (a category of several columns: their names) and `count`, the number of training rows;
        the null comes first, with id 0. What is unseen or rare has no row.

        Raises
        ------
        JobError
            If there is no such column, or another operator made it.

        Examples
        --------
        >>> from headrace.ops.categorify import Categorify
        >>> fitted = Pipeline([Categorify(["city"])]).fit(pa.table({"city": ["Oslo", "Rome", "Oslo"]}))
        >>> fitted.categories("city").to_pylist()[1]
        {'id': 2, 'category': 'Oslo', 'count': 2}
        """
        made = self.fitted.steps.made_by(column)
        op = self.fitted.ops[made[0]] if made else None
        if made is None or not isinstance(op, Categorify):
            maker = f"is made by {op.name}, not by categorify" if op else "comes from the source as it is"
            raise JobError(f"{column!r} {maker}: its values stand for themselves")
        ids, vocabulary = op.vocabulary(self.fitted.states[made[0]], made[1])
        keys = vocabulary.keys.table
        names = keys.column_names if keys.num_columns > 1 else ["category"]
        return pa.table([pa.array(ids), *keys.columns, pa.array(vocabulary.counts)], names=["id", *names, "count"])

    def transform(
        self,
        source: Any,
        output: str | os.PathLike[str] | None = None,
        *,
        tables: Tables | None = None,
        cluster: str | Cluster = "local",
        progress: Progress | None = None,
        device: str = "auto",
    ) -> Any:
        """Transform rows that were not trained on.

        Parameters
        ----------
        source : path, list of paths, or table
            A table of Dask is transformed when it is computed, partition by partition, by whichever workers Dask has.
        output : path, optional
            A folder for Parquet files; it must not exist.
        tables : mapping of str to path or table, optional
            Tables that take the place of those of fitting. Those that were too large to be kept must be given.

        Returns
        -------
        A table of the source's kind (pyarrow for paths), or the `Dataset` written.

        Raises
        ------
        DataError
            If a column is missing or of another kind than when the pipeline was fitted, or a table that is needed is not given.
        JobError
            If partitions of a table of Dask cannot be transformed one by one.
        """
        if is_dask(source):
            if output is not None:
                raise JobError(
                    "a table of Dask is not transformed at once", key="output", hint="leave `output` out, and write what is returned"
                )
            return self._transform_later(source, tables or {}, device)
        steps = self.fitted.steps
        opened, back = open_source(source, steps.columns_for(steps.schema.names))
        with naming(opened):
            indices, outputs = steps.serving(steps.schema.names, opened.schema.names)
        schema = steps.schema.select(outputs)
        passing = passing_by(opened, steps, outputs, indices) if output is None else frozenset()
        needed = steps.columns_for(set(outputs) - passing, indices)
        columns = [name for name in needed if name in opened.schema]
        absent = {name: steps.source[name] for name in needed if name not in opened.schema}
        states, sides = serve_tables(self.fitted.ops, self.fitted.tables, self.fitted.states, indices, tables or {})
        ready = Work(opened, self.fitted.ops, Serving(), states, expects=self.fitted.source, absent=absent, sides=sides)
        with using(cluster, device) as workers, exchanging(workers, ready, usual_bytes()) as spooled:
            work = replace(spooled, device=worker_device(workers, device))
            rows = exchange_steps(workers, work, steps, Rows.of(cut(opened, columns)), indices, progress or Silent())
            moved = _Moved(workers, work, columns, indices, rows.partitions, schema, passing)
            done = moved.to(output, back, self, progress or Silent())
        return done.table if output is None else done.dataset

    def _transform_later(self, frame: Any, tables: Tables, device: str) -> Any:
        """Return a table of Dask whose partitions are transformed when it is computed."""
        indices, outputs = self.fitted.steps.serving(self.schema.names, list(frame.columns))
        op = next((op for op in (self.fitted.ops[index] for index in indices) if op.needs_all_rows), None)
        _, sides = serve_tables(self.fitted.ops, self.fitted.tables, self.fitted.states, indices, tables)
        if op is not None or sides:
            name = op_name(self.fitted.ops[min(sides)] if op is None else op)
            hint = "write the table with `to_parquet`, and transform the folder"
            raise JobError(f"{name} needs more than the rows of one partition of a table of Dask", hint=hint)
        empty = self.schema.select(outputs).to_arrow().empty_table()
        return map_partitions(_transform_partition, frame, empty, fitted=self, tables=tables, device=device)

    def update(
        self,
        source: Any,
        *,
        tables: Tables | None = None,
        cluster: str | Cluster = "local",
        progress: Progress | None = None,
        device: str = "auto",
    ) -> FittedPipeline:
        """Learn from more rows: their parts are merged with the saved ones; ids given before never move.

        For operators of the first level this equals fitting on all rows. Operators that stand on other fitted ones see
        the new rows through the updated states and the old rows as they were seen then. Ordered operators (rolling sums,
        lags) see the new rows only. `tables`, as in `transform`, are looked up for the new rows and kept from then on.

        Raises
        ------
        DataError
            If a column is missing or of another kind than when the pipeline was fitted.
        """
        steps = self.fitted.steps
        learnt_from = {name for level in range(steps.n_levels) for name in steps.fit_pass(level)[2]}
        opened, _ = open_source(source, {*learnt_from, *steps.columns_for(steps.schema.names)})
        with naming(opened):
            check_available(learnt_from, opened.schema.names)
        states, sides = serve_tables(self.fitted.ops, self.fitted.tables, self.fitted.states, range(len(steps.ops)), tables or {})
        parts = dict(self.fitted.parts)
        ready = Work(opened, self.fitted.ops, NoSplit(), expects=self.fitted.source, sides=sides)
        room = Room(usual_bytes() // 2)
        with (
            using(cluster, device) as workers,
            keeping(workers, ready, CacheSettings(""), usual_bytes()) as kept,
            exchanging(workers, kept, usual_bytes()) as spooled,
        ):
            on = worker_device(workers, device)
            rows = Rows.of(cut(opened, [name for name in opened.schema if name in learnt_from]))
            for level in range(steps.n_levels):
                observed, applied, columns = steps.fit_pass(level)
                one = Pass(f"update {level + 1} of {steps.n_levels}", columns, 0, observed, applied)
                work = replace(spooled, states=states, device=on)
                rows = exchange_steps(workers, work, steps, rows, range(len(steps.ops)), progress or Silent(), level)
                found = observe_pass(workers, work, one, rows.partitions, progress or Silent(), is_all=False)
                for index in observed:
                    op = self.fitted.ops[index]
                    assert isinstance(op, FittedOp)  # noqa: S101  (only fitted ops are observed)
                    parts[index] = op.settle(op.condense(op.merge(parts[index], found.parts[index])), room)
                    states[index] = op.update(states[index], parts[index])
        return FittedPipeline(replace(self.fitted, states=states, parts=parts))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted pipeline to a new folder: JSON, Arrow and checksums, no code."""
        with new_folder(path) as folder:
            write_fitted(self.fitted, folder)
            write_sums(folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str], ops: Sequence[Any] = ()) -> FittedPipeline:
        """Read a saved pipeline.

        Parameters
        ----------
        path : path
            What `save` wrote.
        ops : list of operator classes and functions, optional
            Your own, which the file names and which are never imported by a name found in it.

        Raises
        ------
        BundleError
            If a byte of it was altered, or it names an operator that is neither built in, passed nor installed.
        """
        check_sums(Path(path))
        return cls(read_fitted(Path(path), ops))


def _transform_partition(part: Any, fitted: FittedPipeline, tables: Tables, device: str) -> Any:
    with closing(open_cluster("local", 1)) as thread:  # Dask has others at work beside it
        return fitted.transform(part, tables=tables, cluster=thread, device=device)


@dataclass(frozen=True)
class _Moved:
    """A transform pass that is ready to run."""

    cluster: Cluster
    work: Work
    columns: Sequence[str]
    steps: Sequence[int]
    partitions: Sequence[Any]
    schema: Schema
    passing: Collection[str]

    def to(self, output: Any, back: Callable[[pa.Table], Any], fitted: FittedPipeline, progress: Progress) -> Transformed:
        """Run it, into a new folder of Parquet files or a table of the source's kind."""
        what = (self.cluster, self.work, self.columns, self.steps, self.partitions, self.schema)
        if output is None:
            table, ledger = transform_to_tables(*what, progress, self.passing)
            return Transformed(fitted, ledger, table=back(table))
        with new_folder(output) as folder:
            ledger = transform_to_files(*what, folder, progress)
        return Transformed(fitted, ledger, dataset=Dataset.open(output))
