//! Properties that need the forms, or the filter switched off.

use proptest::{collection::vec, prelude::*};

use super::{Filter, Set, stream::ScrubStream};
use crate::{Redaction, Secret, SecretName};

/// What a stream gives for `text` in chunks of so many bytes.
fn scrubbed(values: &[String], text: &[u8], filter: Filter, chunk: usize) -> Vec<u8> {
    let redactions = values.iter().enumerate().map(|(index, value)| {
        let name = SecretName::parse(&format!("KEY_{index}")).expect("a name");
        Redaction::new(name, Secret::new(value.clone().into_bytes())).expect("a value")
    });
    let set = Set::new(redactions.collect(), filter);
    let mut stream = ScrubStream::new(set.into(), crate::Formats::Off);
    let mut out = Vec::new();
    for chunk in text.chunks(chunk) {
        out.extend(stream.push(chunk).into_vec());
    }
    out.extend(stream.finish().into_vec());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// SE-57
    #[test]
    fn filter_chunks_and_a_second_pass_change_nothing_and_no_form_is_left_outside_of_markers(
        chunk in 1_usize..50,
        values in vec("[ab\\\\n \n\"é/=-]{8,30}", 1..4),
        words in vec(("[ab\\\\nr \n\"]{0,40}", 0_usize..5, 0_usize..4, "[\\\\nr \n]{0,34}", 0_usize..30), 0..8),
    ) {
        let mut text = Vec::new();
        for (filler, value, form, gap, place) in words {
            text.extend(filler.into_bytes());
            let Some(value) = values.get(value) else { continue };
            let forms: Vec<Vec<u8>> = super::forms::of(value.as_bytes()).into_keys().collect();
            let mut form = forms[form * forms.len() / 4].clone();
            let at = place.min(form.len());
            form.splice(at..at, gap.into_bytes());
            text.extend(form);
        }
        let whole = scrubbed(&values, &text, Filter::On, usize::MAX);
        prop_assert_eq!(&scrubbed(&values, &text, Filter::Off, usize::MAX), &whole);
        prop_assert_eq!(&scrubbed(&values, &text, Filter::On, chunk), &whole);
        prop_assert_eq!(&scrubbed(&values, &whole, Filter::On, usize::MAX), &whole);
        let outside: Vec<&[u8]> = whole.split(|byte| matches!(byte, b'[' | b']')).step_by(2).collect();
        for form in values.iter().flat_map(|value| super::forms::of(value.as_bytes()).into_keys()) {
            let is_left = |part: &&[u8]| part.windows(form.len()).any(|window| window == form);
            prop_assert!(!outside.iter().any(is_left), "{:?}", String::from_utf8_lossy(&form));
        }
    }
}
