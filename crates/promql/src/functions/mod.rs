//! What functions compute, over slices and single values. Knows no series and no plan.

pub(crate) mod format;
pub(crate) mod histogram_classic;
pub(crate) mod labels;
pub(crate) mod lanes;
pub(crate) mod math;
pub(crate) mod over_time;
pub(crate) mod rate;
pub(crate) mod regression;
pub(crate) mod starts;
pub(crate) mod sum;
pub(crate) mod time;
