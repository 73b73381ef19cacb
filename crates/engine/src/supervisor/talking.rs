//! Speaking to a provider while it works: what it asks is asked of a person, and what it is told goes into its standard input.

use std::sync::Arc;

use dormouse_state::GateKind;
use serde_json::Value;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::asking::Asking;
use super::attempt::Parts;
use super::inbox::write;
use super::question::Question;
use crate::adapter::dialogue::{Act, Dialogue, Opening, Permission};
use crate::adapter::{Provider, Say};
use crate::gate::{Asked, Canonical, GateStatus};
use crate::worker::lines::Lines;

/// Most lines that wait to be written; a provider that reads none of them is not answered any more.
const LINES_MAX: usize = 1_024;
/// Most permissions that are asked for at once; one more is a no.
const PENDING_MAX: usize = 100;

/// A dialogue that goes on.
pub(super) struct Talking {
    parts: Arc<Parts>,
    dialogue: Dialogue,
    lines: Lines,
    /// None once nothing more is said: the input is closed then.
    say: Option<mpsc::Sender<String>>,
    _writer: AbortOnDropHandle<()>,
    asked: JoinSet<Say>,
    pending: Vec<(Permission, AbortHandle)>,
    /// A turn was begun since that was asked.
    turn_begun: bool,
}

/// What a person said to a permission.
pub(super) struct Answered {
    /// The provider's request.
    pub(super) request: Value,
    /// Whether it was a yes.
    pub(super) is_allowed: bool,
}

impl Talking {
    /// Begins one; none with a provider that is not spoken to.
    pub(super) fn begin(
        parts: &Arc<Parts>,
        provider: Provider,
        opening: Opening,
        feed: pipe::Sender,
    ) -> Option<Self> {
        let dialogue = Dialogue::new(provider, opening)?;
        let (say, lines) = mpsc::channel(LINES_MAX);
        let mut talking = Self {
            parts: Arc::clone(parts),
            lines: Lines::default(),
            say: Some(say),
            _writer: AbortOnDropHandle::new(tokio::spawn(write(feed, lines))),
            asked: JoinSet::new(),
            pending: Vec::new(),
            turn_begun: false,
            dialogue,
        };
        let acts = talking.dialogue.begin();
        talking.act(acts);
        Some(talking)
    }

    /// More of what the provider said, scrubbed.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        for line in self.lines.push(bytes) {
            if let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(&line.bytes) {
                let acts = self.dialogue.heard(&value);
                self.act(acts);
            }
        }
    }

    /// Something of it is missing: the line it was in is none.
    pub(super) fn cut(&mut self) {
        self.lines = Lines::default();
    }

    /// What is said, and what waits.
    pub(super) fn dialogue_mut(&mut self) -> &mut Dialogue {
        &mut self.dialogue
    }

    /// Whether a turn was begun since this was asked before.
    pub(super) fn take_turn_begun(&mut self) -> bool {
        std::mem::take(&mut self.turn_begun)
    }

    /// Whether nothing more is said.
    pub(super) fn is_over(&self) -> bool {
        self.say.is_none()
    }

    /// Waits until a person has said something, and passes it on. Never returns where nobody is asked.
    pub(super) async fn answered(&mut self) -> Answered {
        // Ends with the first answer that is still waited for.
        loop {
            let (id, say) = match self.asked.join_next_with_id().await {
                Some(Ok((id, say))) => (id, say),
                Some(Err(error)) => (error.id(), Say::No),
                None => std::future::pending().await,
            };
            // One that was settled elsewhere, or called off, waits no more, whatever was said to it.
            let at = self.pending.iter().position(|(_, asking)| asking.id() == id);
            if let Some(at) = at {
                let (permission, _) = self.pending.swap_remove(at);
                return self.pass_on(&permission, say);
            }
        }
    }

    fn pass_on(&mut self, permission: &Permission, say: Say) -> Answered {
        self.say(&permission.answered(say));
        Answered {
            request: permission.request.clone(),
            is_allowed: say == Say::Yes,
        }
    }

    /// Calls the turn off: who waits for an answer is told that none comes.
    pub(super) fn interrupt(&mut self) {
        for (permission, asking) in std::mem::take(&mut self.pending) {
            asking.abort();
            self.say(&permission.answered(Say::Nothing));
        }
        let acts = self.dialogue.interrupt();
        self.act(acts);
    }

    fn act(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(line) => self.say(&line),
                Act::TurnBegun => self.turn_begun = true,
                Act::Ask(permission) => self.ask(permission),
                Act::Settled(request) => self.settled(&request),
                Act::Over => self.say = None,
            }
        }
    }

    fn say(&mut self, line: &Value) {
        let Some(say) = &self.say else { return };
        if say.try_send(format!("{line}\n")).is_err() {
            tracing::warn!(run = %self.parts.claimed.run.id, "the provider reads nothing of what it is told");
            self.say = None;
        }
    }

    fn ask(&mut self, permission: Permission) {
        if self.pending.len() >= PENDING_MAX {
            return self.say(&permission.answered(Say::No));
        }
        let asking = Asking::new(&self.parts);
        let asked = permission.clone();
        let handle = self.asked.spawn(async move { say_of(&asking, &asked).await });
        self.pending.push((permission, handle));
    }

    fn settled(&mut self, request: &Value) {
        self.pending.retain(|(pending, asking)| {
            let is_it = pending.request == *request;
            if is_it {
                asking.abort();
            }
            !is_it
        });
    }
}

/// What is said to a permission: by the session's mode, else by a person. What cannot be asked is a no.
async fn say_of(asking: &Asking, permission: &Permission) -> Say {
    let question = question(permission);
    let answer = async {
        match asking.ask(&question).await? {
            Asked::Allowed => Ok(true),
            Asked::Denied { .. } => Ok(false),
            Asked::Person(opened) => {
                let gate = asking.answer(opened.gate.id, &question).await?;
                Ok::<_, super::AskError>(gate.end.is_some_and(|end| end.status == GateStatus::Approved))
            }
        }
    };
    match answer.await {
        Ok(true) => Say::Yes,
        Ok(false) => Say::No,
        Err(error) => {
            tracing::warn!(run = %asking.run(), %error, "what the provider asks was not asked, and is denied");
            Say::No
        }
    }
}

fn question(permission: &Permission) -> Question {
    let input = permission
        .input
        .as_ref()
        .and_then(|input| Canonical::parse(&input.to_string()).ok());
    Question {
        input,
        default_no: true,
        ..Question::new(GateKind::Approval, permission.title.clone())
    }
}
