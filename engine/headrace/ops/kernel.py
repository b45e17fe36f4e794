"""Kernel: run a Numba kernel of `headrace_kernels` over columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from headrace.errors import JobError, JobErrors, unknown_name
from headrace.ops.base import Columns, Declaration, PlainOp, Sources, check_columns, operator
from headrace.schema import Schema, Type
from headrace.table import Table


@operator
class Kernel(PlainOp):
    """Make columns with a built-in kernel, such as ``haversine_km``.

    Parameters
    ----------
    kernel : str
        Its name; in YAML the key is ``name``. See `docs/kernels.md`.
    inputs : list of str
        Number columns, in the order of the kernel's parameters.
    output : str or list of str
        A name for each of the kernel's results.
    constants : mapping of str to number, optional
        The kernel's constants that should not have their default.

    Nulls and NaN
    -------------
    Null if any input is null; NaN as the kernel's formula has it.

    Examples
    --------
    >>> Kernel("haversine_km", inputs=["olat", "olon", "dlat", "dlon"], output="km").settings()
    {'name': 'haversine_km', 'inputs': ['olat', 'olon', 'dlat', 'dlon'], 'output': 'km'}
    """

    name: ClassVar[str] = "kernel"
    shorthand: ClassVar[str] = "kernel"
    kernel: str
    inputs: Columns
    output: Columns
    constants: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def from_settings(cls, value: Any) -> Kernel:
        if isinstance(value, Mapping) and "name" in value:
            value = {"kernel" if key == "name" else key: item for key, item in value.items()}
        try:
            made = super().from_settings(value)
        except JobErrors as found:
            raise JobErrors(map(_with_key_name, found.errors)) from None
        assert isinstance(made, Kernel)  # noqa: S101  (for the type checker: from_settings makes its own class)
        return made

    def settings(self) -> Any:
        settings: dict[str, Any] = {"name": self.kernel, "inputs": list(self.inputs)}
        settings["output"] = self.output[0] if len(self.output) == 1 else list(self.output)
        return {**settings, **({"constants": dict(self.constants)} if self.constants else {})}

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        kernel = self._found()
        check_columns(schema, self.inputs, lambda type_: type_.is_number or type_.is_temporal, "a number", "inputs")
        errors = []
        if len(self.inputs) != len(kernel.inputs):
            errors.append(
                JobError(
                    f"{self.kernel} takes {len(kernel.inputs)} inputs ({', '.join(kernel.inputs)}), not {len(self.inputs)}", key="inputs"
                )
            )
        if len(self.output) != len(kernel.outputs):
            errors.append(JobError(f"{self.kernel} makes {len(kernel.outputs)} columns, not {len(self.output)}", key="output"))
        for name in self.constants:
            if name not in kernel.constants:
                message, hint = unknown_name("constant", name, kernel.constants)
                errors.append(JobError(message, key=f"constants.{name}", hint=hint))
        if errors:
            raise JobErrors(errors)
        types = kernel.output_types([_dtype(schema[name]) for name in self.inputs])
        made = {name: Type.of(str(dtype)) for name, dtype in zip(self.output, types, strict=True)}
        return Declaration(self.inputs, schema.with_columns(made), dict.fromkeys(self.output, Sources(values=self.inputs)))

    def apply(self, table: Table) -> Table:
        made = table.launch(self.kernel, self.inputs, self.constants)
        return table.with_columns(dict(zip(self.output, made, strict=True)))

    def _found(self) -> Any:
        from headrace_kernels import get_kernel, kernel_names

        if self.kernel not in kernel_names():
            message, hint = unknown_name("kernel", self.kernel, kernel_names())
            raise JobError(message, key="name", hint=hint)
        return get_kernel(self.kernel)


def _with_key_name(error: JobError) -> JobError:
    """Return an error about settings in which the first one has the name of its key."""
    hint = error.hint and error.hint.replace("Keys: kernel", "Keys: name")
    return JobError(error.message, key="name" if error.key == "kernel" else error.key, hint=hint)


def _dtype(type_: Type) -> np.dtype[Any]:
    """Return what a kernel gets of a column: decimals as float64, instants as integers of their unit."""
    if type_.is_decimal:
        return np.dtype(np.float64)
    if type_.is_temporal:
        return np.dtype(f"int{type_.arrow.bit_width}")
    return np.dtype(type_.arrow.to_pandas_dtype())
