//! `--edit`: the input in the person's editor, checked, compared, and confirmed.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::{has_person, show, typed};
use crate::api::GateView;
use crate::client::Session;
use crate::context::Context;
use crate::edge;
use crate::output::Ui;
use crate::problem::{Code, Problem, Result};

/// Edited again so often when it is no JSON.
const ROUNDS_MAX: u32 = 5;

/// The input as the person left it; none when nothing was changed.
pub(super) async fn input(
    session: &mut Session<'_>,
    context: &Context,
    gate: &GateView,
    is_meant: bool,
) -> Result<Option<Box<RawValue>>> {
    let ui = &context.ui;
    let asked = editable(gate, ui)?;
    // The person may think for long: nobody else waits for the store meanwhile.
    session.make_room().await?;
    let file = Temporary::write(&show::editable(asked))?;
    for _ in 0..ROUNDS_MAX {
        edit(context, &file.0)?;
        let text = std::fs::read_to_string(&file.0).map_err(|error| failed(&file.0, &error))?;
        let edited: Box<RawValue> = match serde_json::from_str(text.trim()) {
            Ok(edited) => edited,
            Err(error) => {
                ui.warning(&format!("it is no JSON: {error}"));
                if typed("edit it again? [Y/n] ", ui)
                    .await
                    .is_none_or(|answer| answer == "n")
                {
                    break;
                }
                continue;
            }
        };
        let changes = difference(&show::editable(asked), text.trim());
        if changes.is_empty() {
            ui.note("the input is as it was asked for");
            // Who leaves an editor without a change may mean either.
            if is_meant || typed("approve it as it is? [y/N] ", ui).await.as_deref() == Some("y") {
                return Ok(None);
            }
            break;
        }
        ui.stderr_bytes(changes.as_bytes());
        if is_meant || typed("approve with this input? [y/N] ", ui).await.as_deref() == Some("y") {
            return Ok(Some(edited));
        }
        break;
    }
    Err(Problem::new(Code::Usage, "nothing was decided")
        .hint(format!(
            "the gate is pending still: dormouse gate show {}",
            gate.id
        ))
        .into())
}

/// Refuses another input where it could not get back to the worker. What is decided already is for others to refuse.
pub(super) fn may_be_edited(gate: &GateView) -> Result<()> {
    if gate.editable || !gate.is_pending() || gate.kind_word() != "approval" {
        return Ok(());
    }
    let detail = format!(
        "the input of gate {} cannot be edited: its worker takes no other than it asked for",
        gate.id
    );
    Err(Problem::new(Code::Invalid, detail)
        .hint("approve or reject it as it is; a worker takes another where it asks with --allow-edit")
        .into())
}

fn editable<'a>(gate: &'a GateView, ui: &Ui) -> Result<&'a str> {
    may_be_edited(gate)?;
    if !has_person(ui) {
        return Err(
            Problem::new(Code::Usage, "--edit: there is no terminal for an editor")
                .hint("pass the input itself, as in --input @FILE")
                .into(),
        );
    }
    Ok(gate.input.as_deref().unwrap_or("{}"))
}

/// The person's editor, on the terminal, until it ends.
fn edit(context: &Context, file: &Path) -> Result<()> {
    let named = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| context.environment.get(name));
    let editor = named.map_or_else(|| "vi".to_owned(), |editor| editor.to_string_lossy().into_owned());
    // As every program that starts one does it, so that `code --wait` works.
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(not_edited(&editor, &status.to_string()).into()),
        Err(error) => Err(not_edited(&editor, &error.to_string()).into()),
    }
}

fn not_edited(editor: &str, why: &str) -> Problem {
    Problem::new(
        Code::Usage,
        format!("the editor {editor} did not end well: {why}"),
    )
    .hint("set EDITOR, or pass the input itself, as in --input @FILE; nothing was decided")
}

/// A file of ours alone, gone with this.
struct Temporary(PathBuf);

impl Temporary {
    fn write(text: &str) -> Result<Self> {
        let name = format!("dormouse-input-{:016x}.json", edge::random_number()?);
        let path = std::env::temp_dir().join(name);
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{text}"));
        written.map_err(|error| failed(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::Internal, format!("{}: {error}", path.display()))
}

/// The lines that went and came, with a mark each; empty when none did.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let room = old.len().min(new.len()) - head;
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(room)
        .take_while(same)
        .count();
    let marked = |mark: char, lines: &[&str]| -> String {
        let line = |line: &&str| format!("{mark} {}\n", crate::output::visible::one_line(line));
        lines.iter().map(line).collect()
    };
    marked('-', &old[head..old.len() - tail]) + &marked('+', &new[head..new.len() - tail])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_came_is_marked_and_what_stayed_is_left_out() {
        assert_eq!(difference("{\na\nb\n}", "{\na\nc\nd\n}"), "- b\n+ c\n+ d\n");
        assert_eq!(difference("{\n}", "{\n}"), "");
        assert_eq!(difference("a\na", "a"), "- a\n");
    }
}
