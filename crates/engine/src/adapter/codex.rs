//! Codex, `exec --json`: items of a thread, and its turns.

use serde_json::Value;

use super::event::{
    FileChange, PlanItem, Reading, Role, Tokens, ToolEnd, ToolKind, TurnEnd, What, bounded, input,
};
use super::out::{Out, count, text_of};

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Codex {
    thread: String,
    last_text: Option<String>,
}

impl Codex {
    pub(super) fn read(&mut self, line: &Value, out: &mut Out<'_>) {
        match line["type"].as_str().unwrap_or_default() {
            "thread.started" => {
                line["thread_id"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut self.thread);
                bound(&self.thread, None, None, out);
            }
            "turn.started" => out.say(What::TurnStarted),
            "turn.completed" => {
                self.usage(&line["usage"], out);
                out.finished(TurnEnd::Ok, self.last_text.as_deref());
            }
            "turn.failed" => out.failed(
                None,
                line["error"]["message"].as_str().unwrap_or("no reason given"),
            ),
            "error" => error(line["message"].as_str().unwrap_or_default(), out),
            "item.started" => item_started(&line["item"], out),
            "item.updated" => item_updated(&line["item"], out),
            "item.completed" => {
                let item = &line["item"];
                if item["type"] == "agent_message" {
                    self.last_text = item["text"].as_str().map(str::to_owned);
                }
                item_completed(item, out);
            }
            other => out.unknown(other),
        }
    }

    /// Counts per thread, over all its processes.
    fn usage(&self, usage: &Value, out: &mut Out<'_>) {
        if usage.is_null() {
            return;
        }
        out.usage(Reading {
            counter: self.thread.clone(),
            absolute: Tokens {
                input: count(&usage["input_tokens"]),
                cached: count(&usage["cached_input_tokens"]),
                cache_write: count(&usage["cache_write_input_tokens"]),
                output: count(&usage["output_tokens"]),
                reasoning: count(&usage["reasoning_output_tokens"]),
                usd_micros: None,
            },
            models: Vec::new(),
        });
    }
}

pub(super) fn bound(id: &str, model: Option<&str>, version: Option<&str>, out: &mut Out<'_>) {
    out.say(What::Bound {
        external_id: id.to_owned(),
        model: model.map(str::to_owned),
        version: version.map(str::to_owned),
        capabilities: Vec::new(),
    });
}

/// An error only looks like an end: the turn's own event says what became of it.
pub(super) fn error(text: &str, out: &mut Out<'_>) {
    match text.strip_prefix("Reconnecting... ") {
        Some(rest) => out.say(What::Retrying {
            attempt: rest.split('/').next().and_then(|n| n.parse().ok()),
            delay_ms: None,
            error: text.to_owned(),
        }),
        None => out.warn("error", text),
    }
}

/// The id of an item, and its type in the words of `exec`: the app-server writes `commandExecution`.
pub(super) fn named(item: &Value) -> (String, String) {
    let id = item["id"].as_str().unwrap_or_default().to_owned();
    let mut kind = String::new();
    for letter in item["type"].as_str().unwrap_or_default().chars() {
        if letter.is_ascii_uppercase() && !kind.is_empty() {
            kind.push('_');
        }
        kind.push(letter.to_ascii_lowercase());
    }
    (id, kind)
}

pub(super) fn item_started(item: &Value, out: &mut Out<'_>) {
    let (id, kind) = named(item);
    match kind.as_str() {
        "command_execution" => tool(
            id,
            "shell",
            ToolKind::Execute,
            item["command"].as_str(),
            &item["command"],
            out,
        ),
        "file_change" => tool(id, "apply_patch", ToolKind::Edit, None, &item["changes"], out),
        "mcp_tool_call" | "dynamic_tool_call" | "collab_tool_call" | "collab_agent_tool_call" => {
            let name = item["tool"].as_str().unwrap_or("tool");
            tool(
                id,
                name,
                ToolKind::Other,
                item["server"].as_str(),
                &item["arguments"],
                out,
            );
        }
        "web_search" => tool(
            id,
            "web_search",
            ToolKind::Search,
            item["query"].as_str(),
            &item["query"],
            out,
        ),
        "todo_list" | "plan" => plan(item, out),
        "agent_message" | "reasoning" | "user_message" | "error" | "image_view" => {}
        "context_compaction" => out.say(What::Compaction {
            step: super::event::Step::Started,
            tokens: None,
        }),
        other => out.unknown(&format!("item/{other}")),
    }
}

fn item_updated(item: &Value, out: &mut Out<'_>) {
    let (id, kind) = named(item);
    match kind.as_str() {
        "todo_list" | "plan" => plan(item, out),
        _ => out.say(What::ToolProgress { id, elapsed_ms: None }),
    }
}

pub(super) fn item_completed(item: &Value, out: &mut Out<'_>) {
    let (id, kind) = named(item);
    match kind.as_str() {
        "agent_message" => {
            out.message(
                &item["id"],
                Role::Assistant,
                item["text"].as_str().unwrap_or_default(),
                false,
            );
        }
        "reasoning" => {
            let summary = text_list(&item["summary"]);
            let text = item["text"].as_str().map_or(summary, str::to_owned);
            out.say(What::Thought { text });
        }
        "error" => out.warn("error_item", item["message"].as_str().unwrap_or_default()),
        "todo_list" | "plan" => plan(item, out),
        "user_message" | "image_view" => {}
        "context_compaction" => out.say(What::Compaction {
            step: super::event::Step::Finished,
            tokens: None,
        }),
        "command_execution"
        | "mcp_tool_call"
        | "web_search"
        | "dynamic_tool_call"
        | "collab_tool_call"
        | "collab_agent_tool_call"
        | "file_change" => {
            // An item may come without its start; one whose start was seen begins no second time.
            item_started(item, out);
            let how = end(item);
            if kind == "file_change" && how == ToolEnd::Ok {
                changes(&item["changes"], out);
            }
            out.say(What::ToolFinished {
                id,
                how,
                exit_code: either(item, "exit_code", "exitCode").as_i64(),
                output: output(item).map(bounded),
            });
        }
        other => out.unknown(&format!("item/{other}")),
    }
}

fn tool(id: String, name: &str, kind: ToolKind, title: Option<&str>, given: &Value, out: &mut Out<'_>) {
    out.say(What::ToolStarted {
        id,
        name: name.to_owned(),
        kind,
        title: title.map(str::to_owned),
        input: input(given),
    });
}

fn end(item: &Value) -> ToolEnd {
    match item["status"].as_str().unwrap_or_default() {
        "completed" => ToolEnd::Ok,
        "failed" => ToolEnd::Failed,
        "declined" => ToolEnd::Denied,
        "interrupted" | "cancelled" => ToolEnd::Cancelled,
        _ if item["type"] == "web_search" || item["type"] == "webSearch" => ToolEnd::Ok,
        _ => ToolEnd::Unknown,
    }
}

fn output(item: &Value) -> Option<String> {
    let plain = either(item, "aggregated_output", "aggregatedOutput").as_str();
    plain
        .map(str::to_owned)
        .or_else(|| item["error"]["message"].as_str().map(str::to_owned))
        .or_else(|| text_of(&item["result"]["content"]))
}

fn either<'a>(item: &'a Value, one: &str, other: &str) -> &'a Value {
    item.get(one).unwrap_or(&item[other])
}

/// Changes of files, whose kind is a word, or an object that has one.
fn changes(changes: &Value, out: &mut Out<'_>) {
    for change in changes.as_array().into_iter().flatten() {
        let kind = &change["kind"];
        let word = kind.as_str().or_else(|| kind["type"].as_str());
        let word = word.or_else(|| kind.as_object().and_then(|k| k.keys().next()).map(String::as_str));
        let moved = ["move_path", "movePath"]
            .iter()
            .any(|field| kind[field].is_string());
        let change_kind = match word.unwrap_or_default() {
            "add" => FileChange::Add,
            "delete" => FileChange::Delete,
            "update" if moved => FileChange::Move,
            "move" => FileChange::Move,
            _ => FileChange::Update,
        };
        out.say(What::FileChanged {
            path: change["path"].as_str().unwrap_or_default().to_owned(),
            change: change_kind,
        });
    }
}

fn plan(item: &Value, out: &mut Out<'_>) {
    let items = item["items"].as_array().into_iter().flatten();
    let step = |step: &Value| PlanItem {
        text: step["text"].as_str().unwrap_or_default().to_owned(),
        status: match step["completed"].as_bool() {
            Some(true) => "completed".to_owned(),
            _ => step["status"].as_str().unwrap_or("pending").to_owned(),
        },
    };
    out.say(What::Plan {
        items: items.map(step).collect(),
    });
}

fn text_list(value: &Value) -> String {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join("\n")
}
