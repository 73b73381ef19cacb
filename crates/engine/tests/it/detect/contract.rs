//! The cases of the contract, page by page.

use dormouse_engine::detect::{Rule, Rules, Step, Stop, Visit, detect};
use dormouse_secrets::{Redaction, Scrubber, Secret, SecretName};

use super::{content, headers, judged, said};

fn of_page(html: &str) -> String {
    said(&Visit {
        final_url: "https://shop.example/",
        status: Some(200),
        html: Some(html.as_bytes()),
        ..Visit::default()
    })
}

fn with_status(status: u16, html: &str) -> String {
    said(&Visit {
        final_url: "https://shop.example/",
        status: Some(status),
        html: Some(html.as_bytes()),
        ..Visit::default()
    })
}

const CHALLENGES: &[(&str, &str)] = &[
    (
        "turnstile",
        r#"<div class="cf-turnstile" data-sitekey="k"></div>"#,
    ),
    ("hcaptcha", r#"<div class="h-captcha"></div>"#),
    ("recaptcha", r#"<div class="g-recaptcha" data-sitekey="k"></div>"#),
    ("funcaptcha", r#"<div id="FunCaptcha"></div>"#),
    ("geetest", r#"<div class="geetest_captcha"></div>"#),
    ("aws_waf", "<awswaf-captcha></awswaf-captcha>"),
    ("friendly", r#"<div class="frc-captcha" data-sitekey="k"></div>"#),
    ("altcha", "<altcha-widget></altcha-widget>"),
    ("smart", r#"<div class="smart-captcha"></div>"#),
    ("mtcaptcha", r#"<div class="mtcaptcha"></div>"#),
    ("procaptcha", r#"<div class="procaptcha"></div>"#),
    (
        "tencent",
        r#"<script src="https://turing.captcha.qcloud.com/TCaptcha.js"></script><button id="TencentCaptcha"></button>"#,
    ),
    (
        "image",
        r#"<img src="/captcha/1.jpg" width="200"><input name="captcha">"#,
    ),
];

/// WK-41: each provider's challenge as main content is a captcha; as a widget beside content or a field, invisible, of
/// version 3, or as a script alone it is none.
#[test]
fn a_challenge_is_a_captcha_only_where_it_is_the_page() {
    for (provider, element) in CHALLENGES {
        let page = format!("<h1>One more step</h1><form>{element}<button>Go</button></form>");
        assert_eq!(of_page(&page), format!("captcha {provider}"));
        assert_eq!(of_page(&content(element)), "none", "{provider} beside content");
        let form = format!("<form><input type=email name=mail>{element}</form>");
        assert_eq!(of_page(&form), "none", "{provider} beside a field");
        for hidden in ["hidden", "aria-hidden=true", "style='display : none'"] {
            let page = format!("<p>Hello</p><div {hidden}><section>{element}</section></div>");
            assert_eq!(of_page(&page), "none", "{provider} {hidden}");
        }
    }
    for unseen in [
        r#"<div class="g-recaptcha" data-size="invisible"></div>"#,
        r#"<div class="h-captcha" data-size="invisible"></div>"#,
        r#"<div class="cf-turnstile" data-size="invisible"></div>"#,
        r#"<div class="cf-turnstile" data-appearance="interaction-only"></div>"#,
        r#"<button class="g-recaptcha" data-callback="send">Send</button>"#,
        r#"<div class="grecaptcha-badge"><iframe src="https://www.google.com/recaptcha/api2/anchor?k=1"></iframe></div>"#,
        r#"<iframe src="https://challenges.cloudflare.com/a" width="0" height="0"></iframe>"#,
        r#"<script src="https://www.google.com/recaptcha/api.js?render=6Lkey"></script>"#,
        r#"<script src="https://www.google.com/recaptcha/api.js"></script>"#,
        r#"<script src="https://js.hcaptcha.com/1/api.js"></script>"#,
        r#"<script src="https://challenges.cloudflare.com/turnstile/v0/api.js"></script>"#,
        r#"<script src="https://static.geetest.com/v4/gt4.js"></script>"#,
        r#"<script src="https://client-api.arkoselabs.com/v2/k/api.js"></script>"#,
    ] {
        assert_eq!(
            of_page(&format!("<h1>Opening hours</h1>{unseen}")),
            "none",
            "{unseen}"
        );
    }
}

/// WK-42: pages that quote every marker, and one marker of Cloudflare at 200, are none; its interstitial is found in six
/// languages.
#[test]
fn quotes_are_prose_and_structure_needs_no_words() {
    let data: serde_json::Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/detect/vendors.json"
    )))
    .expect("the vendors' file is JSON");
    let mut needles = Vec::new();
    strings(&data["vendors"], &mut needles);
    strings(&data["refusal_phrases"], &mut needles);
    assert!(needles.len() > 80, "{}", needles.len());
    let quoted = needles
        .join("</code> and <code>")
        .replace("script:", "")
        .replace("source:", "");
    assert_eq!(of_page(&content(&format!("<p><code>{quoted}</code>"))), "none");
    let escaped =
        "&lt;script&gt;_cf_chl_opt /cdn-cgi/challenge-platform/h/orchestrate/ KPSDK gokuProps&lt;/script&gt;";
    assert_eq!(of_page(&format!("<title>Marks</title><p>{escaped}")), "none");
    for one in [
        "<title>Just a moment...</title><p>Loading",
        "<title>A</title><script>_cf_chl_opt={}</script>",
        "<title>A</title><span id=challenge-error-text>a</span>",
    ] {
        assert_eq!(of_page(one), "none", "{one}");
    }
    for (language, title) in [
        ("en", "Just a moment..."),
        ("de", "Nur einen Moment…"),
        ("fr", "Un instant…"),
        ("es", "Un momento…"),
        ("ja", "しばらくお待ちください..."),
        ("ar", "لحظة…"),
    ] {
        let page = format!(
            "<html lang={language}><title>{title}</title><script>window._cf_chl_opt={{cType:'managed'}};a.src=\
             '/cdn-cgi/challenge-platform/h/g/orchestrate/chl_page/v1?ray=1'</script>"
        );
        assert_eq!(with_status(403, &page), "fraud cloudflare", "{language}");
        assert_eq!(of_page(&page), "fraud cloudflare", "{language}");
    }
}

fn strings<'a>(value: &'a serde_json::Value, into: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => into.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| strings(field, into)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

fn of_addresses(requested: &str, arrived: &str, html: &str) -> String {
    said(&Visit {
        requested_url: Some(requested).filter(|url| !url.is_empty()),
        final_url: arrived,
        status: Some(200),
        html: Some(html.as_bytes()),
        ..Visit::default()
    })
}

const PASSWORD: &str = "<title>Welcome</title><form><input name=user><input type=password name=word></form>";

#[test]
fn a_test_of_an_unknown_maker_is_a_captcha_only_where_the_page_says_so_too() {
    let element = r#"<div id="slide-captcha-box"></div>"#;
    let titled = |title: &str| format!("<title>{title}</title>{element}");
    assert_eq!(of_page(&titled("Solve the captcha")), "captcha");
    assert_eq!(of_page(&titled("Are you human?")), "captcha");
    assert_eq!(with_status(403, &titled("Shop")), "captcha");
    assert_eq!(of_page(&titled("Shop")), "none");
    for unseen in [
        r#"<div class="g-recaptcha" data-size="invisible"></div>"#,
        r#"<input type=hidden name=captcha_token>"#,
        r#"<div hidden><div id="slide-captcha-box"></div></div>"#,
    ] {
        let forbidden = format!("<title>Forbidden</title><p>You may not.</p>{unseen}");
        assert_eq!(with_status(403, &forbidden), "none", "{unseen}");
    }
    assert_eq!(of_page("<title>What a captcha is</title><p>A test."), "none");
    assert_eq!(of_page(&content(&titled("Solve the captcha"))), "none");
    let field = format!("{}<input name=mail>", titled("Solve the captcha"));
    assert_eq!(of_page(&field), "none");
}

#[test]
fn a_refusal_that_speaks_of_machines_is_one_and_one_that_forbids_a_page_is_none() {
    let robot = "<h1>Access denied</h1><p>We believe that this is automated traffic.";
    assert_eq!(with_status(403, robot), "unknown");
    assert_eq!(of_page(robot), "none", "what was served is prose");
    assert_eq!(with_status(403, &content(robot)), "none");
    assert_eq!(with_status(404, robot), "none");
    assert_eq!(
        with_status(403, "<h1>Forbidden</h1><p>You may not see this page."),
        "none"
    );
    // A word is no part of a title.
    assert_eq!(
        of_page("<title>Robot check-up</title><p>For your vacuum."),
        "none"
    );
    assert_eq!(of_page("<title>Robot check - Shop</title>"), "unknown");
}

/// WK-44: redirects to a login page of the same site, and a wall that only the query tells of, are login walls.
#[test]
fn a_redirect_to_a_login_page_is_a_wall() {
    for (requested, arrived) in [
        (
            "https://a.example/dashboard",
            "https://a.example/login?next=/dashboard",
        ),
        ("https://a.example/dashboard", "https://www.a.example/login"),
        ("https://a.example/dashboard", "https://a.example/Login.jsp"),
        (
            "https://a.example/dashboard",
            "https://a.example/wp-login.php?x=/dashboard",
        ),
        ("https://a.example/konto", "https://a.example/de/anmelden"),
        ("https://a.example/マイ", "https://a.example/ログイン"),
        (
            "https://a.example/dashboard",
            "https://a.example/wall?wherefrom=https%3A%2F%2Fa.example%2Fdashboard",
        ),
        ("https://a.example/dashboard", "https://a.example/sign-in"),
        ("https://a.example/dashboard", "https://a.example/auth"),
        (
            "https://a.example/dashboard",
            "https://a.example/SignIn/Identifier/",
        ),
        ("https://app.a.co.uk/dashboard", "https://id.a.co.uk/session/new"),
        (
            "https://a.example/dashboard",
            "https://a.example/?return_to=%2Fdashboard",
        ),
        (
            "https://a.example/dashboard",
            "https://a.example/dashboard?redirect=https://a.example/dashboard",
        ),
        (
            "https://bücher.example/konto",
            "https://xn--bcher-kva.example/login",
        ),
        ("http://127.0.0.1/a", "http://127.0.0.1/login"),
    ] {
        assert_eq!(
            of_addresses(requested, arrived, PASSWORD),
            "login_wall",
            "{requested} to {arrived}"
        );
    }
}

/// WK-45: a login page that was asked for, pages that only sound so, other sites and missing addresses are none.
#[test]
fn what_only_looks_like_a_login_redirect_is_none() {
    let docs = content("");
    for (requested, arrived, html) in [
        ("https://a.example/login", "https://a.example/login", PASSWORD),
        (
            "https://a.example/login",
            "https://www.a.example/login/",
            PASSWORD,
        ),
        (
            "https://a.example/login",
            "https://a.example/signin/identifier",
            PASSWORD,
        ),
        (
            "https://a.example/docs/auth",
            "https://a.example/docs/auth/",
            docs.as_str(),
        ),
        (
            "https://a.example/docs",
            "https://a.example/docs/auth",
            docs.as_str(),
        ),
        (
            "https://a.example/docs",
            "https://a.example/login/providers/github",
            docs.as_str(),
        ),
        (
            "https://a.example/tips",
            "https://a.example/blog/login-tips",
            docs.as_str(),
        ),
        (
            "https://a.example/old",
            "https://a.example/login.html",
            docs.as_str(),
        ),
        (
            "https://a.example/old",
            "https://a.example/login.php",
            docs.as_str(),
        ),
        (
            "https://a.example/docs",
            "https://a.example/docs/connexion",
            docs.as_str(),
        ),
        (
            "https://a.example/",
            "https://a.example/welcome?from=/",
            "<p>Welcome",
        ),
        (
            "https://a.example/dashboard",
            "https://accounts.other.test/login?next=/dashboard",
            PASSWORD,
        ),
        ("https://a.github.io/x", "https://b.github.io/login", PASSWORD),
        ("http://192.0.2.1/a", "http://192.0.2.2/login", PASSWORD),
        ("", "https://a.example/login", PASSWORD),
        ("no address", "https://a.example/login", PASSWORD),
        ("https://a.example/x", "", PASSWORD),
        (
            "https://a.example/sign-in?utm_source=b&gclid=c",
            "http://www.a.example/sign-in#top",
            PASSWORD,
        ),
    ] {
        assert_eq!(
            of_addresses(requested, arrived, html),
            "none",
            "{requested} to {arrived}"
        );
    }
}

/// WK-46: 429 with and without `Retry-After`, and with a captcha; plain 403 and 503 are none.
#[test]
fn a_limit_says_when_to_come_back_if_it_is_known() {
    let visit = |status, given: &[(&str, &str)], html: &str| {
        said(&Visit {
            final_url: "https://shop.example/",
            status: Some(status),
            headers: &headers(given),
            html: Some(html.as_bytes()),
            ..Visit::default()
        })
    };
    let plain = "<h1>Too many requests</h1>";
    let captcha = "<form><div class=h-captcha></div></form>";
    assert_eq!(visit(429, &[("Retry-After", "30")], plain), "rate_limit 30");
    assert_eq!(visit(429, &[("retry-after", " 30 ")], captcha), "rate_limit 30");
    assert_eq!(visit(429, &[], plain), "rate_limit");
    assert_eq!(visit(429, &[("Retry-After", "soon")], plain), "rate_limit");
    assert_eq!(
        visit(429, &[("Retry-After", "99999999999999999999999")], plain),
        "rate_limit"
    );
    assert_eq!(visit(429, &[], captcha), "captcha hcaptcha");
    let date = ("Date", "Fri, 27 Nov 2026 10:00:00 GMT");
    assert_eq!(
        visit(
            429,
            &[date, ("Retry-After", "Fri, 27 Nov 2026 10:02:00 GMT")],
            plain
        ),
        "rate_limit 120"
    );
    assert_eq!(
        visit(
            429,
            &[date, ("Retry-After", "Fri, 27 Nov 2026 09:00:00 GMT")],
            plain
        ),
        "rate_limit 0"
    );
    assert_eq!(
        visit(429, &[("Retry-After", "Fri, 27 Nov 2026 10:02:00 GMT")], plain),
        "rate_limit"
    );
    for status in [403, 404, 405, 503] {
        let page = format!("<title>{status}</title><h1>{status}</h1><p>nginx");
        assert_eq!(visit(status, &[("Retry-After", "30")], &page), "none", "{status}");
    }
}

/// WK-47: 401 with `WWW-Authenticate` is a login wall; 10 MB, a depth of 100,000, many attributes and bytes that are no
/// UTF-8 are read on a small stack, in one pass that ends, and evidence stays short.
#[test]
fn a_page_of_any_size_and_depth_is_read() {
    let asks = headers(&[("WWW-Authenticate", "Basic realm=a")]);
    let visit = Visit {
        status: Some(401),
        headers: &asks,
        ..Visit::default()
    };
    assert_eq!(said(&visit), "login_wall");

    let read = || {
        let attributes: String = (0..300_000).map(|number| format!(" a{number:x}")).collect();
        for page in [
            "a".repeat(10 << 20),
            "<div>".repeat(100_000),
            "<div><b>".repeat(100_000) + &"</b></div>".repeat(100_000),
            "<p hidden>".repeat(400_000),
            "</table>".repeat(400_000),
            "<a>".repeat(600_000) + &"</i>".repeat(100_000),
            format!("<div{attributes}>"),
            format!("<div class=\"{}\">", "g-recaptcha ".repeat(150_000)),
            "<!--".repeat(500_000),
            "&".repeat(2 << 20),
            "<script>".repeat(200_000) + "var dd=",
        ] {
            let mut page = page.into_bytes();
            page.extend_from_slice(b"\xff\xfe\xc3<h1>\xf0\x9f</h1>");
            let seen = judged(&Visit {
                status: Some(429),
                html: Some(&page),
                ..Visit::default()
            });
            assert_eq!(seen.html_cut, page.len() > 2 << 20);
            let evidence = seen.block.expect("429 is a limit").evidence;
            assert!(evidence.html_snippet.expect("a page was given").len() <= 4096);
        }
    };
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    small
        .spawn(read)
        .expect("a thread starts")
        .join()
        .expect("a small stack is enough");
}

const SECRET: &str = "q7Zk2 mXw9/Rt4+Vb8=Lp";

fn scrubber() -> Scrubber {
    let name = SecretName::parse("KEY").expect("a name");
    let redaction = Redaction::new(name, Secret::new(SECRET.into())).expect("a value");
    Scrubber::new(vec![redaction]).expect("one value is no full set")
}

/// Whether 8 bytes of the value are in the text.
fn leaks(text: &str) -> bool {
    let pieces = SECRET.as_bytes().windows(8);
    let mut pieces = pieces.filter_map(|piece| str::from_utf8(piece).ok());
    pieces.any(|piece| text.contains(piece))
}

/// WK-48, SE-67: a value across each cut of the snippet, and percent-encoded in an address in every way, leaves no 8
/// characters anywhere in what is said.
#[test]
fn no_cut_and_no_encoding_brings_a_value_into_evidence() {
    let scrubber = scrubber();
    let rules = Rules {
        html_max: 8 * 1024,
        snippet_max: 512,
        ..Rules::default()
    };
    // The snippet is the page's beginning, or what is around a mark; the page is cut too.
    let far = 8 * 1024;
    let places = (0..600).step_by(5).map(|at| (at, far + 600));
    let around = (1_600..2_400).step_by(5).map(|at| (at, 2_000));
    let last = (far - 60..far + 30).step_by(4).map(|at| (at, far + 600));
    for (at, mark) in places.chain(around).chain(last) {
        let mut page = vec![b' '; far + 2_000];
        page[mark..mark + 22].copy_from_slice(b"<script>KPSDK</script>");
        page[at..at + SECRET.len()].copy_from_slice(SECRET.as_bytes());
        let visit = Visit {
            status: Some(429),
            html: Some(&page),
            ..Visit::default()
        };
        let seen = detect(&visit, &rules, &scrubber);
        let json = serde_json::to_string(&seen).expect("it is written");
        assert!(seen.block.is_some() && !leaks(&json), "{at}");
    }
    let spelled = |escape: &dyn Fn(usize, u8) -> bool, upper: bool| -> String {
        let bytes = SECRET.bytes().enumerate();
        bytes
            .map(|(at, byte)| match (escape(at, byte), upper) {
                (true, true) => format!("%{byte:02X}"),
                (true, false) => format!("%{byte:02x}"),
                (false, _) => char::from(byte).to_string(),
            })
            .collect()
    };
    let once = [
        spelled(&|_, _| true, true),
        spelled(&|_, _| true, false),
        spelled(&|_, byte| !byte.is_ascii_alphanumeric(), true),
        spelled(&|at, byte| at % 2 == 0 || byte == b' ', false),
        spelled(&|at, byte| at % 3 == 0 || !byte.is_ascii_alphanumeric(), true),
    ];
    let twice: Vec<String> = once.iter().map(|text| text.replace('%', "%25")).collect();
    for spelling in once.iter().chain(&twice) {
        for filler in [0, 1990, 2010, 2030] {
            let url = format!(
                "https://u:{spelling}@a.example/{}?t={spelling}&b",
                "x".repeat(filler)
            );
            let given = headers(&[("retry-after", "30"), ("www-authenticate", SECRET)]);
            let visit = Visit {
                requested_url: Some(&url),
                final_url: &url,
                status: Some(429),
                headers: &given,
                ..Visit::default()
            };
            let json = serde_json::to_string(&detect(&visit, &rules, &scrubber)).expect("it is written");
            let mut plain = json;
            for _ in 0..3 {
                assert!(!leaks(&plain), "{spelling} {filler}: {plain}");
                plain = decoded(&plain);
            }
        }
    }
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                out.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                out.push(b'%');
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn the_trace_names_each_rule_that_was_met_and_what_stopped_it() {
    let page = r#"<title>Just a moment...</title><input name=q><div class="cf-turnstile"></div>"#;
    let seen = judged(&Visit {
        requested_url: Some("https://a.example/x"),
        final_url: "https://b.test/login",
        status: Some(200),
        html: Some(page.as_bytes()),
        ..Visit::default()
    });
    let stopped = |rule, stop| Step {
        rule,
        stopped_by: Some(stop),
    };
    assert_eq!(
        seen.trace,
        [
            stopped(Rule::VendorPage, Stop::OneMark),
            stopped(Rule::Challenge, Stop::HasField),
            stopped(Rule::LoginRedirect, Stop::OtherSite),
        ]
    );
}

#[test]
fn user_info_is_no_evidence_and_an_empty_page_is_a_block_only_if_so_set() {
    let visit = Visit {
        final_url: "https://me:word@a.example/x?y=1",
        status: Some(429),
        ..Visit::default()
    };
    let evidence = judged(&visit).block.expect("429 is a limit").evidence;
    assert_eq!(evidence.final_url.as_str(), "https://a.example/x?y=1");

    let empty = Visit {
        status: Some(200),
        html: Some(b" \n"),
        ..Visit::default()
    };
    assert_eq!(said(&empty), "none");
    let rules = Rules {
        empty_is_block: true,
        ..Rules::default()
    };
    assert!(detect(&empty, &rules, &Scrubber::empty()).block.is_some());
}
