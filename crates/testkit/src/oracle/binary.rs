//! Binary operators of scalars and vectors (§6.1, §6.2); of two vectors see `matching`.

use ferula_model::Timestamp;
use ferula_promql::syntax::ast::{Binary, BinaryOp, ValueType};

use super::eval::Eval;
use super::labels::unique;
use super::operate::{Made, arithmetic, compares};
use super::value::{Element, Steps, Val};
use super::{Result, failed};

/// Whether the result is something else than an element of an operand (§6.4, §10).
pub(super) fn drops_name(op: BinaryOp, return_bool: bool) -> bool {
    return_bool || !(op.is_comparison() || op.is_trim() || op.is_set())
}

impl Eval<'_> {
    pub(super) fn binary(&self, binary: &Binary, steps: &[Timestamp]) -> Result<Steps> {
        let scalar = |e: &ferula_promql::syntax::ast::Expr| e.value_type() == ValueType::Scalar;
        Ok(match (scalar(&binary.lhs), scalar(&binary.rhs)) {
            (true, true) => {
                let lhs = self.scalar(&binary.lhs, steps)?;
                let rhs = self.scalar(&binary.rhs, steps)?;
                let pairs = lhs.into_iter().zip(rhs);
                let values = pairs.map(|(a, b)| scalars(binary.op, a, b));
                Steps::Scalar(values.collect::<Result<_>>()?)
            }
            (true, false) => {
                let scalars = self.scalar(&binary.lhs, steps)?;
                let vectors = self.vector(&binary.rhs, steps)?;
                self.with_scalar(binary, vectors, scalars, true)?
            }
            (false, true) => {
                let vectors = self.vector(&binary.lhs, steps)?;
                let scalars = self.scalar(&binary.rhs, steps)?;
                self.with_scalar(binary, vectors, scalars, false)?
            }
            (false, false) => {
                let lhs = self.vector(&binary.lhs, steps)?;
                let rhs = self.vector(&binary.rhs, steps)?;
                let pairs = lhs.into_iter().zip(rhs);
                let results = pairs.map(|(lhs, rhs)| {
                    let result = if binary.op.is_set() {
                        self.set(binary, lhs, rhs)
                    } else {
                        self.join(binary, &lhs, &rhs)?
                    };
                    unique(&result)?;
                    Ok(result)
                });
                Steps::Vector(results.collect::<Result<_>>()?)
            }
        })
    }

    /// A vector and a scalar, which may stand on the left.
    fn with_scalar(
        &self,
        binary: &Binary,
        vectors: Vec<Vec<Element>>,
        scalars: Vec<f64>,
        scalar_left: bool,
    ) -> Result<Steps> {
        let at = binary.span.start;
        let mut out = Vec::new();
        for (vector, scalar) in vectors.into_iter().zip(scalars) {
            let scalar = Val::Float(scalar);
            let mut result = Vec::new();
            for mut element in vector {
                let (a, b) = if scalar_left {
                    (&scalar, &element.val)
                } else {
                    (&element.val, &scalar)
                };
                let made = self.operate(binary.op, a, b, at);
                let val = match (made, binary.return_bool) {
                    (Made::Nothing, _) | (Made::False, false) => continue,
                    (Made::False, true) => Val::Float(0.0),
                    (Made::Val(_), true) => Val::Float(1.0),
                    // What is kept is the element, on whichever side it stands.
                    (Made::Val(_), false) if binary.op.is_comparison() => element.val,
                    (Made::Val(val), false) => val,
                };
                element.val = val;
                if drops_name(binary.op, binary.return_bool) {
                    self.drop_name(&mut element);
                }
                result.push(element);
            }
            unique(&result)?;
            out.push(result);
        }
        Ok(Steps::Vector(out))
    }
}

fn scalars(op: BinaryOp, a: f64, b: f64) -> Result<f64> {
    if op.is_trim() {
        let op = op.as_str();
        return Err(failed(format!(
            "operator \"{op}\" not allowed for Scalar operations"
        )));
    }
    Ok(if op.is_comparison() {
        f64::from(compares(op, a, b))
    } else {
        arithmetic(op, a, b)
    })
}
