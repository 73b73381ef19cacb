//! Claude Code: `-p --output-format stream-json --verbose`.

use serde_json::Value;

use super::class;
use super::event::{
    Class, DeniedBy, GateChoice, Limit, Reading, Role, Source, Step, Tokens, ToolEnd, ToolKind, TurnEnd,
    What, bounded, input,
};
use super::out::{Out, count, instant, micros, seconds, text_of};

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Claude {
    is_in_turn: bool,
    /// The main agent's last words, for results that have none.
    last_text: Option<String>,
}

impl Claude {
    pub(super) fn read(&mut self, line: &Value, out: &mut Out<'_>) {
        out.parent = line["parent_tool_use_id"].as_str().map(str::to_owned);
        out.raw_at = instant(&line["timestamp"]);
        if line["session_writes_lost"].as_bool() == Some(true) {
            out.warn("session_writes_lost", "the session was not written down whole");
        }
        match line["type"].as_str().unwrap_or_default() {
            "system" => self.system(line, out),
            "assistant" => self.assistant(line, out),
            "user" => results(line, out),
            "result" => self.result(line, out),
            "rate_limit_event" => rate_limit(&line["rate_limit_info"], out),
            "stream_event" => delta(&line["event"], out),
            "control_request" => asked(line, out),
            "control_cancel_request" => out.say(What::GateWithdrawn {
                request: line["request_id"].as_str().unwrap_or_default().to_owned(),
            }),
            "tool_progress" => out.say(What::ToolProgress {
                id: line["tool_use_id"].as_str().unwrap_or_default().to_owned(),
                elapsed_ms: line["elapsed_time_seconds"]
                    .as_u64()
                    .map(|s| s.saturating_mul(1000)),
            }),
            "auth_status" | "control_response" | "keep_alive" | "tool_use_summary" => {}
            other => out.unknown(other),
        }
    }

    fn turn(&mut self, out: &mut Out<'_>) {
        if !self.is_in_turn {
            self.is_in_turn = true;
            out.say(What::TurnStarted);
        }
    }

    fn system(&mut self, line: &Value, out: &mut Out<'_>) {
        match line["subtype"].as_str().unwrap_or_default() {
            "init" => {
                bound(line, out);
                // It is repeated with each turn, and may come late.
                self.turn(out);
            }
            "compact_boundary" => out.say(What::Compaction {
                step: Step::Finished,
                tokens: line["compact_metadata"]["pre_tokens"].as_u64(),
            }),
            "status" if line["status"] == "compacting" => out.say(What::Compaction {
                step: Step::Started,
                tokens: None,
            }),
            "api_retry" => out.say(What::Retrying {
                attempt: line["attempt"].as_u64(),
                delay_ms: line["retry_delay_ms"].as_u64(),
                error: line["error"].as_str().unwrap_or_default().to_owned(),
            }),
            "task_started" => subagent(line, "started", out),
            "task_notification" => subagent(line, line["status"].as_str().unwrap_or("ended"), out),
            "permission_denied" => out.say(What::Denied {
                call: line["tool_use_id"].as_str().map(str::to_owned),
                tool: line["tool_name"].as_str().map(str::to_owned),
                by: DeniedBy::Policy,
                text: line["message"].as_str().map(str::to_owned),
            }),
            "status"
            | "thinking_tokens"
            | "task_progress"
            | "task_updated"
            | "hook_started"
            | "hook_progress"
            | "hook_response"
            | "informational"
            | "session_state_changed" => {}
            other => out.unknown(&format!("system/{other}")),
        }
    }

    fn assistant(&mut self, line: &Value, out: &mut Out<'_>) {
        if out.parent.is_none() {
            self.turn(out);
        }
        if let Some(error) = line["error"].as_str() {
            out.warn("assistant_error", error);
        }
        let message = &line["message"];
        for block in message["content"].as_array().into_iter().flatten() {
            match block["type"].as_str().unwrap_or_default() {
                "text" => self.words(message, block, out),
                "thinking" => out.say(What::Thought {
                    text: block["thinking"].as_str().unwrap_or_default().to_owned(),
                }),
                "tool_use" | "server_tool_use" | "mcp_tool_use" => started(block, out),
                "redacted_thinking" => {}
                other => out.unknown(&format!("assistant/{other}")),
            }
        }
    }

    fn words(&mut self, message: &Value, block: &Value, out: &mut Out<'_>) {
        let text = block["text"].as_str().unwrap_or_default();
        if out.parent.is_none() {
            self.last_text = Some(text.to_owned());
        }
        out.message(&message["id"], Role::Assistant, text, false);
    }

    /// The end of a turn, whose word for success is read beside what contradicts it.
    fn result(&mut self, line: &Value, out: &mut Out<'_>) {
        self.is_in_turn = false;
        for denial in line["permission_denials"].as_array().into_iter().flatten() {
            out.say(What::Denied {
                call: denial["tool_use_id"].as_str().map(str::to_owned),
                tool: denial["tool_name"].as_str().map(str::to_owned),
                by: DeniedBy::Policy,
                text: None,
            });
        }
        out.usage(usage(line));
        let text = line["result"].as_str().filter(|text| !text.is_empty());
        let kept = text.or(self.last_text.as_deref());
        let deferred = ["terminal_reason", "stop_reason"].map(|field| line[field] == "tool_deferred");
        match line["subtype"].as_str().unwrap_or_default() {
            _ if deferred.contains(&true) => out.finished(TurnEnd::Deferred, kept),
            "error_max_turns" => out.limited(Limit::Turns, kept),
            "error_max_budget_usd" => out.limited(Limit::Budget, kept),
            _ if line["stop_reason"] == "refusal" => {
                out.failed(Some(Class::Refused), kept.unwrap_or_default());
            }
            "success" if line["is_error"].as_bool() != Some(true) => match line["stop_reason"].as_str() {
                Some("max_tokens") => out.limited(Limit::Tokens, kept),
                _ => out.finished(TurnEnd::Ok, kept),
            },
            _ => out.failed(by_field(line), text.unwrap_or(&said(line))),
        }
    }
}

fn by_field(line: &Value) -> Option<Class> {
    let status = line["api_error_status"].as_u64().and_then(class::by_status);
    // 400 is too little to know: the text may name the context.
    status.filter(|class| *class != Class::BadRequest)
}

/// What is said of a failure without result.
fn said(line: &Value) -> String {
    let errors = text_list(&line["errors"]);
    if errors.is_empty() {
        line["subtype"].as_str().unwrap_or("no result").to_owned()
    } else {
        errors
    }
}

fn text_list(value: &Value) -> String {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join("\n")
}

fn bound(line: &Value, out: &mut Out<'_>) {
    let Some(id) = line["session_id"].as_str() else {
        return;
    };
    let text = |field: &str| line[field].as_str().map(str::to_owned);
    let tools = line["tools"].as_array().into_iter().flatten();
    out.say(What::Bound {
        external_id: id.to_owned(),
        model: text("model"),
        version: text("claude_code_version"),
        capabilities: tools.filter_map(Value::as_str).map(str::to_owned).collect(),
    });
}

fn subagent(line: &Value, status: &str, out: &mut Out<'_>) {
    out.say(What::Subagent {
        id: line["task_id"].as_str().unwrap_or_default().to_owned(),
        name: line["subagent_type"].as_str().map(str::to_owned),
        status: status.to_owned(),
    });
}

fn started(block: &Value, out: &mut Out<'_>) {
    let name = block["name"].as_str().unwrap_or("unknown");
    out.say(What::ToolStarted {
        id: block["id"].as_str().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        kind: kind(name),
        title: block["input"]["description"].as_str().map(str::to_owned),
        input: input(&block["input"]),
    });
}

fn kind(name: &str) -> ToolKind {
    match name {
        "Bash" | "KillShell" | "BashOutput" => ToolKind::Execute,
        "Read" | "NotebookRead" => ToolKind::Read,
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => ToolKind::Edit,
        "Grep" | "Glob" | "LS" | "WebSearch" | "ToolSearch" => ToolKind::Search,
        "WebFetch" => ToolKind::Fetch,
        "TodoWrite" | "ExitPlanMode" | "EnterPlanMode" => ToolKind::Think,
        _ => ToolKind::Other,
    }
}

/// The ends of calls, which come as what a user says.
fn results(line: &Value, out: &mut Out<'_>) {
    for block in line["message"]["content"].as_array().into_iter().flatten() {
        match block["type"].as_str().unwrap_or_default() {
            "tool_result" => result_of(block, out),
            "text" | "image" | "document" => {}
            other => out.unknown(&format!("user/{other}")),
        }
    }
}

fn result_of(block: &Value, out: &mut Out<'_>) {
    let id = block["tool_use_id"].as_str().unwrap_or_default();
    let text = text_of(&block["content"]);
    let is_error = block["is_error"].as_bool() == Some(true);
    let is_denied = is_error && text.as_deref().is_some_and(tells_denial);
    let how = match (is_error, is_denied) {
        (_, true) => ToolEnd::Denied,
        (true, false) => ToolEnd::Failed,
        (false, false) => ToolEnd::Ok,
    };
    let evidence = if is_denied { Source::Text } else { Source::Stream };
    out.say_by(
        evidence,
        What::ToolFinished {
            id: id.to_owned(),
            how,
            exit_code: None,
            output: text.map(bounded),
        },
    );
}

/// Whether words say that a call was not allowed: no field does before the result.
fn tells_denial(text: &str) -> bool {
    [
        "requires approval",
        "was blocked. For security",
        "haven't granted it",
        "doesn't want to proceed",
    ]
    .iter()
    .any(|words| text.contains(words))
}

fn rate_limit(info: &Value, out: &mut Out<'_>) {
    let status = info["status"].as_str().unwrap_or_default();
    if status != "allowed" {
        out.say(What::RateLimited {
            until: seconds(&info["resetsAt"]),
            blocking: status == "rejected",
        });
    }
}

/// A part of a message, where those were asked for.
fn delta(event: &Value, out: &mut Out<'_>) {
    let part = &event["delta"];
    if let Some(text) = part["text"].as_str() {
        out.message(&Value::Null, Role::Assistant, text, true);
    }
}

fn asked(line: &Value, out: &mut Out<'_>) {
    let request = &line["request"];
    if request["subtype"] != "can_use_tool" {
        out.unknown(&format!(
            "control/{}",
            request["subtype"].as_str().unwrap_or_default()
        ));
        return;
    }
    let choice = |id: &str, kind: &str| GateChoice {
        id: id.to_owned(),
        kind: kind.to_owned(),
    };
    out.say(What::GateRequested {
        request: line["request_id"].as_str().unwrap_or_default().to_owned(),
        call: request["tool_use_id"].as_str().map(str::to_owned),
        tool: request["tool_name"].as_str().map(str::to_owned),
        title: request["description"].as_str().map(str::to_owned),
        options: vec![choice("allow", "allow_once"), choice("deny", "reject_once")],
    });
}

/// All models of the process together.
fn usage(line: &Value) -> Reading {
    let usd_micros = micros(&line["total_cost_usd"]);
    let Some(models) = line["modelUsage"].as_object().filter(|models| !models.is_empty()) else {
        let usage = &line["usage"];
        return reading(
            Tokens {
                input: count(&usage["input_tokens"]),
                cached: count(&usage["cache_read_input_tokens"]),
                cache_write: count(&usage["cache_creation_input_tokens"]),
                output: count(&usage["output_tokens"]),
                reasoning: 0,
                usd_micros,
            },
            Vec::new(),
        );
    };
    let sum = |field: &str| models.values().map(|model| count(&model[field])).sum();
    let absolute = Tokens {
        input: sum("inputTokens"),
        cached: sum("cacheReadInputTokens"),
        cache_write: sum("cacheCreationInputTokens"),
        output: sum("outputTokens"),
        reasoning: 0,
        usd_micros,
    };
    reading(absolute, models.keys().cloned().collect())
}

fn reading(absolute: Tokens, models: Vec<String>) -> Reading {
    Reading {
        counter: "process".to_owned(),
        absolute,
        models,
    }
}
