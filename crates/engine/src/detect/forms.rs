//! Login forms at addresses that name no login: in place of what was asked for, or where it was sent to.

use super::address::Address;
use super::login;
use super::page::Facts;
use super::speech::Speech;

/// Most characters of text around a login form that is the page.
const TEXT_MAX: usize = 800;
/// Most links there.
const LINKS_MAX: usize = 10;
/// Most fields of it: a name, a word, whether to be remembered.
const FIELDS_MAX: usize = 3;

/// Doors of a site: who asks for one has asked for the login behind it.
const DOORS: &[&str] = &[
    "account",
    "accounts",
    "my-account",
    "myaccount",
    "my",
    "user",
    "users",
    "admin",
    "administrator",
    "wp-admin",
    "webmail",
    "mail",
    "portal",
    "member",
    "members",
    "client",
    "clients",
    "customer",
    "customers",
    "auth",
    "sso",
    "identity",
    "session",
    "home",
    "index",
    "app",
    "start",
    "welcome",
    "mon-compte",
    "espace-client",
    "mi-cuenta",
    "minha-conta",
    "mein-konto",
    "konto",
    "area-clienti",
    "lk",
    "cabinet",
    "mypage",
    "profile",
    "register",
    "signup",
    "sign-up",
    "join",
];

/// Words in the path of what ends at a login by itself: a new word, an account that was made or confirmed.
const WAYS: &[&str] = &[
    "password",
    "reset",
    "regist",
    "signup",
    "sign-up",
    "confirm",
    "activat",
    "invite",
    "verif",
    "logout",
    "unsubscribe",
    "passwort",
    "recover",
    "forgot",
];

/// What shows that a page is a login form instead of what was asked for; `None`: it is not.
pub(super) fn instead(
    requested: Option<&Address>,
    arrived: &Address,
    facts: &Facts,
    speech: &Speech,
) -> Option<&'static str> {
    if facts.text_len > TEXT_MAX || facts.links > LINKS_MAX {
        return None;
    }
    let is_asked = requested.is_none_or(names_login);
    if requested
        .unwrap_or(arrived)
        .segments()
        .iter()
        .any(|segment| is_on_the_way(segment))
    {
        return None;
    }
    if login::has_login_fragment(arrived) && !is_asked {
        return Some("login fragment");
    }
    if names_login(arrived) {
        return None;
    }
    let Some(requested) = requested.filter(|requested| !requested.is_same_page(arrived)) else {
        return in_place(requested, arrived, facts, speech);
    };
    if login::guard(requested, arrived).is_some() || names_login(requested) {
        return None;
    }
    if facts.is_bare() && login::leads_to_login(arrived, &facts.refresh) {
        return Some("refresh to login");
    }
    let says_where_to = arrived.query().any(|(name, _)| login::is_return(&name));
    (is_form(facts) && !says_where_to).then_some("login form")
}

/// The page that was asked for has a login in its place.
fn in_place(
    requested: Option<&Address>,
    arrived: &Address,
    facts: &Facts,
    speech: &Speech,
) -> Option<&'static str> {
    let segments = arrived.segments();
    let last = segments.last()?.to_lowercase();
    let last = last.split('.').next().unwrap_or_default();
    if facts.is_bare() && login::leads_to_login(arrived, &facts.refresh) {
        return Some("refresh to login");
    }
    let is_title = login::is_login_title(facts);
    let is_one = facts.passwords == 1 && facts.fields <= FIELDS_MAX;
    if speech.login(true).is_some() && (is_one || (is_title && facts.fields <= 1)) {
        return Some("login to go on");
    }
    let is_door = DOORS.contains(&last);
    (requested.is_some() && is_form(facts) && !is_door).then_some("login form in place")
}

fn is_on_the_way(segment: &str) -> bool {
    let segment = segment.to_lowercase();
    WAYS.iter().any(|way| segment.contains(way))
}

/// A login form and nothing else, titled so.
fn is_form(facts: &Facts) -> bool {
    facts.passwords == 1 && facts.fields <= FIELDS_MAX && login::is_login_title(facts)
}

/// A part of the path names a login, or the end of one.
fn names_login(address: &Address) -> bool {
    login::is_login_or_end(address) || login::has_login_part(address)
}
