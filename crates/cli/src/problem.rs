//! What went wrong, as one document: the API's answer, `-o json` on stderr, and the two lines a person reads.

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// The kinds of problem. Each has a name, an HTTP status and a title, and by the status an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Arguments that make no sense together.
    Usage,
    /// Not parsable, or with an unknown field.
    BadRequest,
    /// Parsed, and not valid.
    Invalid,
    /// A configuration file, variable or folder that is refused.
    Config,
    /// No such record, or not visible.
    NotFound,
    /// No such route.
    NoRoute,
    /// Not this method.
    Method,
    /// Not JSON, or encoded.
    MediaType,
    /// More bytes than are taken.
    TooLarge,
    /// Positions that the log no longer keeps, or does not have.
    Gap,
    /// No token, or a wrong one.
    Unauthorized,
    /// Not this caller.
    Forbidden,
    /// A key that opens nothing.
    WrongKey,
    /// Secrets are locked.
    Locked,
    /// A human is asked first.
    NeedsApproval,
    /// The record's state refuses.
    State,
    /// It exists.
    Exists,
    /// A run is at it.
    Busy,
    /// Something else was asked under the key.
    KeyReused,
    /// The version is not the current one.
    Stale,
    /// The version that is meant has to be said.
    VersionRequired,
    /// A limit is reached.
    Limit,
    /// Nobody is there to do it, or not now.
    Unavailable,
    /// Sent, and the answer was lost.
    Unknown,
    /// Damaged bytes.
    Corrupt,
    /// Written by a newer build.
    TooNew,
    /// Our fault.
    Internal,
}

impl Code {
    /// The name, as in `urn:dormouse:problem:<name>`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// The title: what this kind of problem is.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::Usage => ("usage", 400, "the command line is refused"),
            Self::BadRequest => ("bad_request", 400, "the request cannot be read"),
            Self::Invalid => ("invalid", 422, "the request is not valid"),
            Self::Config => ("config", 422, "the configuration is refused"),
            Self::NotFound => ("not_found", 404, "not found"),
            Self::NoRoute => ("no_route", 404, "no such route"),
            Self::Method => ("method", 405, "the route does not take this method"),
            Self::MediaType => ("media_type", 415, "the body is not JSON"),
            Self::TooLarge => ("too_large", 413, "too large"),
            Self::Gap => ("gap", 410, "the log does not keep these positions"),
            Self::Unauthorized => ("unauthorized", 401, "no valid token"),
            Self::Forbidden => ("forbidden", 403, "not allowed"),
            Self::WrongKey => ("wrong_key", 403, "the key opens nothing"),
            Self::Locked => ("locked", 423, "the secrets are locked"),
            Self::NeedsApproval => ("needs_approval", 409, "a human is asked first"),
            Self::State => ("state", 409, "the state refuses"),
            Self::Exists => ("exists", 409, "it exists"),
            Self::Busy => ("busy", 409, "a run is at it"),
            Self::KeyReused => ("key_reused", 422, "the key was used for another request"),
            Self::Stale => ("stale", 412, "the version is not the current one"),
            Self::VersionRequired => (
                "version_required",
                428,
                "the version that is meant has to be said",
            ),
            Self::Limit => ("limit", 429, "a limit is reached"),
            Self::Unavailable => ("unavailable", 503, "not available now"),
            Self::Unknown => ("unknown", 504, "the answer was lost"),
            Self::Corrupt => ("corrupt", 500, "stored bytes are damaged"),
            Self::TooNew => ("too_new", 500, "written by a newer build"),
            Self::Internal => ("internal", 500, "internal error"),
        }
    }
}

/// What went wrong. Small to hand on: its document is on the heap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problem(Box<Document>);

impl std::ops::Deref for Problem {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0
    }
}

/// A problem document, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// `urn:dormouse:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What this kind of problem is.
    pub title: String,
    /// The HTTP status, also of a problem that never met HTTP.
    pub status: u16,
    /// The kind's name.
    pub code: String,
    /// What happened: lower case, whole ids, no full stop.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The version that would have been right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<u64>,
    /// Every field that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Not to be tried again before, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where, with dots.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind: format!("urn:dormouse:problem:{}", code.name()),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.name().to_owned(),
            detail: detail.into(),
            hint: None,
            instance: None,
            current_version: None,
            errors: Vec::new(),
            retry_after_ms: None,
        }))
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// With a time before which trying again is of no use.
    #[must_use]
    pub fn retry_after_ms(mut self, milliseconds: u64) -> Self {
        self.0.retry_after_ms = Some(milliseconds);
        self
    }

    /// With the version that would have been right.
    #[must_use]
    pub fn current_version(mut self, version: u64) -> Self {
        self.0.current_version = Some(version);
        self
    }

    /// With another status, of an answer that was no problem document.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.0.status = status;
        self
    }

    /// With the fields that are wrong.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Without values of secrets that are open in this process, and without credentials of a known shape: as it may
    /// leave the process.
    #[must_use]
    pub fn scrubbed(mut self) -> Self {
        let values = crate::log::open_values();
        let document = &mut *self.0;
        let texts = std::iter::once(&mut document.detail)
            .chain(&mut document.hint)
            .chain(document.errors.iter_mut().map(|error| &mut error.message));
        for text in texts {
            *text = values.scrub(text).into_string();
        }
        self
    }

    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == code.name()
    }

    /// The exit code that says the same.
    #[must_use]
    pub fn exit(&self) -> Exit {
        Exit::of_status(self.status, &self.code)
    }
}

/// Why a command ended before it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A problem, to be shown.
    Problem(Problem),
    /// Nobody reads stdout any more: a read is over, and that is no error.
    StdoutClosed,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// What a fallible step of a command gives.
pub type Result<T> = std::result::Result<T, Failure>;
