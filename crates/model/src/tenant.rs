//! The unit of isolation.

use std::fmt;
use std::sync::Arc;

/// The longest tenant id, in bytes.
const LEN_MAX: usize = 64;

/// A tenant: 1 to 64 characters of `[a-zA-Z0-9_-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// Why a text is no tenant id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a tenant id: 1 to 64 characters of a-z, A-Z, 0-9, `_` and `-`")]
pub struct TenantIdError(String);

impl TenantId {
    /// The tenant of everything when tenancy is off.
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }

    /// Checks and takes an id.
    pub fn new(id: &str) -> Result<Self, TenantIdError> {
        let valid = (1..=LEN_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if valid {
            Ok(Self(id.into()))
        } else {
            Err(TenantIdError(id.chars().take(LEN_MAX).collect()))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids() {
        assert!(TenantId::new("team-a_1").is_ok());
        for bad in ["", "a/b", "ä", &"x".repeat(65)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }
}
