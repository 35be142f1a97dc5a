//! Where a redirect leads.

use http::Uri;

/// How many redirects are followed, as Go does.
pub(crate) const REDIRECTS_MAX: usize = 10;

/// The address `location` means when `base` answered with it (RFC 3986 §5.2), without its
/// fragment. `None` if it is no address.
pub(crate) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or(location);
    if let Some((scheme, _)) = location.split_once("://")
        && is_scheme(scheme)
    {
        return location.parse().ok();
    }
    let scheme = base.scheme_str()?;
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    let authority = base.authority()?;
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (location, None),
    };
    let (path, query) = if path.is_empty() {
        (base.path().to_owned(), query.or(base.query()))
    } else if path.starts_with('/') {
        (without_dots(path), query)
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(f, _)| f);
        (without_dots(&format!("{folder}/{path}")), query)
    };
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    format!("{scheme}://{authority}{path}{query}").parse().ok()
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// The absolute `path` with `.` and `..` taken.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(location: &str, expected: &str) {
        let base: Uri = "http://h:9/a/b?q=1".parse().unwrap();
        let got = resolve(&base, location).map(|u| u.to_string());
        assert_eq!(got.as_deref(), Some(expected), "{location}");
    }

    #[test]
    fn resolves_as_the_rfc_says() {
        check("http://x/y", "http://x/y");
        check("https://x/y", "https://x/y");
        check("//x:1/y", "http://x:1/y");
        check("/y?z=1#f", "http://h:9/y?z=1");
        check("y", "http://h:9/a/y");
        check("../y", "http://h:9/y");
        check("../../../y/./z/..", "http://h:9/y/");
        check("?z=2", "http://h:9/a/b?z=2");
        check("", "http://h:9/a/b?q=1");
        check("y?u=http://w/", "http://h:9/a/y?u=http://w/");
        let base: Uri = "http://h:9/a".parse().unwrap();
        assert_eq!(resolve(&base, "http://x y/"), None);
    }

    proptest! {
        #[test]
        fn no_location_panics(location in "\\PC{0,16}|[a-z./?#:]{0,16}") {
            let base: Uri = "http://h:9/a/b?q=1".parse().unwrap();
            if let Some(target) = resolve(&base, &location) {
                prop_assert!(target.host().is_some() || target.scheme().is_none());
            }
        }
    }
}
