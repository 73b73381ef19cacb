//! From the arguments to the exit code.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use dormouse_engine::detect::Rules;

use crate::args::{self, Cli, Command, Gate, Global};
use crate::command::{self, Given};
use crate::config::{self, Config};
use crate::context::{self, Context};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::log;
use crate::output::{self, Format, TimeStyle, Ui};
use crate::place::Places;
use crate::problem::{Code, Failure, Problem, Result};

/// How long what still runs beside a finished command may take to end.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// Runs the program.
#[must_use]
pub fn run(arguments: &[OsString], environment: Environment) -> Exit {
    match args::parse(arguments.iter().cloned()) {
        Ok(cli) => {
            let ui = context::ui(&cli.global, &environment);
            let done = execute(cli, environment, &ui);
            conclude(done, &ui)
        }
        Err(error) => {
            let ui = plain(arguments, &environment);
            conclude(unparsed(&error, arguments, &ui), &ui)
        }
    }
}

fn conclude(done: Result<Exit>, ui: &Ui) -> Exit {
    match done {
        Ok(exit) => exit,
        Err(Failure::StdoutClosed) => Exit::Done,
        Err(Failure::Problem(problem)) => {
            let problem = problem.scrubbed();
            ui.problem(&problem);
            problem.exit()
        }
    }
}

/// Help and version are no errors. They start nothing and read no settings.
fn unparsed(error: &clap::Error, arguments: &[OsString], ui: &Ui) -> Result<Exit> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            ui.bytes(error.render().to_string().as_bytes())?;
            Ok(Exit::Done)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            ui.stderr_bytes(error.render().to_string().as_bytes());
            Ok(Exit::Refused)
        }
        _ => Err(args::problem_of(error, arguments).into()),
    }
}

/// How to print while the arguments are not understood.
fn plain(arguments: &[OsString], environment: &Environment) -> Ui {
    let (is_terminal, is_stderr_terminal) = output::terminals();
    Ui {
        format: if args::wants_json(arguments) {
            Format::Json
        } else {
            Format::Text
        },
        time: TimeStyle::Iso,
        now: crate::edge::now(),
        is_quiet: false,
        is_terminal,
        is_stderr_terminal,
        is_coloured: output::is_coloured(
            output::ColorWhen::Auto,
            environment.get("NO_COLOR").is_some(),
            environment
                .get("CLICOLOR_FORCE")
                .is_some_and(|value| value != "0"),
            is_stderr_terminal,
        ),
        held: None,
    }
}

fn execute(cli: Cli, environment: Environment, ui: &Ui) -> Result<Exit> {
    match &cli.command {
        Command::Help { words } => return command::help(words, ui),
        Command::Completions { shell } => return command::completions(*shell, ui),
        Command::Man => return command::man(ui),
        Command::Detect(given) if environment.get("DORMOUSE_RUN_DIR").is_some() => {
            return with_runtime(command::detect_inside(given, &environment, ui));
        }
        Command::Detect(given) => {
            let rules = detect_rules(&cli.global, &environment)?;
            return command::detect(given, &rules, &environment, ui);
        }
        Command::Run(_)
        | Command::Step(_)
        | Command::Serve(_)
        | Command::Task(_)
        | Command::Delegate(_)
        | Command::Runs(_)
        | Command::Agent(_)
        | Command::Secret(_)
        | Command::Gate(_)
        | Command::Session(_)
        | Command::Thread(_)
        | Command::Wake(_)
        | Command::Budget(_)
        | Command::Usage(_)
        | Command::Events(_)
        | Command::Config(_)
        | Command::Store(_)
        | Command::Doctor => {}
    }
    if let Command::Gate(Gate::Request(request)) = &cli.command {
        log::begin(cli.global.verbose, &environment, ui)?;
        return with_runtime(command::request(request, &environment, ui));
    }
    if let Command::Usage(usage) = &cli.command {
        log::begin(cli.global.verbose, &environment, ui)?;
        return with_runtime(command::usage(usage, &environment, ui));
    }
    if let Command::Step(step) = &cli.command {
        log::begin(cli.global.verbose, &environment, ui)?;
        return with_runtime(command::step(step, &environment, ui));
    }
    if let Command::Delegate(given) = &cli.command {
        log::begin(cli.global.verbose, &environment, ui)?;
        return with_runtime(command::delegate(given, &environment, ui));
    }
    refuse_inside_a_run(&environment)?;
    log::begin(cli.global.verbose, &environment, ui)?;
    let context = match &cli.command {
        Command::Config(args::Config::Reload) => {
            return with_runtime(command::reload(&cli.global, environment, ui));
        }
        Command::Doctor => return with_runtime(command::doctor(&cli.global, environment, ui)),
        _ => Context::find(&cli.global, environment, ui.clone())?,
    };
    for warning in &context.config.warnings {
        ui.warning(warning);
    }
    if let Command::Config(config) = &cli.command {
        return command::config(config, &context);
    }
    if let Command::Store(store) = &cli.command {
        return with_runtime(command::store(store, &context));
    }
    let given = match &cli.command {
        Command::Secret(secret) => match command::given(secret, ui)? {
            Given::Nothing => None,
            Given::Value(value) => Some(value),
            Given::Interrupted => return Ok(Exit::Cancelled),
        },
        _ => None,
    };
    with_runtime(command::with_store(cli.command, given, &context))
}

/// By what pages are judged, as the settings say.
fn detect_rules(global: &Global, environment: &Environment) -> Result<Rules> {
    let places = Places::find(environment)?;
    let config = Config::load(environment, &places.config, global.config.as_deref())?;
    Ok(config::detect_rules(&config))
}

/// A worker has its own endpoint. The owner refuses it in any case; this says so before anything is opened.
fn refuse_inside_a_run(environment: &Environment) -> Result<()> {
    if environment.get("DORMOUSE_RUN_DIR").is_none() {
        return Ok(());
    }
    Err(Problem::new(
        Code::Forbidden,
        "this is inside a run, where only gate request, step, delegate, usage, detect, --version, help, completions and man work",
    )
    .hint("ask a person with dormouse gate request; what a worker prints and its exit code are its report")
    .into())
}

fn with_runtime(command: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(Code::Internal, format!("no threads can be started: {error}")))?;
    let done = runtime.block_on(command);
    runtime.shutdown_timeout(LEAVE_MAX);
    done
}
