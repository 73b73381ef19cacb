//! Whether an address is a login page, and why a redirect to one is no wall.

use super::address::Address;
use super::page::Facts;
use super::trace::Stop;

/// Words that name a login page.
const STRONG: &[&str] = &[
    "login",
    "log-in",
    "log_in",
    "signin",
    "sign-in",
    "sign_in",
    "logon",
    "log-on",
    "log_on",
    "signon",
    "sign-on",
    "authenticate",
];

/// Words that name one if it asks for a password, and much else besides: who asks for an account has not asked for a login.
const ROOMS: &[&str] = &[
    "auth",
    "sso",
    "account",
    "identity",
    "session",
    "authentication",
    "authorize",
    "idp",
    "saml",
    "saml2",
    "oauth",
    "oauth2",
    "openid",
    "passport",
];

/// Words that name nothing but one, and do if it asks for a password: those of other languages are other words elsewhere.
const WEAK: &[&str] = &[
    "authwall",
    "anmelden",
    "anmeldung",
    "einloggen",
    "connexion",
    "se-connecter",
    "identification",
    "authentification",
    "iniciar-sesion",
    "inicio-sesion",
    "inicia-sesion",
    "identificarse",
    "autenticacion",
    "autenticacao",
    "iniciar-sessao",
    "acessar",
    "ingreso",
    "acceder",
    "acceso",
    "ingresar",
    "entrar",
    "accedi",
    "accesso",
    "inloggen",
    "aanmelden",
    "logga-in",
    "logg-inn",
    "log-ind",
    "kirjaudu",
    "zaloguj",
    "zaloguj-sie",
    "logowanie",
    "prihlaseni",
    "prihlasenie",
    "bejelentkezes",
    "autentificare",
    "giris",
    "giris-yap",
    "uye-girisi",
    "oturum-ac",
    "masuk",
    "dang-nhap",
    "vhod",
    "voiti",
    "avtorizatsiya",
    "avtorizaciya",
    "авторизация",
    "вход",
    "войти",
    "ログイン",
    "登录",
    "登入",
    "denglu",
    "로그인",
    "تسجيل-الدخول",
    "signin-required",
    "login-required",
    "login_required",
    "loginform",
    "login-form",
    "loginpage",
    "login-page",
    "user-login",
    "member-login",
    "customer-login",
    "servicelogin",
    "wp-login",
];

/// Endings of pages that a program makes, which a login page may have if it asks for a password.
const PROGRAMS: &[&str] = &[
    ".php", ".jsp", ".asp", ".aspx", ".do", ".action", ".cgi", ".jsf", ".html", ".htm", ".xhtml",
];

/// Parameters that say which page of a program it is.
const PAGES: &[&str] = &[
    "mode", "action", "do", "act", "page", "view", "route", "task", "p",
];

/// Steps of a login, after its word.
const STEPS: &[&str] = &["new", "identifier", "password", "username", "start", "index"];

/// Words that name a page that ends a login: what comes of it is often the login page.
const ENDS: &[&str] = &[
    "logout",
    "log-out",
    "log_out",
    "signout",
    "sign-out",
    "sign_out",
    "logoff",
    "abmelden",
    "deconnexion",
    "cerrar-sesion",
    "sair",
    "esci",
    "uitloggen",
    "logga-ut",
    "wyloguj",
    "vyhod",
];

/// Parameters that say where to return to, in lower case without `-` and `_`.
const RETURNS: &[&str] = &[
    "next",
    "return",
    "returnto",
    "returnurl",
    "returnuri",
    "returnpath",
    "redirect",
    "redirectto",
    "redirecturl",
    "redirecturi",
    "continue",
    "continueto",
    "dest",
    "destination",
    "goto",
    "back",
    "backurl",
    "from",
    "target",
    "camefrom",
    "successurl",
    "r",
    "service",
];

/// Words in the title of a login page.
const TITLES: &[&str] = &[
    "log in",
    "login",
    "log-in",
    "sign in",
    "sign-in",
    "signin",
    "logon",
    "anmelden",
    "anmeldung",
    "einloggen",
    "se connecter",
    "connexion",
    "iniciar sesión",
    "inicia sesión",
    "acceder",
    "accedi",
    "entrar",
    "iniciar sessão",
    "inloggen",
    "logga in",
    "zaloguj",
    "zaloguj się",
    "logowanie",
    "войти",
    "вход",
    "авторизация",
    "giriş",
    "giriş yap",
    "oturum aç",
    "log på",
    "log ind",
    "logg inn",
    "kirjaudu",
    "přihlášení",
    "prihlásenie",
    "bejelentkezés",
    "autentificare",
    "masuk",
    "đăng nhập",
    "ログイン",
    "サインイン",
    "登录",
    "登入",
    "로그인",
    "تسجيل الدخول",
    "دخول",
];

/// Beginnings of such a title that says where to.
const TO: &[&str] = &[
    "log in to ",
    "log into ",
    "login to ",
    "sign in to ",
    "sign into ",
    "sign in with ",
    "please log in",
    "please sign in",
    "anmelden bei ",
    "se connecter à ",
    "connexion à ",
    "connectez-vous",
    "inicia sesión",
    "inicie sesión",
    "iniciar sesión en ",
    "acceder a ",
    "accedi a",
    "inloggen bij ",
    "inloggen op ",
    "zaloguj się",
    "logowanie do ",
    "войти в ",
    "войдите",
    "вход в ",
    "giriş yap",
    "ログインして",
    "로그인",
];

/// Whether a redirect ended at a login wall: what shows it, or the guard that stopped it. `None`: it is no login page.
pub(super) fn judge(
    requested: Option<&Address>,
    arrived: Option<&Address>,
    facts: Option<&Facts>,
) -> Option<Result<&'static str, Stop>> {
    let Some(arrived) = arrived else {
        return requested.map(|_| Err(Stop::NoFinalUrl));
    };
    let Some(requested) = requested else {
        let word = word_of(arrived, facts);
        return word.map(|_| Err(Stop::NoRequestedUrl));
    };
    let shown = word_of(arrived, facts).or_else(|| returning(requested, arrived, facts))?;
    Some(match guard(requested, arrived) {
        Some(stop) => Err(stop),
        None => Ok(shown),
    })
}

pub(super) fn guard(requested: &Address, arrived: &Address) -> Option<Stop> {
    if requested.is_same_page(arrived) {
        Some(Stop::SameAddress)
    } else if !requested.is_same_site(arrived) {
        Some(Stop::OtherSite)
    } else if is_login_or_end(requested) || has_login_part(requested) {
        Some(Stop::RequestedLogin)
    } else {
        None
    }
}

/// A login, or the end of one.
pub(super) fn is_login_or_end(address: &Address) -> bool {
    let lists = [STRONG, WEAK, ENDS];
    let is_named = lists.iter().any(|words| is_word(address, words)) || is_program(address, &lists);
    is_named || has_login_parameter(address) || has_login_fragment(address)
}

/// A parameter says that it is the login page of a program: `forum.php?mode=login`.
fn has_login_parameter(address: &Address) -> bool {
    let mut query = address.query();
    query.any(|(name, value)| {
        PAGES.contains(&&*name.to_lowercase()) && STRONG.contains(&&*value.to_lowercase())
    })
}

/// The fragment is the path of a page that scripts make, and names a login: `#/login`.
pub(super) fn has_login_fragment(address: &Address) -> bool {
    let path = address.fragment().trim_start_matches('!');
    let path = path.split(['?', '&']).next().unwrap_or_default();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    path.starts_with('/') && STRONG.contains(&&*last.to_lowercase())
}

/// Some part of the path is a login's word: what is below it belongs to the login.
pub(super) fn has_login_part(address: &Address) -> bool {
    let mut segments = address
        .segments()
        .into_iter()
        .map(|segment| segment.to_lowercase());
    segments.any(|segment| STRONG.contains(&segment.as_str()))
}

/// Whether a page that refuses sends its visitor on to a login page of its site: what shows it, or the guard that stopped
/// it. `None`: it does not.
pub(super) fn sent_on(
    requested: Option<&Address>,
    arrived: Option<&Address>,
    refresh: &str,
) -> Option<Result<&'static str, Stop>> {
    if !leads_to_login(arrived?, refresh) {
        return None;
    }
    let mut known = requested.into_iter().chain(arrived);
    Some(match known.any(is_login_or_end) {
        true => Err(Stop::RequestedLogin),
        false => Ok("refresh to login"),
    })
}

pub(super) fn leads_to_login(arrived: &Address, refresh: &str) -> bool {
    let Some((_, rest)) = refresh.split_once(';') else {
        return false;
    };
    let target = rest.trim_start();
    let target = match target.get(..4) {
        Some(word) if word.eq_ignore_ascii_case("url=") => &target[4..],
        Some(_) | None => target,
    };
    let target = arrived.join(target.trim_matches(['\'', '"']));
    target.is_some_and(|target| arrived.is_same_site(&target) && is_word(&target, STRONG))
}

/// A login page by the word in its path.
fn word_of(arrived: &Address, facts: Option<&Facts>) -> Option<&'static str> {
    if is_word(arrived, STRONG) {
        return Some("login path");
    }
    if !has_password(facts) && !facts.is_some_and(is_first_step) {
        return None;
    }
    if is_word(arrived, WEAK) || is_word(arrived, ROOMS) {
        return Some("password at account path");
    }
    if has_login_parameter(arrived) {
        return Some("password at login parameter");
    }
    is_program(arrived, &[STRONG, WEAK, ROOMS]).then_some("password at login program")
}

/// A login that asks for the name first, and for the password on its next page.
fn is_first_step(facts: &Facts) -> bool {
    facts.is_thin() && facts.fields == 1 && is_login_title(facts)
}

/// The title or heading, or a part of it, is what a login is called, and at most where to.
pub(super) fn is_login_title(facts: &Facts) -> bool {
    [&facts.title, &facts.heading].into_iter().any(|text| {
        let text = text.to_lowercase();
        let parts = text.split(['|', '–', '—', '·', '•', '‹', ':']);
        let mut parts = parts.flat_map(|part| part.split(" - ")).map(str::trim);
        parts.any(|part| TITLES.contains(&part) || TO.iter().any(|start| part.starts_with(start)))
    })
}

/// A login page by where it says it will return to.
fn returning(requested: &Address, arrived: &Address, facts: Option<&Facts>) -> Option<&'static str> {
    let mut query = arrived.query();
    if query.any(|(name, value)| is_return(&name) && requested.is_named_by(&value))
        && (has_password(facts) || has_login_title(facts))
    {
        return Some("return parameter");
    }
    // Whatever it calls it: nothing but a wall asks for a password and says where one wanted to go.
    let mut query = arrived.query();
    let is_way_back = query.any(|(_, value)| value.contains('/') && requested.is_named_by(&value));
    (is_way_back && !requested.segments().is_empty() && has_password(facts)).then_some("way back")
}

/// The last part of the path is one of the words with the ending of a program.
fn is_program(address: &Address, lists: &[&[&str]]) -> bool {
    let segments = address.segments();
    let last = segments.last().map(|segment| segment.to_lowercase());
    let Some(last) = last else { return false };
    let mut names = PROGRAMS.iter().filter_map(|ending| last.strip_suffix(ending));
    names.any(|name| lists.iter().any(|words| words.contains(&name)))
}

/// The last part of the path, or the last but one before a step, is one of the words. A name with an extension is a file.
fn is_word(address: &Address, words: &[&str]) -> bool {
    let segments = address.segments();
    let is_one_of = |segment: Option<&String>, words: &[&str]| {
        let segment = segment.map(|segment| segment.to_lowercase());
        segment.is_some_and(|segment| words.contains(&segment.as_str()))
    };
    let last = segments.last();
    let before = segments.len().checked_sub(2).and_then(|at| segments.get(at));
    is_one_of(last, words) || (is_one_of(last, STEPS) && is_one_of(before, words))
}

pub(super) fn is_return(name: &str) -> bool {
    let bare: String = name.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    RETURNS.contains(&bare.to_ascii_lowercase().as_str())
}

fn has_password(facts: Option<&Facts>) -> bool {
    facts.is_some_and(|facts| facts.passwords > 0)
}

fn has_login_title(facts: Option<&Facts>) -> bool {
    facts.is_some_and(|facts| {
        let title = facts.title.to_lowercase();
        TITLES.iter().any(|word| title.contains(word))
    })
}
