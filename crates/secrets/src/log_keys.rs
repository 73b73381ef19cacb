//! Which keys of configuration and JSON stand before a credential.

/// A key with one of these words has a credential.
const WORDS: [&str; 13] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "authorization",
    "cookie",
    "bearer",
    "credential",
    "credentials",
    "apikey",
    "accountkey",
    "accesskey",
];

/// So has one with two of these next to each other.
const PAIRS: [(&str, &str); 7] = [
    ("api", "key"),
    ("auth", "token"),
    ("private", "key"),
    ("access", "key"),
    ("signing", "key"),
    ("account", "key"),
    ("shared", "key"),
];

/// Whether what stands under `key` is a credential, by the words of the key.
pub(crate) fn is_credential(key: &str) -> bool {
    are_credential(&words(key))
}

/// The same, of words.
pub(crate) fn are_credential(words: &[String]) -> bool {
    words.iter().any(|word| WORDS.contains(&word.as_str()))
        || words
            .windows(2)
            .any(|pair| PAIRS.contains(&(pair[0].as_str(), pair[1].as_str())))
}

/// The words of a key, in lower case: cut at `_ - . space` and at the humps of camel case.
pub(crate) fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let chars: Vec<char> = key.chars().collect();
    for (index, char) in chars.iter().enumerate() {
        if matches!(char, '_' | '-' | '.' | ' ') {
            words.push(String::new());
            continue;
        }
        let after_lower = index > 0 && !chars[index - 1].is_uppercase();
        let before_lower = chars.get(index + 1).is_some_and(|next| next.is_lowercase());
        if char.is_uppercase() && index > 0 && (after_lower || before_lower) {
            words.push(String::new());
        }
        let word = words.last_mut().expect("there is one");
        word.extend(char.to_lowercase());
    }
    words.retain(|word| !word.is_empty());
    words
}
