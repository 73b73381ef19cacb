//! What it takes to judge a page: a refusal, and 64 KiB of content.

#![allow(missing_docs, reason = "criterion's macros make the functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dormouse_engine::detect::{Rules, Visit, detect};
use dormouse_secrets::Scrubber;

const REFUSAL: &str = "<title>Just a moment...</title><script>window._cf_chl_opt={};\
                       s.src='/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1'</script>";

fn content(length: usize) -> String {
    let item = r#"<li class="entry wide" id="e1"><a href="/kettles/1">A kettle</a> <img src="/i/1.png" alt="kettle">
        <script>window.seen = (window.seen || 0) + 1;</script><p>It stood on the sill &amp; nobody knew since when.</p></li>"#;
    let items = item.repeat(length / item.len());
    format!("<!doctype html><title>Kettles</title><h1>Kettles</h1><ul>{items}</ul>")
}

fn judge(criterion: &mut Criterion) {
    let rules = Rules::default();
    let scrubber = Scrubber::empty();
    let mut group = criterion.benchmark_group("detect");
    for (name, page) in [
        ("refusal", REFUSAL.to_owned()),
        ("content_64k", content(64 * 1024)),
    ] {
        let visit = Visit {
            requested_url: Some("https://shop.example/kettles"),
            final_url: "https://shop.example/kettles",
            status: Some(200),
            html: Some(page.as_bytes()),
            ..Visit::default()
        };
        group.throughput(Throughput::Bytes(page.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| detect(black_box(&visit), &rules, &scrubber));
        });
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
