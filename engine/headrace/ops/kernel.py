"""Kernel: run a Numba kernel, of `headrace_kernels` or a user's own, over columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Field

from headrace.errors import DataError, JobError, JobErrors, unknown_name
from headrace.ops.base import Columns, Declaration, PlainOp, Sources, check_columns, operator
from headrace.ops.code import code_name, findable
from headrace.schema import Schema, Type
from headrace.table import Table


def _known(kernel: Any) -> Any:
    """Refuse what is neither a name nor a kernel that other processes find."""
    if isinstance(kernel, str):
        return kernel
    from headrace_kernels.kernel import Kernel as Made

    if not isinstance(kernel, Made):
        raise ValueError("a built-in kernel's name is needed, or what @kernel made of a function")
    return findable(kernel)


@operator
class Kernel(PlainOp):
    """Make columns with a kernel: a built-in one, such as ``haversine_km``, or your own.

    Parameters
    ----------
    kernel : str or headrace_kernels.kernel.Kernel
        A built-in one's name (`docs/kernels.md`), or what ``@kernel`` made of a function at the top of a module. In YAML the key is
        ``name``, and your own is ``my_package.my_module:my_kernel``, which is imported when the job is read. A bundle holds the name
        alone: pass the kernel again when loading, ``headrace.load(path, ops=[my_kernel])``.
    inputs : list of str
        Number columns, in the order of the kernel's parameters.
    output : str or list of str
        A name for each of the kernel's results.
    constants : mapping of str to number, optional
        The kernel's constants that should not have their default.

    Nulls and NaN
    -------------
    Null if any input is null; NaN as the kernel's formula has it.

    Raises
    ------
    JobError
        If there is no such kernel, it takes other inputs, or another number of outputs is named.
    DataError
        If your own cannot be compiled for the inputs' types.

    Examples
    --------
    >>> Kernel("haversine_km", inputs=["olat", "olon", "dlat", "dlon"], output="km").settings()
    {'name': 'haversine_km', 'inputs': ['olat', 'olon', 'dlat', 'dlon'], 'output': 'km'}
    """

    name: ClassVar[str] = "kernel"
    shorthand: ClassVar[str] = "kernel"
    code: ClassVar[str | None] = "name"
    kernel: Annotated[Any, AfterValidator(_known)]
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
        settings: dict[str, Any] = {"name": self._name, "inputs": list(self.inputs)}
        settings["output"] = self.output[0] if len(self.output) == 1 else list(self.output)
        return {**settings, **({"constants": dict(self.constants)} if self.constants else {})}

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        kernel = self._found()
        check_columns(schema, self.inputs, lambda type_: type_.is_number or type_.is_temporal, "a number", "inputs")
        errors = []
        if len(self.inputs) != len(kernel.inputs):
            errors.append(
                JobError(
                    f"{self._name} takes {len(kernel.inputs)} inputs ({', '.join(kernel.inputs)}), not {len(self.inputs)}", key="inputs"
                )
            )
        if len(self.output) != len(kernel.outputs):
            errors.append(JobError(f"{self._name} makes {len(kernel.outputs)} columns, not {len(self.output)}", key="output"))
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
        try:
            made = table.launch(self.kernel, self.inputs, self.constants)
        except Exception as error:
            if isinstance(self.kernel, str):
                raise
            raise DataError(f"{self._name} failed: {type(error).__name__}: {error}") from error
        return table.with_columns(dict(zip(self.output, made, strict=True)))

    @classmethod
    def has_built_in(cls, name: str) -> bool:
        return ":" not in name

    @property
    def _name(self) -> str:
        return self.kernel if isinstance(self.kernel, str) else code_name(self.kernel)

    def _found(self) -> Any:
        from headrace_kernels import get_kernel, kernel_names

        if not isinstance(self.kernel, str):
            return self.kernel
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
