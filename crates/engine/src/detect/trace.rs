//! Which rules a visit met, and what stopped them.

use serde::{Deserialize, Serialize};

/// The rules, in the order in which they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// 1: status 429 that says when to come back.
    RetryAfter,
    /// 2: a header that only a mitigated answer has.
    Mitigated,
    /// 3: a thin page with a vendor's marks.
    VendorPage,
    /// 4: a challenge is the page.
    Challenge,
    /// 5: a status that asks for credentials.
    Unauthorized,
    /// 6: sent to a login page that was not asked for.
    LoginRedirect,
    /// 7: status 429 that nothing else explained, or a page that says that too much was asked for.
    TooManyRequests,
    /// 8: refused, by whom is not known.
    Refused,
}

impl Rule {
    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetryAfter => "retry_after",
            Self::Mitigated => "mitigated",
            Self::VendorPage => "vendor_page",
            Self::Challenge => "challenge",
            Self::Unauthorized => "unauthorized",
            Self::LoginRedirect => "login_redirect",
            Self::TooManyRequests => "too_many_requests",
            Self::Refused => "refused",
        }
    }
}

/// The guard that stopped a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// `Retry-After` is neither seconds nor a date that can be counted from the answer's own.
    RetryAfterUnreadable,
    /// There is more on the page than a block has.
    NotThin,
    /// One mark of a vendor on an answer that is no refusal.
    OneMark,
    /// The page has a field to fill in beside the challenge.
    HasField,
    /// The widget is one that nobody sees.
    InvisibleWidget,
    /// No field for a password.
    NoPassword,
    /// What was asked for is not known, or is no address.
    NoRequestedUrl,
    /// What came of it is no address.
    NoFinalUrl,
    /// A login page or a logout was asked for.
    RequestedLogin,
    /// The same page but for scheme, `www`, a last slash, fragment, tracking parameters.
    SameAddress,
    /// Another site: a federated sign-in is intended.
    OtherSite,
    /// A status that a refusal does not have.
    NotRefusal,
}

/// A rule that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub rule: Rule,
    /// What stopped it; nothing, where it decided.
    pub stopped_by: Option<Stop>,
}
