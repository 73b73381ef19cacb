//! Whether a page is a block: judged without the store, and nothing is kept of it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::detect::{Detection, Rules, Visit, detect as judge, is_address};
use dormouse_secrets::{Formats, Scrubber};
use serde::{Deserialize, Serialize};

use super::House;
use super::body::{self, Json};
use crate::problem::{Code, Problem};

/// Longest body with a visit, in bytes: a page of the longest that is read, unless most of it is written with escapes.
pub(crate) const VISIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How pages are judged, for whoever sends one: more of it need not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DetectLimits {
    /// `detect.html_max`: how much of a page is looked at, in bytes.
    pub(crate) html_max: usize,
}

/// A visit, as it is asked about. What is not known is left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VisitBody {
    /// The address that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requested_url: Option<String>,
    /// The address that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) final_url: Option<String>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The headers of the answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// The page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) html: Option<String>,
}

impl VisitBody {
    /// Refuses what is no visit.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let urls = [
            ("requested_url", &self.requested_url),
            ("final_url", &self.final_url),
        ];
        for (name, url) in urls {
            if url.as_deref().is_some_and(|url| !is_address(url)) {
                let detail = format!("{name}: the address of a page is like https://a.example/login");
                return Err(Problem::new(Code::Invalid, detail));
            }
        }
        match self.status {
            Some(status) if !(100..=999).contains(&status) => Err(Problem::new(
                Code::Invalid,
                format!("status: {status} is none, 100 to 999 are taken"),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Judges it by this.
    pub(crate) fn judged(&self, by: impl FnOnce(&Visit<'_>) -> Detection) -> Detection {
        let headers: Vec<_> = self.headers.clone().into_iter().collect();
        by(&Visit {
            requested_url: self.requested_url.as_deref(),
            final_url: self.final_url.as_deref().unwrap_or_default(),
            status: self.status,
            headers: &headers,
            html: self.html.as_deref().map(str::as_bytes),
        })
    }
}

/// Where no run is known, nor whose page it is: what looks like a credential is taken out.
pub(crate) fn of_nobody() -> Scrubber {
    Scrubber::empty().with_formats(Formats::Strict)
}

/// Judges off the threads that serve: a page may be long.
pub(crate) async fn apart(judging: impl FnOnce() -> Detection + Send + 'static) -> Detection {
    let judged = tokio::task::spawn_blocking(judging).await;
    judged.expect("the detector does not panic, and nobody cancels it")
}

/// Judges a page, and says so.
pub(super) async fn detect(
    State(house): State<House>,
    Json(visit): Json<VisitBody, VISIT_BYTES_MAX>,
) -> Result<Response, Problem> {
    visit.check()?;
    let rules: Rules = house.rules().clone();
    let detection = apart(move || visit.judged(|visit| judge(visit, &rules, &of_nobody()))).await;
    Ok(body::json(StatusCode::OK, &detection))
}
