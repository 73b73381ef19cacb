//! HTML and XML entities, and quoted-printable.

use super::{hex, spelled};

pub(super) fn all(value: &[u8]) -> Vec<Vec<u8>> {
    let entities = |double: &[u8], single: &[u8]| {
        spelled(value, |byte, out| match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(double),
            b'\'' => out.extend_from_slice(single),
            byte => out.push(byte),
        })
    };
    let printable = |is_quoted: &dyn Fn(u8) -> bool| {
        spelled(value, |byte, out| {
            if is_quoted(byte) {
                out.push(b'=');
                hex::push(byte, hex::UPPER, out);
            } else {
                out.push(byte);
            }
        })
    };
    vec![
        entities(b"\"", b"'"),
        entities(b"&quot;", b"'"),
        entities(b"&quot;", b"&#39;"),
        entities(b"&quot;", b"&#x27;"),
        entities(b"&quot;", b"&apos;"),
        entities(b"&#34;", b"&#39;"),
        printable(&|byte| byte == b'='),
        printable(&|byte| byte == b'=' || byte >= 0x7F || (byte < b' ' && byte != b'\t' && byte != b'\n')),
    ]
}
