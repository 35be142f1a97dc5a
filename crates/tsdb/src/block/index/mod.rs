//! The labels of a tenant's series: which there are, and who has them.
//!
//! Within a tenant, *pairs* of a name and a value are numbered in order of name, then value, and
//! series from 0 on. Four things are kept, in pages: the values as text (`strings.rs`), for each
//! pair the series that have it (`postings.rs`), for each series its pairs (`sets.rs`), and what
//! leads to those (`tenant.rs`).

mod builder;
mod postings;
pub(super) mod runs;
mod sets;
mod strings;
mod tenant;

pub(super) use builder::TenantBuilder;
pub(super) use postings::PostingsPage;
pub(super) use sets::SetPage;
pub(super) use strings::StringPage;
pub(super) use tenant::TenantIndex;

/// Series of a page of label sets.
pub(super) const SETS_OF_PAGE: usize = 1_024;
