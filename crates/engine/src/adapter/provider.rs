//! The providers whose streams are known.

use serde::{Deserialize, Serialize};

/// A provider's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Claude Code, `-p --output-format stream-json`.
    Claude,
    /// Codex, `exec --json`.
    Codex,
    /// Codex, `app-server`.
    CodexAppServer,
    /// Gemini CLI, `-p -o stream-json`.
    Gemini,
    /// OpenCode, `run --format json`.
    Opencode,
    /// The Agent Client Protocol.
    Acp,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 6] = [
        Self::Claude,
        Self::Codex,
        Self::CodexAppServer,
        Self::Gemini,
        Self::Opencode,
        Self::Acp,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::CodexAppServer => "codex_app_server",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Acp => "acp",
        }
    }

    /// Whether its counter of tokens read leaves out those of a cache.
    #[must_use]
    pub fn counts_cache_apart(self) -> bool {
        match self {
            Self::Claude | Self::Opencode | Self::Acp => true,
            Self::Codex | Self::CodexAppServer | Self::Gemini => false,
        }
    }

    /// Whether it names its session by itself, by which a later process of the run goes on.
    #[must_use]
    pub fn names_session(self) -> bool {
        match self {
            Self::CodexAppServer | Self::Acp => true,
            Self::Claude | Self::Codex | Self::Gemini | Self::Opencode => false,
        }
    }

    /// Whether its counters go on where they were when a thread is resumed.
    #[must_use]
    pub fn counts_by_thread(self) -> bool {
        match self {
            Self::Codex | Self::CodexAppServer => true,
            Self::Claude | Self::Gemini | Self::Opencode | Self::Acp => false,
        }
    }

    /// Whose program this is, by its name.
    #[must_use]
    pub fn of_program(program: &str) -> Option<Self> {
        match program.rsplit('/').next().unwrap_or(program) {
            "claude" => Some(Self::Claude),
            "codex" => Some(Self::Codex),
            "gemini" => Some(Self::Gemini),
            "opencode" => Some(Self::Opencode),
            _ => None,
        }
    }

    /// The versions of its program whose output the adapter was tested with.
    #[must_use]
    pub fn versions_tested(self) -> &'static str {
        match self {
            Self::Claude => "2.1",
            Self::Codex | Self::CodexAppServer => "0.169.0",
            Self::Gemini => "0.61.0",
            Self::Opencode => "1.18.33",
            Self::Acp => "those of Gemini 0.61.0 and OpenCode 1.18.33",
        }
    }

    /// The name of its program, where it has one of its own.
    #[must_use]
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Claude => Some("claude"),
            Self::Codex => Some("codex"),
            Self::Gemini => Some("gemini"),
            Self::Opencode => Some("opencode"),
            Self::CodexAppServer | Self::Acp => None,
        }
    }

    /// How its program is had, for whoever has it not.
    #[must_use]
    pub fn install_hint(self) -> &'static str {
        match self {
            Self::Claude => {
                "install Claude Code (npm install -g @anthropic-ai/claude-code), or give the whole path of claude"
            }
            Self::Codex | Self::CodexAppServer => {
                "install Codex (npm install -g @openai/codex), or give the whole path of codex"
            }
            Self::Gemini => {
                "install the Gemini CLI (npm install -g @google/gemini-cli), or give the whole path of gemini"
            }
            Self::Opencode => {
                "install OpenCode (npm install -g opencode-ai), or give the whole path of opencode"
            }
            Self::Acp => "install the agent, or give its whole path",
        }
    }
}
