use super::*;

fn of(html: &str) -> Facts {
    read(html.as_bytes(), &Rules::default())
}

#[test]
fn text_is_what_is_shown() {
    for (html, text) in [
        ("<p> one\n two </p><p>three", "one two three"),
        ("<head><meta name=a>lost</head>kept", "kept"),
        ("<head><title>t</title><body>kept", "kept"),
        ("<head><title>t</title><p>kept", "kept"),
        (
            "a<script>b</script><style>c</style><noscript>d</noscript><template>e</template>f",
            "af",
        ),
        ("a<svg><title>b</title><text>c</text><path/></svg>d", "ad"),
        ("<div hidden>a<div>b</div>c</div>d", "d"),
        (
            "<div aria-hidden='true'>a</div><div aria-hidden='false'>b</div>",
            "b",
        ),
        ("<p style='color:red; display : NONE'>a<p>b", "b"),
        ("<ul><li hidden>a<li>b</ul>", "b"),
        ("<table><tr><td hidden>a<td>b<tr hidden><td>c<tr><td>d", "bd"),
        ("<div hidden></b></div>a", "a"),
        ("&lt;b&gt; caf&eacute;", "<b> café"),
        ("<textarea>a</textarea><iframe>b</iframe>c", "c"),
        ("<!-- a --><![CDATA[b]]>c", "c"),
    ] {
        let facts = of(html);
        let bare = |text: &str| text.replace(' ', "");
        assert_eq!(bare(&facts.text), bare(text), "{html}");
    }
}

#[test]
fn a_line_ends_with_its_block_and_goes_on_after_a_break() {
    let facts = of("<h1>one <b>two</b></h1><p>three<br>four</p> <div>five</div><button>six</button>seven");
    assert_eq!(facts.lines, "one two\nthree four\nfive\nsix\nseven");
    let facts = of("<div> <p> <div> <br> <p>one</p> <br> <p> <div>two");
    assert_eq!(facts.lines, "one\ntwo");
}

#[test]
fn text_is_counted_in_characters() {
    assert_eq!(of("<p>äöü  ß</p>").text_len, 5);
    assert!(of(&"ä ".repeat(1_000)).is_thin());
    assert!(!of(&"ä ".repeat(1_001)).is_thin());
    assert!(of("").is_empty() && !of("<script></script>").is_empty());
}

#[test]
fn fields_are_what_a_person_fills_in() {
    for (html, fields, passwords) in [
        ("<input>", 1, 0),
        (
            "<input type=hidden><input type=Submit><input type=button><input type=image><button>a</button>",
            0,
            0,
        ),
        (
            "<select></select><textarea></textarea><input type=PASSWORD>",
            3,
            1,
        ),
        (
            "<textarea name=g-recaptcha-response></textarea><input id=captchacharacters>",
            0,
            0,
        ),
        ("<div hidden><input type=password></div>", 0, 0),
        ("<template><input></template>", 0, 0),
    ] {
        let facts = of(html);
        assert_eq!((facts.fields, facts.passwords), (fields, passwords), "{html}");
    }
}

#[test]
fn title_heading_and_links_are_the_first_the_shown_and_the_led() {
    let facts = of(
        "<title> A \n b </title><title>c</title><h1 hidden>d</h1><h2>e <b>f</b></h2><h1>g</h1>\
                    <a href=/>h</a><a>i</a><div hidden><a href=/j>k</a></div>",
    );
    assert_eq!((facts.title.as_str(), facts.heading.as_str()), ("A b", "e f"));
    assert_eq!(facts.links, 1);
}

#[test]
fn only_the_beginning_of_a_long_page_is_read() {
    let rules = Rules {
        html_max: 10,
        ..Rules::default()
    };
    let facts = read(b"<p>1234567890", &rules);
    assert!(facts.is_cut);
    assert_eq!(facts.text, "1234567");
}
