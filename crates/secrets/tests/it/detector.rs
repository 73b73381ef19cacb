//! Credentials that nobody registered.

use data_encoding::BASE64;
use dormouse_secrets::{Formats, Scrubber};
use proptest::{collection::vec, prelude::*};

use crate::{scrubber, streamed};

/// Made up, in parts.
const BODY: &str = "f4Kq9ZrT2mXw7Lp3Vb8Yc6Nd1HsGj5Ru0Ea";

fn strict() -> Scrubber {
    Scrubber::empty().with_formats(Formats::Strict)
}

fn tokens() -> Vec<String> {
    vec![
        [
            "github",
            "_pat_",
            "11ABCDEFG0aBcDeFgHiJkL_",
            BODY,
            "QwErTyUiOp12345678abcdef",
        ]
        .concat(),
        ["sk-", "proj-", BODY, BODY].concat(),
        ["AKI", "AQ3EGRT7XMW4LPZVB"].concat(),
        ["gl", "pat-", "x9Kq2ZrT7mXw4Lp8Vb1Y"].concat(),
        ["xo", "xp-", "1234567890-", BODY].concat(),
        ["sk_", "live_", "x9Kq2ZrT7mXw4Lp8Vb1Yc3Nd"].concat(),
        ["np", "m_", BODY, "7"].concat(),
        ["gh", "o_", BODY, "7"].concat(),
        ["ey", "JhbGciOiJIUzI1NiJ9.ey", "JzdWIiOiIxMjM0NTY3ODkwIn0.", BODY].concat(),
    ]
}

/// SE-70
#[test]
fn tokens_of_known_shapes_are_found_as_they_are_and_in_base64() {
    for token in tokens() {
        for before in ["", "x:", "ab:"] {
            let text = format!("<{}>", BASE64.encode(format!("{before}{token}:end").as_bytes()));
            let clean = strict().scrub(&text).into_string();
            assert!(
                clean.starts_with("<[redacted:~") && clean.ends_with("]>"),
                "{token} behind {before:?}: {clean}"
            );
        }
        let clean = strict().scrub(&format!("key={token}\n")).into_string();
        assert!(!clean.contains(&token[8..]), "{clean}");
    }
}

#[test]
fn own_only_leaves_and_counts_and_off_does_not_look() {
    let text = tokens().join(" ");
    let (clean, counts) = Scrubber::empty()
        .with_formats(Formats::OwnOnly)
        .bytes_counted(text.as_bytes());
    assert_eq!(clean.as_slice(), text.as_bytes());
    assert_eq!(counts.values().sum::<u64>(), 9);
    assert_eq!(strict().bytes_counted(text.as_bytes()).1, counts);
    let (clean, counts) = Scrubber::empty().bytes_counted(text.as_bytes());
    assert_eq!((clean.as_slice(), counts.len()), (text.as_bytes(), 0));
}

#[test]
fn a_registered_value_wins_over_a_format() {
    let token = ["gh", "p_", BODY, "7"].concat();
    let own = scrubber(&[("GH_TOKEN", token.as_bytes())]).with_formats(Formats::Strict);
    assert_eq!(
        own.scrub(&format!("Authorization: Bearer {token}")).as_str(),
        "Authorization: Bearer [redacted:GH_TOKEN]"
    );
}

/// SE-72
#[test]
fn a_format_cut_at_every_byte_gives_what_the_whole_gives_and_a_block_without_end_stops() {
    let key = [
        "-----BEGIN RSA PRIVATE",
        " KEY-----\nMIIEabc/+=\n  line two\n\n-----END RSA PRIVATE KEY-----\n",
    ]
    .concat();
    let text = format!(
        "a {} b\n{key}\ncurl https://me:hunter2hunter2@h/ -H 'Authorization: Bearer abcdef123456'",
        tokens().join("\n")
    );
    let whole = strict().bytes(text.as_bytes()).into_vec();
    for cut in 0..=text.len() {
        let (before, behind) = text.as_bytes().split_at(cut);
        assert_eq!(streamed(&strict(), &[before, behind]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(streamed(&strict(), &bytes), whole, "byte by byte");
    let clean = String::from_utf8(whole).expect("text");
    let block = "PRIVATE KEY-----\n[redacted:~private_key]\n[redacted:~private_key]\n\n-----END";
    assert!(
        clean.contains(block) && !clean.contains("hunter2") && !clean.contains("abcdef1"),
        "{clean}"
    );

    let endless = ["-----BEGIN PRIVATE", " KEY-----"].concat() + &"é\n".repeat(20_000);
    let clean = strict().scrub(&endless).into_string();
    assert_eq!(clean.matches('é').count(), 20_000 - (16_usize * 1024).div_ceil(3));
}

#[test]
fn what_is_held_back_with_formats_is_bounded_on_any_input() {
    let own = scrubber(&[("KEY", BODY.as_bytes())]).with_formats(Formats::Strict);
    let spread: String = BODY
        .chars()
        .map(|char| format!("{char}{}", " ".repeat(32)))
        .collect();
    for text in [
        "a".repeat(20_000),
        format!("Authorization: {}", "b".repeat(9_000)),
        "x".repeat(4_095) + &spread,
    ] {
        let mut stream = own.stream();
        for byte in text.bytes() {
            let _clean = stream.push(&[byte]);
            assert!(stream.held_len() <= dormouse_secrets::HOLD_MAX);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_chunking_equals_the_whole(
        parts in vec((0_usize..9, "[ -~é\n]{0,20}"), 0..8), cuts in vec(1_usize..60, 0..30),
    ) {
        let tokens = tokens();
        let text: String = parts.iter().map(|(token, filler)| format!("{filler}{}", tokens[*token])).collect();
        let whole = strict().bytes(text.as_bytes()).into_vec();
        let mut rest = text.as_bytes();
        let mut chunks = Vec::new();
        for cut in cuts {
            let (chunk, behind) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = behind;
        }
        chunks.push(rest);
        prop_assert_eq!(streamed(&strict(), &chunks), whole);
    }
}
