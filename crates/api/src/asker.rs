//! Who asks for a query.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use ferula_model::TenantId;
use ferula_promql::Origin;

use crate::tenant::tenant_of;

/// The address of a request's client, which the accept loop knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// Whose request it is, and from where it comes.
pub(crate) struct Asker {
    pub(crate) tenant: TenantId,
    pub(crate) origin: Origin,
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let path = parts.extensions.get::<MatchedPath>();
        let path = path.map_or(parts.uri.path(), MatchedPath::as_str);
        let client = parts.extensions.get::<ClientAddress>();
        Ok(Self {
            tenant: tenant_of(&parts.headers),
            origin: Origin::Http {
                client: client.map(|address| address.0),
                method: parts.method.to_string(),
                path: path.to_owned(),
            },
        })
    }
}
