//! Percent encoding, as URLs and form data have it.

use super::{hex, spelled};

/// What libraries keep beside letters and digits in a URL.
const KEPT_IN_URLS: [&[u8]; 6] = [
    b"-_.~",
    b"-_.~/",
    b"-_.!~*'()",
    b"-_.!~*'();/?:@&=+$,#",
    b"!$&'()*+,-./:;=@_~",
    b"-_.~$&+=:@",
];

/// The same in form data, where a space is a plus.
const KEPT_IN_FORMS: [&[u8]; 3] = [b"-_.", b"-_.*", b"-_.~"];

pub(super) fn all(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let urls = KEPT_IN_URLS.into_iter().map(|kept| (kept, false));
    let form_data = KEPT_IN_FORMS.into_iter().map(|kept| (kept, true));
    for (kept, is_space_plus) in urls.chain(form_data) {
        for digits in [hex::UPPER, hex::LOWER] {
            for percent in [&b"%"[..], b"%25"] {
                forms.push(spelled(value, |byte, out| match byte {
                    b' ' if is_space_plus => out.push(b'+'),
                    byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => out.push(byte),
                    byte => {
                        out.extend_from_slice(percent);
                        hex::push(byte, digits, out);
                    }
                }));
            }
        }
    }
    forms
}
