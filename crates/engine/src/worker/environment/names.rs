//! Names nobody but the engine may set: those of the base layer, and those by which code is loaded.

/// What kind of name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameClass {
    /// Anybody's.
    Free,
    /// The engine sets it.
    Ours,
    /// Programs load code, or run commands, by it.
    LoadsCode,
}

impl std::fmt::Display for NameClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Free => "it is free",
            Self::Ours => "the engine sets it",
            Self::LoadsCode => "programs load code by it",
        })
    }
}

/// Names the engine sets. A star stands for any ending.
const OURS: &str = "PATH HOME USER LOGNAME SHELL PWD OLDPWD TMPDIR TERM LANG LC_* TZ CI NO_COLOR DEBIAN_FRONTEND \
    TRACEPARENT CLAUDECODE CLAUDE_CONFIG_DIR CODEX_HOME GEMINI_CLI_HOME XDG_* DORMOUSE_*";

/// Names by which programs load code or run commands.
const LOADING: &str = "LD_* DYLD_* GCONV_PATH GLIBC_TUNABLES IFS ENV BASH_ENV BASH_FUNC_* SHELLOPTS BASHOPTS PS4 \
    PROMPT_COMMAND PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONBREAKPOINT NODE_OPTIONS NODE_PATH RUBYOPT RUBYLIB \
    PERL5OPT PERL5LIB PERL5DB JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS CLASSPATH GIT_SSH GIT_SSH_COMMAND \
    GIT_ASKPASS GIT_EXEC_PATH GIT_CONFIG* GIT_EXTERNAL_DIFF SSH_ASKPASS PAGER EDITOR VISUAL BROWSER LESSOPEN \
    RUSTC_WRAPPER RUSTFLAGS NPM_CONFIG_*";

/// The class of a name, in any case of letters.
#[must_use]
pub fn name_class(name: &str) -> NameClass {
    let name = name.to_ascii_uppercase();
    if is_in(OURS, &name) {
        NameClass::Ours
    } else if is_in(LOADING, &name) {
        NameClass::LoadsCode
    } else {
        NameClass::Free
    }
}

fn is_in(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace()
        .any(|entry| match entry.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == entry,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_any_ending_and_a_name_only_itself() {
        for (name, class) in [
            ("ld_library_path", NameClass::LoadsCode),
            ("GIT_CONFIG_COUNT", NameClass::LoadsCode),
            ("Npm_config_registry", NameClass::LoadsCode),
            ("LC_ALL", NameClass::Ours),
            ("PATHS", NameClass::Free),
            ("MY_PATH", NameClass::Free),
            ("ANTHROPIC_API_KEY", NameClass::Free),
        ] {
            assert_eq!(name_class(name), class, "{name}");
        }
    }
}
