//! What clap refuses, as the two lines and the document of every other error.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error};

use super::Cli;
use crate::problem::{Code, Problem};

/// The problem that a refused command line is.
#[must_use]
pub fn problem_of(error: &Error, arguments: &[OsString]) -> Problem {
    let rendered = error.render().to_string();
    // An argument may hold line feeds: the text ends where clap's own paragraphs begin.
    let ends = ["\n\nUsage: ", "\n\nFor more information", "\n\n  tip: ", "\n  "];
    let end = ends.iter().filter_map(|end| rendered.find(end)).min();
    let first = rendered[..end.unwrap_or(rendered.len())].trim_end();
    let mut detail = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    // Clap lists what is missing on lines of their own.
    let missing: Vec<&str> = rendered
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .map(str::trim)
        .collect();
    if !missing.is_empty() {
        detail = format!("{} {}", detail.trim_end_matches(':'), missing.join(", "));
    }
    Problem::new(Code::Usage, detail).hint(hint(error, &rendered, arguments))
}

fn hint(error: &Error, rendered: &str, arguments: &[OsString]) -> String {
    let suggestions = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
        ContextKind::Suggested,
    ];
    for kind in suggestions {
        match error.get(kind) {
            Some(ContextValue::String(near)) => return format!("did you mean {near}?"),
            Some(ContextValue::Strings(near)) if !near.is_empty() => {
                return format!("did you mean {}?", near.join(" or "));
            }
            _ => {}
        }
    }
    let usage = rendered.lines().find_map(|line| line.strip_prefix("Usage: "));
    match usage {
        Some(usage) => format!("usage: {usage}; see {} --help", command_of(arguments)),
        None => format!("see {} --help", command_of(arguments)),
    }
}

/// The command that a line names, as far as it names one.
fn command_of(arguments: &[OsString]) -> String {
    let mut name = String::from("dormouse");
    let definition = Cli::definition();
    let mut command = &definition;
    for word in arguments.iter().skip(1).map_while(|word| word.to_str()) {
        if let Some(sub) = command.find_subcommand(word) {
            command = sub;
            name = format!("{name} {word}");
        }
    }
    name
}

/// Whether a command line that could not be parsed asks for JSON.
#[must_use]
pub fn wants_json(arguments: &[OsString]) -> bool {
    let words = || {
        arguments
            .iter()
            .map_while(|word| word.to_str())
            .take_while(|word| *word != "--")
    };
    let is_json = |word: &str| matches!(word, "json" | "jsonl");
    words().any(|word| {
        word == "--json"
            || word
                .strip_prefix("--output=")
                .or_else(|| word.strip_prefix("-o"))
                .is_some_and(|form| is_json(form.trim_start_matches('=')))
    }) || words()
        .zip(words().skip(1))
        .any(|(flag, form)| matches!(flag, "-o" | "--output") && is_json(form))
}
