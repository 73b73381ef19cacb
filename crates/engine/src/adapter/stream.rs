//! One process's stream: lines in, events out, and what is known by now.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::acp::Acp;
use super::app_server::AppServer;
use super::claude::Claude;
use super::codex::Codex;
use super::event::{Class, Reading, Role, Seen, Source, ToolEnd, TurnEnd, TurnFinished, What, bounded};
use super::gemini::Gemini;
use super::opencode::OpenCode;
use super::out::{Out, Said};
use super::rollout::Rollout;
use super::usage::Meter;
use super::{Provider, Tokens};

/// Most calls that are open at once; one more closes the oldest as unknown.
const OPEN_MAX: usize = 1_000;

/// What reading a stream depends on.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The worker's time zone, in which providers say times of day.
    pub tz: Option<TimeZone>,
    /// What counters showed before this process, for one that resumes.
    pub known: Vec<(String, Tokens)>,
}

#[derive(Debug)]
enum Parser {
    Claude(Claude),
    Codex(Codex),
    AppServer(AppServer),
    Gemini(Gemini),
    OpenCode(OpenCode),
    Acp(Acp),
}

/// Reads the output of one process.
#[derive(Debug)]
pub struct Stream {
    provider: Provider,
    parser: Parser,
    tz: TimeZone,
    meter: Meter,
    seq: u64,
    offset: u64,
    bound: Option<What>,
    open: Vec<String>,
    asked: Vec<(String, String)>,
    rejected: Vec<String>,
    last: Option<TurnFinished>,
    text: String,
    text_goes_on: bool,
    /// The last word was that a call is not allowed.
    is_denied: bool,
    denials: u64,
    unknown: u64,
    log_lines: u64,
    calls: u64,
}

impl Stream {
    /// A stream of which nothing was read.
    #[must_use]
    pub fn new(provider: Provider, options: Options) -> Self {
        let parser = match provider {
            Provider::Claude => Parser::Claude(Claude::default()),
            Provider::Codex => Parser::Codex(Codex::default()),
            Provider::CodexAppServer => Parser::AppServer(AppServer::default()),
            Provider::Gemini => Parser::Gemini(Gemini::default()),
            Provider::Opencode => Parser::OpenCode(OpenCode::default()),
            Provider::Acp => Parser::Acp(Acp::default()),
        };
        Self {
            provider,
            parser,
            tz: options.tz.unwrap_or(TimeZone::UTC),
            meter: Meter::resumed(options.known),
            seq: 0,
            offset: 0,
            bound: None,
            open: Vec::new(),
            asked: Vec::new(),
            rejected: Vec::new(),
            last: None,
            text: String::new(),
            text_goes_on: false,
            is_denied: false,
            denials: 0,
            unknown: 0,
            log_lines: 0,
            calls: 0,
        }
    }

    /// Reads a line, without its end. What is no JSON is text for a log, and no event.
    pub fn line(&mut self, now: Timestamp, line: &[u8]) -> Vec<Seen> {
        let offset = self.offset;
        self.offset += line.len() as u64 + 1;
        let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(line) else {
            self.log_lines += 1;
            return Vec::new();
        };
        let tz = self.tz.clone();
        let mut out = Out {
            now,
            tz: &tz,
            parent: None,
            raw_at: None,
            said: Vec::new(),
        };
        match &mut self.parser {
            Parser::Claude(parser) => parser.read(&value, &mut out),
            Parser::Codex(parser) => parser.read(&value, &mut out),
            Parser::AppServer(parser) => parser.read(&value, &mut out),
            Parser::Gemini(parser) => parser.read(&value, &mut out),
            Parser::OpenCode(parser) => parser.read(&value, &mut out),
            Parser::Acp(parser) => parser.read(&value, &mut out),
        }
        self.take(offset, out.said)
    }

    /// A request of the provider was answered: a call that was not allowed and has no end of its own ends with its turn.
    pub fn answered(&mut self, request: &str, allowed: bool) {
        let Some(at) = self.asked.iter().position(|(asked, _)| asked == request) else {
            return;
        };
        let (_, call) = self.asked.remove(at);
        if !allowed {
            self.rejected.push(call);
        }
    }

    /// A turn was asked for: without an end of its own the stream is cut, whatever turns before it came to.
    pub fn turn_begun(&mut self) {
        self.last = None;
    }

    /// The output is over, and the process left with this code. What is open ends unknown.
    pub fn end(&mut self, code: Option<i32>) -> Vec<Seen> {
        let mut said = Vec::new();
        // OpenCode leaves with 0 after a call that was not allowed, and says no more.
        if self.provider == Provider::Opencode && code == Some(0) && self.last.is_none() && self.is_denied {
            said.push(made(
                Source::Text,
                What::TurnFinished(TurnFinished {
                    how: TurnEnd::Failed,
                    class: Some(Class::PermissionDenied),
                    retry_at: None,
                    text: Some("a call was not allowed, and nothing came after it".to_owned()),
                }),
            ));
        }
        let mut seen = self.take(self.offset, said);
        let open = self.open.clone();
        let mut said: Vec<_> = open
            .iter()
            .map(|id| made(Source::Stream, ended(id, ToolEnd::Unknown)))
            .collect();
        let clean = self.last.is_some();
        said.push(made(Source::Stream, What::StreamEnded { clean, open }));
        seen.extend(self.take(self.offset, said));
        seen
    }

    /// What the provider's own log says where the stream was cut.
    pub fn logged(&mut self, rollout: Rollout) -> Vec<Seen> {
        if self.last.is_some() {
            return Vec::new();
        }
        let what = match rollout {
            Rollout::Complete(text) => What::TurnFinished(TurnFinished {
                how: TurnEnd::Ok,
                class: None,
                retry_at: None,
                text,
            }),
            Rollout::TooLarge => What::Warning {
                code: "rollout_too_large",
                text: "the provider's log is over 500 MB and was not read".to_owned(),
            },
            Rollout::Open | Rollout::NotIt => return Vec::new(),
        };
        self.take(self.offset, vec![made(Source::Log, what)])
    }

    /// Whose stream it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The provider's session, by which it is resumed.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        match &self.bound {
            Some(What::Bound { external_id, .. }) => Some(external_id),
            _ => None,
        }
    }

    /// The model, where it is told.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        match &self.bound {
            Some(What::Bound { model, .. }) => model.as_deref(),
            _ => None,
        }
    }

    /// The end of the last turn, unless another has begun since.
    #[must_use]
    pub fn last(&self) -> Option<&TurnFinished> {
        self.last.as_ref()
    }

    /// The main agent's last words.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        Some(self.text.as_str()).filter(|text| !text.is_empty())
    }

    /// What was used by now.
    #[must_use]
    pub fn used(&self) -> Tokens {
        self.meter.used()
    }

    /// What each counter shows that was read: what a later process that resumes is told ([`Options::known`]).
    pub fn shown(&self) -> impl Iterator<Item = (&str, Tokens)> {
        self.meter.shown()
    }

    /// The place of its last event, from 1; 0 before the first.
    #[must_use]
    pub fn last_place(&self) -> u64 {
        self.seq
    }

    /// Calls that were not allowed.
    #[must_use]
    pub fn denials(&self) -> u64 {
        self.denials
    }

    /// What was not known.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Lines that are no JSON object: text for a log.
    #[must_use]
    pub fn log_lines(&self) -> u64 {
        self.log_lines
    }

    /// Calls that ended.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Keeps what is news, gives it its place, and follows it.
    fn take(&mut self, offset: u64, said: Vec<Said>) -> Vec<Seen> {
        let mut seen = Vec::with_capacity(said.len());
        for said in said {
            self.push(offset, said, &mut seen);
        }
        seen
    }

    fn push(&mut self, offset: u64, said: Said, seen: &mut Vec<Seen>) {
        if !self.is_news(&said.what) {
            return;
        }
        for early in self.implied(&said.what) {
            self.push(offset, made(said.evidence, early), seen);
        }
        let more = self.follow(&said);
        self.seq += 1;
        seen.push(Seen {
            seq: self.seq,
            offset,
            part: u32::try_from(seen.len()).unwrap_or(u32::MAX),
            parent: said.parent,
            evidence: said.evidence,
            raw_at: said.raw_at,
            what: said.what,
        });
        if let Some(more) = more {
            self.push(offset, made(Source::Stream, more), seen);
        }
    }

    /// Not what was said before: a session that is bound as it is, a call that is open, or that is not.
    fn is_news(&self, what: &What) -> bool {
        match what {
            What::Bound { .. } => self.bound.as_ref() != Some(what),
            What::ToolStarted { id, .. } => !self.open.contains(id),
            What::GateWithdrawn { request } => self.asked.iter().any(|(asked, _)| asked == request),
            _ => true,
        }
    }

    /// What has to have happened before.
    fn implied(&mut self, what: &What) -> Vec<What> {
        match what {
            // An end without its start.
            What::ToolFinished { id, .. } if !self.open.contains(id) => {
                vec![What::ToolStarted {
                    id: id.clone(),
                    name: "unknown".to_owned(),
                    kind: super::ToolKind::Other,
                    title: None,
                    input: None,
                }]
            }
            What::ToolStarted { .. } if self.open.len() >= OPEN_MAX => {
                vec![ended(&self.open[0], ToolEnd::Unknown)]
            }
            What::TurnFinished(_) => {
                let rejected = std::mem::take(&mut self.rejected);
                let open = rejected.iter().filter(|call| self.open.contains(call));
                open.map(|call| ended(call, ToolEnd::Denied)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What is known from now on, and what it makes known beside.
    fn follow(&mut self, said: &Said) -> Option<What> {
        let is_main = said.parent.is_none();
        match &said.what {
            What::Bound { .. } => self.bound = Some(said.what.clone()),
            What::TurnStarted => self.last = None,
            What::TurnFinished(finished) => {
                self.last = Some(finished.clone());
                self.text_goes_on = false;
            }
            What::Message {
                role: Role::Assistant,
                text,
                delta,
                ..
            } if is_main => self.words(text, *delta),
            What::ToolStarted { id, .. } => {
                self.open.push(id.clone());
                self.text_goes_on = false;
            }
            What::ToolFinished { id, how, .. } => {
                self.open.retain(|open| open != id);
                self.calls += 1;
                self.is_denied = *how == ToolEnd::Denied;
            }
            What::Denied { .. } => self.denials += 1,
            What::GateRequested { request, call, .. } => {
                self.asked
                    .push((request.clone(), call.clone().unwrap_or_default()));
            }
            What::GateWithdrawn { request } => self.asked.retain(|(asked, _)| asked != request),
            What::Unknown { .. } => self.unknown += 1,
            What::Usage(reading) => return self.read(reading),
            _ => {}
        }
        None
    }

    fn words(&mut self, text: &str, delta: bool) {
        if !(delta && self.text_goes_on) {
            self.text.clear();
        }
        self.text_goes_on = delta;
        self.text.push_str(text);
        self.text = bounded(std::mem::take(&mut self.text));
        self.is_denied = false;
    }

    fn read(&mut self, reading: &Reading) -> Option<What> {
        (!self.meter.read(reading)).then(|| What::Warning {
            code: "usage_fell",
            text: format!(
                "the counter {} shows less than before: it is read anew",
                reading.counter
            ),
        })
    }
}

fn made(evidence: Source, what: What) -> Said {
    Said {
        parent: None,
        evidence,
        raw_at: None,
        what,
    }
}

fn ended(id: &str, how: ToolEnd) -> What {
    What::ToolFinished {
        id: id.to_owned(),
        how,
        exit_code: None,
        output: None,
    }
}
