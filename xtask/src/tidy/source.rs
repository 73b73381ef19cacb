//! A Rust file as tokens: no comment, no doc, and a string is one token, so a rule never meets its words by accident.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// Below the workspace's folder.
    pub(super) path: String,
    /// Its text, for what is looked for in comments too.
    pub(super) text: String,
    /// Every token.
    pub(super) all: Vec<Token>,
    /// The tokens outside of `#[cfg(test)]`; none where the whole file is a test.
    pub(super) shipped: Vec<Token>,
}

/// A word, a sign or a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Source {
    /// Takes a file apart.
    ///
    /// # Errors
    /// When it is not Rust.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let stream: TokenStream = text.parse().map_err(|error| format!("{error}"))?;
        let shipped = if is_test(path) {
            Vec::new()
        } else {
            flat(stream.clone(), Tests::Dropped)
        };
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            all: flat(stream, Tests::Kept),
            shipped,
        })
    }

    /// Whether it lies below one of these folders, or is one of these files.
    pub(super) fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Integration tests, benches, and unit tests in a file of their own.
fn is_test(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let folders = &parts[..parts.len() - 1];
    folders
        .iter()
        .any(|part| matches!(*part, "tests" | "benches" | "examples"))
        || matches!(parts.last(), Some(&"tests.rs"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tests {
    Kept,
    Dropped,
}

fn flat(stream: TokenStream, tests: Tests) -> Vec<Token> {
    let mut tokens = Vec::new();
    push_flat(stream, tests, &mut tokens);
    tokens
}

fn push_flat(stream: TokenStream, tests: Tests, into: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        match attribute(&trees[at..]) {
            Some((words, length)) if words.first().is_some_and(|word| word == "doc") => at += length,
            Some((words, length)) if tests == Tests::Dropped && is_test_only(&words) => {
                at += length + item_length(&trees[at + length..]);
            }
            _ => {
                push_tree(&trees[at], tests, into);
                at += 1;
            }
        }
    }
}

fn push_tree(tree: &TokenTree, tests: Tests, into: &mut Vec<Token>) {
    let TokenTree::Group(group) = tree else {
        return into.push(Token {
            text: tree.to_string(),
            line: tree.span().start().line,
        });
    };
    let (open, close) = signs(group);
    into.push(Token {
        text: open.to_owned(),
        line: group.span_open().start().line,
    });
    push_flat(group.stream(), tests, into);
    into.push(Token {
        text: close.to_owned(),
        line: group.span_close().start().line,
    });
}

fn signs(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// The words of the attribute that begins here, and of how many trees it is.
fn attribute(trees: &[TokenTree]) -> Option<(Vec<String>, usize)> {
    let TokenTree::Punct(sign) = trees.first()? else {
        return None;
    };
    let is_inner = matches!(trees.get(1), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
    let at = 1 + usize::from(is_inner);
    let Some(TokenTree::Group(group)) = trees.get(at) else {
        return None;
    };
    let is_attribute = sign.as_char() == '#' && group.delimiter() == Delimiter::Bracket;
    let words = || {
        flat(group.stream(), Tests::Kept)
            .into_iter()
            .map(|t| t.text)
            .collect()
    };
    is_attribute.then(|| (words(), at + 1))
}

/// `cfg(test)`, `cfg(all(test, …))`; not `cfg(not(test))`.
fn is_test_only(words: &[String]) -> bool {
    let has = |word: &str| words.iter().any(|w| w == word);
    words.first().is_some_and(|word| word == "cfg") && has("test") && !has("not") && !has("any")
}

/// Up to and with the first `{…}` or `;`.
fn item_length(trees: &[TokenTree]) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(sign) => sign.as_char() == ';',
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    };
    trees.iter().position(ends).map_or(trees.len(), |last| last + 1)
}

/// Where these tokens, written as Rust, follow one another: the line of each place.
pub(super) fn places(tokens: &[Token], pattern: &str) -> Vec<usize> {
    let pattern: TokenStream = pattern.parse().expect("a pattern is Rust");
    let words: Vec<String> = flat(pattern, Tests::Kept).into_iter().map(|t| t.text).collect();
    tokens
        .windows(words.len())
        .filter(|window| window.iter().map(|t| &t.text).eq(&words))
        .map(|window| window[0].line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r##"
        //! loop in a doc
        // unsafe in a comment
        /// unsafe in a doc
        fn a() { let text = "unsafe"; std::env::var("A"); }
        #[cfg(test)]
        mod tests { fn b() { unsafe { c() } } }
        fn d() {}
    "##;

    #[test]
    fn comments_docs_and_strings_are_no_words() {
        let source = Source::parse("crates/a/src/lib.rs", FILE).unwrap();
        assert_eq!(places(&source.all, "unsafe").len(), 1);
        assert!(places(&source.all, "loop").is_empty());
    }

    #[test]
    fn shipped_code_is_without_tests() {
        let source = Source::parse("crates/a/src/lib.rs", FILE).unwrap();
        assert!(places(&source.shipped, "unsafe").is_empty());
        assert_eq!(places(&source.shipped, "fn d").len(), 1);
        let tests = Source::parse("crates/a/tests/it/main.rs", FILE).unwrap();
        assert!(tests.shipped.is_empty());
    }

    #[test]
    fn a_path_is_found_with_its_line() {
        let source = Source::parse("crates/a/src/lib.rs", FILE).unwrap();
        assert_eq!(places(&source.all, "env::var"), [5]);
    }

    #[test]
    fn code_for_all_but_tests_is_shipped() {
        let text = "#[cfg(not(test))] fn a() { println!() } #[cfg(all(test, unix))] use b; fn c() {}";
        let source = Source::parse("crates/a/src/lib.rs", text).unwrap();
        assert_eq!(places(&source.shipped, "println").len(), 1);
        assert!(places(&source.shipped, "use").is_empty());
    }

    #[test]
    fn a_place_ends_at_a_folder() {
        let source = Source::parse("crates/clifford/src/lib.rs", "").unwrap();
        assert!(!source.is_in(&["crates/cli"]));
        assert!(source.is_in(&["crates/clifford"]));
    }
}
