//! Modes: under which rule the calls of a worker are made, and whether that rule can be kept at all.

use std::fmt;

use dormouse_secrets::Scrubber;
use dormouse_state::{CallId, Event, GateKind, Mode, Observed};

use super::link::{Word, tell_session};
use super::{Call, GateError, NewGate};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::limits::{RULE_MAX, RULES_MAX};
use crate::{CommandError, Principal};

/// What stands between a worker and its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// Nothing: it makes them as it likes.
    None,
    /// They can be refused.
    Refuses,
    /// They can be refused, and a person can be asked.
    Asks,
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "makes its calls as it likes",
            Self::Refuses => "can be refused calls, but cannot ask",
            Self::Asks => "can ask",
        })
    }
}

/// What a rule says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleEffect {
    /// It is made, and nobody is asked.
    Allow,
    /// It is not made.
    Deny,
    /// A person is asked.
    Ask,
}

/// One of `gates.rules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The tool: its name, or the beginning of it and `*`. At most 200 characters.
    pub tool: String,
    /// What it says.
    pub effect: RuleEffect,
}

impl Rule {
    fn is_about(&self, tool: &str) -> bool {
        match self.tool.strip_suffix('*') {
            Some(beginning) => tool.starts_with(beginning),
            None => tool == self.tool,
        }
    }
}

/// What is set of modes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    rules: Vec<Rule>,
    allow_open: bool,
}

impl Modes {
    /// With `gates.rules`, the first of which that is about a call is heard, and `gates.allow_open`.
    ///
    /// # Errors
    /// `Invalid` for more than 256 rules, or one that names no tool.
    pub fn new(rules: Vec<Rule>, allow_open: bool) -> Result<Self, GateError> {
        Self::check(&rules)?;
        Ok(Self { rules, allow_open })
    }

    /// Whether these can be `gates.rules`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check(rules: &[Rule]) -> Result<(), GateError> {
        if rules.len() > RULES_MAX {
            return Err(GateError::invalid("rules", format!("at most {RULES_MAX}")));
        }
        let is_odd = |rule: &Rule| rule.tool.is_empty() || rule.tool.chars().count() > RULE_MAX;
        if rules.iter().any(is_odd) {
            return Err(GateError::invalid(
                "rules",
                format!("a tool has 1 to {RULE_MAX} characters"),
            ));
        }
        Ok(())
    }

    /// The mode of a child: the stricter of its parent's and the one that is asked for.
    #[must_use]
    pub fn of_child(parent: Mode, requested: Mode) -> Mode {
        parent.min(requested)
    }

    /// Whether a session may have this mode.
    ///
    /// # Errors
    /// `Invalid` for open where that is not allowed.
    pub fn may_be_set(&self, mode: Mode) -> Result<(), CommandError> {
        match mode {
            Mode::Open if !self.allow_open => {
                Err(CommandError::invalid("mode", "open needs gates.allow_open"))
            }
            Mode::Deny | Mode::Ask | Mode::Rules | Mode::Open => Ok(()),
        }
    }

    /// Whether a worker may be started under a mode: nothing is pretended.
    ///
    /// # Errors
    /// `NoApprovalChannel` when nothing could keep it; `Invalid` for open where that is not allowed.
    pub fn admit(&self, mode: Mode, can: Enforcement) -> Result<(), CommandError> {
        self.may_be_set(mode)?;
        let is_kept = match mode {
            Mode::Deny => can != Enforcement::None,
            Mode::Ask | Mode::Rules => can == Enforcement::Asks,
            Mode::Open => true,
        };
        if is_kept {
            return Ok(());
        }
        let mode = mode_word(mode);
        Err(CommandError::NoApprovalChannel { mode, can })
    }

    /// What becomes of what is asked under a mode: only a call needs leave, a question is what a person is for.
    #[must_use]
    pub(crate) fn of(&self, mode: Mode, new: &NewGate) -> RuleEffect {
        match new.kind {
            GateKind::Approval => self.of_call(mode, &new.call),
            GateKind::Question | GateKind::Notification => RuleEffect::Ask,
        }
    }

    /// What becomes of a call under a mode.
    #[must_use]
    pub fn of_call(&self, mode: Mode, call: &Call) -> RuleEffect {
        match mode {
            Mode::Deny => RuleEffect::Deny,
            Mode::Ask => RuleEffect::Ask,
            Mode::Rules => self.of_rules(call),
            Mode::Open if self.allow_open => RuleEffect::Allow,
            Mode::Open => RuleEffect::Ask,
        }
    }

    fn of_rules(&self, call: &Call) -> RuleEffect {
        let first = self.rules.iter().find(|rule| rule.is_about(&call.tool));
        first.map_or(RuleEffect::Ask, |rule| rule.effect)
    }
}

/// The word of a mode.
#[must_use]
pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Deny => "deny",
        Mode::Ask => "ask",
        Mode::Rules => "rules",
        Mode::Open => "open",
    }
}

/// The mode of a word.
#[must_use]
pub fn mode_of(word: &str) -> Option<Mode> {
    MODES.into_iter().find(|mode| mode_word(*mode) == word)
}

/// Every mode, strictest first but for the one that asks nobody.
const MODES: [Mode; 4] = [Mode::Deny, Mode::Ask, Mode::Rules, Mode::Open];

/// Tells the session that a call was denied by its mode or a rule.
pub(super) async fn deny(
    core: &Core,
    by: &Principal,
    new: &NewGate,
    scrubber: &Scrubber,
) -> Result<(), CommandError> {
    let Some(seen) = &new.session else { return Ok(()) };
    let tool = &scrubber.scrub(&new.call.tool);
    let denied = |mut draft: Draft| async move {
        let observed = Observed {
            incarnation: seen.incarnation,
            run: new
                .caller
                .map(|caller| dormouse_state::RunId::new(caller.run.to_string())),
            source: seen.source.clone(),
            position: seen.position,
            subagent: false,
            starts_turn: false,
            evidence: seen.evidence,
            at: draft.now(),
            event: Event::PermissionDenied {
                tool: tool.as_str().to_owned(),
                call: new.call_id.clone().map(CallId::new),
            },
        };
        let word = Word::Event(&observed);
        tell_session(&core.space, &mut draft, seen.turn(0), word, None).await?;
        Ok(Verdict::Commit(draft, ()))
    };
    core.command(by, denied).await?;
    Ok(())
}
