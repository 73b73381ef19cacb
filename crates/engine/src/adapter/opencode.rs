//! OpenCode: `run --format json`, steps of a session.

use serde_json::Value;

use super::class;
use super::event::{
    Class, DeniedBy, Limit, Reading, Role, Source, Tokens, ToolEnd, ToolKind, TurnEnd, What, bounded, input,
};
use super::out::{Out, count, micros, millis};

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct OpenCode {
    session: Option<String>,
    is_in_turn: bool,
    last_text: Option<String>,
}

impl OpenCode {
    pub(super) fn read(&mut self, line: &Value, out: &mut Out<'_>) {
        out.raw_at = millis(&line["timestamp"]);
        self.bind(line, out);
        let part = &line["part"];
        match line["type"].as_str().unwrap_or_default() {
            "step_start" => self.turn(out),
            "text" => {
                self.last_text = part["text"].as_str().map(str::to_owned);
                out.message(
                    &part["messageID"],
                    Role::Assistant,
                    part["text"].as_str().unwrap_or_default(),
                    false,
                );
            }
            "reasoning" => out.say(What::Thought {
                text: part["text"].as_str().unwrap_or_default().to_owned(),
            }),
            "tool_use" => tool(part, out),
            "step_finish" => self.step(part, out),
            "done" => self.finish(TurnEnd::Ok, out),
            "error" => self.error(&line["error"], out),
            other => out.unknown(other),
        }
    }

    /// Every line names the session.
    fn bind(&mut self, line: &Value, out: &mut Out<'_>) {
        let id = line["sessionID"].as_str().or(line["part"]["sessionID"].as_str());
        if self.session.is_none()
            && let Some(id) = id
        {
            self.session = Some(id.to_owned());
            super::codex::bound(id, None, None, out);
        }
    }

    fn turn(&mut self, out: &mut Out<'_>) {
        if !self.is_in_turn {
            self.is_in_turn = true;
            out.say(What::TurnStarted);
        }
    }

    fn finish(&mut self, how: TurnEnd, out: &mut Out<'_>) {
        self.is_in_turn = false;
        out.finished(how, self.last_text.as_deref());
    }

    /// A step has usage of its own. The turn ends with the step that says so: one that ends for calls goes on.
    fn step(&mut self, part: &Value, out: &mut Out<'_>) {
        let tokens = &part["tokens"];
        out.usage(Reading {
            counter: part["id"].as_str().unwrap_or_default().to_owned(),
            absolute: Tokens {
                input: count(&tokens["input"]),
                cached: count(&tokens["cache"]["read"]),
                cache_write: count(&tokens["cache"]["write"]),
                output: count(&tokens["output"]),
                reasoning: count(&tokens["reasoning"]),
                usd_micros: micros(&part["cost"]),
            },
            models: Vec::new(),
        });
        match part["reason"].as_str().unwrap_or_default() {
            "stop" => self.finish(TurnEnd::Ok, out),
            "length" => self.finish(TurnEnd::Limit(Limit::Tokens), out),
            "content-filter" => {
                self.is_in_turn = false;
                out.failed(
                    Some(Class::Refused),
                    self.last_text.as_deref().unwrap_or_default(),
                );
            }
            "tool-calls" => {}
            other => out.unknown(&format!("reason/{other}")),
        }
    }

    fn error(&mut self, error: &Value, out: &mut Out<'_>) {
        self.is_in_turn = false;
        let name = error["name"].as_str().unwrap_or_default();
        let data = &error["data"];
        let text = data["message"]
            .as_str()
            .or(error["message"].as_str())
            .unwrap_or(name);
        if name == "MessageAbortedError" {
            out.finished(TurnEnd::Cancelled, Some(text));
            return;
        }
        let status = data["statusCode"].as_u64().and_then(class::by_status);
        out.failed(class::by_word(name).or(status), text);
    }
}

/// A call, which is told when it is over.
fn tool(part: &Value, out: &mut Out<'_>) {
    let id = part["callID"].as_str().unwrap_or_default();
    let name = part["tool"].as_str().unwrap_or("unknown");
    let state = &part["state"];
    let error = state["error"].as_str();
    out.say(What::ToolStarted {
        id: id.to_owned(),
        name: name.to_owned(),
        kind: kind(name),
        title: state["title"].as_str().map(str::to_owned),
        input: input(&state["input"]),
    });
    let denied = error.and_then(denied_by);
    let how = match state["status"].as_str().unwrap_or_default() {
        "pending" | "running" => return,
        "completed" => match state["metadata"]["exit"].as_i64() {
            None | Some(0) => ToolEnd::Ok,
            Some(_) => ToolEnd::Failed,
        },
        "error" if denied.is_some() => ToolEnd::Denied,
        "error" => ToolEnd::Failed,
        _ => ToolEnd::Unknown,
    };
    if let Some(by) = denied {
        out.say_by(
            Source::Text,
            What::Denied {
                call: Some(id.to_owned()),
                tool: Some(name.to_owned()),
                by,
                text: error.map(str::to_owned),
            },
        );
    }
    out.say(What::ToolFinished {
        id: id.to_owned(),
        how,
        exit_code: state["metadata"]["exit"].as_i64(),
        output: state["output"]
            .as_str()
            .or(error)
            .map(|text| bounded(text.to_owned())),
    });
}

/// Whether words say that a call was rejected: no field does.
fn denied_by(error: &str) -> Option<DeniedBy> {
    let lower = error.to_lowercase();
    if lower.contains("rejected permission") {
        Some(DeniedBy::User)
    } else if lower.contains("rule which prevents") || lower.contains("permission denied") {
        Some(DeniedBy::Policy)
    } else {
        None
    }
}

pub(super) fn kind(name: &str) -> ToolKind {
    match name {
        "bash" => ToolKind::Execute,
        "read" => ToolKind::Read,
        "edit" | "write" | "patch" | "multiedit" => ToolKind::Edit,
        "grep" | "glob" | "list" | "websearch" | "codesearch" => ToolKind::Search,
        "webfetch" => ToolKind::Fetch,
        "todowrite" | "todoread" => ToolKind::Think,
        _ => ToolKind::Other,
    }
}
