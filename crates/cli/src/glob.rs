//! Names with `*`.

/// A pattern in which `*` stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<String>);

impl Glob {
    /// The pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.split('*').map(str::to_owned).collect())
    }

    /// Whether a name fits the whole pattern.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        let [first, rest @ ..] = &self.0[..] else {
            return false;
        };
        let Some(mut name) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        let [middle @ .., last] = rest else {
            return name.is_empty();
        };
        for part in middle {
            match name.find(part.as_str()) {
                Some(at) => name = &name[at + part.len()..],
                None => return false,
            }
        }
        name.ends_with(last.as_str())
    }
}
