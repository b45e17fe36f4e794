"""Law: rows without a column that the label is made of get all that is not made of it, whichever steps read it too."""

from __future__ import annotations

import pytest
from tests.comparing import assert_same_table
from tests.laws.examples import TABLES, cases, rows

from headrace.errors import DataError
from headrace.ops.base import Op
from headrace.ops.derive import Derive
from headrace.ops.groupby import Groupby
from headrace.ops.target_encoding import TargetEncoding
from headrace.pipeline import Pipeline
from headrace.schema import Schema

SCHEMAS = {name: Schema.from_arrow(table.schema) for name, table in TABLES.items()}


@pytest.mark.parametrize("op", [pytest.param(op, id=name) for name, op in cases()])
def test_a_step_makes_the_features_among_its_columns_without_the_label(op: Op) -> None:
    declared = op.declare(Schema.from_arrow(rows().schema), SCHEMAS)
    labels = {f"label_{name}": f'CAST("{name}" IS NULL AS INT)' for name in declared.reads}
    learns = [Derive(labels), TargetEncoding(["day"], target=list(labels), key=["id"])] if labels else []
    fitted = Pipeline([*learns, op]).fit(rows(), tables=TABLES)
    new = rows(300, seed=4)
    whole = fitted.transform(new)
    for name in declared.reads:
        if declared.drops_rows and not declared.makes:
            continue  # it is left out, with the rows that it would leave out
        if isinstance(op, Groupby) and name in op.keys:
            with pytest.raises(DataError, match=f"no column '{name}'"):
                fitted.transform(new.drop_columns(name))
            continue
        made = [output for output, origin in fitted.lineage.items() if name not in origin.all_columns()]
        assert_same_table(fitted.transform(new.drop_columns(name)), whole.select(made))
