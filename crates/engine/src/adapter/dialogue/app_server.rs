//! The Codex app-server.

use serde_json::{Value, json};

use super::{Act, Answers, Call, Opening, Permission, Turns, answers, client_info, not_offered};
use crate::adapter::app_server::id_of;
use crate::adapter::codex::named;
use crate::adapter::{Say, ToolKind};

/// The states of one dialogue.
#[derive(Debug)]
pub(super) struct AppServer {
    opening: Opening,
    pub(super) turns: Turns,
    thread: Option<String>,
    turn: Option<String>,
    /// Our requests that are open, by what they ask for.
    start: Option<u64>,
    resume: Option<u64>,
    prompt: Option<u64>,
}

/// What may be answered to a request for approval.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decisions {
    /// One of these; any where none was named.
    Named(Vec<String>),
    /// As versions before did it.
    Reviewed,
}

impl Decisions {
    pub(super) fn answer(&self, request: &Value, say: Say) -> Value {
        let may_be = |word: &str| match self {
            Self::Named(named) => named.is_empty() || named.iter().any(|named| named == word),
            Self::Reviewed => true,
        };
        let decision = match (self, say) {
            (Self::Reviewed, Say::Yes) => "approved",
            (Self::Reviewed, Say::No) => "denied",
            (Self::Reviewed, Say::Nothing) => "abort",
            // A yes is never made of a decision that would allow more than this call.
            (Self::Named(_), Say::Yes) if may_be("accept") => "accept",
            (Self::Named(_), Say::No) if may_be("decline") => "decline",
            (Self::Named(_), Say::Yes | Say::No | Say::Nothing) => "cancel",
        };
        json!({ "id": request, "result": { "decision": decision } })
    }
}

const HELLO: u64 = 0;

impl AppServer {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            turns: Turns::new(&opening),
            opening,
            thread: None,
            turn: None,
            start: None,
            resume: None,
            prompt: None,
        }
    }

    pub(super) fn begin(&self) -> Vec<Act> {
        let hello = json!({ "id": HELLO, "method": "initialize", "params": { "clientInfo": client_info() } });
        vec![Act::Say(hello)]
    }

    pub(super) fn heard(&mut self, line: &Value) -> Vec<Act> {
        if self.turns.is_over {
            return Vec::new();
        }
        match line["method"].as_str() {
            Some(method) if line.get("id").is_some() => self.asked(method, line),
            Some("turn/started") => {
                self.turn = line["params"]["turn"]["id"].as_str().map(str::to_owned);
                Vec::new()
            }
            Some("turn/completed") => {
                self.turn = None;
                self.next_turn()
            }
            Some("item/started") => began(&line["params"]["item"]).into_iter().collect(),
            Some("item/completed") => ended(&line["params"]["item"]).into_iter().collect(),
            Some("serverRequest/resolved") => vec![Act::Settled(line["params"]["requestId"].clone())],
            Some(_) => Vec::new(),
            None => self.answered(line),
        }
    }

    fn answered(&mut self, line: &Value) -> Vec<Act> {
        let is_refused = line["error"].is_object();
        if answers(line, Some(HELLO)) && !is_refused {
            let mut acts = vec![Act::Say(json!({ "method": "initialized" }))];
            acts.push(self.session());
            return acts;
        }
        if answers(line, self.resume) && is_refused {
            return vec![self.started()];
        }
        let is_of_thread = answers(line, self.start) || answers(line, self.resume);
        if is_of_thread && !is_refused {
            self.thread = line["result"]["thread"]["id"].as_str().map(str::to_owned);
            if let Some(resumes) = self
                .opening
                .resumes
                .as_ref()
                .filter(|_| answers(line, self.resume))
            {
                self.turns.goes_on(&resumes.go_on);
            }
            return self.next_turn();
        }
        if answers(line, self.prompt) && !is_refused {
            if let Some(turn) = line["result"]["turn"]["id"].as_str() {
                self.turn = Some(turn.to_owned());
            }
            return Vec::new();
        }
        let is_ours = is_of_thread || answers(line, Some(HELLO)) || answers(line, self.prompt);
        if is_ours && is_refused {
            self.turns.over()
        } else {
            Vec::new()
        }
    }

    /// A thread that goes on is resumed under the same rules: never laxer.
    fn session(&mut self) -> Act {
        let Some(resumes) = &self.opening.resumes else {
            return self.started();
        };
        let mut params = self.rules();
        params["threadId"] = json!(resumes.session);
        let id = self.turns.id();
        self.resume = Some(id);
        Act::Say(json!({ "id": id, "method": "thread/resume", "params": params }))
    }

    fn started(&mut self) -> Act {
        let id = self.turns.id();
        self.start = Some(id);
        Act::Say(json!({ "id": id, "method": "thread/start", "params": self.rules() }))
    }

    /// It asks before it runs what is not known to be harmless, and writes in its folder alone.
    fn rules(&self) -> Value {
        json!({ "cwd": self.opening.cwd, "approvalPolicy": "untrusted", "sandbox": "workspace-write" })
    }

    fn next_turn(&mut self) -> Vec<Act> {
        let (Some(thread), Some(text)) = (self.thread.clone(), self.turns.next()) else {
            return self.turns.over();
        };
        let id = self.turns.id();
        self.prompt = Some(id);
        let input = json!([{ "type": "text", "text": text }]);
        let params = json!({ "threadId": thread, "input": input });
        let turn = json!({ "id": id, "method": "turn/start", "params": params });
        self.turns.said(turn)
    }

    fn asked(&self, method: &str, line: &Value) -> Vec<Act> {
        let params = &line["params"];
        let decisions = match method {
            "execCommandApproval" | "applyPatchApproval" => Decisions::Reviewed,
            "item/commandExecution/requestApproval" | "item/fileChange/requestApproval" => offered(params),
            _ => return vec![not_offered(&line["id"])],
        };
        if self.turns.is_interrupted {
            return vec![Act::Say(decisions.answer(&line["id"], Say::Nothing))];
        }
        let command = params["command"].as_str().map(str::to_owned).or_else(|| {
            let words = params["command"].as_array()?.iter().filter_map(Value::as_str);
            Some(words.collect::<Vec<_>>().join(" "))
        });
        let (what, kind) = if method.contains("ommand") {
            ("run a command", ToolKind::Execute)
        } else {
            ("change files", ToolKind::Edit)
        };
        let title = command.or_else(|| params["reason"].as_str().map(str::to_owned));
        let title = title.unwrap_or_else(|| what.to_owned());
        let id = params["itemId"].as_str().or(params["callId"].as_str());
        let id = id.map_or_else(|| id_of(&line["id"]), str::to_owned);
        vec![Act::Ask(Permission {
            request: line["id"].clone(),
            call: Call {
                id,
                kind,
                title: title.clone(),
            },
            title,
            input: input(params),
            answers: Answers::AppServer(decisions),
        })]
    }

    pub(super) fn interrupt(&mut self) -> Vec<Act> {
        self.turns.is_interrupted = true;
        match (&self.thread, &self.turn) {
            (Some(thread), Some(turn)) => {
                let params = json!({ "threadId": thread, "turnId": turn });
                let id = self.turns.id();
                vec![Act::Say(
                    json!({ "id": id, "method": "turn/interrupt", "params": params }),
                )]
            }
            // No turn has begun: there is nothing to wait for.
            _ => self.turns.over(),
        }
    }
}

/// A call that it makes without asking: what it runs unasked it knows to be harmless, and what it asks for begins then.
fn began(item: &Value) -> Option<Act> {
    let (id, kind) = named(item);
    match kind.as_str() {
        "mcp_tool_call" | "dynamic_tool_call" | "collab_tool_call" | "collab_agent_tool_call" => {
            let title = item["tool"].as_str().unwrap_or("a tool").to_owned();
            let kind = ToolKind::Other;
            Some(Act::Began(Call { id, kind, title }))
        }
        _ => None,
    }
}

fn ended(item: &Value) -> Option<Act> {
    let (call, _) = named(item);
    let is_cut = !matches!(item["status"].as_str(), Some("completed" | "failed" | "declined"));
    (!call.is_empty()).then_some(Act::Ended { call, is_cut })
}

fn offered(params: &Value) -> Decisions {
    let decisions = params["availableDecisions"].as_array().into_iter().flatten();
    Decisions::Named(decisions.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// What is approved: what it is about, without what differs each time it is asked.
fn input(params: &Value) -> Option<Value> {
    let about = ["command", "cwd", "reason", "grantRoot", "fileChanges", "changes"];
    let said: serde_json::Map<_, _> = about
        .iter()
        .filter_map(|name| {
            Some((
                (*name).to_owned(),
                params.get(*name).filter(|v| !v.is_null())?.clone(),
            ))
        })
        .collect();
    (!said.is_empty()).then_some(Value::Object(said))
}
