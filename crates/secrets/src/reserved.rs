//! Names that no secret has: those we set in a worker's environment, and those that load code into a program.

use crate::SecretName;

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// We set it ourselves.
    Set,
    /// A program that sees it runs other code than its own.
    LoadsCode,
}

/// What we set; a `*` stands for any end.
const SET: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "OLDPWD",
    "TMPDIR",
    "TERM",
    "LANG",
    "LC_*",
    "TZ",
    "CI",
    "NO_COLOR",
    "DEBIAN_FRONTEND",
    "TRACEPARENT",
    "CLAUDECODE",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "GEMINI_CLI_HOME",
    "XDG_*",
    "DORMOUSE_*",
];

/// What loads code; a `*` stands for any end.
const LOADS_CODE: &[&str] = &[
    "LD_*",
    "DYLD_*",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASH_FUNC_*",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONBREAKPOINT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "RUBYOPT",
    "RUBYLIB",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_EXEC_PATH",
    "GIT_CONFIG*",
    "GIT_EXTERNAL_DIFF",
    "SSH_ASKPASS",
    "PAGER",
    "EDITOR",
    "VISUAL",
    "BROWSER",
    "LESSOPEN",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "NPM_CONFIG_*",
];

/// Whether the name is taken, in any case of letters; `None` when it is free.
///
/// ```
/// use dormouse_secrets::{Reservation, reserved};
/// assert_eq!(reserved("Node_Options"), Some(Reservation::LoadsCode));
/// assert_eq!(reserved("GH_TOKEN"), None);
/// ```
#[must_use]
pub fn reserved(name: &str) -> Option<Reservation> {
    let is_in = |table: &[&str]| table.iter().any(|pattern| is_like(name, pattern));
    if is_in(SET) {
        Some(Reservation::Set)
    } else if is_in(LOADS_CODE) {
        Some(Reservation::LoadsCode)
    } else {
        None
    }
}

pub(crate) fn of(name: &SecretName) -> Option<Reservation> {
    reserved(name.as_str())
}

fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name
            .get(..start.len())
            .is_some_and(|own| own.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(pattern),
    }
}
