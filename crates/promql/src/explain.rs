//! A plan with what was measured while it ran.

use std::fmt::{self, Display, Formatter};

use crate::exec::Measured;
use crate::plan::{Described, Plan};

/// How a query was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The plan as it follows from the text, one line per node.
    pub plan: String,
    /// The plan that ran, measured: subtrees computed once for several places, in the order in
    /// which they are needed, and the root.
    pub ran: Vec<Explained>,
}

/// A node of a plan that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What the node does.
    pub title: String,
    /// Series that came in from the nodes below, or from the store.
    pub series_in: u64,
    /// What it did.
    pub measured: Measured,
    /// The nodes below.
    pub inputs: Vec<Self>,
}

/// The plan that ran, with what was measured, by node number.
pub(crate) fn explain(plan: &Plan, measured: &[Measured]) -> Vec<Explained> {
    let trees = plan.describe();
    trees.into_iter().map(|tree| of(tree, measured)).collect()
}

fn of(node: Described, all: &[Measured]) -> Explained {
    let measured = all.get(node.id.0 as usize).copied().unwrap_or_default();
    let inputs: Vec<Explained> = node.inputs.into_iter().map(|n| of(n, all)).collect();
    let from_inputs: u64 = inputs.iter().map(|input| input.measured.series).sum();
    let series_in = match measured.series_read + from_inputs {
        // A reference to a shared subtree: what comes in is what goes out.
        0 => measured.series,
        series_in => series_in,
    };
    Explained {
        title: node.title,
        series_in,
        measured,
        inputs,
    }
}

/// A plan as text: one line per node, each further in than the node it belongs to.
pub(crate) fn plan_text(plan: &Plan) -> String {
    fn put(out: &mut String, node: &Described, level: usize) {
        out.push_str(&format!("{:level$}{}\n", "", node.title, level = 2 * level));
        node.inputs.iter().for_each(|n| put(out, n, level + 1));
    }
    let mut out = String::new();
    plan.describe()
        .iter()
        .for_each(|tree| put(&mut out, tree, 0));
    out
}

/// One line per node with what it did; times are left out, since no two runs take the same.
impl Display for Explained {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.fmt_at(f, 0)
    }
}

impl Explained {
    fn fmt_at(&self, f: &mut Formatter<'_>, level: usize) -> fmt::Result {
        let m = &self.measured;
        let indent = 2 * level;
        write!(f, "{:indent$}{}", "", self.title)?;
        // Scalars are no series.
        if self.series_in > 0 {
            write!(f, ": {} series", m.series)?;
            if self.series_in != m.series {
                write!(f, " of {}", self.series_in)?;
            }
            write!(f, ", {} values", m.samples)?;
        }
        writeln!(f)?;
        self.inputs
            .iter()
            .try_for_each(|input| input.fmt_at(f, level + 1))
    }
}
