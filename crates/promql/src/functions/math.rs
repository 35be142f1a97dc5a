//! Functions of one number.

use std::f64::consts::PI;

/// A function of one number.
pub(crate) type Math = fn(f64) -> f64;

/// The function called `name`.
pub(crate) fn by_name(name: &str) -> Option<Math> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => asinh,
        "acosh" => acosh,
        "atanh" => f64::atanh,
        "deg" => |v| v * 180.0 / PI,
        "rad" => |v| v * PI / 180.0,
        "sgn" => sign,
        _ => return None,
    })
}

/// −1 or 1; zeros and NaN stay what they are.
fn sign(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// `v` rounded to the nearest multiple of `to`, ties upwards.
pub(crate) fn round(v: f64, to: f64) -> f64 {
    // The reciprocal is less exact than a division by `to`, but it is what users see elsewhere.
    let inverse = 1.0 / to;
    (v * inverse + 0.5).floor() / inverse
}

/// `v` within `[lo, hi]`; NaN if any of the three is, unless an infinity decides.
pub(crate) fn clamp(v: f64, lo: f64, hi: f64) -> f64 {
    max(lo, min(hi, v))
}

/// From here on, the square root of `v * v + 1` is `v`, and doubling `v` may be too much.
const LARGE: f64 = 268_435_456.0;

fn asinh(v: f64) -> f64 {
    if v.abs() > LARGE {
        (v.abs().ln() + std::f64::consts::LN_2).copysign(v)
    } else {
        v.asinh()
    }
}

fn acosh(v: f64) -> f64 {
    if v > LARGE {
        v.ln() + std::f64::consts::LN_2
    } else {
        v.acosh()
    }
}

/// The smaller: −Inf if any is, else NaN if any is, and −0 below 0.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else {
        a.min(b)
    }
}

/// The larger: +Inf if any is, else NaN if any is, and 0 above −0.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    -min(-a, -b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert_eq!(round(-2.5, 1.0), -2.0);
        assert_eq!(round(2.5, 1.0), 3.0);
        assert!(round(1.0, 0.0).is_nan());
        assert!(clamp(1.0, f64::NAN, 2.0).is_nan() && clamp(f64::NAN, 0.0, 2.0).is_nan());
        assert_eq!(clamp(5.0, 0.0, 2.0), 2.0);
        assert!(min(0.0, -0.0).is_sign_negative() && max(0.0, -0.0).is_sign_positive());
        assert!(by_name("sgn").unwrap()(-0.0).is_sign_negative());
        assert!(by_name("asinh").unwrap()(1e200).is_finite());
        assert!(by_name("acosh").unwrap()(0.5).is_nan());
        assert!(by_name("rate").is_none());
    }
}
