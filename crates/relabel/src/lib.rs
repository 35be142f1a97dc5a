//! Rules applied to label sets, with a trace of each step.
