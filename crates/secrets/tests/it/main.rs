//! The crate at its boundary: the scrubber, where text goes in and clean text comes out; and secrets in stores.

// Helpers of tests are tests: what they unwrap is the assertion.
#![allow(clippy::unwrap_used)]

mod detector;
mod forms;
#[cfg(feature = "fuzz")]
mod fuzz;
#[cfg(feature = "tracing")]
mod log;
mod markers;
mod places;
mod store;
mod stream;
mod types;
mod values;

use dormouse_secrets::{Redaction, Scrubber, Secret, SecretName};

/// A scrubber of these names and values.
fn scrubber(values: &[(&str, &[u8])]) -> Scrubber {
    let redactions = values.iter().map(|(name, value)| {
        let name = SecretName::parse(name).expect("the test gives a name");
        Redaction::new(name, Secret::new(value.to_vec())).expect("the test gives a value")
    });
    Scrubber::new(redactions.collect()).expect("the test gives few values")
}

/// What a stream gives for these chunks.
fn streamed(scrubber: &Scrubber, chunks: &[&[u8]]) -> Vec<u8> {
    let mut stream = scrubber.stream();
    let mut out: Vec<u8> = chunks
        .iter()
        .flat_map(|chunk| stream.push(chunk).into_vec())
        .collect();
    out.extend(stream.finish().into_vec());
    out
}
