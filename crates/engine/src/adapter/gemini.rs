//! Gemini CLI: `-p … -o stream-json`.

use serde_json::Value;

use super::class;
use super::event::{DeniedBy, Reading, Role, Tokens, ToolEnd, ToolKind, TurnEnd, What, bounded, input};
use super::out::{Out, count, instant};

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Gemini {
    /// The words since the last call: the answer, when no call follows.
    text: String,
}

impl Gemini {
    pub(super) fn read(&mut self, line: &Value, out: &mut Out<'_>) {
        out.raw_at = instant(&line["timestamp"]);
        match line["type"].as_str().unwrap_or_default() {
            "init" => {
                let model = line["model"].as_str();
                super::codex::bound(line["session_id"].as_str().unwrap_or_default(), model, None, out);
                out.say(What::TurnStarted);
            }
            "message" => self.message(line, out),
            "tool_use" => {
                self.text.clear();
                started(line, out);
            }
            "tool_result" => finished(line, out),
            "error" => out.warn("error", line["message"].as_str().unwrap_or_default()),
            "result" => self.result(line, out),
            other => out.unknown(other),
        }
    }

    fn message(&mut self, line: &Value, out: &mut Out<'_>) {
        let text = line["content"].as_str().unwrap_or_default();
        let is_user = line["role"] == "user";
        if !is_user {
            self.text.push_str(text);
        }
        let role = if is_user { Role::User } else { Role::Assistant };
        let delta = line["delta"].as_bool().unwrap_or(false);
        out.message(&Value::Null, role, text, delta);
    }

    fn result(&mut self, line: &Value, out: &mut Out<'_>) {
        let stats = &line["stats"];
        if stats.is_object() {
            let models = stats["models"].as_object().into_iter().flatten();
            out.usage(Reading {
                counter: "run".to_owned(),
                absolute: Tokens {
                    input: count(&stats["input_tokens"]),
                    cached: count(&stats["cached"]),
                    output: count(&stats["output_tokens"]),
                    ..Tokens::default()
                },
                models: models.map(|(name, _)| name.clone()).collect(),
            });
        }
        let text = Some(self.text.as_str()).filter(|text| !text.is_empty());
        if line["status"] == "success" {
            out.finished(TurnEnd::Ok, text);
            return;
        }
        let error = &line["error"];
        let known = error["type"].as_str().and_then(class::by_word);
        match error["type"].as_str() {
            Some("FatalTurnLimitedError") => out.limited(super::event::Limit::Turns, text),
            Some("FatalCancellationError") => out.finished(TurnEnd::Cancelled, text),
            _ => out.failed(known, error["message"].as_str().unwrap_or("no reason given")),
        }
    }
}

fn started(line: &Value, out: &mut Out<'_>) {
    let name = line["tool_name"].as_str().unwrap_or("unknown");
    out.say(What::ToolStarted {
        id: line["tool_id"].as_str().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        kind: kind(name),
        title: line["parameters"]["description"].as_str().map(str::to_owned),
        input: input(&line["parameters"]),
    });
}

fn kind(name: &str) -> ToolKind {
    match name {
        "run_shell_command" => ToolKind::Execute,
        "read_file" | "read_many_files" => ToolKind::Read,
        "write_file" | "replace" => ToolKind::Edit,
        "glob" | "grep_search" | "search_file_content" | "list_directory" | "google_web_search" => {
            ToolKind::Search
        }
        "web_fetch" => ToolKind::Fetch,
        "write_todos" | "update_topic" => ToolKind::Think,
        _ => ToolKind::Other,
    }
}

/// The end of a call. That it is called a success says nothing of its process: a command that failed is one too.
fn finished(line: &Value, out: &mut Out<'_>) {
    let id = line["tool_id"].as_str().unwrap_or_default().to_owned();
    let reason = line["error"]["type"].as_str().unwrap_or_default();
    let denied = match reason {
        "tool_not_registered" => Some(DeniedBy::MissingTool),
        "policy_violation" | "permission_denied" => Some(DeniedBy::Policy),
        _ => None,
    };
    let how = match line["status"].as_str().unwrap_or_default() {
        "success" => ToolEnd::Ok,
        "cancelled" => ToolEnd::Cancelled,
        "error" if denied.is_some() => ToolEnd::Denied,
        "error" => ToolEnd::Failed,
        _ => ToolEnd::Unknown,
    };
    if let Some(by) = denied {
        out.say(What::Denied {
            call: Some(id.clone()),
            tool: None,
            by,
            text: line["error"]["message"].as_str().map(str::to_owned),
        });
    }
    out.say(What::ToolFinished {
        id,
        how,
        exit_code: None,
        output: line["output"].as_str().map(|text| bounded(text.to_owned())),
    });
}
