//! Commands about the program itself: no settings, no store.

use clap_complete::Shell;

use crate::args::{self, Cli};
use crate::exit::Exit;
use crate::nearest::nearest;
use crate::output::Ui;
use crate::problem::{Code, Problem, Result};

/// Prints a completion script.
pub(crate) fn completions(shell: Shell, ui: &Ui) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::definition(), "dormouse", &mut script);
    ui.bytes(&script)?;
    Ok(Exit::Done)
}

/// Prints the manual page.
pub(crate) fn man(ui: &Ui) -> Result<Exit> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::definition()).render(&mut page);
    rendered
        .map_err(|error| Problem::new(Code::Internal, format!("the manual cannot be written: {error}")))?;
    ui.bytes(&page)?;
    Ok(Exit::Done)
}

/// Prints help on a command or a topic.
pub(crate) fn help(words: &[String], ui: &Ui) -> Result<Exit> {
    if let [topic] = words
        && let Some(text) = args::topic(topic)
    {
        ui.bytes(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let mut definition = Cli::definition();
    definition.build();
    let mut command = &mut definition;
    for word in words {
        let known: Vec<String> = command
            .get_subcommands()
            .map(|c| c.get_name().to_owned())
            .collect();
        if !known.contains(word) {
            return Err(unknown(word, &known).into());
        }
        command = command
            .find_subcommand_mut(word)
            .expect("the name was just found");
    }
    ui.bytes(command.render_long_help().to_string().as_bytes())?;
    Ok(Exit::Done)
}

fn unknown(word: &str, known: &[String]) -> Problem {
    let names = known
        .iter()
        .map(String::as_str)
        .chain(args::TOPICS.iter().copied());
    let problem = Problem::new(Code::Usage, format!("there is no help on '{word}'"));
    match nearest(word, names) {
        Some(near) => problem.hint(format!("did you mean {near}?")),
        None => problem.hint(format!(
            "topics are {}; commands are listed by dormouse --help",
            args::TOPICS.join(", ")
        )),
    }
}
