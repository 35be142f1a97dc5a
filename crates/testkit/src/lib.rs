//! Series notation and the PromQL script runner, for tests.
