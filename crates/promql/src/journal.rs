//! What queries do, told to whoever writes it down.

use std::fmt::Debug;
use std::net::IpAddr;

use crate::engine::Times;
use crate::error::QueryError;
use crate::result::QueryStats;

/// Is told of every query an engine runs. Called on the way of the query: must be quick, and has
/// no way to fail it.
pub trait Journal: Debug + Send + Sync {
    /// A query has its turn. Until [`Self::ended`], no other query has this `turn`; turns are
    /// numbered from 0 up to the engine's limit.
    fn began(&self, turn: usize, query: &str);
    /// The query that had this turn computes no more.
    fn ended(&self, turn: usize);
    /// A query has its answer, or will never have one.
    fn finished(&self, finished: &Finished<'_>);
}

/// A query that is over.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// Its text.
    pub query: &'a str,
    /// When it was evaluated.
    pub times: Times,
    /// Who asked.
    pub origin: Option<&'a Origin>,
    /// Why it has no answer.
    pub error: Option<&'a QueryError>,
    /// What it took.
    pub stats: &'a QueryStats,
}

/// Who asked for a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of the HTTP API.
    Http {
        /// Its address, where it is known.
        client: Option<IpAddr>,
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
    },
}
