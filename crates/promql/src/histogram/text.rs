//! Histograms as `count_values` writes them into a label.

use std::fmt::{Display, Formatter, Result};

use ferula_model::text::number::Form;

use super::FloatHistogram;

/// `{count:3, sum:5, [-0.001,0.001]:1, (0.5,1]:2}`, empty buckets left out.
impl Display for FloatHistogram {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let show = |x| Form::General.show(x);
        let (count, sum) = (self.count.signed_value(), self.sum.signed_value());
        write!(f, "{{count:{}, sum:{}", show(count), show(sum))?;
        let mut bucket = |open, (lower, upper): (f64, f64), close, count: f64| {
            if count == 0.0 {
                return Ok(());
            }
            let (lower, upper, count) = (show(lower), show(upper), show(count));
            write!(f, ", {open}{lower},{upper}{close}:{count}")
        };
        for (index, number) in self.negative.iter().rev() {
            let (begin, end) = self.edges(*index);
            bucket('[', (-end, -begin), ')', number.value())?;
        }
        let zero_threshold = self.zero_threshold;
        let zero = (-zero_threshold, zero_threshold);
        bucket('[', zero, ']', self.zero.value())?;
        for (index, number) in &self.positive {
            let first = self.has_custom_buckets() && *index == 0;
            let open = if first { '[' } else { '(' };
            bucket(open, self.edges(*index), ']', number.value())?;
        }
        f.write_str("}")
    }
}
