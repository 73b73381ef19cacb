//! The Agent Client Protocol: JSON-RPC in both directions, each with ids of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::app_server::id_of;
use super::event::{
    Class, GateChoice, Limit, PlanItem, Reading, Role, Tokens, ToolEnd, ToolKind, TurnEnd, What, bounded,
    input,
};
use super::out::{Out, count, micros, text_of};

/// What a refused login is answered with.
const AUTH_REQUIRED: i64 = -32000;

/// The state of one dialogue.
#[derive(Debug, Default)]
pub(super) struct Acp {
    text: String,
    agent: Option<String>,
    /// Whether the session is there: what is told before is of turns that were, which a session that is loaded tells again.
    is_open: bool,
    /// Titles, by call: what a person is asked about.
    is_in_turn: bool,
    titles: BTreeMap<String, String>,
}

impl Acp {
    pub(super) fn read(&mut self, line: &Value, out: &mut Out<'_>) {
        match line["method"].as_str() {
            None => self.answered(line, out),
            Some("session/update") if !self.is_open => {}
            Some("session/update") => self.update(&line["params"]["update"], out),
            Some("session/request_permission") => self.asked(line, out),
            Some(other) => out.unknown(other),
        }
    }

    /// The answer to a request of ours, told apart by what is in it.
    fn answered(&mut self, line: &Value, out: &mut Out<'_>) {
        let result = &line["result"];
        // A session that is loaded is answered with nothing; only the greeting names the protocol.
        self.is_open |= line.get("result").is_some() && result["protocolVersion"].is_null();
        if let Some(version) = result["agentInfo"]["version"].as_str() {
            self.agent = Some(version.to_owned());
        }
        if let Some(id) = result["sessionId"].as_str() {
            let model = result["models"]["currentModelId"].as_str();
            super::codex::bound(id, model, self.agent.as_deref(), out);
        }
        if let Some(reason) = result["stopReason"].as_str() {
            usage(line, out);
            self.stopped(reason, out);
        }
        if line["error"].is_object() {
            self.failed(&line["error"], out);
        }
    }

    fn stopped(&mut self, reason: &str, out: &mut Out<'_>) {
        let text = std::mem::take(&mut self.text);
        let text = Some(text.as_str()).filter(|text| !text.is_empty());
        self.is_in_turn = false;
        match reason {
            "end_turn" => out.finished(TurnEnd::Ok, text),
            "max_tokens" => out.limited(Limit::Tokens, text),
            "max_turn_requests" => out.limited(Limit::Turns, text),
            "refusal" => out.failed(Some(Class::Refused), text.unwrap_or_default()),
            "cancelled" => out.finished(TurnEnd::Cancelled, text),
            other => {
                out.unknown(&format!("stop/{other}"));
                out.finished(TurnEnd::Ok, text);
            }
        }
    }

    fn failed(&mut self, error: &Value, out: &mut Out<'_>) {
        self.is_in_turn = false;
        let known = (error["code"].as_i64() == Some(AUTH_REQUIRED)).then_some(Class::Auth);
        let details = error["data"]["details"].as_str();
        let text = details.or(error["message"].as_str()).unwrap_or("no reason given");
        out.failed(known, text);
    }

    fn turn(&mut self, out: &mut Out<'_>) {
        if !self.is_in_turn {
            self.is_in_turn = true;
            out.say(What::TurnStarted);
        }
    }

    fn update(&mut self, update: &Value, out: &mut Out<'_>) {
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => {
                self.turn(out);
                let text = update["content"]["text"].as_str().unwrap_or_default();
                self.text.push_str(text);
                out.message(&update["messageId"], Role::Assistant, text, true);
            }
            "agent_thought_chunk" => {
                self.turn(out);
                out.say(What::Thought {
                    text: update["content"]["text"].as_str().unwrap_or_default().to_owned(),
                });
            }
            "tool_call" | "tool_call_update" => {
                self.turn(out);
                self.call(update, out);
            }
            "plan" => plan(&update["entries"], out),
            "usage_update" => cost(update, out),
            "user_message_chunk"
            | "available_commands_update"
            | "current_mode_update"
            | "config_option_update"
            | "session_info_update" => {}
            other => out.unknown(&format!("update/{other}")),
        }
    }

    fn call(&mut self, call: &Value, out: &mut Out<'_>) {
        self.text.clear();
        self.started(call, out);
        let how = match call["status"].as_str().unwrap_or("pending") {
            "pending" | "in_progress" => return,
            "completed" => match exit(call) {
                None | Some(0) => ToolEnd::Ok,
                Some(_) => ToolEnd::Failed,
            },
            "failed" => ToolEnd::Failed,
            "cancelled" => ToolEnd::Cancelled,
            _ => ToolEnd::Unknown,
        };
        let output =
            text_of(&call["content"]).or_else(|| call["rawOutput"]["output"].as_str().map(str::to_owned));
        out.say(What::ToolFinished {
            id: id(call),
            how,
            exit_code: exit(call),
            output: output.map(bounded),
        });
    }

    /// Any word of a call begins it, unless it is open already: agents leave its start out.
    fn started(&mut self, call: &Value, out: &mut Out<'_>) {
        let title = call["title"].as_str().map(str::to_owned);
        if let Some(title) = &title {
            self.titles.insert(id(call), title.clone());
        }
        out.say(What::ToolStarted {
            id: id(call),
            name: call["kind"].as_str().unwrap_or("tool").to_owned(),
            kind: kind(call["kind"].as_str().unwrap_or_default()),
            title,
            input: input(&call["rawInput"]),
        });
    }

    fn asked(&mut self, line: &Value, out: &mut Out<'_>) {
        let (params, call) = (&line["params"], &line["params"]["toolCall"]);
        self.turn(out);
        self.started(call, out);
        let options = params["options"].as_array().into_iter().flatten();
        let choice = |option: &Value| GateChoice {
            id: option["optionId"].as_str().unwrap_or_default().to_owned(),
            kind: option["kind"].as_str().unwrap_or_default().to_owned(),
        };
        out.say(What::GateRequested {
            request: id_of(&line["id"]),
            call: Some(id(call)),
            tool: call["kind"].as_str().map(str::to_owned),
            title: call["title"]
                .as_str()
                .map_or_else(|| self.titles.get(&id(call)).cloned(), |t| Some(t.to_owned())),
            options: options.map(choice).collect(),
        });
    }
}

/// What a person says to a permission asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Yes, this once.
    Yes,
    /// No.
    No,
    /// Nothing any more: the turn was called off.
    Nothing,
}

/// The answer to a permission asked for: the option of the kind that fits. Where none does, and where the turn was called
/// off meanwhile, it is `cancelled`; a yes is never made of an option that would allow more than this call.
#[must_use]
pub fn permission(request: &Value, options: &[GateChoice], say: Say) -> Value {
    let kinds: &[&str] = match say {
        Say::Yes => &["allow_once"],
        Say::No => &["reject_once", "reject_always"],
        Say::Nothing => &[],
    };
    let fitting = kinds
        .iter()
        .find_map(|kind| options.iter().find(|option| option.kind == *kind));
    let outcome = match fitting {
        Some(option) => json!({ "outcome": "selected", "optionId": option.id }),
        None => json!({ "outcome": "cancelled" }),
    };
    json!({ "jsonrpc": "2.0", "id": request, "result": { "outcome": outcome } })
}

fn id(call: &Value) -> String {
    call["toolCallId"].as_str().unwrap_or_default().to_owned()
}

fn exit(call: &Value) -> Option<i64> {
    call["rawOutput"]["metadata"]["exit"].as_i64()
}

pub(super) fn kind(word: &str) -> ToolKind {
    match word {
        "execute" => ToolKind::Execute,
        "read" => ToolKind::Read,
        "edit" => ToolKind::Edit,
        "delete" => ToolKind::Delete,
        "move" => ToolKind::Move,
        "search" => ToolKind::Search,
        "fetch" => ToolKind::Fetch,
        "think" => ToolKind::Think,
        _ => ToolKind::Other,
    }
}

fn plan(entries: &Value, out: &mut Out<'_>) {
    let step = |step: &Value| PlanItem {
        text: step["content"].as_str().unwrap_or_default().to_owned(),
        status: step["status"].as_str().unwrap_or("pending").to_owned(),
    };
    out.say(What::Plan {
        items: entries.as_array().into_iter().flatten().map(step).collect(),
    });
}

/// What the session cost, all its turns together.
fn cost(update: &Value, out: &mut Out<'_>) {
    let cost = &update["cost"];
    if cost["currency"] == "USD" {
        out.usage(Reading {
            counter: "session".to_owned(),
            absolute: Tokens {
                usd_micros: micros(&cost["amount"]),
                ..Tokens::default()
            },
            models: Vec::new(),
        });
    }
}

/// What a turn used, which its answer says.
fn usage(line: &Value, out: &mut Out<'_>) {
    let (usage, quota) = (
        &line["result"]["usage"],
        &line["result"]["_meta"]["quota"]["token_count"],
    );
    let absolute = match (usage.is_object(), quota.is_object()) {
        (true, _) => Tokens {
            input: count(&usage["inputTokens"]),
            cached: count(&usage["cachedReadTokens"]),
            cache_write: count(&usage["cachedWriteTokens"]),
            output: count(&usage["outputTokens"]),
            reasoning: count(&usage["thoughtTokens"]),
            usd_micros: None,
        },
        (false, true) => Tokens {
            input: count(&quota["input_tokens"]),
            output: count(&quota["output_tokens"]),
            ..Tokens::default()
        },
        (false, false) => return,
    };
    out.usage(Reading {
        counter: format!("response {}", id_of(&line["id"])),
        absolute,
        models: Vec::new(),
    });
}
