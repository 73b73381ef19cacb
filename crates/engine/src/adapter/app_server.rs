//! Codex, `app-server`: the same items, as JSON-RPC, with requests to answer.

use serde_json::Value;

use super::class;
use super::codex::{bound, error, item_completed, item_started};
use super::event::{Class, GateChoice, Limit, PlanItem, Reading, Role, Tokens, TurnEnd, What};
use super::out::{Out, count, millis};

/// The state of one dialogue.
#[derive(Debug, Default)]
pub(super) struct AppServer {
    last_text: Option<String>,
}

impl AppServer {
    pub(super) fn read(&mut self, line: &Value, out: &mut Out<'_>) {
        out.raw_at = millis(&line["emittedAtMs"]);
        let params = &line["params"];
        match line["method"].as_str() {
            None => answered(line, out),
            Some(method) if line.get("id").is_some() => asked(method, line, out),
            Some("thread/started") => thread(&params["thread"], out),
            Some("turn/started") => out.say(What::TurnStarted),
            Some("turn/completed") => self.completed(&params["turn"], out),
            Some("item/started") => item_started(&params["item"], out),
            Some("item/completed") => {
                let item = &params["item"];
                if item["type"] == "agentMessage" {
                    self.last_text = item["text"].as_str().map(str::to_owned);
                }
                item_completed(item, out);
            }
            Some("item/agentMessage/delta") => {
                out.message(
                    &params["itemId"],
                    Role::Assistant,
                    params["delta"].as_str().unwrap_or_default(),
                    true,
                );
            }
            Some("thread/tokenUsage/updated") => usage(params, out),
            Some("serverRequest/resolved") => out.say(What::GateWithdrawn {
                request: id_of(&params["requestId"]),
            }),
            Some("turn/plan/updated") => plan(&params["plan"], out),
            Some("error") => error(params["error"]["message"].as_str().unwrap_or_default(), out),
            Some("configWarning" | "deprecationNotice" | "warning") => {
                out.warn("provider", params["summary"].as_str().unwrap_or_default());
            }
            Some(method) if is_known(method) => {}
            Some(method) => out.unknown(method),
        }
    }

    fn completed(&mut self, turn: &Value, out: &mut Out<'_>) {
        let text = self.last_text.take();
        let reason = &turn["error"];
        match turn["status"].as_str().unwrap_or_default() {
            "completed" => out.finished(TurnEnd::Ok, text.as_deref()),
            "interrupted" => out.finished(TurnEnd::Cancelled, text.as_deref()),
            "budgetLimited" => out.limited(Limit::Budget, text.as_deref()),
            _ => out.failed(
                class_of(reason),
                reason["message"].as_str().unwrap_or("no reason given"),
            ),
        }
    }
}

/// What the error's own field says: a word, or an object named by one.
fn class_of(error: &Value) -> Option<Class> {
    let info = &error["codexErrorInfo"];
    let word = info
        .as_str()
        .or_else(|| info.as_object()?.keys().next().map(String::as_str))?;
    class::by_word(word)
}

/// Events that say nothing of the work.
fn is_known(method: &str) -> bool {
    let quiet = [
        "thread/status/changed",
        "remoteControl/status/changed",
        "account/rateLimits/updated",
        "account/updated",
        "mcpServer/startupStatus/updated",
        "thread/name/updated",
        "thread/closed",
        "turn/diff/updated",
        "turn/moderationMetadata",
    ];
    quiet.contains(&method) || method.starts_with("item/reasoning/") || method.ends_with("/outputDelta")
}

/// The answer to a request of ours. That which starts or resumes a thread names it.
fn answered(line: &Value, out: &mut Out<'_>) {
    if let Some(message) = line["error"]["message"].as_str() {
        out.warn("request_refused", message);
    }
    thread(&line["result"]["thread"], out);
}

fn thread(thread: &Value, out: &mut Out<'_>) {
    if let Some(id) = thread["id"].as_str() {
        bound(id, thread["model"].as_str(), thread["cliVersion"].as_str(), out);
    }
}

fn asked(method: &str, line: &Value, out: &mut Out<'_>) {
    let params = &line["params"];
    if !method.ends_with("/requestApproval") {
        out.unknown(method);
        return;
    }
    let options = params["availableDecisions"].as_array().into_iter().flatten();
    let choice = |decision: &Value| {
        let id = decision
            .as_str()
            .or_else(|| decision.as_object()?.keys().next().map(String::as_str))?;
        let kind = match id {
            "accept" => "allow_once",
            "acceptForSession" | "acceptWithExecpolicyAmendment" => "allow_always",
            "decline" => "reject_once",
            _ => "cancel",
        };
        Some(GateChoice {
            id: id.to_owned(),
            kind: kind.to_owned(),
        })
    };
    let tool = if method.contains("fileChange") {
        "apply_patch"
    } else {
        "shell"
    };
    out.say(What::GateRequested {
        request: id_of(&line["id"]),
        call: params["itemId"].as_str().map(str::to_owned),
        tool: Some(tool.to_owned()),
        title: params["command"]
            .as_str()
            .or(params["reason"].as_str())
            .map(str::to_owned),
        options: options.filter_map(choice).collect(),
    });
}

/// An id of JSON-RPC: a number or a text.
pub(crate) fn id_of(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

fn plan(plan: &Value, out: &mut Out<'_>) {
    let step = |step: &Value| PlanItem {
        text: step["step"].as_str().unwrap_or_default().to_owned(),
        status: step["status"].as_str().unwrap_or("pending").to_owned(),
    };
    out.say(What::Plan {
        items: plan.as_array().into_iter().flatten().map(step).collect(),
    });
}

fn usage(params: &Value, out: &mut Out<'_>) {
    let total = &params["tokenUsage"]["total"];
    out.usage(Reading {
        counter: params["threadId"].as_str().unwrap_or_default().to_owned(),
        absolute: Tokens {
            input: count(&total["inputTokens"]),
            cached: count(&total["cachedInputTokens"]),
            cache_write: count(&total["cacheWriteInputTokens"]),
            output: count(&total["outputTokens"]),
            reasoning: count(&total["reasoningOutputTokens"]),
            usd_micros: None,
        },
        models: Vec::new(),
    });
}
