//! The Agent Client Protocol. No file and no terminal of ours is offered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Act, Answers, Call, Opening, Permission, Turns, answers, client_info, not_offered};
use crate::adapter::acp::kind;
use crate::adapter::app_server::id_of;
use crate::adapter::{GateChoice, Say, ToolKind};

/// Most calls whose kind is remembered until they end; those beyond are of no known kind.
const KINDS_MAX: usize = 1_000;

/// The states of one dialogue.
#[derive(Debug)]
pub(super) struct Acp {
    opening: Opening,
    pub(super) turns: Turns,
    session: Option<String>,
    /// Our requests that are open, by what they ask for.
    new: Option<u64>,
    load: Option<u64>,
    prompt: Option<u64>,
    /// The kinds of calls that have not ended: not each word of one says it.
    kinds: BTreeMap<String, ToolKind>,
}

const HELLO: u64 = 0;

impl Acp {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            turns: Turns::new(&opening),
            opening,
            session: None,
            new: None,
            load: None,
            prompt: None,
            kinds: BTreeMap::new(),
        }
    }

    pub(super) fn begin(&self) -> Vec<Act> {
        let capabilities =
            json!({ "fs": { "readTextFile": false, "writeTextFile": false }, "terminal": false });
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": capabilities,
            "clientInfo": client_info(),
        });
        vec![request(HELLO, "initialize", &params)]
    }

    pub(super) fn heard(&mut self, line: &Value) -> Vec<Act> {
        if self.turns.is_over {
            return Vec::new();
        }
        match (line["method"].as_str(), line.get("id")) {
            (Some("session/request_permission"), Some(id)) => self.asked(id, &line["params"]),
            (Some(_), Some(id)) => vec![not_offered(id)],
            // What is told before is of turns that were: a session that is loaded tells it again.
            (Some("session/update"), None) if self.session.is_some() => {
                self.told(&line["params"]["update"]).into_iter().collect()
            }
            (Some(_), None) => Vec::new(),
            (None, _) => self.answered(line),
        }
    }

    fn answered(&mut self, line: &Value) -> Vec<Act> {
        let is_refused = line["error"].is_object();
        if answers(line, Some(HELLO)) && !is_refused {
            let can_load = line["result"]["agentCapabilities"]["loadSession"] == true;
            return vec![self.open(can_load)];
        }
        if answers(line, self.load) {
            if is_refused {
                return vec![self.open(false)];
            }
            if let Some(resumes) = &self.opening.resumes {
                self.session = Some(resumes.session.clone());
                self.turns.goes_on(&resumes.go_on);
            }
            return self.next_turn();
        }
        if answers(line, self.new) && !is_refused {
            self.session = line["result"]["sessionId"].as_str().map(str::to_owned);
            return self.next_turn();
        }
        if answers(line, self.prompt) {
            return if is_refused {
                self.turns.over()
            } else {
                self.next_turn()
            };
        }
        let is_ours = answers(line, Some(HELLO)) || answers(line, self.new);
        if is_ours { self.turns.over() } else { Vec::new() }
    }

    fn open(&mut self, can_load: bool) -> Act {
        let id = self.turns.id();
        let (cwd, servers) = (&self.opening.cwd, json!([]));
        match &self.opening.resumes {
            Some(resumes) if can_load => {
                self.load = Some(id);
                let params = json!({ "sessionId": resumes.session, "cwd": cwd, "mcpServers": servers });
                request(id, "session/load", &params)
            }
            Some(_) | None => {
                self.new = Some(id);
                request(id, "session/new", &json!({ "cwd": cwd, "mcpServers": servers }))
            }
        }
    }

    fn next_turn(&mut self) -> Vec<Act> {
        let (Some(session), Some(text)) = (self.session.clone(), self.turns.next()) else {
            return self.turns.over();
        };
        let id = self.turns.id();
        self.prompt = Some(id);
        let prompt = json!([{ "type": "text", "text": text }]);
        let params = json!({ "sessionId": session, "prompt": prompt });
        self.turns.said(request_line(id, "session/prompt", &params))
    }

    /// What it says of a call. One that goes on may be asked for still: agents say so before they ask. One that is pending may
    /// go on without being asked for, or said to be in progress; more of it, without how it stands, is no news.
    fn told(&mut self, update: &Value) -> Option<Act> {
        let is_new = match update["sessionUpdate"].as_str() {
            Some("tool_call") => true,
            Some("tool_call_update") => false,
            Some(_) | None => return None,
        };
        let call = self.call(update);
        match update["status"].as_str().unwrap_or("pending") {
            "pending" if !is_new => None,
            "pending" | "in_progress" => call.kind.has_effect().then_some(Act::Began(call)),
            status => {
                self.kinds.remove(&call.id);
                let is_cut = !matches!(status, "completed" | "failed");
                Some(Act::Ended {
                    call: call.id,
                    is_cut,
                })
            }
        }
    }

    /// A call, of the kind that was said of it last.
    fn call(&mut self, said: &Value) -> Call {
        let id = said["toolCallId"].as_str().unwrap_or_default().to_owned();
        let said_kind = said["kind"].as_str().map(kind);
        let kind = said_kind.or_else(|| self.kinds.get(&id).copied());
        let kind = kind.unwrap_or(ToolKind::Other);
        if self.kinds.len() < KINDS_MAX || self.kinds.contains_key(&id) {
            self.kinds.insert(id.clone(), kind);
        }
        let title = said["title"].as_str().or(said["kind"].as_str());
        let title = title.unwrap_or("a call that is not named").to_owned();
        Call { id, kind, title }
    }

    fn asked(&mut self, id: &Value, params: &Value) -> Vec<Act> {
        let options = params["options"].as_array().into_iter().flatten();
        let choice = |option: &Value| GateChoice {
            id: option["optionId"].as_str().unwrap_or_default().to_owned(),
            kind: option["kind"].as_str().unwrap_or_default().to_owned(),
        };
        let said = &params["toolCall"];
        let mut call = self.call(said);
        if call.id.is_empty() {
            call.id = id_of(id);
        }
        let permission = Permission {
            request: id.clone(),
            title: call.title.clone(),
            call,
            input: Some(&said["rawInput"]).filter(|input| input.is_object()).cloned(),
            answers: Answers::Acp(options.map(choice).collect()),
        };
        if self.turns.is_interrupted {
            return vec![Act::Say(permission.answered(Say::Nothing))];
        }
        vec![Act::Ask(permission)]
    }

    pub(super) fn interrupt(&mut self) -> Vec<Act> {
        self.turns.is_interrupted = true;
        match (&self.session, self.prompt) {
            (Some(session), Some(_)) => {
                let params = json!({ "sessionId": session });
                vec![Act::Say(
                    json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": params }),
                )]
            }
            // No turn has begun: there is nothing to wait for.
            _ => self.turns.over(),
        }
    }
}

fn request(id: u64, method: &str, params: &Value) -> Act {
    Act::Say(request_line(id, method, params))
}

fn request_line(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
