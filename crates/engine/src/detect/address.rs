//! Addresses: whose site they are, and when two are the same page.

use std::borrow::Cow;

use url::{Host, Url};

/// Whether a text is the address of a page: http or https, with a host. What is none is judged as if it were not there.
#[must_use]
pub fn is_address(text: &str) -> bool {
    Address::parse(text).is_some()
}

/// An address of the web.
#[derive(Debug, Clone)]
pub(super) struct Address {
    url: Url,
    host: String,
    is_ip: bool,
}

impl Address {
    /// Reads it; `None` where it is no address of a page. Names are in lower case and in ASCII (punycode).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let (host, is_ip) = match url.host()? {
            Host::Domain(name) => (name.trim_end_matches('.').to_owned(), false),
            Host::Ipv4(address) => (address.to_string(), true),
            Host::Ipv6(address) => (address.to_string(), true),
        };
        Some(Self { url, host, is_ip })
    }

    /// What a text on this page leads to.
    pub(super) fn join(&self, text: &str) -> Option<Self> {
        Self::parse(self.url.join(text.trim()).ok()?.as_str())
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn path(&self) -> &str {
        self.url.path()
    }

    /// What follows `#`.
    pub(super) fn fragment(&self) -> &str {
        self.url.fragment().unwrap_or_default()
    }

    /// The path's parts, decoded, without empty ones.
    pub(super) fn segments(&self) -> Vec<String> {
        let parts = self.path().split('/').filter(|part| !part.is_empty());
        parts.map(decoded).collect()
    }

    /// Names and values of the query, decoded.
    pub(super) fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.url.query_pairs()
    }

    /// Whether both belong to who registered the domain. An IP address and a name without dot are their own site.
    pub(super) fn is_same_site(&self, other: &Self) -> bool {
        self.site() == other.site()
    }

    fn site(&self) -> &str {
        if self.is_ip {
            return &self.host;
        }
        psl::domain_str(&self.host).unwrap_or(&self.host)
    }

    /// Whether both are one page: but for scheme, `www`, the last slash, fragment, tracking parameters.
    pub(super) fn is_same_page(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.url.port() == other.url.port()
            && self.path().trim_end_matches('/') == other.path().trim_end_matches('/')
            && self.asked().eq(other.asked())
    }

    fn name(&self) -> &str {
        self.host.strip_prefix("www.").unwrap_or(&self.host)
    }

    fn asked(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.query().filter(|(name, _)| !is_tracking(name))
    }

    /// Whether the text names this page: as address, or as path.
    pub(super) fn is_named_by(&self, text: &str) -> bool {
        let text = text.trim();
        if text.is_empty() {
            return false;
        }
        let Ok(named) = self.url.join(text) else {
            return false;
        };
        let is_path = text.starts_with('/') || text.contains("://") || text.contains('/');
        let path = self.path().trim_end_matches('/');
        let is_bare_name = !path.is_empty() && text == path.trim_start_matches('/');
        is_bare_name || (is_path && named.path().trim_end_matches('/') == path)
    }
}

fn is_tracking(name: &str) -> bool {
    name.starts_with("utm_")
        || matches!(
            name,
            "gclid"
                | "fbclid"
                | "msclkid"
                | "dclid"
                | "yclid"
                | "igshid"
                | "mc_cid"
                | "mc_eid"
                | "_ga"
                | "_gl"
        )
}

/// Without `%`; bytes that are no UTF-8 are replaced.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|pair| str::from_utf8(pair).ok());
        let is_hex = |pair: &&str| pair.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = pair
            .filter(is_hex)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (first, _) => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An address without the user info that it may have. Works on what is no address too.
pub(super) fn without_user(text: &str) -> String {
    let Some(start) = text.find("//").map(|at| at + 2) else {
        return text.to_owned();
    };
    let end = text[start..]
        .find(['/', '?', '#', '\\'])
        .map_or(text.len(), |length| start + length);
    match text[start..end].rfind('@') {
        Some(at) => format!("{}{}", &text[..start], &text[start + at + 1..]),
        None => text.to_owned(),
    }
}
