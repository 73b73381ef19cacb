//! What a bench was asked for.

use super::{Form, Heading};

/// How often each thing is measured.
const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 2;

/// What a bench was asked for: `[SECTION…] [--quick] [--json]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The sections, in the order they were named; all without any.
    pub sections: Vec<Heading>,
    /// How results are printed.
    pub form: Form,
    /// Less of everything, to see that it runs: its figures say little.
    pub is_quick: bool,
}

impl Arguments {
    /// Of the words of a command line.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn parse(words: &[String], all: &[Heading]) -> Result<Self, String> {
        // Cargo says to every bench that it is one.
        let words = words.iter().map(String::as_str).filter(|word| *word != "--bench");
        let (options, names): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with("--"));
        if let Some(unknown) = options.iter().find(|word| !["--json", "--quick"].contains(word)) {
            return Err(format!("{unknown} is no option: --json and --quick are"));
        }
        let named = |name: &str| all.iter().copied().find(|section| section.name == name);
        let sections: Option<Vec<Heading>> = names.into_iter().map(named).collect();
        let Some(sections) = sections else {
            let names: Vec<&str> = all.iter().map(|section| section.name).collect();
            return Err(format!("sections are {}", names.join(", ")));
        };
        Ok(Self {
            sections: if sections.is_empty() {
                all.to_vec()
            } else {
                sections
            },
            form: if options.contains(&"--json") {
                Form::Json
            } else {
                Form::Table
            },
            is_quick: options.contains(&"--quick"),
        })
    }

    /// How often each thing is measured.
    #[must_use]
    pub fn rounds(&self) -> usize {
        if self.is_quick { ROUNDS_QUICK } else { ROUNDS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Heading; 2] = [
        Heading {
            name: "a",
            title: "A",
        },
        Heading {
            name: "b",
            title: "B",
        },
    ];

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Arguments::parse(&words, &ALL)
    }

    #[test]
    fn all_sections_without_a_name_and_the_named_ones_with_it() {
        assert_eq!(parse(&["--bench"]).unwrap().sections, ALL);
        let asked = parse(&["b", "--quick", "--json"]).unwrap();
        assert_eq!(asked.sections, [ALL[1]]);
        assert_eq!((asked.form, asked.rounds()), (Form::Json, ROUNDS_QUICK));
    }

    #[test]
    fn an_unknown_word_is_told_with_those_that_are_known() {
        assert_eq!(parse(&["c"]).unwrap_err(), "sections are a, b");
        assert!(parse(&["--fast"]).unwrap_err().starts_with("--fast is no option"));
    }
}
