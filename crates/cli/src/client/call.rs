//! One request to the API.

use std::fmt;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, header};
use dormouse_engine::idempotency::ClientKey;
use dormouse_filesystem::Version;
use serde::Serialize;

use crate::api::{KEY, takes_key};
use crate::edge;
use crate::problem::Problem;

/// A request that can be sent again.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    key: Option<String>,
    if_match: Option<Version>,
}

impl fmt::Debug for Call {
    /// Without parameters and body: they are whatever people wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Call {
    /// A read.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            key: None,
            if_match: None,
        }
    }

    /// An action, with its body.
    #[must_use]
    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("bodies have text keys only");
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path)
        }
    }

    /// How long its body is, in bytes.
    #[must_use]
    pub(crate) fn body_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Vec::len)
    }

    /// A change that, sent again, is answered as the first time.
    #[must_use]
    pub fn put(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self {
            method: Method::PUT,
            ..Self::post(path, body)
        }
    }

    /// A change of some fields.
    #[must_use]
    pub fn patch(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self {
            method: Method::PATCH,
            ..Self::post(path, body)
        }
    }

    /// A removal.
    #[must_use]
    pub fn delete(path: impl Into<String>) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    /// About the item at this version only.
    #[must_use]
    pub fn if_match(mut self, version: Version) -> Self {
        self.if_match = Some(version);
        self
    }

    /// With a parameter, if it has a value.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Under a key: sent again, it is answered as the first time.
    #[must_use]
    pub fn under(mut self, key: Option<&ClientKey>) -> Self {
        self.key = key.map(|key| key.as_str().to_owned()).or(self.key);
        self
    }

    /// The same under a key of its own, where it is an action that takes one and has none.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn keyed(&self) -> Result<Self, Problem> {
        if self.method != Method::POST || self.key.is_some() || !takes_key(&self.path) {
            return Ok(self.clone());
        }
        let bytes: [u8; 16] = edge::random_bytes()?;
        let key = bytes.iter().fold(String::with_capacity(32), |mut key, byte| {
            key.push_str(&format!("{byte:02x}"));
            key
        });
        Ok(Self {
            key: Some(key),
            ..self.clone()
        })
    }

    /// The key it is sent under.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether sending it again does no harm: it only reads, or is answered as the first time.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.method == Method::PUT || self.key.is_some()
    }

    /// The request, for this authority.
    pub(super) fn request(&self, authority: &str) -> Request<Body> {
        let mut target = self.path.clone();
        for (at, (name, value)) in self.query.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(&encoded(value));
        }
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(target)
            .header(header::HOST, authority)
            .header(header::CONNECTION, HeaderValue::from_static("close"));
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(key) = &self.key {
            request = request.header(KEY, key);
        }
        if let Some(version) = self.if_match {
            request = request.header(header::IF_MATCH, format!("\"{version}\""));
        }
        let body = self.body.clone().map_or_else(Body::empty, Body::from);
        request
            .body(body)
            .expect("paths are made of parsed ids, values are encoded")
    }
}

/// A query value, percent-encoded but for what is safe everywhere.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
