//! Bodies and parameters, read strictly: what is not understood is refused and named.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dormouse_filesystem::Version;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::problem::{Code, Problem};

/// Longest body of a request, in bytes; that of an import of secrets has a limit of its own.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A JSON body of at most `MAX` bytes.
#[derive(Debug)]
pub(crate) struct Json<T, const MAX: usize = BODY_BYTES_MAX>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync, const MAX: usize> FromRequest<S> for Json<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let media = headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") || headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Problem::new(
                Code::MediaType,
                "a body is application/json, not encoded",
            ));
        }
        let bytes = http_body_util::Limited::new(request.into_body(), MAX)
            .collect()
            .await
            .map_err(
                |error| match error.downcast_ref::<http_body_util::LengthLimitError>() {
                    Some(_) => Problem::new(Code::TooLarge, format!("the body has more than {MAX} bytes")),
                    None => Problem::new(Code::BadRequest, "the body was cut"),
                },
            )?
            .to_bytes();
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::new(Code::BadRequest, format!("the body: {error}")))
    }
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| {
            // Its own text says which parameter it is about.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Problem::new(Code::BadRequest, cause.unwrap_or_else(|| error.body_text()))
        })
    }
}

/// The part of a path that names a record.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name))
            .map_err(|error| Problem::new(Code::BadRequest, error.body_text()))
    }
}

/// Which version of an item a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// It says nothing of it.
    Unsaid,
    /// Any, as long as the item is there.
    Any,
    /// This one.
    At(Version),
}

impl IfMatch {
    /// The version, where one is named.
    pub(super) fn version(self) -> Option<Version> {
        match self {
            Self::Unsaid | Self::Any => None,
            Self::At(version) => Some(version),
        }
    }

    /// The same, of a request that has to say which.
    pub(super) fn required(self) -> Result<Option<Version>, Problem> {
        if self == Self::Unsaid {
            return Err(Problem::new(
                Code::VersionRequired,
                "if-match: is missing, and this item changes under one only",
            )
            .hint("read the item, and send its ETag as If-Match"));
        }
        Ok(self.version())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut said = parts.headers.get_all(header::IF_MATCH).iter();
        let (Some(first), None) = (said.next(), said.next()) else {
            let is_said = parts.headers.contains_key(header::IF_MATCH);
            return if is_said { Err(no_tag()) } else { Ok(Self::Unsaid) };
        };
        let text = first.to_str().map_err(|_| no_tag())?.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let number = number.and_then(|number| number.parse().ok());
        number.map(Version::new).map(Self::At).ok_or_else(no_tag)
    }
}

fn no_tag() -> Problem {
    Problem::new(
        Code::BadRequest,
        "if-match: is one ETag of this API, \"VERSION\", or *",
    )
}

/// A list, as every list is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next_cursor: Option<String>,
}

/// An item or list as JSON, ended by a line feed: a client prints the body as it is.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut bytes = serde_json::to_vec(body).expect("views have text keys only");
    bytes.push(b'\n');
    (
        status,
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        bytes,
    )
        .into_response()
}

/// An item, with its version as its tag.
pub(super) fn item(status: StatusCode, version: u64, body: &impl Serialize) -> Response {
    let mut response = json(status, body);
    let tag = HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a header");
    response.headers_mut().insert(header::ETAG, tag);
    response
}

/// Done, and there is nothing to say.
pub(crate) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Lines of JSON, as they come.
pub(super) fn lines(body: Body) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        )],
        body,
    )
        .into_response()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let problem = self.scrubbed();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &problem);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(milliseconds) = problem.retry_after_ms {
            let seconds = HeaderValue::from(milliseconds.div_ceil(1000));
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
