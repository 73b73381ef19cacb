//! What the program prints. stdout carries data only; everything else goes to stderr. Nothing else prints.

mod held;
mod table;
pub mod visible;
mod when;

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

pub use held::Held;
pub use table::Table;
pub use when::TimeStyle;

use crate::problem::{Failure, Problem, Result};

/// The form of data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people: a table on a terminal, tab-separated rows into a pipe.
    #[default]
    Text,
    /// The API's body, byte for byte.
    Json,
    /// One item or event a line.
    Jsonl,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether to colour: the flag, else `NO_COLOR`, else `CLICOLOR_FORCE`, else the terminal.
#[must_use]
pub fn is_coloured(flag: ColorWhen, no_color: bool, force: bool, is_terminal: bool) -> bool {
    match flag {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => !no_color && (force || is_terminal),
    }
}

/// The two streams and how to use them.
#[derive(Debug, Clone)]
pub struct Ui {
    /// The form of data.
    pub format: Format,
    /// The form of instants in text.
    pub time: TimeStyle,
    /// What "now" is for relative times.
    pub now: Timestamp,
    /// Whether notices are left out.
    pub is_quiet: bool,
    /// Whether stdout is a terminal.
    pub is_terminal: bool,
    /// Whether stderr is a terminal.
    pub is_stderr_terminal: bool,
    /// Whether stderr is coloured.
    pub is_coloured: bool,
    /// What is held back for stdout, where it is held back.
    pub held: Option<Held>,
}

/// Whether stdout and stderr are terminals.
#[must_use]
pub fn terminals() -> (bool, bool) {
    (io::stdout().is_terminal(), io::stderr().is_terminal())
}

/// Writes and flushes. A reader that has left ends the command, and that is no error.
fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::StdoutClosed,
            _ => Problem::new(
                crate::problem::Code::Internal,
                format!("stdout cannot be written: {error}"),
            )
            .hint("look at where stdout goes: its disk may be full")
            .into(),
        })
}

impl Ui {
    /// The same, but what it prints on stdout is held back until [`Held::written`]: who owns the store must not wait
    /// for a reader.
    #[must_use]
    pub fn holding(self) -> Self {
        Self {
            held: Some(Held::default()),
            ..self
        }
    }

    /// Bytes on stdout, as they are.
    ///
    /// # Errors
    /// [`Failure::StdoutClosed`], or what the system says.
    pub fn bytes(&self, bytes: &[u8]) -> Result<()> {
        if let Some(held) = &self.held {
            held.take(bytes);
            return Ok(());
        }
        write(&mut io::stdout().lock(), bytes)
    }

    /// One line on stdout, flushed. A line feed that is there already is the only one.
    ///
    /// # Errors
    /// As [`Ui::bytes`].
    pub fn line(&self, line: impl AsRef<[u8]>) -> Result<()> {
        let mut bytes = line.as_ref().to_vec();
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        self.bytes(&bytes)
    }

    /// A table on stdout, in the form for its reader.
    ///
    /// # Errors
    /// As [`Ui::bytes`].
    pub fn table(&self, table: &Table) -> Result<()> {
        let text = if self.is_terminal {
            table.for_terminal()
        } else {
            table.for_pipe()
        };
        self.bytes(text.as_bytes())
    }

    /// One record on stdout: a name and a value a line.
    ///
    /// # Errors
    /// As [`Ui::bytes`].
    pub fn record(&self, pairs: &[(&'static str, String)]) -> Result<()> {
        if self.is_terminal {
            return self.bytes(Table::as_record(pairs).as_bytes());
        }
        let rows = pairs
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()])
            .collect();
        self.bytes(
            Table {
                columns: Vec::new(),
                rows,
            }
            .for_pipe()
            .as_bytes(),
        )
    }

    /// An instant, as text.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> String {
        self.time.show(at, self.now)
    }

    /// Bytes of a worker's stderr on stderr, as they are. A closed stderr loses them.
    pub fn stderr_bytes(&self, bytes: &[u8]) {
        let mut err = io::stderr().lock();
        let _ = err.write_all(bytes).and_then(|()| err.flush());
    }

    /// A line for people on stderr, unless they want none.
    pub fn note(&self, line: &str) {
        if !self.is_quiet {
            self.stderr_line(line);
        }
    }

    /// A line on stderr that is printed even to those who want few.
    pub fn stderr_line(&self, line: &str) {
        self.stderr_bytes(format!("{line}\n").as_bytes());
    }

    /// `warning: …` on stderr, unless notices are not wanted.
    pub fn warning(&self, text: &str) {
        if !self.is_quiet {
            let label = self.label("warning:", AnsiColor::Yellow);
            self.stderr_line(&format!("{label} {}", visible::one_line(text)));
        }
    }

    /// A problem on stderr: `error:` and `hint:`, or the document.
    pub fn problem(&self, problem: &Problem) {
        if self.format != Format::Text {
            let document = serde_json::to_string(problem).expect("a problem has text and numbers only");
            return self.stderr_line(&document);
        }
        self.stderr_line(&format!(
            "{} {}",
            self.label("error:", AnsiColor::Red),
            visible::one_line(&problem.detail)
        ));
        // One is told by the problem itself.
        if problem.errors.len() > 1 {
            for error in &problem.errors {
                self.stderr_line(&format!(
                    "  {}: {}",
                    visible::one_line(&error.path),
                    visible::one_line(&error.message)
                ));
            }
        }
        if let Some(hint) = &problem.hint {
            self.stderr_line(&format!(
                "{} {}",
                self.label("hint:", AnsiColor::Cyan),
                visible::one_line(hint)
            ));
        }
    }

    fn label(&self, text: &str, colour: AnsiColor) -> String {
        if !self.is_coloured {
            return text.to_owned();
        }
        let style = Style::new().bold().fg_color(Some(colour.into()));
        format!("{style}{text}{style:#}")
    }
}
