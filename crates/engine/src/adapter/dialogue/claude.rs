//! Claude Code with `--input-format stream-json`: a line per message, and a `result` at the end of each turn.

use serde_json::{Value, json};

use super::{Act, Opening, Turns};

/// The states of one dialogue.
#[derive(Debug)]
pub(super) struct Claude {
    pub(super) turns: Turns,
    /// Whether what was said has no result yet.
    is_in_turn: bool,
}

impl Claude {
    /// Its command line says which session goes on.
    pub(super) fn new(opening: &Opening) -> Self {
        let mut turns = Turns::new(opening);
        if let Some(resumes) = &opening.resumes {
            turns.goes_on(&resumes.go_on);
        }
        Self {
            turns,
            is_in_turn: false,
        }
    }

    pub(super) fn begin(&mut self) -> Vec<Act> {
        self.next_turn()
    }

    pub(super) fn heard(&mut self, line: &Value) -> Vec<Act> {
        if self.turns.is_over {
            return Vec::new();
        }
        match line["type"].as_str() {
            // A call waits for a permission, and the process for nothing more: the run parks.
            Some("result") if is_deferred(line) => self.turns.over(),
            Some("result") => self.next_turn(),
            Some("control_request") => vec![not_offered(&line["request_id"])],
            Some(_) | None => Vec::new(),
        }
    }

    fn next_turn(&mut self) -> Vec<Act> {
        let Some(text) = self.turns.next() else {
            self.is_in_turn = false;
            return self.turns.over();
        };
        self.is_in_turn = true;
        let content = json!([{ "type": "text", "text": text }]);
        let message = json!({ "role": "user", "content": content });
        let line =
            json!({ "type": "user", "message": message, "parent_tool_use_id": null, "session_id": "" });
        self.turns.said(line)
    }

    pub(super) fn interrupt(&mut self) -> Vec<Act> {
        self.turns.is_interrupted = true;
        if !self.is_in_turn {
            return self.turns.over();
        }
        let id = format!("dormouse-{}", self.turns.id());
        let request = json!({ "subtype": "interrupt" });
        vec![Act::Say(
            json!({ "type": "control_request", "request_id": id, "request": request }),
        )]
    }
}

fn is_deferred(line: &Value) -> bool {
    ["terminal_reason", "stop_reason"]
        .iter()
        .any(|field| line[*field] == "tool_deferred")
}

/// That a request of its is not understood, so that it does not wait for it.
fn not_offered(request: &Value) -> Act {
    let error = "this client does not offer that";
    Act::Say(json!({
        "type": "control_response",
        "response": { "subtype": "error", "request_id": request, "error": error },
    }))
}
