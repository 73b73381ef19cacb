//! What must not be in an argument: a value or a passphrase, from stdin or typed without being shown.

use std::io::{BufRead, IsTerminal, Read, Write};

use dormouse_secrets::{Secret, VALUE_MAX};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::output::Ui;
use crate::problem::{Code, Problem, Result};

/// Ctrl-C, Ctrl-D and the two that take a letter back, as a terminal sends them.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACK: [u8; 2] = [8, 127];

/// What happens to a newline at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newline {
    /// One is dropped.
    Drop,
    /// It is part of the value.
    Keep,
}

/// What was given.
#[derive(Debug)]
pub(crate) enum Given {
    /// Nothing: the command needs nothing.
    Nothing,
    /// This.
    Value(Secret),
    /// Whoever typed it thought better of it.
    Interrupted,
}

/// Reads it, before anything else is done: nobody waits for the store while somebody types.
pub(super) fn read(what: &str, newline: Newline, ui: &Ui) -> Result<Given> {
    let stdin = std::io::stdin();
    let mut bytes = if stdin.is_terminal() {
        match typed(what, ui)? {
            Some(bytes) => bytes,
            None => return Ok(Given::Interrupted),
        }
    } else {
        piped(stdin.lock())?
    };
    if newline == Newline::Drop && bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    let secret = Secret::new(bytes);
    if secret.expose().is_empty() {
        return Err(Problem::new(Code::Usage, format!("there is no {what} on stdin"))
            .hint(format!(
                "write it to stdin, as in printf %s \"${}\" | dormouse secret …, or type it at a terminal",
                what.to_uppercase()
            ))
            .into());
    }
    Ok(Given::Value(secret))
}

/// Reads it twice where it is typed: what nobody can look at again is typed the same way twice.
pub(super) fn read_twice(what: &str, ui: &Ui) -> Result<Given> {
    let first = read(what, Newline::Drop, ui)?;
    let Given::Value(value) = &first else {
        return Ok(first);
    };
    if !std::io::stdin().is_terminal() {
        return Ok(first);
    }
    match read(&format!("the {what} again"), Newline::Drop, ui)? {
        Given::Value(again) if again.expose() == value.expose() => Ok(first),
        Given::Value(_) => Err(Problem::new(Code::Usage, format!("it is not the same {what}"))
            .hint("nothing was changed; try again")
            .into()),
        other => Ok(other),
    }
}

/// Bytes of a pipe. With their room from the start they never move, and leave no copy.
fn piped(stdin: impl Read) -> Result<Vec<u8>> {
    let most = VALUE_MAX + 3;
    let mut bytes = Vec::with_capacity(most);
    let limit = u64::try_from(most).expect("it is small");
    stdin
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::new(Code::Config, format!("stdin cannot be read: {error}")))?;
    Ok(bytes)
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silent(Termios);

impl Silent {
    fn begin() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut silent = before.clone();
        // Signals are letters too, so that no way out leaves a terminal that shows nothing.
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// What is typed; none when that was interrupted.
fn typed(what: &str, ui: &Ui) -> Result<Option<Vec<u8>>> {
    let failed = |error: std::io::Error| Problem::new(Code::Config, format!("the terminal: {error}"));
    let silent = Silent::begin().map_err(failed)?;
    ui.stderr_bytes(format!("{what} (it is not shown): ").as_bytes());
    let line = line(std::io::stdin().lock());
    drop(silent);
    let _ = std::io::stderr().write_all(b"\n");
    Ok(line.map_err(failed)?)
}

/// One line; none when it was interrupted.
fn line(stdin: impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::with_capacity(VALUE_MAX + 1);
    // Ends with the line, or with more than a value has.
    for byte in stdin.bytes() {
        match byte? {
            INTERRUPT => return Ok(None),
            END | b'\n' | b'\r' => break,
            byte if BACK.contains(&byte) => drop(line.pop()),
            byte => line.push(byte),
        }
        if line.len() > VALUE_MAX {
            break;
        }
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_ends_and_letters_are_taken_back() {
        for (typed, found) in [
            (&b"abc\nd"[..], Some(&b"abc"[..])),
            (b"abx\x7fc\r", Some(b"abc")),
            (b"\x08ab\x04", Some(b"ab")),
            (b"ab\x03", None),
            (b"", Some(b"")),
        ] {
            assert_eq!(line(typed).unwrap().as_deref(), found);
        }
    }
}
