use super::address::{Address, decoded, without_user};

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

#[test]
fn a_site_is_a_registered_domain() {
    for (one, other, is_same) in [
        ("https://a.example.com", "http://b.example.com:8080", true),
        ("https://a.co.uk", "https://b.co.uk", false),
        ("https://a.github.io", "https://b.github.io", false),
        ("https://x.a.github.io", "https://a.github.io", true),
        (
            "https://bücher.example",
            "https://www.xn--bcher-kva.example",
            true,
        ),
        (
            "https://a.食狮.公司.cn",
            "https://b.xn--85x722f.xn--55qx5d.cn",
            true,
        ),
        ("http://192.0.2.1", "http://192.0.2.2", false),
        ("http://[2001:db8::1]", "http://[2001:db8::1]:81", true),
        ("http://localhost", "http://localhost", true),
        ("https://A.Example.COM.", "https://example.com", true),
    ] {
        assert_eq!(
            address(one).is_same_site(&address(other)),
            is_same,
            "{one} {other}"
        );
    }
    assert!(Address::parse("ftp://a.example").is_none() && Address::parse("about:blank").is_none());
}

#[test]
fn pages_are_the_same_but_for_what_says_nothing() {
    for (one, other, is_same) in [
        ("http://a.example/x", "https://www.a.example/x/#y", true),
        (
            "https://a.example/x?utm_source=1&a=2",
            "https://a.example/x?a=2&gclid=3",
            true,
        ),
        ("https://a.example/x?a=2", "https://a.example/x?a=3", false),
        ("https://a.example/x", "https://a.example/X", false),
        ("https://a.example:8080/", "https://a.example/", false),
    ] {
        assert_eq!(
            address(one).is_same_page(&address(other)),
            is_same,
            "{one} {other}"
        );
    }
}

#[test]
fn user_info_goes_and_the_rest_stays() {
    for (with, without) in [
        ("https://a:b@c.example/d", "https://c.example/d"),
        ("https://a:b@c@d.example?e=f@g", "https://d.example?e=f@g"),
        ("https://c.example/d@e", "https://c.example/d@e"),
        ("no address", "no address"),
    ] {
        assert_eq!(without_user(with), without);
    }
    assert_eq!(decoded("a%2Fb%2x%"), "a/b%2x%");
}
