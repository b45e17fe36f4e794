"""Sines and arcs that LLVM vectorises: no branch, no call, the same source for a CPU, a GPU and plain Python.

Angles are in degrees or turns, because reducing those by whole turns is exact. Precision follows the argument, as in `scalars`.

Largest relative error (against 40-digit arithmetic; absolute for sines near their zeros other than 0):

| function | float64 | float32 | domain |
|---|---|---|---|
| ``sin_degrees``, ``cos_degrees``, ``sin_turns``, ``cos_turns`` | 5e-16 | 3e-7 | up to 2**50 (2**21) turns |
| ``sine_cosine_squared`` | 1.5e-15 | 1e-6 | up to 2**50 (2**21) half turns |
| ``asin_of_sqrt`` | 5e-16 | 3e-7 | a, b >= 0, a + b = 1 |
| ``compass_degrees`` | 1e-15 | 6e-7 | all |

The polynomials are interpolations at Chebyshev nodes, made in 60-digit arithmetic for this package, of sin(sqrt(z))/sqrt(z) and its
like. Source of the reductions: Cody and Waite, *Software Manual for the Elementary Functions*, 1980.
"""

from __future__ import annotations

import math

from headrace_kernels.scalars import Number, fma, inlined, like, nearest, polynomial

# fmt: off
_SINE = polynomial(  # sin(sqrt(z)) / sqrt(z), z in [0, (pi/2)**2]: 3e-19, 3e-11
    (1.0, -0.16666666666666666, 0.008333333333333186, -0.00019841269841208676, 2.7557319211229606e-06, -2.505210689056952e-08,
     1.605894087848656e-10, -7.643026557971632e-13, 2.7215749422983443e-15),
    (0.9999999999829191, -0.16666666616815567, 0.008333330974207583, -0.00019840861179319552, 2.752526981229885e-06,
     -2.3889217773452806e-08),
)
_SHORT_SINE = polynomial(  # sin(sqrt(z)) / sqrt(z), z in [0, (pi/4)**2]: 1e-17, 3e-9
    (1.0, -0.16666666666666616, 0.008333333333320363, -0.000198412698286503, 2.755731337640013e-06, -2.5050716974102745e-08,
     1.5894736651849094e-10),
    (0.9999999969177036, -0.16666650673996775, 0.00833203578559731, -0.000195039042508408),
)
_ARCSINE = polynomial(  # asin(sqrt(z)) / sqrt(z), z in [0, 1/2]: 3e-17, 3e-9
    (1.0, 0.16666666666664987, 0.07500000000401816, 0.044642856762615, 0.030381963396751827, 0.022371584779320355, 0.017364281439103527,
     0.01380344589589198, 0.013191002571753903, -0.002601537848299688, 0.07871611357002127, -0.2968705430689824, 1.0082016650534187,
     -2.4908808126226116, 4.6420689099888435, -6.229299875397985, 5.7579408313146985, -3.278933156739812, 0.8892904367638688),
    (1.0000000016226234, 0.16666614237824284, 0.07502757316352404, 0.04409161673371687, 0.03581423928401177, -0.0070205791522944755,
     0.10740002130174647, -0.13591627123984387, 0.12391349490512975),
)
_ARCTANGENT = polynomial(  # atan(sqrt(z)) / sqrt(z), z in [0, 1]: 2e-16, 3e-9
    (0.9999999999999998, -0.333333333333188, 0.19999999998244405, -0.14285714201153485, 0.11111108947215684, -0.09090875100099982,
     0.07691950418796795, -0.06664007607654046, 0.05867776001706719, -0.052025829246698206, 0.045668724719449945, -0.03852606834610674,
     0.02992405293802711, -0.02033087003302746, 0.011430023675054508, -0.0050003664537326496, 0.0015739493241755762,
     -0.00031420077366807334, 2.969635660165779e-05),
    (0.9999999971605454, -0.3333327629198255, 0.19998075281148714, -0.14260016082820906, 0.10932341501303093, -0.08349724968301601,
     0.05708955593030619, -0.030351864785781172, 0.010487649254949306, -0.0017011700640685973),
)
# fmt: on


@inlined
def _sine_of_turn(r: Number, turn: Number) -> Number:
    """Sine of `r` in [-turn/2, turn/2], where `turn` is the full circle in `r`'s unit."""
    half = turn * like(0.5, r)
    quarter = turn * like(0.25, r)
    s = half - r if r > quarter else r
    s = -half - r if r < -quarter else s
    s = s * (like(2 * math.pi, r) / turn)
    return s * _SINE(s * s)


@inlined
def _reduced(x: Number) -> Number:
    """Return an angle in degrees less whole turns."""
    return fma(like(-360.0, x), nearest(x * like(1 / 360, x)), x)


@inlined
def sin_degrees(x: Number) -> Number:
    """Return the sine of an angle in degrees; infinite gives NaN.

    >>> round(sin_degrees(30.0), 15)
    0.5
    """
    return _sine_of_turn(_reduced(x), like(360.0, x))


@inlined
def cos_degrees(x: Number) -> Number:
    """Return the cosine of an angle in degrees, exactly 0 at 90.

    >>> float(cos_degrees(90.0)), float(cos_degrees(180.0))
    (0.0, -1.0)
    """
    return _sine_of_turn(like(90.0, x) - abs(_reduced(x)), like(360.0, x))


@inlined
def sin_turns(x: Number) -> Number:
    """Return the sine of an angle in full turns: sin(2 pi x).

    >>> float(sin_turns(0.25)), float(sin_turns(7.0))
    (1.0, 0.0)
    """
    return _sine_of_turn(x - nearest(x), like(1.0, x))


@inlined
def cos_turns(x: Number) -> Number:
    """Return the cosine of an angle in full turns: cos(2 pi x).

    >>> float(cos_turns(0.5))
    -1.0
    """
    return _sine_of_turn(like(0.25, x) - abs(x - nearest(x)), like(1.0, x))


@inlined
def sine_cosine_squared(x: Number, rest: Number) -> tuple[Number, Number]:
    """Return the squares of the sine and of the cosine of x + rest degrees, where `rest` is below the last place of `x`.

    >>> near_one, tiny = sine_cosine_squared(90.0, 1e-20)
    >>> float(near_one), bool(tiny < 1e-43)
    (1.0, True)
    """
    quarter = like(45.0, x)
    r = fma(like(-180.0, x), nearest(x * like(1 / 180, x)), x)
    rest = -rest if r < like(0.0, x) else rest
    r = abs(r)
    upper = r > quarter
    t = (((like(90.0, x) - r) - rest) if upper else (r + rest)) * like(math.pi / 180, x)
    s = t * _SHORT_SINE(t * t)
    small = s * s
    large = like(1.0, x) - small
    return (large if upper else small), (small if upper else large)


@inlined
def asin_of_sqrt(a: Number, b: Number) -> Number:
    """Return asin(sqrt(a)) in radians for a >= 0 and b = 1 - a, each exact by itself.

    >>> float(asin_of_sqrt(1.0, 0.0)) == math.pi / 2
    True
    """
    steep = a > b
    smaller = b if steep else a
    angle = like(math.sqrt(smaller), a) * _ARCSINE(smaller)
    return like(math.pi / 2, a) - angle if steep else angle


@inlined
def compass_degrees(y: Number, x: Number) -> Number:
    """Return the angle of the point (x, y) in degrees, 0 <= angle < 360: atan2 with its negative half turned on; (0, 0) gives 0.

    >>> float(compass_degrees(-1.0, 0.0))
    270.0
    """
    zero = like(0.0, y)
    steep = abs(y) > abs(x)
    longer = abs(y) if steep else abs(x)
    shorter = abs(x) if steep else abs(y)
    t = shorter / (longer if longer != zero else like(1.0, y))
    angle = t * _ARCTANGENT(t * t) * like(180 / math.pi, y)
    angle = like(90.0, y) - angle if steep else angle
    angle = like(180.0, y) - angle if x < zero else angle
    angle = like(360.0, y) - angle if y < zero else angle
    return zero if angle >= like(360.0, y) else angle
