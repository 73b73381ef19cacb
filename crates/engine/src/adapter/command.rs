//! The command line of a known provider: recognised by the name of its program, and given what its stream needs.

use super::Provider;
use crate::command::Stdin;

/// A command line that prints a stream that is read, or holds a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapted {
    /// Whose.
    pub provider: Provider,
    /// As it is run.
    pub argv: Vec<String>,
    /// Whether it is spoken to over its standard input while it works ([`dialogue`](super::dialogue)).
    pub is_spoken_to: bool,
}

/// A worker that takes no further words while it works, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} takes no further words: {why}")]
pub struct NoFollowUps {
    /// Its kind: a provider's word, or `exec`.
    pub kind: &'static str,
    /// Why.
    pub why: &'static str,
}

/// Whether a worker of this command line takes further words while it works.
///
/// # Errors
/// Why it does not.
pub fn takes_follow_ups(argv: &[String], stdin: &Stdin) -> Result<(), NoFollowUps> {
    const CLOSED: &str = "its standard input is not kept open: --stdin stream does that";
    let adapted = adapt(argv, "", stdin, false);
    let (kind, why) = match adapted.as_ref().map(|adapted| adapted.provider) {
        _ if adapted.as_ref().is_some_and(|adapted| adapted.is_spoken_to) => return Ok(()),
        Some(provider @ Provider::Codex) => (
            provider.word(),
            "codex exec reads one prompt; codex app-server takes more",
        ),
        Some(provider @ Provider::Gemini) => (
            provider.word(),
            "gemini -p reads one prompt; gemini --acp takes more",
        ),
        Some(provider @ Provider::Opencode) => (
            provider.word(),
            "opencode run reads one prompt; opencode acp takes more",
        ),
        Some(provider @ (Provider::Claude | Provider::CodexAppServer | Provider::Acp)) => {
            (provider.word(), CLOSED)
        }
        None if *stdin == Stdin::Stream => return Ok(()),
        None => ("exec", CLOSED),
    };
    Err(NoFollowUps { kind, why })
}

/// A worker that cannot go on where a lost one was, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("effects: {kind} is not resumable: {why}")]
pub struct NotResumable {
    /// Its kind: a provider's word, or `exec`.
    pub kind: &'static str,
    /// Why.
    pub why: &'static str,
}

/// Whether a worker of this command line asks before each call that has an effect, and its session goes on in another process.
///
/// # Errors
/// Why it does not.
pub fn can_resume(argv: &[String], stdin: &Stdin) -> Result<(), NotResumable> {
    let provider = adapt(argv, "", stdin, false).map(|adapted| adapted.provider);
    let (kind, why) = match provider {
        Some(Provider::CodexAppServer | Provider::Acp) => return Ok(()),
        Some(provider @ Provider::Claude) => (
            provider.word(),
            "it is not asked before a call of claude's: the hook for that is not built",
        ),
        Some(provider @ Provider::Codex) => (
            provider.word(),
            "codex exec asks nobody before a call; codex app-server does",
        ),
        Some(provider @ Provider::Gemini) => (
            provider.word(),
            "gemini -p asks nobody before a call; gemini --acp does",
        ),
        Some(provider @ Provider::Opencode) => (
            provider.word(),
            "opencode run asks nobody before a call; opencode acp does",
        ),
        None => ("exec", "what a command does is not seen before it is done"),
    };
    Err(NotResumable { kind, why })
}

/// What a command line becomes, if it is a known provider's and works without anybody at a terminal. One that asks for
/// another form of output, or does something else than a turn of work, is as its writer has it, and nobody's.
///
/// `session` is the id a provider is given where it takes one; `resumes` says that its former process had it. Where `stdin` is
/// a stream, a provider that may be spoken to is.
#[must_use]
pub fn adapt(argv: &[String], session: &str, stdin: &Stdin, resumes: bool) -> Option<Adapted> {
    let (program, given) = argv.split_first()?;
    if let Some(provider) = dialogue(program, given) {
        return Some(Adapted {
            provider,
            argv: argv.to_vec(),
            is_spoken_to: true,
        });
    }
    let provider = Provider::of_program(program)?;
    let is_stream = *stdin == Stdin::Stream;
    let rest = match provider {
        Provider::Claude => claude(given, session, is_stream, resumes)?,
        Provider::Codex => codex(given)?,
        Provider::Gemini => gemini(given)?,
        Provider::Opencode => opencode(given)?,
        // Recognised by more than the name of their program.
        Provider::CodexAppServer | Provider::Acp => return None,
    };
    let argv = std::iter::once(program.clone()).chain(rest).collect();
    let is_spoken_to = provider == Provider::Claude && is_stream;
    Some(Adapted {
        provider,
        argv,
        is_spoken_to,
    })
}

/// A program that is spoken to: the app-server of Codex, and agents that speak the Agent Client Protocol.
fn dialogue(program: &str, given: &[String]) -> Option<Provider> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let first = given.first().map(String::as_str);
    match (name, first) {
        // It listens on its standard input where no other place is named.
        ("codex", Some("app-server")) if given.len() == 1 => Some(Provider::CodexAppServer),
        ("opencode", Some("acp")) => Some(Provider::Acp),
        ("gemini", _) if has(given, &["--acp", "--experimental-acp"]) => Some(Provider::Acp),
        (name, _) if name.ends_with("-acp") => Some(Provider::Acp),
        _ => None,
    }
}

/// The words before a `--`, behind which all is text.
fn options(given: &[String]) -> &[String] {
    let end = given.iter().position(|word| word == "--").unwrap_or(given.len());
    &given[..end]
}

/// Whether one of these options is there, as `--name value` or `--name=value`.
fn has(given: &[String], names: &[&str]) -> bool {
    options(given).iter().any(|word| {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        names.contains(&name)
    })
}

/// The value of an option.
fn value<'a>(given: &'a [String], names: &[&str]) -> Option<&'a str> {
    let options = options(given);
    options
        .iter()
        .enumerate()
        .find_map(|(at, word)| match word.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some(value),
            _ if names.contains(&word.as_str()) => options.get(at + 1).map(String::as_str),
            _ => None,
        })
}

/// Whether an option asks for this form of output, or for none.
fn suits(given: &[String], names: &[&str], form: &str) -> bool {
    !has(given, names) || value(given, names) == Some(form)
}

/// What is not there yet, in front of what is given.
fn with(given: &[String], more: &[&[&str]]) -> Vec<String> {
    let missing = more.iter().filter(|words| !has(given, &words[..1]));
    let mut line: Vec<String> = missing
        .flat_map(|words| words.iter().map(|word| (*word).to_owned()))
        .collect();
    line.extend_from_slice(given);
    line
}

/// Hooks and servers of a project load in trusted workspaces only, so from the user's settings alone.
fn claude(given: &[String], session: &str, is_stream: bool, resumes: bool) -> Option<Vec<String>> {
    const FORM: &[&str] = &["--output-format"];
    const INPUT: &[&str] = &["--input-format"];
    if !has(given, &["-p", "--print"]) || !suits(given, FORM, "stream-json") {
        return None;
    }
    if is_stream && !suits(given, INPUT, "stream-json") {
        return None;
    }
    let names_session = has(
        given,
        &[
            "--session-id",
            "--resume",
            "-r",
            "--continue",
            "-c",
            "--no-session-persistence",
        ],
    );
    let word = if resumes { "--resume" } else { "--session-id" };
    let bind = [word, session];
    let mut more: Vec<&[&str]> = vec![
        &["--output-format", "stream-json"],
        &["--verbose"],
        &["--setting-sources", "user"],
        &["--strict-mcp-config"],
    ];
    if is_stream {
        more.push(&["--input-format", "stream-json"]);
    }
    if !names_session {
        more.push(&bind);
    }
    Some(with(given, &more))
}

fn codex(given: &[String]) -> Option<Vec<String>> {
    // Options of the program itself may stand before its command.
    let at = given.iter().position(|word| word == "exec" || word == "e")?;
    if !given[..at]
        .iter()
        .all(|word| word.starts_with('-') || word.contains('='))
    {
        return None;
    }
    let (before, after) = given.split_at(at + 1);
    if has(after, &["--help", "-h"]) {
        return None;
    }
    let mut line = before.to_vec();
    line.extend(if has(after, &["--experimental-json"]) {
        after.to_vec()
    } else {
        with(after, &[&["--json"]])
    });
    Some(line)
}

fn gemini(given: &[String]) -> Option<Vec<String>> {
    const FORM: &[&str] = &["-o", "--output-format"];
    if !has(given, &["-p", "--prompt"]) || !suits(given, FORM, "stream-json") {
        return None;
    }
    if has(given, FORM) {
        return Some(given.to_vec());
    }
    Some(with(given, &[&["-o", "stream-json"]]))
}

fn opencode(given: &[String]) -> Option<Vec<String>> {
    let (first, rest) = given.split_first()?;
    if first != "run" || !suits(rest, &["--format"], "json") {
        return None;
    }
    let mut line = vec![first.clone()];
    line.extend(with(rest, &[&["--format", "json"]]));
    Some(line)
}
