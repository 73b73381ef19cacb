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
use super::calls::Calls;
use super::inbox::write;
use super::question::Question;
use crate::adapter::dialogue::{Act, Call, Dialogue, Opening, Permission};
use crate::adapter::{Provider, Say};
use crate::gate::{Asked, Canonical, GateStatus};
use crate::run::OpenCall;
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
    pending: Vec<Pending>,
    /// What is durable of its calls, of a run that is resumable.
    calls: Option<Calls>,
    /// A turn was begun since that was asked.
    turn_begun: bool,
}

/// A permission that is not answered.
struct Pending {
    permission: Permission,
    /// Who waits for what is said to it.
    asking: AbortHandle,
    /// It was allowed, and is answered when it is stored that its call begins.
    begins: bool,
}

/// What a person said to a permission.
pub(super) struct Answered {
    /// The provider's request.
    pub(super) request: Value,
    /// Whether it was a yes.
    pub(super) is_allowed: bool,
}

impl Talking {
    /// Begins one; none with a provider that is not spoken to. With `calls` none that has an effect begins before that is
    /// stored.
    pub(super) fn begin(
        parts: &Arc<Parts>,
        provider: Provider,
        opening: Opening,
        feed: pipe::Sender,
        calls: Option<Calls>,
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
            calls,
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
            let at = self.pending.iter().position(|pending| pending.asking.id() == id);
            let Some(pending) = at.map(|at| self.pending.swap_remove(at)) else {
                continue;
            };
            if let Some(answered) = self.settle(pending, say) {
                return answered;
            }
        }
    }

    /// Passes on what was said, but a yes to what has an effect: that waits until it is stored that it begins.
    fn settle(&mut self, pending: Pending, say: Say) -> Option<Answered> {
        let call = &pending.permission.call;
        match (&self.calls, say) {
            (Some(calls), Say::Yes) if call.kind.has_effect() && !pending.begins => {
                let begun = calls.begin(&self.parts, call);
                let asking = self
                    .asked
                    .spawn(async move { if begun.await { Say::Yes } else { Say::No } });
                self.pending.push(Pending {
                    asking,
                    begins: true,
                    ..pending
                });
                return None;
            }
            (Some(calls), Say::No | Say::Nothing) if pending.begins => calls.withdraw(call),
            (Some(_) | None, Say::Yes | Say::No | Say::Nothing) => {}
        }
        Some(self.pass_on(&pending.permission, say))
    }

    /// Waits until all that is known of its calls is stored; where that cannot be, this is what is known.
    pub(super) async fn settled_calls(&mut self) -> Option<Vec<OpenCall>> {
        match &mut self.calls {
            Some(calls) => calls.settled().await,
            None => None,
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
        for pending in std::mem::take(&mut self.pending) {
            self.give_up(&pending);
            self.say(&pending.permission.answered(Say::Nothing));
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
                Act::Began(call) => self.goes_on(&call),
                Act::Ended { call, is_cut } => {
                    if let Some(calls) = &self.calls {
                        calls.end(&call, is_cut);
                    }
                }
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
        if let Some(calls) = &self.calls {
            calls.ask(&permission.call);
        }
        if self.pending.len() >= PENDING_MAX {
            return self.say(&permission.answered(Say::No));
        }
        let asking = Asking::new(&self.parts);
        let asked = permission.clone();
        let asking = self.asked.spawn(async move { say_of(&asking, &asked).await });
        self.pending.push(Pending {
            permission,
            asking,
            begins: false,
        });
    }

    fn settled(&mut self, request: &Value) {
        let is_it = |pending: &mut Pending| pending.permission.request == *request;
        let settled: Vec<_> = self.pending.extract_if(.., is_it).collect();
        settled.iter().for_each(|pending| self.give_up(pending));
    }

    /// A call goes on that is not asked for, unless it waits for its answer.
    fn goes_on(&self, call: &Call) {
        let is_asked = self
            .pending
            .iter()
            .any(|pending| pending.permission.call.id == call.id);
        if let Some(calls) = self.calls.as_ref().filter(|_| !is_asked) {
            calls.note(&self.parts, call);
        }
    }

    /// Nobody waits for the answer any more.
    fn give_up(&self, pending: &Pending) {
        pending.asking.abort();
        if let Some(calls) = self.calls.as_ref().filter(|_| pending.begins) {
            calls.withdraw(&pending.permission.call);
        }
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
