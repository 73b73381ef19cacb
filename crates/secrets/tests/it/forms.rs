//! The spellings in which programs print a value, by encoders that the scrubber does not share.

use std::fmt::Write as _;

use data_encoding::{BASE64, BASE64URL};

use crate::{scrubber, streamed};

const VALUE: &str = r#"pa$$ "w0rd"/é'<x>&=+Zk9~\q!Rt7%ü#2"#;
const PLAIN: &str = "zT4nQ8rKxW2mLp7Vb9Yc";

type Encoder = (&'static str, fn(&str) -> String);

fn by_char(text: &str, mut spell: impl FnMut(char) -> String) -> String {
    text.chars().map(&mut spell).collect()
}

fn by_byte(text: &str, mut spell: impl FnMut(u8) -> String) -> String {
    text.bytes().map(&mut spell).collect()
}

fn backslash(text: &str, specials: &str) -> String {
    by_char(text, |char| {
        if specials.contains(char) {
            format!("\\{char}")
        } else {
            char.to_string()
        }
    })
}

fn percent(text: &str, kept: &str, upper: bool) -> String {
    by_byte(text, |byte| match byte {
        byte if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) => {
            char::from(byte).to_string()
        }
        byte if upper => format!("%{byte:02X}"),
        byte => format!("%{byte:02x}"),
    })
}

fn form_data(text: &str, kept: &str) -> String {
    percent(text, &format!("{kept} "), true).replace(' ', "+")
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

fn json_ascii(text: &str) -> String {
    by_char(&json(text), |char| {
        let mut units = [0; 2];
        match char {
            '\0'..='~' => char.to_string(),
            char => char
                .encode_utf16(&mut units)
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect(),
        }
    })
}

fn wrapped(text: &str, width: usize, end: &str) -> String {
    let lines: Vec<&str> = (0..text.len())
        .step_by(width)
        .map(|at| &text[at..text.len().min(at + width)])
        .collect();
    lines.join(end)
}

fn hex(text: &str, between: &str) -> String {
    text.bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(between)
}

fn markup(text: &str, double: &str, single: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', double).replace('\'', single)
}

fn octal(text: &str) -> String {
    by_byte(text, |byte| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        byte => format!("\\{byte:03o}"),
    })
}

const ENCODERS: &[Encoder] = &[
    ("echo", |v| v.to_owned()),
    ("shell single quotes", |v| v.replace('\'', "'\\''")),
    ("python shlex.quote", |v| v.replace('\'', "'\"'\"'")),
    ("shell double quotes", |v| backslash(v, "$`\"\\")),
    ("bash printf %q", |v| backslash(v, " !\"$&'()*,;<>?[\\]^`{|}")),
    ("ruby shellescape", |v| {
        by_char(v, |char| match char {
            char if char.is_alphanumeric() || "_-./:@%+=,~".contains(char) => char.to_string(),
            char => format!("\\{char}"),
        })
    }),
    ("bash set -x, C locale", octal),
    ("bash $'…'", |v| backslash(v, "'\\")),
    ("JSON", json),
    ("JSON, ASCII", json_ascii),
    ("JSON, HTML-safe", |v| {
        json(v)
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
    }),
    ("JSON of PHP", |v| json_ascii(v).replace('/', "\\/")),
    ("JSON in JSON", |v| json(&json(v))),
    ("JSON in JSON in JSON", |v| json(&json(&json(v)))),
    ("ASCII JSON in JSON", |v| json(&json_ascii(v))),
    ("urllib quote", |v| percent(v, "-_.~/", true)),
    ("urllib quote, safe=''", |v| percent(v, "-_.~", true)),
    ("urllib quote_plus", |v| form_data(v, "-_.~")),
    ("encodeURIComponent", |v| percent(v, "-_.!~*'()", true)),
    ("encodeURI", |v| percent(v, "-_.!~*'();/?:@&=+$,#", true)),
    ("Go url.PathEscape", |v| percent(v, "-_.~$&+=:@", true)),
    ("URLSearchParams", |v| form_data(v, "-_.*")),
    ("nginx lower hex", |v| percent(v, "-_.~", false)),
    ("percent twice", |v| {
        percent(&percent(v, "-_.~", true), "-_.~", true)
    }),
    ("percent in JSON", |v| json(&percent(v, "-_.~", true))),
    ("shell quotes in JSON", |v| json(&v.replace('\'', "'\\''"))),
    ("double quotes in JSON in JSON", |v| {
        json(&json(&backslash(v, "$`\"\\")))
    }),
    ("base64", |v| BASE64.encode(v.as_bytes())),
    ("base64 after one byte", |v| {
        BASE64.encode(format!("x{v}").as_bytes())
    }),
    ("basic authorization", |v| {
        BASE64.encode(format!("me:{v}").as_bytes())
    }),
    ("base64 of a URL", |v| {
        BASE64URL.encode(format!("ab{v}yz").as_bytes())
    }),
    ("base64 of JSON", |v| BASE64.encode(json(v).as_bytes())),
    ("base64 of MIME", |v| {
        wrapped(&BASE64.encode(v.repeat(3).as_bytes()), 76, "\r\n")
    }),
    ("base64 -w 20 in JSON", |v| {
        json(&wrapped(&BASE64.encode(v.as_bytes()), 20, "\n"))
    }),
    ("xxd -p", |v| wrapped(&hex(v, ""), 60, "\n")),
    ("od -tx1", |v| wrapped(&hex(v, " "), 48, "\n ")),
    ("openssl fingerprint", |v| hex(v, ":")),
    ("HEX in capitals", |v| hex(v, "").to_uppercase()),
    ("html.escape", |v| markup(v, "&quot;", "&#x27;")),
    ("Go html", |v| markup(v, "&#34;", "&#39;")),
    ("PHP htmlspecialchars", |v| markup(v, "&quot;", "&#39;")),
    ("XML text", |v| markup(v, "\"", "'")),
    ("markup in JSON", |v| json(&markup(v, "&quot;", "&#39;"))),
    ("quoted printable", |v| {
        by_byte(v, |byte| match byte {
            b'=' | 0x80.. => format!("={byte:02X}"),
            byte => char::from(byte).to_string(),
        })
    }),
    ("YAML fold", |v| {
        wrapped(&v.replace('é', "e").replace('ü', "u"), 16, "\n      ")
            .replace("e'", "é'")
            .replace("%u", "%ü")
    }),
];

/// The longest run of bytes that `clean` shares with `spelling`, markers aside.
fn longest_left(clean: &str, spelling: &str) -> usize {
    let spelling = spelling.as_bytes();
    let parts = clean.split("[redacted:KEY]");
    parts
        .flat_map(|part| (0..part.len()).map(move |start| &part.as_bytes()[start..]))
        .map(|part| {
            (1..=part.len())
                .take_while(|length| spelling.windows(*length).any(|window| window == &part[..*length]))
                .count()
        })
        .max()
        .unwrap_or(0)
}

/// SE-58
#[test]
fn of_what_real_encoders_print_no_eight_bytes_remain() {
    assert!(ENCODERS.len() >= 30);
    for value in [VALUE, PLAIN] {
        let scrubber = scrubber(&[("KEY", value.as_bytes())]);
        let mut failures = String::new();
        for (name, encode) in ENCODERS {
            let spelling = encode(value);
            let clean = scrubber.scrub(&format!("~~ {spelling} ~~")).into_string();
            let left = longest_left(&clean.replace("~~ ", "").replace(" ~~", ""), &spelling);
            if left >= 8 {
                writeln!(failures, "{name}: {spelling} -> {clean}").expect("a string");
            }
        }
        assert!(failures.is_empty(), "{failures}");
    }
}

/// SE-59
#[test]
fn wrapping_hides_nothing_up_to_a_gap_of_32() {
    let key = scrubber(&[("KEY", PLAIN.as_bytes())]);
    let mime = wrapped(&BASE64.encode(PLAIN.repeat(9).as_bytes()), 76, "\r\n");
    let long = scrubber(&[("KEY", PLAIN.repeat(9).as_bytes())]);
    for text in [mime.clone(), json(&mime), json(&json(&mime))] {
        let clean = long.scrub(&text).into_string();
        assert!(clean.len() <= text.len().min(24), "{clean}");
    }
    let pem = format!(
        "-----BEGIN KEY-----\n{}\n-----END KEY-----\n",
        wrapped(&BASE64.encode(PLAIN.repeat(4).as_bytes()), 64, "\n")
    );
    let pem_key = scrubber(&[("KEY", pem.as_bytes())]);
    let clean = pem_key.scrub(&pem.replace('\n', "\r\n")).into_string();
    assert!(longest_left(&clean, &pem.replace(['\n'], "")) < 8, "{clean}");
    assert_eq!(
        key.scrub("a: >\n    zT4nQ8rKxW\n    2mLp7Vb9Yc\n").as_str(),
        "a: >\n    [redacted:KEY]\n"
    );
    let gap = |length: usize| format!("zT4nQ8rKxW2{}mLp7Vb9Yc", "\n".repeat(length));
    assert_eq!(key.scrub(&gap(32)).as_str(), "[redacted:KEY]");
    assert_eq!(key.scrub(&gap(33)).as_str(), gap(33));
    let broken: Vec<String> = PLAIN.chars().map(|char| char.to_string()).collect();
    assert_eq!(
        key.scrub(&broken.join(" ")).as_str(),
        broken.join(" "),
        "no run of eight"
    );
}

/// SE-63
#[test]
fn each_line_of_a_key_file_alone_is_redacted() {
    let body = BASE64.encode(&(0..=255).collect::<Vec<u8>>());
    let pem = format!(
        "-----BEGIN KEY-----\n{}\n-----END KEY-----\n",
        wrapped(&body, 64, "\n")
    );
    let key = scrubber(&[("KEY", pem.as_bytes())]);
    for line in pem
        .lines()
        .filter(|line| !line.starts_with('-') && line.len() >= 16)
    {
        assert_eq!(key.scrub(&format!("see {line}.")).as_str(), "see [redacted:KEY].");
    }
}

/// SE-68
#[test]
fn the_credential_parts_of_a_value_alone_are_redacted() {
    for (value, part) in [
        ("postgres://app:S3cr3tPassw0rd@db.example/prod", "S3cr3tPassw0rd"),
        ("amqp://u:p%40ss-w0rd-9@h", "p@ss-w0rd-9"),
        (
            r#"{"type": "x", "private_key_id": "0a1b2c3d4e5f", "private_key": "line-1-of-the-key-00\nline-2-of-the-key-00\n"}"#,
            "line-2-of-the-key-00",
        ),
        (r#"{"client_secret":"GX-abc/def-123"}"#, "GX-abc/def-123"),
        (
            "Endpoint=sb://x/;AccountKey=aGVsbG8taGVsbG8=;Name=n",
            "aGVsbG8taGVsbG8=",
        ),
        ("host=db password=tr0ub4dor user=me", "tr0ub4dor"),
    ] {
        let key = scrubber(&[("KEY", value.as_bytes())]);
        assert_eq!(
            key.scrub(&format!("<{part}>")).as_str(),
            "<[redacted:KEY]>",
            "of {value}"
        );
    }
}

#[test]
fn a_spelling_cut_anywhere_gives_what_the_whole_gives() {
    let key = scrubber(&[("KEY", VALUE.as_bytes()), ("NOW", b"nnrn-secret-nrnr")]);
    for (name, encode) in ENCODERS {
        for value in [VALUE, "nnrn-secret-nrnr"] {
            let text = format!("xn{}nrAB", encode(value));
            let whole = key.bytes(text.as_bytes()).into_vec();
            for cut in 0..=text.len() {
                let (before, behind) = text.as_bytes().split_at(cut);
                assert_eq!(streamed(&key, &[before, behind]), whole, "{name} cut at {cut}");
            }
            assert_eq!(key.bytes(&whole).as_slice(), whole, "{name} twice");
        }
    }
}

/// SE-62
#[test]
fn a_value_dripped_byte_by_byte_shows_at_most_three_bytes_and_leaves_none() {
    let key = scrubber(&[("KEY", PLAIN.as_bytes())]);
    let mut stream = key.stream();
    let (mut shown, mut out) = (0, Vec::new());
    for byte in PLAIN.bytes() {
        out.extend(stream.push(&[byte]).into_vec());
        shown = shown.max(stream.provisional().len());
        assert!(stream.held_len() <= dormouse_secrets::HOLD_MAX);
    }
    assert!(shown <= 3);
    out.extend(stream.finish().into_vec());
    assert_eq!(out, b"[redacted:KEY]");
}

#[test]
fn what_is_held_back_is_bounded_on_any_input() {
    let long = "\u{1}\u{2}é/\"".repeat(40);
    let key = scrubber(&[("KEY", PLAIN.as_bytes()), ("LONG", long.as_bytes())]);
    let spread: String = PLAIN
        .chars()
        .map(|char| format!("{char}{}", " ".repeat(32)))
        .collect();
    for unit in [
        spread,
        json(&json(&json_ascii(&long))),
        "\\".repeat(9_000),
        "zT4nQ8rKxW\n".to_owned(),
    ] {
        let mut stream = key.stream();
        for byte in unit.repeat(3).bytes() {
            let _clean = stream.push(&[byte]);
            assert!(stream.held_len() <= dormouse_secrets::HOLD_MAX);
        }
    }
}
