import math
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace_kernels.angles import asin_of_sqrt, compass_degrees, cos_degrees, cos_turns, sin_degrees, sin_turns, sine_cosine_squared
from headrace_kernels.column import Column
from headrace_kernels.elementary import exp2, log, log1p
from headrace_kernels.geo import bearing, grid_cell, haversine_km
from headrace_kernels.kernel import kernel
from headrace_kernels.scalars import exact_sum, fma

getcontext().prec = 50
RNG = np.random.default_rng(5)
LONG = np.longdouble
PI = LONG("3.14159265358979323846264338327950288")
assert np.finfo(LONG).eps < 2e-19, "the references need 80-bit arithmetic"


def run(function, *columns):
    (out,) = kernel(output="same")(function).launch([Column(column) for column in columns])
    return out.values


def run_pair(function, *columns):
    outputs = {"first": "same", "second": "same"}
    return [out.values for out in kernel(outputs=outputs)(function).launch([Column(column) for column in columns])]


def relative_error(values, exact):
    return float(np.max(np.abs(values.astype(LONG) - exact) / np.maximum(np.abs(exact), LONG(1e-300))))


def label(value):
    """A function by its name: its address would be another one in each process."""
    return getattr(value, "__name__", str(value))


PRECISIONS = [(np.float64, 1.0), (np.float32, 2.0**29)]


@pytest.mark.parametrize(("dtype", "coarser"), PRECISIONS)
@pytest.mark.parametrize(
    ("function", "reference", "low", "high", "bound"),
    [
        (sin_degrees, lambda x: np.sin(x * PI / 180), -89, 89, 6e-16),
        (cos_degrees, lambda x: np.cos(x * PI / 180), -89, 89, 6e-16),
        (sin_turns, lambda x: np.sin(2 * PI * x), -0.24, 0.24, 6e-16),
        (cos_turns, lambda x: np.cos(2 * PI * x), -0.24, 0.24, 6e-16),
        (log, np.log, 1e-30, 30, 6e-16),
        (log1p, np.log1p, -0.999, 30, 6e-16),
        (log1p, np.log1p, -1e-6, 1e-6, 6e-16),
        (exp2, np.exp2, -120, 120, 2e-16),
    ],
    ids=label,
)
def test_relative_errors_are_within_their_bounds(function, reference, low, high, bound, dtype, coarser):
    x = RNG.uniform(low, high, 20_000).astype(dtype)
    out = run(function, x)
    assert out.dtype == dtype
    assert relative_error(out, reference(x.astype(LONG))) <= bound * coarser


@pytest.mark.parametrize(("dtype", "coarser"), PRECISIONS)
def test_squares_and_angles_are_within_their_bounds(dtype, coarser):
    x = RNG.uniform(-400, 400, 20_000).astype(dtype)
    rest = np.spacing(x) * RNG.choice([-0.25, 0.0, 0.25], len(x)).astype(dtype)
    angle = x.astype(LONG) + rest.astype(LONG)
    for values, exact in zip(run_pair(sine_cosine_squared, x, rest), (sine(angle) ** 2, sine(90 - angle) ** 2), strict=True):
        assert relative_error(values, exact) <= 1.5e-15 * coarser
    a = RNG.uniform(0, 1, 20_000).astype(dtype) ** 4
    b = 1 - a
    assert relative_error(run(asin_of_sqrt, a, b), np.arctan2(np.sqrt(a.astype(LONG)), np.sqrt(b.astype(LONG)))) <= 6e-16 * coarser
    y, x = (RNG.normal(size=20_000).astype(dtype) for _ in "yx")
    exact = np.arctan2(y.astype(LONG), x.astype(LONG)) * 180 / PI % 360
    assert relative_error(run(compass_degrees, y, x), exact) <= 1e-15 * coarser * 4  # 4: angles just below 360 and near 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_product_and_a_sum_are_rounded_once(dtype):
    a, b, c = (RNG.normal(size=1000).astype(dtype) for _ in "abc")
    exact = [float(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))) for x, y, z in zip(a, b, c, strict=True)]
    if dtype == np.float64:  # a float32 of a rounded float64 is rounded twice
        np.testing.assert_array_equal(run(lambda a, b, c: fma(a, b, c), a, b, c), exact)
    np.testing.assert_allclose(run(lambda a, b, c: fma(a, b, c), a, b, c), exact, rtol=np.finfo(dtype).eps)
    np.testing.assert_array_equal([fma(*row) for row in zip(a, b, c, strict=True)], run(lambda a, b, c: fma(a, b, c), a, b, c))
    total, rest = run_pair(exact_sum, a, b)
    np.testing.assert_array_equal(total, a + b)
    np.testing.assert_array_equal(total.astype(LONG) + rest, a.astype(LONG) + b)


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=2.0**-1022, allow_infinity=False), st.floats(-0.999999, 1e300).filter(lambda y: abs(y) > 1e-25))
def test_logarithms_of_any_number_agree_with_forty_digits(x, y):
    for value, function, exact in ((x, log, Decimal(x).ln()), (y, log1p, (1 + Decimal(y)).ln())):
        assert abs(Decimal(float(function(value))) - exact) <= abs(exact) * Decimal("7e-16")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (log, [0.0, -0.0, -1.0, np.inf, np.nan, 1.0], [-np.inf, -np.inf, np.nan, np.inf, np.nan, 0.0]),
        (log1p, [-1.0, -2.0, np.inf, -np.inf, np.nan, 1e-44], [-np.inf, np.nan, np.inf, np.nan, np.nan, 1e-44]),
        (exp2, [-np.inf, -5000.0, np.inf, 5000.0, np.nan, 3.0], [0.0, 0.0, np.inf, np.inf, np.nan, 8.0]),
        (sin_degrees, [0.0, 30.0, 180.0, -360.0, 90.0, np.nan], [0.0, 0.5, 0.0, 0.0, 1.0, np.nan]),
        (cos_degrees, [90.0, -90.0, 270.0, 180.0, 720.0, np.inf], [0.0, 0.0, 0.0, -1.0, 1.0, np.nan]),
    ],
    ids=label,
)
def test_special_values(function, x, expected, dtype):
    np.testing.assert_allclose(run(function, np.array(x, dtype)), np.array(expected, dtype), rtol=1e-6, atol=0)


def test_subnormal_numbers_have_logarithms_and_the_largest_and_smallest_powers_are_right():
    assert run(log, np.array([5e-324, 1e-310])).tolist() == pytest.approx([math.log(5e-324), math.log(1e-310)], rel=1e-15)
    assert run(log, np.array([1e-45], np.float32))[0] == pytest.approx(math.log(2.0**-149), rel=1e-6)
    x = np.array([1023.9999, 1023.5, -1021.4, -1021.6, -1021.9, -1022.0])
    assert run(exp2, x).tolist() == pytest.approx([2.0**one for one in x.tolist()], rel=1e-12, abs=0)
    single = np.array([127.9, -125.4, -125.6, -126.0], np.float32)
    assert run(exp2, single).tolist() == pytest.approx([2.0**one for one in single.tolist()], rel=1e-6, abs=0)


@pytest.mark.parametrize("kernel_", [haversine_km, bearing], ids=repr)
def test_the_plain_reference_equals_the_compiled_loop(kernel_):
    columns = [RNG.uniform(-80, 80, 200) for _ in range(4)]
    (out,) = kernel_.launch([Column(column) for column in columns])
    plain = [kernel_.reference(*row, *kernel_.constants.values()) for row in zip(*(c.tolist() for c in columns), strict=True)]
    np.testing.assert_array_equal(out.values, np.array(plain, np.float64))


def sine(degrees):
    """Sine in 80 bits, exact in its last places near each multiple of 180 degrees."""
    turns = np.round(degrees / 180)
    return np.where(turns % 2 == 0, 1, -1) * np.sin((degrees - 180 * turns) * PI / 180)


def exact_distance(lat1, lon1, lat2, lon2):
    lat1, lon1, lat2, lon2 = (x.astype(LONG) for x in (lat1, lon1, lat2, lon2))
    across = sine(90 - abs(lat1)) * sine(90 - abs(lat2))
    near = sine((lat2 - lat1) / 2) ** 2 + across * sine((lon2 - lon1) / 2) ** 2
    far = sine((lat2 + lat1) / 2) ** 2 + across * sine(90 - abs(lon2 - lon1) / 2) ** 2
    return 2 * LONG(6371.0088) * np.arctan2(np.sqrt(near), np.sqrt(far))


def places(n=20_000):
    return [RNG.uniform(-limit, limit, n) for limit in (90, 180, 90, 180)]


def little(n=20_000):
    return 10 ** RNG.uniform(-12, 0, n)


WHERE = {
    "any": lambda: places(),
    "near": lambda: (lambda lat, lon, *_: (lat, lon, lat + little(), lon - little()))(*places()),
    "opposite": lambda: (lambda lat, lon, *_: (lat, lon, -lat + little(), lon + 180 - little()))(*places()),
    "across the antimeridian": lambda: (lambda lat, *_: (lat, 180 - little(), lat + little(), little() - 180))(*places()),
    "round a pole": lambda: (lambda _, lon, __, other: (90 - little(), lon, 90 - little(), other))(*places()),
}


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-15), (np.float32, 5e-7)])
@pytest.mark.parametrize("where", WHERE)
def test_distances_are_exact_wherever_the_points_lie(where, dtype, bound):
    lat1, lon1, lat2, lon2 = (column.astype(dtype) for column in WHERE[where]())
    lat1, lat2 = (np.clip(lat, -90, 90) for lat in (lat1, lat2))
    exact = exact_distance(lat1, lon1, lat2, lon2)
    (out,) = haversine_km.launch([Column(column) for column in (lat1, lon1, lat2, lon2)])
    assert relative_error(out.values, exact) <= bound


def test_distances_at_special_places():
    rows = np.array([(0, 0, 0, 0), (90, 0, -90, 0), (0, 0, 0, 180), (0, 179, 0, -179), (0, 0, 0, 90), (np.nan, 0, 0, 0)], np.float64).T
    (out,) = haversine_km.launch([Column(np.ascontiguousarray(c)) for c in rows])
    half = math.pi * 6371.0088
    np.testing.assert_allclose(out.values, [0, half, half, half / 90, half / 2, np.nan], rtol=1e-14)


def test_bearings_of_the_compass():
    rows = np.array([(0, 0, 10, 0), (0, 0, 0, 10), (0, 0, -10, 0), (0, 0, 0, -10), (5, 5, 5, 5), (50, 0, 50, 180)], np.float64).T
    (out,) = bearing.launch([Column(np.ascontiguousarray(c)) for c in rows])
    np.testing.assert_allclose(out.values, [0, 90, 180, 270, 0, 0], atol=1e-12)


def test_bearings_agree_with_the_textbook_formula():
    lat1, lon1, lat2, lon2 = places()
    (out,) = bearing.launch([Column(c) for c in (lat1, lon1, lat2, lon2)])
    a, b, east = (x.astype(LONG) * PI / 180 for x in (lat1, lat2, lon2 - lon1))
    exact = np.arctan2(np.sin(east) * np.cos(b), np.cos(a) * np.sin(b) - np.sin(a) * np.cos(b) * np.cos(east)) * 180 / PI % 360
    turned = np.abs(out.values - exact)
    assert float(np.max(np.minimum(turned, 360 - turned))) < 1e-9
    assert out.values.min() >= 0
    assert out.values.max() < 360


def test_grid_cells_count_from_the_south_west():
    lat = np.array([-90, -90, -89, 90, 0, 0, 91, np.nan, 0])
    lon = np.array([-180, -179, -180, 0, 180, 541, 0, 0, np.inf])
    (out,) = grid_cell.launch([Column(lat), Column(lon)])
    assert out.values.tolist() == [0, 1, 360, 179 * 360 + 180, 90 * 360, 90 * 360 + 1, -1, -1, -1]


@pytest.mark.parametrize(
    ("lon", "column"), [(360.0 * 2**40 + 1, 181), (-360.0 * 2**40 + 1, 181), (2.0**53, 212), (1e17, None), (-1.7e308, None)]
)
def test_a_longitude_of_any_size_has_a_cell_or_none(lon, column):
    """Nothing depends on what a machine makes of an integer that is too large: that is another one on a GPU."""
    (out,) = grid_cell.launch([Column(np.zeros(1)), Column(np.array([lon]))])
    assert out.values[0] == grid_cell.reference(0.0, lon) == (-1 if column is None else 90 * 360 + column)


@settings(max_examples=60, deadline=None)
@example(0.0, 179.99999999999997, 0.01)
@given(st.floats(-90, 90), st.floats(-180, 180), st.sampled_from([0.01, 0.1, 0.7, 1.0, 45.0]))
def test_a_cell_holds_its_point(lat, lon, size):
    (out,) = grid_cell.launch([Column(np.array([lat])), Column(np.array([lon]))], {"size_deg": size})
    columns = math.ceil(360 / size)
    row, column = divmod(int(out.values[0]), columns)
    assert 0 <= row < math.ceil(180 / size)
    assert row * size - 90 <= lat + 1e-9 <= (row + 1) * size - 90 + 1e-6 or lat == 90
    assert column * size - 180 <= lon + 1e-9 <= (column + 1) * size - 180 + 1e-6 or lon == 180
    assert out.values[0] == grid_cell.reference(lat, lon, size)
