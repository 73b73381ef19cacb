//! The version that a request is for, in `If-Match`.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use dormouse_filesystem::Version;

use crate::problem::{Code, Problem};

/// The version that is meant; none where that is not said, or any is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected(pub(super) Option<Version>);

/// The same, where it has to be said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said(pub(super) Option<Version>);

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.headers.get(header::IF_MATCH) {
            None => Ok(Self(None)),
            Some(value) => version(value.to_str().unwrap_or_default()).map(Self),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Said {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.headers.get(header::IF_MATCH) {
            None => {
                let why = "a change says which version it is of, in If-Match";
                Err(Problem::new(Code::VersionRequired, why)
                    .hint("send the etag of the item as it was read, or * for any"))
            }
            Some(value) => version(value.to_str().unwrap_or_default()).map(Self),
        }
    }
}

fn version(value: &str) -> Result<Option<Version>, Problem> {
    if value == "*" {
        return Ok(None);
    }
    let digits = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(version) if is_number => Ok(Some(Version::new(version))),
        _ => Err(Problem::new(
            Code::BadRequest,
            "if-match: it is the etag of an item, a number in quotes, or *",
        )),
    }
}
