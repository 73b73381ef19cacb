//! Names with `*`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A pattern in which `*` stands for any number of characters.
///
/// ```
/// use dormouse_engine::event::Glob;
/// assert!(Glob::new("task.*").fits("task.done"));
/// assert!(!Glob::new("task.*").fits("run.ended"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
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

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("*"))
    }
}

impl From<String> for Glob {
    fn from(pattern: String) -> Self {
        Self::new(&pattern)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("*", "run.ended", true),
            ("run.*", "run.ended", true),
            ("run.*", "task.run.ended", false),
            ("*.ended", "run.ended", true),
            ("*.ended", "run.ended.now", false),
            ("run.ended", "run.ended", true),
            ("run.ended", "run.ende", false),
            ("r*n.*d", "run.ended", true),
            ("*run*", "run", true),
            ("run*run", "run", false),
            ("", "run", false),
        ] {
            assert_eq!(Glob::new(pattern).fits(name), fits, "{pattern} {name}");
        }
    }
}
