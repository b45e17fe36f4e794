import errno
import functools
import importlib
import math
import os
import pickle
import pkgutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import headrace_kernels
from headrace_kernels import __all__ as exported
from headrace_kernels import bodies, compiled, get_kernel, kernel_names
from headrace_kernels.column import Column
from headrace_kernels.compiled import fingerprint, jit
from headrace_kernels.kernel import Kernel, kernel
from headrace_kernels.threads import CHUNK_ROWS


@kernel(output="float64")
def ratio(a, b, scale=1.0, shift=0):
    """Divide."""
    return a / b * scale + shift


@kernel(outputs={"low": "int32", "high": "float32"})
def around(x, width=2):
    return x - width, x + width


def test_parameters_without_a_default_are_columns():
    assert (ratio.name, ratio.inputs, dict(ratio.constants), dict(ratio.outputs)) == (
        "ratio",
        ("a", "b"),
        {"scale": 1.0, "shift": 0},
        {"": "float64"},
    )
    assert (ratio.reference(6, 3), ratio.__doc__) == (2, "Divide.")


def test_a_row_is_null_where_any_input_is_and_nan_stays_nan():
    a = Column(np.array([1.0, np.nan, 4.0, 8.0]), np.array([0b11100], np.uint8), 1)
    b = Column(np.array([2, 2, 2, 0], np.int32), np.array([0b1101], np.uint8))
    (out,) = ratio.launch([a, b], {"scale": 10})
    assert out.validity.tolist() == [0b1100]
    assert out.values[2:].tolist() == [20.0, math.inf]
    (plain,) = ratio.launch([a._replace(validity=None), b._replace(validity=None)])
    assert plain.validity is None
    assert math.isnan(plain.values[1])


def test_several_outputs_have_names_and_types():
    low, high = around.launch([Column(np.array([5, 7], np.int64))], {"width": 1})
    assert (low.values.dtype, low.values.tolist()) == (np.int32, [4, 6])
    assert (high.values.dtype, high.values.tolist()) == (np.float32, [6.0, 8.0])


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [((np.float32, np.float32), np.float32), ((np.float32, np.float64), np.float64), ((np.int32, np.float32), np.float64)],
)
def test_same_computes_in_the_inputs_common_real_type(dtypes, expected):
    add = kernel(output="same")(lambda a, b, c=0.1: a + b + c)
    (out,) = add.launch([Column(np.array([1, 2], dtype)) for dtype in dtypes])
    assert out.values.dtype == expected
    np.testing.assert_array_equal(out.values, np.array([2, 4], expected) + expected(0.1))


@pytest.mark.parametrize("n_rows", [0, 1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_threads_and_chunks_do_not_change_the_result(n_rows):
    columns = [Column(np.arange(n_rows, dtype=np.float64)), Column(np.full(n_rows, 3.0))]
    expected = np.arange(n_rows) / 3.0
    for threads in (1, 2):
        (out,) = ratio.launch(columns, threads=threads)
        np.testing.assert_array_equal(out.values, expected)


def test_a_lambda_and_a_closure_work():
    factor = 3.0
    (out,) = kernel(output="float64")(lambda x: x * factor).launch([Column(np.array([2], np.int8))])
    assert out.values.tolist() == [6.0]


def test_mistakes_are_named():
    column = Column(np.zeros(2))
    with pytest.raises(TypeError, match=r"'ratio' takes 2 columns \(a, b\), 1 given"):
        ratio.launch([column])
    with pytest.raises(ValueError, match=r"different lengths \[2, 3\]"):
        ratio.launch([column, Column(np.zeros(3))])
    with pytest.raises(TypeError, match="no constant 'sclae'; constants: scale, shift"):
        ratio.launch([column, column], {"sclae": 1})
    with pytest.raises(TypeError, match="no parameter without a default"):
        kernel(output="float64")(lambda x=1: x)
    with pytest.raises(TypeError, match="columns come first"):
        Kernel(lambda *, x=1, y: y, {"": "float64"})
    for mistaken in (lambda: kernel(), lambda: kernel("int64", outputs={"low": "int64"}), lambda: kernel(abs)):
        with pytest.raises(TypeError, match=r'made with the type of its result: @kernel\(output="float64"\)'):
            mistaken()
    with pytest.raises(KeyError, match="no kernel 'haversine'; kernels: bearing"):
        get_kernel("haversine")


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (np.zeros(2), "is a numpy.ndarray, and a Column is needed"),
        (pa.array([1.0, None]), "is a pyarrow.lib.DoubleArray, and a Column is needed"),
        (Column([1.0, 2.0]), "has a list for its values, and a NumPy array of one dimension is needed"),
        (Column(np.zeros((2, 2))), "has a numpy.ndarray of 2 dimensions for its values"),
        (Column(np.array(["a", "b"])), "holds <U1, and numbers are needed"),
        (Column(np.array([None, 1.0])), "holds object, and numbers are needed"),
        (Column(np.array([1j, 2j])), "holds complex128, and numbers are needed"),
        (Column(np.zeros(2, np.float16)), "holds float16, and numbers are needed"),
        (Column(np.zeros(2, ">f8")), "holds >f8, and numbers are needed"),
        (Column(np.array(["2013-01-01", "NaT"], "M8[us]")), r"holds datetime64\[us\], and numbers are needed: its integers are"),
        (Column(np.zeros(2), np.array([True, False])), "has a bool array for its validity, and Arrow's bitmap is needed"),
        (Column(np.zeros(2), [1]), "has a list for its validity, and Arrow's bitmap is needed"),
    ],
)
def test_what_is_no_column_of_numbers_is_refused(column, told):
    with pytest.raises(TypeError, match=f"kernel 'ratio': input 'b' {told}"):
        ratio.launch([Column(np.zeros(2)), column])


@pytest.mark.parametrize("alone", [Column(np.zeros(2)), np.zeros(2), pa.array([1.0])])
def test_a_column_outside_a_list_is_refused(alone):
    with pytest.raises(TypeError, match=r"'ratio' takes a list of columns, and a .*(Column|ndarray|DoubleArray) was given"):
        ratio.launch(alone)


@pytest.mark.parametrize(("n_rows", "offset"), [(9, 0), (3, 6)])
def test_a_bitmap_with_fewer_bits_than_rows_is_refused(n_rows, offset):
    column = Column(np.zeros(n_rows), np.array([255], np.uint8), offset)
    with pytest.raises(ValueError, match=f"input 'a' has 8 bits of validity for {n_rows} rows from bit {offset} on"):
        ratio.launch([column, column])


@pytest.mark.parametrize(
    ("outputs", "function", "told"),
    [
        ({"a": "float64", "b": "float64"}, lambda x: x, "values returned: 1, outputs declared: 2"),
        ({"a": "float64", "b": "float64"}, lambda x: (x, x, x), "values returned: 3, outputs declared: 2"),
        ({"": "float64"}, lambda x: (x, x), "values returned: 2, outputs declared: 1"),
        ({"": "float64"}, lambda x: "a", "it returns unicode_type, and a number is needed"),
        ({"": "float64"}, lambda x: 1j * x, "it returns complex128, and a number is needed"),
        ({"": "float64"}, lambda x: x if x > 0 else None, r"it returns OptionalType\(float64\), and a number is needed"),
        ({"": "float64"}, lambda x: missing, "cannot be compiled for float64: NameError: name 'missing' is not defined$"),  # noqa: F821
    ],
)
def test_a_function_that_does_not_fit_its_outputs_is_refused(outputs, function, told):
    with pytest.raises(TypeError, match=rf"kernel '<lambda>':? {told}"):
        Kernel(function, outputs).launch([Column(np.ones(2))])


def test_types_of_outputs_and_kinds_of_parameters_are_checked_before_anything_is_computed():
    for name in ("floot", "U5", "M8[us]", "float16", float):
        with pytest.raises(TypeError, match="is no type of numbers; write one as 'float64'"):
            kernel(outputs={"y": name})(lambda x: x)
    with pytest.raises(TypeError, match=r"'\*rows' cannot be given by its position"):
        kernel(output="int64")(lambda *rows: rows[0])
    with pytest.raises(TypeError, match="'by=2' cannot be given by its position"):
        kernel(output="int64")(lambda x, *, by=2: x * by)
    for value in ("2", None):
        with pytest.raises(TypeError, match="kernel 'ratio': constant 'scale' is no number"):
            ratio.launch([Column(np.zeros(1)), Column(np.zeros(1))], {"scale": value})


def test_kernels_of_a_prompt_or_a_notebook_go_to_other_processes_by_value():
    code = """
import cloudpickle, sys
from headrace_kernels.kernel import kernel
from headrace_kernels.segments import segment_kernel

@kernel(outputs={"twice": "float64", "next": "int64"})
def made(x):
    return 2 * x, x + 1

@segment_kernel(output="int64", start=(0,))
def counted(state, x):
    return state[0], (state[0] + 1,)

sys.stdout.buffer.write(cloudpickle.dumps((made, counted)))
"""
    pickled = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
    made, counted = pickle.loads(pickled)
    assert [column.values.tolist() for column in made.launch([Column(np.array([3.0]))])] == [[6.0], [4]]
    assert counted.launch([Column(np.zeros(2))], np.array([0, 2])).values.tolist() == [0, 1]


def test_every_built_in_is_a_kernel_of_its_name():
    assert [get_kernel(name).name for name in kernel_names()] == list(kernel_names())


def test_every_exported_name_is_there():
    assert all(getattr(headrace_kernels, name) is not None for name in exported)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        headrace_kernels.nothing  # noqa: B018


def test_no_exported_name_is_hidden_by_a_module():
    assert not {module.name for module in pkgutil.iter_modules(headrace_kernels.__path__)} & set(exported)


def python(code, *arguments, **environment):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_does_not_import_numba():
    assert python("import headrace_kernels, sys; print('numba' in sys.modules)") == "False"


COUNT_COMPILATIONS = """
import numpy as np
from numba.core import event
from headrace_kernels import Column, haversine_km
with event.install_recorder("numba:compile") as compiled:
    haversine_km.launch([Column(np.zeros(3))] * 4)
print(len(compiled.buffer))
"""


def test_a_second_process_compiles_nothing(tmp_path):
    first, second = (int(python(COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path))) for _ in range(2))
    assert first > 0
    assert second == 0


LOADED = """
from headrace_kernels.compiled import jit
@jit
def doubled(x): return [x + x][0]
"""

CALL_LOADED = """
import sys
from loaded import doubled
from headrace_kernels.compiled import jit
print(doubled(2.0), "numba.np.arraymath" in sys.modules)
print(jit(lambda x: doubled(x) + 1.0)(2.0))
"""


def test_a_loaded_function_needs_no_compiler_and_can_be_compiled_into_others(tmp_path):
    (tmp_path / "loaded.py").write_text(LOADED)
    first, second = (
        python(CALL_LOADED, NUMBA_CACHE_DIR=str(tmp_path / "cache"), PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
        for _ in range(2)
    )
    assert first.split() == ["4.0", "True", "5.0"]
    assert second.split() == ["4.0", "False", "5.0"]


DAMAGES = {
    "cut short": lambda code: code[: len(code) // 2],
    "empty": lambda code: b"",
    "zeros": lambda code: bytes(len(code)),
    "a bit": lambda code: code[:-99] + bytes([code[-99] ^ 1]) + code[-98:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_machine_code_is_compiled_again(tmp_path, damage):
    first = python(COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path), PYTHONPATH=os.pathsep.join(sys.path))
    for path in tmp_path.rglob("*.nbc"):
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    again, kept = (python(COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path), PYTHONPATH=os.pathsep.join(sys.path)) for _ in range(2))
    assert (again, kept) == (first, "0") != (kept, "0")


def test_machine_code_that_cannot_be_kept_is_used(tmp_path, monkeypatch):
    def full(self, key, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compiled._CodeFiles, "save", full)
    number = float(tmp_path.stat().st_ino)  # no earlier run has compiled it
    assert jit(lambda x: x + number)(1.0) == number + 1.0


LAUNCH = """
import sys
import numpy as np
from headrace_kernels import Column, get_kernel
constants = {"clip": {"low": 2.0, "high": 6.0}, "log_plus": {"plus": 0.0, "unit": 1.0}}
for name in sys.argv[1:]:
    print(*get_kernel(name).launch([Column(np.array([1.0, 8.0]))], constants[name])[0].values.tolist())
"""


def test_machine_code_of_like_loops_that_two_processes_compiled_is_loaded_by_a_third(tmp_path):
    def launched(*names):
        return python(LAUNCH, *names, NUMBA_CACHE_DIR=str(tmp_path), PYTHONPATH=os.pathsep.join(sys.path)).split()

    clipped, logarithms = launched("clip"), launched("log_plus")
    assert [float(value) for value in clipped + logarithms] == [2.0, 6.0, 0.0, pytest.approx(math.log(8))]
    assert launched("clip", "log_plus") == clipped + logarithms
    assert launched("log_plus", "clip") == logarithms + clipped


CALL_LATER = """
import helpers
from headrace_kernels.compiled import jit
@jit
def whole(x):
    return part(x)
@jit
def part(x):
    return helpers.added(x)
print(whole(2.0))
"""
HELPERS = """
from headrace_kernels.compiled import jit
@jit
def added(x):
    return x + %s
"""


def test_machine_code_is_not_found_once_a_file_changed_behind_a_function_that_is_defined_later(tmp_path):
    (tmp_path / "called.py").write_text(CALL_LATER)
    found = []
    for value in (1.5, 12.5):
        (tmp_path / "helpers.py").write_text(HELPERS % value)
        found.append(
            python("import called", NUMBA_CACHE_DIR=str(tmp_path / "cache"), PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
        )
    assert [float(value) for value in found] == [3.5, 14.5]


def test_the_fingerprint_sees_all_that_a_function_reaches():
    def closing_over(value):
        inner = jit(lambda x: x + value)
        return lambda x: inner(x) * 2

    assert fingerprint(closing_over(1)) == fingerprint(closing_over(1))
    assert fingerprint(closing_over(1)) != fingerprint(closing_over(2))
    table = np.arange(3)
    assert fingerprint(lambda i: table[i]) is not None
    unknown = object()
    assert fingerprint(lambda: unknown) is None


def test_every_compiled_function_of_the_package_is_kept():
    names = {module.name for module in pkgutil.iter_modules(headrace_kernels.__path__) if not module.name.startswith("cuda")}
    modules = [importlib.import_module(f"headrace_kernels.{name}") for name in names]
    functions = [value for module in modules for value in vars(module).values() if isinstance(value, bodies.Dispatcher)]
    assert len(functions) > 100
    assert [function.__name__ for function in functions if fingerprint(function.py_func) is None] == []


def test_the_fingerprint_sees_behind_a_cache():
    def calling(value):
        remembered = functools.cache(lambda: value)
        return lambda: remembered()

    assert fingerprint(calling(1)) == fingerprint(calling(1)) is not None
    assert fingerprint(calling(1)) != fingerprint(calling(2))
