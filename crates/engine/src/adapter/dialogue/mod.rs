//! Dialogues: providers that are spoken to over their standard input while they work, and that ask before they act.
//!
//! ```text
//! begin ──▶ hello ──▶ session: new, or the former one loaded ──▶ prompt ──▶ … asks, answers … ──▶ over
//!                            └─ refused: once without            ▲                          │
//!                                                                └──── what is said next ───┘
//! ```
//!
//! Pure: what the provider said goes in, what is to be said and asked comes out. What its words mean for session and outcome
//! is read by [`Stream`](super::Stream), from the same lines.

mod acp;
mod app_server;
mod claude;

use serde_json::{Value, json};

use self::acp::Acp;
use self::app_server::AppServer;
use self::claude::Claude;
use super::{Provider, Say, ToolKind};

/// What is answered to a request that is not understood: a client that was not offered, or is new.
const NOT_OFFERED: i64 = -32601;

/// With what a dialogue begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The folder that is worked in.
    pub cwd: String,
    /// What is to be done.
    pub prompt: String,
    /// The provider's session that goes on, if one does.
    pub resumes: Option<Resumes>,
    /// Most texts that wait to be said behind the first.
    pub inbox_max: usize,
}

/// A session that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumes {
    /// Which.
    pub session: String,
    /// What is said to it, in place of the prompt that it has heard.
    pub go_on: String,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// This line is said.
    Say(Value),
    /// A further turn begins with what was said: the end of the one before is not the end.
    TurnBegun,
    /// A person is asked.
    Ask(Permission),
    /// What was asked by this request was settled without us.
    Settled(Value),
    /// A call goes on that nobody was asked about, or not yet.
    Began(Call),
    /// A call has ended.
    Ended {
        /// Its id.
        call: String,
        /// Whether that says not what it came to: it was called off, or nobody knows why it ended.
        is_cut: bool,
    },
    /// Nothing more comes: the input is closed.
    Over,
}

/// A call of the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its id; that of the request where the provider names none.
    pub id: String,
    /// What kind of thing it does.
    pub kind: ToolKind,
    /// As shown to people.
    pub title: String,
}

/// A permission that the provider asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Permission {
    /// Its request.
    pub request: Value,
    /// For this call.
    pub call: Call,
    /// What is to be done, in a line.
    pub title: String,
    /// With what, where that was said.
    pub input: Option<Value>,
    answers: Answers,
}

/// How a permission is answered.
#[derive(Debug, Clone, PartialEq)]
enum Answers {
    AppServer(app_server::Decisions),
    Acp(Vec<super::GateChoice>),
}

impl Permission {
    /// The line that answers it.
    #[must_use]
    pub fn answered(&self, say: Say) -> Value {
        match &self.answers {
            Answers::AppServer(decisions) => decisions.answer(&self.request, say),
            Answers::Acp(options) => super::permission(&self.request, options, say),
        }
    }
}

/// A text that cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotSay {
    /// So many wait already.
    #[error("{max} texts wait to be said already")]
    QueueFull {
        /// [`Opening::inbox_max`].
        max: usize,
    },
    /// It is over.
    #[error("the dialogue is over")]
    Over,
}

/// One dialogue.
#[derive(Debug)]
pub struct Dialogue(Speaker);

#[derive(Debug)]
enum Speaker {
    AppServer(AppServer),
    Acp(Acp),
    Claude(Claude),
}

impl Dialogue {
    /// A dialogue with this provider; none with one that is never spoken to.
    #[must_use]
    pub fn new(provider: Provider, opening: Opening) -> Option<Self> {
        match provider {
            Provider::CodexAppServer => Some(Self(Speaker::AppServer(AppServer::new(opening)))),
            Provider::Acp => Some(Self(Speaker::Acp(Acp::new(opening)))),
            Provider::Claude => Some(Self(Speaker::Claude(Claude::new(&opening)))),
            Provider::Codex | Provider::Gemini | Provider::Opencode => None,
        }
    }

    /// The first words.
    pub fn begin(&mut self) -> Vec<Act> {
        match &mut self.0 {
            Speaker::AppServer(speaker) => speaker.begin(),
            Speaker::Acp(speaker) => speaker.begin(),
            Speaker::Claude(speaker) => speaker.begin(),
        }
    }

    /// The provider said this.
    pub fn heard(&mut self, line: &Value) -> Vec<Act> {
        match &mut self.0 {
            Speaker::AppServer(speaker) => speaker.heard(line),
            Speaker::Acp(speaker) => speaker.heard(line),
            Speaker::Claude(speaker) => speaker.heard(line),
        }
    }

    /// Something more to say, once the turn is over, behind what waits already.
    ///
    /// # Errors
    /// [`CannotSay`]: it is not said.
    pub fn follow_up(&mut self, text: String) -> Result<(), CannotSay> {
        let turns = self.turns();
        if turns.is_over || turns.is_interrupted {
            return Err(CannotSay::Over);
        }
        if turns.more.len() >= turns.inbox_max {
            let max = turns.inbox_max;
            return Err(CannotSay::QueueFull { max });
        }
        turns.more.push_back(text);
        Ok(())
    }

    /// What waits to be said, for another dialogue that takes this one's place.
    pub fn take_unsaid(&mut self) -> Vec<String> {
        self.turns().more.drain(..).collect()
    }

    /// The turn is called off; nothing more is said behind it.
    pub fn interrupt(&mut self) -> Vec<Act> {
        self.turns().more.clear();
        match &mut self.0 {
            Speaker::AppServer(speaker) => speaker.interrupt(),
            Speaker::Acp(speaker) => speaker.interrupt(),
            Speaker::Claude(speaker) => speaker.interrupt(),
        }
    }

    fn turns(&mut self) -> &mut Turns {
        match &mut self.0 {
            Speaker::AppServer(speaker) => &mut speaker.turns,
            Speaker::Acp(speaker) => &mut speaker.turns,
            Speaker::Claude(speaker) => &mut speaker.turns,
        }
    }
}

/// What is to be said, turn by turn, and the ids of our requests.
#[derive(Debug)]
struct Turns {
    /// What is said first, until it is.
    first: Option<String>,
    more: std::collections::VecDeque<String>,
    inbox_max: usize,
    /// What was taken last is a further turn's.
    is_further: bool,
    is_over: bool,
    is_interrupted: bool,
    last_id: u64,
}

impl Turns {
    fn new(opening: &Opening) -> Self {
        Self {
            first: Some(opening.prompt.clone()),
            more: std::collections::VecDeque::new(),
            inbox_max: opening.inbox_max,
            is_further: false,
            is_over: false,
            is_interrupted: false,
            last_id: 0,
        }
    }

    /// The next of our requests has this id.
    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// What is said next; nothing once the turn was called off.
    fn next(&mut self) -> Option<String> {
        self.is_further = self.first.is_none();
        let next = self.first.take().or_else(|| self.more.pop_front());
        next.filter(|_| !self.is_interrupted)
    }

    /// What was taken last is said by this line.
    fn said(&self, line: Value) -> Vec<Act> {
        let further = self.is_further.then_some(Act::TurnBegun);
        std::iter::once(Act::Say(line)).chain(further).collect()
    }

    /// The session has heard the prompt before: this is said in its place.
    fn goes_on(&mut self, with: &str) {
        self.first = self.first.take().map(|_| with.to_owned());
    }

    fn over(&mut self) -> Vec<Act> {
        self.is_over = true;
        vec![Act::Over]
    }
}

/// That a request is not understood, so that nobody waits for it.
fn not_offered(request: &Value) -> Act {
    let message = "this client does not offer that";
    Act::Say(json!({ "jsonrpc": "2.0", "id": request, "error": { "code": NOT_OFFERED, "message": message } }))
}

/// Whether this line answers our request of this id.
fn answers(line: &Value, id: Option<u64>) -> bool {
    line.get("method").is_none() && id.is_some() && line["id"].as_u64() == id
}

/// Who we are.
fn client_info() -> Value {
    json!({ "name": "dormouse", "title": "Dormouse", "version": env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests;
