//! The normalised vocabulary: what happens in any provider's stream, in the same words.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Longest input and output of a tool call that is kept, in bytes; longer is cut.
pub const TOOL_TEXT_MAX: usize = 64 * 1024;

/// Something that was seen, and where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Counts the events of one process, from 1.
    pub seq: u64,
    /// Where the line it is from begins, in bytes of the process's output.
    pub offset: u64,
    /// Which event of that line, from 0.
    pub part: u32,
    /// The call of the main agent within which a subagent did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How it is known.
    pub evidence: Source,
    /// When the provider says it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_at: Option<Timestamp>,
    /// What was seen.
    #[serde(flatten)]
    pub what: What,
}

/// How an event is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A field of the stream says so.
    Stream,
    /// The provider's own log says so.
    Log,
    /// It was concluded from words.
    Text,
}

/// What was seen. Texts are as the provider wrote them: whoever keeps one scrubs it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum What {
    /// The provider's session is known.
    Bound {
        /// Its id, by which it is resumed.
        external_id: String,
        /// The model.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The provider program's version.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// What the provider says it can do.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        capabilities: Vec<String>,
    },
    /// The main agent begins to work.
    TurnStarted,
    /// It has ended.
    TurnFinished(TurnFinished),
    /// Words.
    Message {
        /// The message they belong to.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Whose.
        role: Role,
        /// The words.
        text: String,
        /// Whether they go on from those before.
        delta: bool,
    },
    /// The model thinks.
    Thought {
        /// What.
        text: String,
    },
    /// A call begins.
    ToolStarted {
        /// Its id, unique among those open in this process.
        id: String,
        /// The tool.
        name: String,
        /// What kind of thing it does.
        kind: ToolKind,
        /// As shown to people.
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Its arguments, as JSON, at most [`TOOL_TEXT_MAX`].
        #[serde(skip_serializing_if = "Option::is_none")]
        input: Option<String>,
    },
    /// A call goes on.
    ToolProgress {
        /// Which.
        id: String,
        /// For how long, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        elapsed_ms: Option<u64>,
    },
    /// A call ended.
    ToolFinished {
        /// Which.
        id: String,
        /// How.
        how: ToolEnd,
        /// The exit code of its process, where the provider tells one.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i64>,
        /// What it said, at most [`TOOL_TEXT_MAX`].
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<String>,
    },
    /// A file was changed.
    FileChanged {
        /// Which.
        path: String,
        /// How.
        change: FileChange,
    },
    /// The whole plan.
    Plan {
        /// Its steps.
        items: Vec<PlanItem>,
    },
    /// The provider asks a person.
    GateRequested {
        /// The request to answer.
        request: String,
        /// The call that waits.
        #[serde(skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// The tool.
        #[serde(skip_serializing_if = "Option::is_none")]
        tool: Option<String>,
        /// What is asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The answers it takes.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        options: Vec<GateChoice>,
    },
    /// A request needs no answer any more.
    GateWithdrawn {
        /// Which.
        request: String,
    },
    /// A call was refused.
    Denied {
        /// The call.
        #[serde(skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// The tool.
        #[serde(skip_serializing_if = "Option::is_none")]
        tool: Option<String>,
        /// By what.
        by: DeniedBy,
        /// What was said.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// What a counter shows: an absolute value, not what was added.
    Usage(Reading),
    /// The provider's limit is near or reached.
    RateLimited {
        /// Until when.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Whether nothing goes until then.
        blocking: bool,
    },
    /// The provider tries again by itself.
    Retrying {
        /// Which attempt.
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<u64>,
        /// When, in milliseconds from now.
        #[serde(skip_serializing_if = "Option::is_none")]
        delay_ms: Option<u64>,
        /// Why.
        error: String,
    },
    /// The context is shortened.
    Compaction {
        /// Its begin or its end.
        step: Step,
        /// Tokens before.
        #[serde(skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
    },
    /// A subagent.
    Subagent {
        /// Which.
        id: String,
        /// Its kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What of it, in the provider's word.
        status: String,
    },
    /// Something to know, which ends nothing.
    Warning {
        /// A word for it.
        code: &'static str,
        /// What was said.
        text: String,
    },
    /// What the adapter does not know: counted, never fatal.
    Unknown {
        /// Its type.
        name: String,
    },
    /// The output is over.
    StreamEnded {
        /// Whether the last turn had ended.
        clean: bool,
        /// Calls that were open: their effects may have happened.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        open: Vec<String>,
    },
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TurnFinished {
    /// How.
    pub how: TurnEnd,
    /// What kind of failure, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Not to be tried before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Its last words, or what was said of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    /// By itself.
    Ok,
    /// By a limit.
    Limit(Limit),
    /// By a failure.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// The model refused.
    Refused,
    /// A call waits for a decision that comes later.
    Deferred,
}

/// A limit of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Of turns.
    Turns,
    /// Of tokens.
    Tokens,
    /// Of money.
    Budget,
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The provider did not know us.
    Auth,
    /// It wants money.
    Billing,
    /// Its limit is reached.
    RateLimited,
    /// It is overloaded or broken.
    Overloaded,
    /// The conversation is too long.
    ContextOverflow,
    /// It did not understand.
    BadRequest,
    /// The model refused.
    Refused,
    /// A denial was the last word.
    PermissionDenied,
}

/// Whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The model's.
    Assistant,
    /// A person's, or the engine's.
    User,
}

/// What kind of thing a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Runs a program.
    Execute,
    /// Reads.
    Read,
    /// Changes a file.
    Edit,
    /// Removes something.
    Delete,
    /// Moves something.
    Move,
    /// Searches.
    Search,
    /// Fetches from elsewhere.
    Fetch,
    /// Thinks, plans.
    Think,
    /// Something else.
    Other,
}

impl ToolKind {
    /// Whether it may change something: then it is not to happen twice.
    #[must_use]
    pub fn has_effect(self) -> bool {
        match self {
            Self::Execute | Self::Edit | Self::Delete | Self::Move | Self::Other => true,
            Self::Read | Self::Search | Self::Fetch | Self::Think => false,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Move => "move",
            Self::Search => "search",
            Self::Fetch => "fetch",
            Self::Think => "think",
            Self::Other => "other",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolEnd {
    /// Done.
    Ok,
    /// It failed; the turn goes on.
    Failed,
    /// It was not allowed.
    Denied,
    /// It was called off.
    Cancelled,
    /// That is not known: it may have happened.
    Unknown,
}

/// How a file was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It is new.
    Add,
    /// It is another.
    Update,
    /// It is gone.
    Delete,
    /// It is elsewhere.
    Move,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanItem {
    /// What.
    pub text: String,
    /// How far, in the provider's word.
    pub status: String,
}

/// An answer a request takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateChoice {
    /// Its id.
    pub id: String,
    /// Its kind: `allow_once`, `reject_once`, ….
    pub kind: String,
}

/// By what a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeniedBy {
    /// A rule.
    Policy,
    /// A person.
    User,
    /// There is no such tool.
    MissingTool,
}

/// Two ends of something that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It began.
    Started,
    /// It ended.
    Finished,
}

/// What a counter of the provider shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Which counter: of the process, a thread, a step, ….
    pub counter: String,
    /// What it shows, counted from its own begin.
    pub absolute: Tokens,
    /// The models it counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// Tokens and money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Tokens read, as the provider counts them: some count those from a cache among them.
    pub input: u64,
    /// Tokens read from a cache.
    pub cached: u64,
    /// Tokens written to a cache.
    pub cache_write: u64,
    /// Tokens written, reasoning among them.
    pub output: u64,
    /// Tokens of reasoning.
    pub reasoning: u64,
    /// Money, in millionths of a US dollar, where the provider tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
}

/// A text of at most [`TOOL_TEXT_MAX`] bytes, cut where a character ends.
pub(super) fn bounded(mut text: String) -> String {
    if text.len() > TOOL_TEXT_MAX {
        let end = (0..=TOOL_TEXT_MAX).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
    }
    text
}

/// Arguments as kept.
pub(super) fn input(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| bounded(value.to_string()))
}
