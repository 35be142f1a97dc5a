//! Histograms as `count_values` writes them into a label.

use std::fmt::{Display, Formatter, Result};

use ferula_model::text::number::Form;

use super::FloatHistogram;
use super::bounds::Place;

/// `{count:3, sum:5, [-0.001,0.001]:1, (0.5,1]:2}`, empty buckets left out.
impl Display for FloatHistogram {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let show = |x| Form::General.show(x);
        write!(
            f,
            "{{count:{}, sum:{}",
            show(self.count.value()),
            show(self.sum.value())
        )?;
        for bucket in self.buckets() {
            let (mut lower, mut upper) = (bucket.lower, bucket.upper);
            let (open, close) = match bucket.place {
                Place::Zero => ('[', ']'),
                Place::Negative(i) => {
                    (upper, lower) = {
                        let (begin, end) = self.edges(self.negative[i].0);
                        (-begin, -end)
                    };
                    ('[', ')')
                }
                Place::Positive(i) => {
                    (lower, upper) = self.edges(self.positive[i].0);
                    let first = self.has_custom_buckets() && self.positive[i].0 == 0;
                    (if first { '[' } else { '(' }, ']')
                }
            };
            write!(
                f,
                ", {open}{},{}{close}:{}",
                show(lower),
                show(upper),
                show(bucket.count)
            )?;
        }
        f.write_str("}")
    }
}
