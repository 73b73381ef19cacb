//! What holds for any visit.

use dormouse_engine::detect::{Rules, Visit, detect};
use dormouse_engine::outcome::BlockEvidence;
use dormouse_secrets::Scrubber;
use proptest::prelude::*;

use super::headers;

/// Pieces that pages of blocks are made of, and bytes between them.
fn page() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(vec![
            "<title>",
            "</title>",
            "<script>",
            "</script>",
            "<head>",
            "<body>",
            "<svg>",
            "<path/>",
            "<div hidden>",
            "</div>",
            "<p>",
            "<h1>",
            "</h1>",
            "<input type=password>",
            "<a href=/x>",
            "<iframe src='https://hcaptcha.com/'>",
            "<div class=g-recaptcha data-size=",
            "<img src=/captcha.php ",
            "_cf_chl_opt",
            "/orchestrate/",
            "Access Denied",
            "&lt;",
            "<!--",
            "-->",
            "<td>",
            "<tr>",
            "</b>",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_visit_is_judged_alike_twice_within_the_limits(
        html in page(),
        requested in proptest::option::of(".{0,60}"),
        arrived in ".{0,60}",
        status in proptest::option::of(prop::sample::select(vec![200_u16, 401, 403, 404, 429, 503, 999])),
        name in "[a-zA-Z-]{0,20}",
        value in ".{0,40}",
        html_max in 0_usize..4096,
        snippet_max in 0_usize..600,
    ) {
        let given = headers(&[(&name, &value), ("retry-after", &value)]);
        let visit = Visit {
            requested_url: requested.as_deref(),
            final_url: &arrived,
            status,
            headers: &given,
            html: Some(&html),
        };
        let rules = Rules { html_max, snippet_max, ..Rules::default() };
        let seen = detect(&visit, &rules, &Scrubber::empty());
        prop_assert_eq!(&seen, &detect(&visit, &rules, &Scrubber::empty()));
        prop_assert_eq!(seen.html_cut, html.len() > html_max);
        if let Some(block) = seen.block {
            let snippet = block.evidence.html_snippet.as_ref();
            prop_assert!(snippet.is_none_or(|snippet| snippet.len() <= snippet_max));
            let kept = BlockEvidence::from(&block.evidence);
            prop_assert!(kept.detail.is_some());
        }
    }

    #[test]
    fn what_is_beyond_the_limit_changes_nothing(html in page(), more in page(), status in prop::sample::select(vec![200_u16, 403])) {
        let rules = Rules { html_max: html.len(), ..Rules::default() };
        let judge = |html: &[u8]| {
            let visit = Visit { status: Some(status), html: Some(html), ..Visit::default() };
            let seen = detect(&visit, &rules, &Scrubber::empty());
            (seen.block.map(|block| block.reason), seen.trace)
        };
        let whole = [html.as_slice(), more.as_slice()].concat();
        prop_assert_eq!(judge(&html), judge(&whole));
    }
}
