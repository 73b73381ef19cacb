//! What is known of a command's effects.

use serde::{Deserialize, Serialize};

use super::CommandSpec;
use crate::adapter::can_resume;

/// What is known of a command's effects: decides what becomes of a lapsed run's task (stores.md, table C), and with what the
/// next attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effects {
    /// Nothing: a side effect is assumed from spawn to end, and a lapse is final.
    Opaque,
    /// Running it again does no harm.
    Repeatable,
    /// It asks before each call that has an effect, and its provider's session goes on in the next attempt: a lapse while such
    /// a call is open is final, and one at any other time is none.
    Resumable,
}

impl Effects {
    /// The word, as it is set and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::Repeatable => "repeatable",
            Self::Resumable => "resumable",
        }
    }
}

impl CommandSpec {
    /// What is known of its effects: what is said of it, else of its agent, else of its kind.
    #[must_use]
    pub fn effects_by(&self, agent: Option<Effects>) -> Effects {
        let of_kind = || match can_resume(&self.argv, &self.stdin) {
            Ok(()) => Effects::Resumable,
            Err(_) => Effects::Opaque,
        };
        self.effects.or(agent).unwrap_or_else(of_kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::InvalidCommand;

    fn command(line: &str, effects: Option<Effects>) -> CommandSpec {
        CommandSpec {
            effects,
            ..CommandSpec::new(line.split(' ').map(str::to_owned).collect())
        }
    }

    #[test]
    fn what_is_said_of_a_command_comes_first_then_its_agents_word_then_its_kinds() {
        use Effects::{Opaque, Repeatable, Resumable};
        for (line, of_kind) in [
            ("codex app-server", Resumable),
            ("opencode acp", Resumable),
            ("gemini --acp", Resumable),
            ("shepherd-acp", Resumable),
            ("claude -p x", Opaque),
            ("codex exec x", Opaque),
            ("gemini -p x", Opaque),
            ("opencode run x", Opaque),
            ("make check", Opaque),
        ] {
            assert_eq!(command(line, None).effects_by(None), of_kind, "{line}");
            for said in [Opaque, Repeatable, Resumable] {
                assert_eq!(command(line, None).effects_by(Some(said)), said, "{line}");
                for agent in [None, Some(Opaque), Some(Repeatable), Some(Resumable)] {
                    assert_eq!(command(line, Some(said)).effects_by(agent), said, "{line}");
                }
            }
            let refused = command(line, Some(Resumable)).validate();
            match of_kind {
                Resumable => assert_eq!(refused, Ok(()), "{line}"),
                Opaque | Repeatable => {
                    assert!(
                        matches!(refused, Err(InvalidCommand::NotResumable(_))),
                        "{line}: {refused:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_was_stored_before_there_was_a_choice_is_opaque_as_it_was() {
        let stored = r#"{"argv":["opencode","acp"],"stdin":"null","effects":"opaque"}"#;
        let command: CommandSpec = serde_json::from_str(stored).unwrap();
        assert_eq!(command.effects_by(Some(Effects::Repeatable)), Effects::Opaque);
    }
}
