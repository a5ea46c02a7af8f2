//! Numbers: DataFusion's functions that Postgres and Flink call the same.

use super::entry;
use crate::functions::entry::Entry;

const NUMBERS: &[&str] = &[
    "integer → integer",
    "bigint → bigint",
    "numeric → numeric",
    "real → real",
    "double precision → double precision",
];
const DOUBLE: &[&str] = &["double precision → double precision"];
const DOUBLES: &[&str] = &["double precision, double precision → double precision"];
const BIGINTS: &[&str] = &["bigint, bigint → bigint"];

pub(super) const ENTRIES: &[Entry] = &[
    entry("abs", &[], NUMBERS, "The number without its sign.").example("ABS(-2)", "2"),
    entry("acos", &[], DOUBLE, "The arc cosine, in radians.").example("ACOS(1)", "0"),
    entry("acosh", &[], DOUBLE, "The inverse hyperbolic cosine.").example("ACOSH(1)", "0"),
    entry("asin", &[], DOUBLE, "The arc sine, in radians.").example("ASIN(0)", "0"),
    entry("asinh", &[], DOUBLE, "The inverse hyperbolic sine.").example("ASINH(0)", "0"),
    entry("atan", &[], DOUBLE, "The arc tangent, in radians.").example("ATAN(0)", "0"),
    entry("atan2", &[], DOUBLES, "The arc tangent of the first number divided by the second, in radians.")
        .example("ATAN2(0, 1)", "0"),
    entry("atanh", &[], DOUBLE, "The inverse hyperbolic tangent.").example("ATANH(0)", "0"),
    entry("cbrt", &[], DOUBLE, "The cube root.").example("CBRT(27)", "3"),
    entry("cos", &[], DOUBLE, "The cosine of an angle in radians.").example("COS(0)", "1"),
    entry("cosh", &[], DOUBLE, "The hyperbolic cosine.").example("COSH(0)", "1"),
    entry("cot", &[], DOUBLE, "The cotangent of an angle in radians."),
    entry("degrees", &[], DOUBLE, "An angle in radians as degrees.").example("DEGREES(PI())", "180"),
    entry("exp", &[], DOUBLE, "e to the power of the number.").example("EXP(0)", "1"),
    entry("factorial", &[], &["bigint → bigint"], "The product of all whole numbers from 1 up to the number.")
        .example("FACTORIAL(5)", "120"),
    entry("gcd", &[], BIGINTS, "The greatest common divisor.").example("GCD(12, 18)", "6"),
    entry("isnan", &[], &["double precision → boolean"], "Whether the number is NaN.")
        .example("ISNAN(CAST('NaN' AS DOUBLE))", "t"),
    entry("iszero", &[], &["double precision → boolean"], "Whether the number is 0 or -0.")
        .example("ISZERO(0.0e0)", "t"),
    entry("lcm", &[], BIGINTS, "The least common multiple.").example("LCM(4, 6)", "12"),
    entry("ln", &[], DOUBLE, "The natural logarithm.").example("LN(1)", "0"),
    entry("log10", &[], DOUBLE, "The logarithm of base 10.").example("LOG10(1000)", "3"),
    entry("log2", &[], DOUBLE, "The logarithm of base 2.").example("LOG2(8)", "3"),
    entry("nanvl", &[], DOUBLES, "The first number, or the second if the first is NaN.")
        .example("NANVL(CAST('NaN' AS DOUBLE), 1)", "1"),
    entry("pi", &[], &["→ double precision"], "The number π.").example("PI()", "3.141592653589793"),
    entry(
        "power",
        &["pow"],
        &["double precision, double precision → double precision"],
        "The first number to the power of the second.",
    )
    .example("POWER(2, 10)", "1024"),
    entry("radians", &[], DOUBLE, "An angle in degrees as radians.").example("RADIANS(0)", "0"),
    entry("random", &["rand"], &["→ double precision"], "A random number from 0 up to, but not including, 1.")
        .volatile(),
    entry("sin", &[], DOUBLE, "The sine of an angle in radians.").example("SIN(0)", "0"),
    entry("sinh", &[], DOUBLE, "The hyperbolic sine.").example("SINH(0)", "0"),
    entry("sqrt", &[], DOUBLE, "The square root.").example("SQRT(16)", "4"),
    entry("tan", &[], DOUBLE, "The tangent of an angle in radians.").example("TAN(0)", "0"),
    entry("tanh", &[], DOUBLE, "The hyperbolic tangent.").example("TANH(0)", "0"),
];
