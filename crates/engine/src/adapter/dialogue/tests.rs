use serde_json::json;

use super::*;
use crate::adapter::{ToolKind, takes_follow_ups};
use crate::command::Stdin;

fn opening(resumes: Option<&str>) -> Opening {
    Opening {
        cwd: "/w".to_owned(),
        prompt: "do it".to_owned(),
        resumes: resumes.map(|session| Resumes {
            session: session.to_owned(),
            go_on: "go on".to_owned(),
        }),
        inbox_max: 16,
    }
}

/// What is said, without what is asked.
fn said(acts: &[Act]) -> Vec<&Value> {
    acts.iter()
        .filter_map(|act| match act {
            Act::Say(line) => Some(line),
            Act::TurnBegun
            | Act::Ask(_)
            | Act::Settled(_)
            | Act::Began(_)
            | Act::Ended { .. }
            | Act::Over => None,
        })
        .collect()
}

fn methods(acts: &[Act]) -> Vec<&str> {
    said(acts)
        .into_iter()
        .filter_map(|line| line["method"].as_str())
        .collect()
}

/// The provider's side of a capture drives ours; what we say is what was said then, but for who we are, ids and folders.
#[track_caller]
fn follows(capture: &str, provider: Provider, say: Say) {
    let lines: Vec<Value> = capture
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let theirs = |line: &Value| line["dir"].as_str().is_some_and(|dir| !dir.starts_with("client"));
    let (mut dialogue, mut acts, mut over) =
        (Dialogue::new(provider, opening(None)).unwrap(), Vec::new(), false);
    acts.extend(dialogue.begin());
    for line in lines.iter().filter(|line| theirs(line)) {
        // Ids of the capture are counted as ours are.
        for act in dialogue.heard(&line["msg"]) {
            match act {
                Act::Ask(permission) => acts.push(Act::Say(permission.answered(say))),
                Act::Over => over = true,
                other => acts.push(other),
            }
        }
    }
    assert!(over, "the turn ends");
    let expected: Vec<&Value> = lines
        .iter()
        .filter(|line| !theirs(line))
        .map(|line| &line["msg"])
        .collect();
    let found = said(&acts);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.get("method"), expected.get("method"));
        assert_eq!(
            found.get("result"),
            expected.get("result"),
            "answers are the same"
        );
        assert_eq!(found.get("id"), expected.get("id"), "{found}");
    }
}

#[test]
fn what_is_said_is_what_was_said_to_the_real_ones() {
    follows(
        include_str!("../../../tests/fixtures/streams/codex-0.169.0/appserver_accept.jsonl"),
        Provider::CodexAppServer,
        Say::Yes,
    );
    for capture in [
        include_str!("../../../tests/fixtures/streams/gemini-0.61.0/acp_allow.jsonl"),
        include_str!("../../../tests/fixtures/streams/opencode-1.18.33/acp_allow.jsonl"),
    ] {
        follows(capture, Provider::Acp, Say::Yes);
    }
}

#[test]
fn a_resume_that_is_refused_is_begun_anew_once() {
    let mut codex = Dialogue::new(Provider::CodexAppServer, opening(Some("t1"))).unwrap();
    let acts = codex.heard(&json!({ "id": 0, "result": {} }));
    assert_eq!(methods(&acts), ["initialized", "thread/resume"]);
    let again = codex.heard(&json!({ "id": 1, "error": { "code": -1, "message": "no such thread" } }));
    assert_eq!(methods(&again), ["thread/start"]);
    // It has not heard the prompt, and one that is resumed has.
    let prompt = codex.heard(&json!({ "id": 2, "result": { "thread": { "id": "t2" } } }));
    assert_eq!(said(&prompt)[0]["params"]["input"][0]["text"], "do it");
    let mut resumed = Dialogue::new(Provider::CodexAppServer, opening(Some("t1"))).unwrap();
    resumed.heard(&json!({ "id": 0, "result": {} }));
    let prompt = resumed.heard(&json!({ "id": 1, "result": { "thread": { "id": "t1" } } }));
    assert_eq!(said(&prompt)[0]["params"]["input"][0]["text"], "go on");
    let mut refused = Dialogue::new(Provider::CodexAppServer, opening(Some("t1"))).unwrap();
    refused.heard(&json!({ "id": 0, "result": {} }));
    refused.heard(&json!({ "id": 1, "error": {} }));
    assert_eq!(refused.heard(&json!({ "id": 2, "error": {} })), [Act::Over]);

    let hello = json!({ "id": 0, "result": { "agentCapabilities": { "loadSession": true } } });
    let mut acp = Dialogue::new(Provider::Acp, opening(Some("s1"))).unwrap();
    assert_eq!(methods(&acp.heard(&hello)), ["session/load"]);
    let again = acp.heard(&json!({ "id": 1, "error": { "code": -32602, "message": "unknown" } }));
    assert_eq!(methods(&again), ["session/new"]);
    let mut acp = Dialogue::new(Provider::Acp, opening(Some("s1"))).unwrap();
    acp.heard(&hello);
    let prompt = acp.heard(&json!({ "id": 1, "result": null }));
    assert_eq!(said(&prompt)[0]["params"]["sessionId"], "s1");
    assert_eq!(said(&prompt)[0]["params"]["prompt"][0]["text"], "go on");
    // One that cannot load begins anew.
    let mut acp = Dialogue::new(Provider::Acp, opening(Some("s1"))).unwrap();
    assert_eq!(
        methods(&acp.heard(&json!({ "id": 0, "result": {} }))),
        ["session/new"]
    );
}

#[test]
fn follow_ups_are_said_in_order_turn_by_turn_and_no_more_than_fit() {
    let mut acp = Dialogue::new(Provider::Acp, opening(None)).unwrap();
    acp.heard(&json!({ "id": 0, "result": {} }));
    acp.heard(&json!({ "id": 1, "result": { "sessionId": "s" } }));
    for text in ["one", "two"] {
        acp.follow_up(text.to_owned()).unwrap();
    }
    for (id, text) in [(2, "one"), (3, "two")] {
        let acts = acp.heard(&json!({ "id": id, "result": { "stopReason": "end_turn" } }));
        assert_eq!(said(&acts)[0]["params"]["prompt"][0]["text"], text);
    }
    let full: Vec<_> = std::iter::repeat_with(|| acp.follow_up("more".to_owned()))
        .take(17)
        .collect();
    assert!(full[..16].iter().all(Result::is_ok), "{full:?}");
    assert_eq!(full[16], Err(CannotSay::QueueFull { max: 16 }));
    assert_eq!(acp.take_unsaid(), ["more"; 16], "another dialogue may say it");
    assert_eq!(acp.take_unsaid(), [""; 0]);
    acp.interrupt();
    assert_eq!(
        acp.heard(&json!({ "id": 4, "result": { "stopReason": "cancelled" } })),
        [Act::Over]
    );
    assert_eq!(acp.follow_up("more".to_owned()), Err(CannotSay::Over));
}

#[test]
fn what_is_said_to_claude_is_a_message_a_turn_and_its_input_closes_behind_the_last_result() {
    let mut claude = Dialogue::new(Provider::Claude, opening(None)).unwrap();
    let message = |acts: &[Act]| said(acts)[0]["message"]["content"][0]["text"].clone();
    let first = claude.begin();
    assert_eq!(message(&first), "do it");
    assert_eq!(first.len(), 1, "no other turn was before it");
    claude.follow_up("more".to_owned()).unwrap();
    assert_eq!(claude.heard(&json!({ "type": "system", "subtype": "init" })), []);
    let result = json!({ "type": "result", "subtype": "success" });
    let further = claude.heard(&result);
    assert_eq!(message(&further), "more");
    assert_eq!(further[1], Act::TurnBegun);
    let asks = claude.heard(&json!({ "type": "control_request", "request_id": "r1" }));
    assert_eq!(said(&asks)[0]["response"]["request_id"], "r1");
    assert_eq!(claude.heard(&result), [Act::Over]);

    // Called off: its turn ends with a result too, and what waits is not said.
    let mut claude = Dialogue::new(Provider::Claude, opening(Some("s"))).unwrap();
    assert_eq!(
        message(&claude.begin()),
        "go on",
        "its session has heard the prompt"
    );
    claude.follow_up("more".to_owned()).unwrap();
    assert_eq!(said(&claude.interrupt())[0]["request"]["subtype"], "interrupt");
    assert_eq!(claude.heard(&result), [Act::Over]);

    let mut claude = Dialogue::new(Provider::Claude, opening(None)).unwrap();
    claude.begin();
    claude.follow_up("more".to_owned()).unwrap();
    let deferred = json!({ "type": "result", "subtype": "success", "stop_reason": "tool_deferred" });
    assert_eq!(claude.heard(&deferred), [Act::Over], "it waits for a person");
}

#[test]
fn a_turn_that_is_called_off_is_told_and_what_it_asks_then_is_cancelled() {
    let mut codex = Dialogue::new(Provider::CodexAppServer, opening(None)).unwrap();
    codex.heard(&json!({ "id": 0, "result": {} }));
    codex.heard(&json!({ "id": 1, "result": { "thread": { "id": "t" } } }));
    codex.heard(&json!({ "id": 2, "result": { "turn": { "id": "u" } } }));
    let acts = codex.interrupt();
    assert_eq!(methods(&acts), ["turn/interrupt"]);
    assert_eq!(
        said(&acts)[0]["params"],
        json!({ "threadId": "t", "turnId": "u" })
    );
    let ask = json!({ "id": 7, "method": "item/commandExecution/requestApproval", "params": {} });
    assert_eq!(said(&codex.heard(&ask))[0]["result"]["decision"], "cancel");

    let mut acp = Dialogue::new(Provider::Acp, opening(None)).unwrap();
    assert_eq!(acp.interrupt(), [Act::Over], "nothing has begun");
}

#[test]
fn what_is_not_offered_is_said_so_that_nobody_waits() {
    for provider in [Provider::Acp, Provider::CodexAppServer] {
        let mut dialogue = Dialogue::new(provider, opening(None)).unwrap();
        let acts = dialogue.heard(&json!({ "id": "x", "method": "fs/write_text_file", "params": {} }));
        assert_eq!(said(&acts)[0]["error"]["code"], -32601);
        assert_eq!(said(&acts)[0]["id"], "x");
    }
}

#[test]
fn a_yes_is_for_this_call_alone_and_a_no_is_a_no() {
    let ask = |decisions: Value| {
        let mut codex = Dialogue::new(Provider::CodexAppServer, opening(None)).unwrap();
        let params = json!({ "command": "rm x", "availableDecisions": decisions });
        let line = json!({ "id": 7, "method": "item/commandExecution/requestApproval", "params": params });
        match codex.heard(&line).remove(0) {
            Act::Ask(permission) => permission,
            other => panic!("{other:?}"),
        }
    };
    let all = ask(json!(["accept", "acceptForSession", "decline", "cancel"]));
    for (say, word) in [
        (Say::Yes, "accept"),
        (Say::No, "decline"),
        (Say::Nothing, "cancel"),
    ] {
        assert_eq!(all.answered(say)["result"]["decision"], word);
    }
    let always = ask(json!(["acceptForSession", "cancel"]));
    for say in [Say::Yes, Say::No, Say::Nothing] {
        assert_eq!(always.answered(say)["result"]["decision"], "cancel");
    }
    assert_eq!(all.title, "rm x");
}

#[test]
fn who_is_spoken_to_is_known_by_the_command_line() {
    for (line, provider) in [
        ("codex app-server", Some(Provider::CodexAppServer)),
        ("/opt/codex app-server", Some(Provider::CodexAppServer)),
        ("codex app-server --listen ws://127.0.0.1:1", None),
        ("opencode acp", Some(Provider::Acp)),
        ("gemini --experimental-acp", Some(Provider::Acp)),
        ("claude-code-acp", Some(Provider::Acp)),
        ("gemini -p --acp", Some(Provider::Acp)),
        ("gemini -p -- --acp", Some(Provider::Gemini)),
        ("acp", None),
    ] {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let adapted = crate::adapter::adapt(&argv, "session", &Stdin::Null, false);
        assert_eq!(
            adapted.as_ref().map(|adapted| adapted.provider),
            provider,
            "{line}"
        );
        if let Some(adapted) = adapted.filter(|adapted| adapted.is_spoken_to) {
            assert_eq!(adapted.argv, argv, "nothing is added");
            assert_ne!(adapted.provider, Provider::Gemini);
        }
    }
}

#[test]
fn who_takes_further_words_is_known_by_command_line_and_input() {
    let takes = |line: &str, stdin: &Stdin| {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        takes_follow_ups(&argv, stdin).map_err(|refused| refused.kind)
    };
    for (line, null, stream) in [
        ("codex app-server", Ok(()), Ok(())),
        ("opencode acp", Ok(()), Ok(())),
        ("claude -p", Err("claude"), Ok(())),
        ("codex exec x", Err("codex"), Err("codex")),
        ("gemini -p x", Err("gemini"), Err("gemini")),
        ("opencode run x", Err("opencode"), Err("opencode")),
        ("./script", Err("exec"), Ok(())),
    ] {
        assert_eq!(takes(line, &Stdin::Null), null, "{line}");
        assert_eq!(takes(line, &Stdin::Stream), stream, "{line}");
    }
    let argv = ["claude", "-p"].map(str::to_owned);
    let adapted = crate::adapter::adapt(&argv, "s", &Stdin::Stream, false).unwrap();
    let line = adapted.argv.join(" ");
    assert!(line.contains("--input-format stream-json"), "{line}");
    assert!(adapted.is_spoken_to);
}

/// The acts of a dialogue whose session is there.
fn at_work(provider: Provider) -> Dialogue {
    let mut dialogue = Dialogue::new(provider, opening(None)).unwrap();
    dialogue.heard(&json!({ "id": 0, "result": {} }));
    let session = json!({ "thread": { "id": "s" }, "sessionId": "s" });
    dialogue.heard(&json!({ "id": 1, "result": session }));
    dialogue
}

fn call(id: &str, kind: ToolKind, title: &str) -> Call {
    Call {
        id: id.to_owned(),
        kind,
        title: title.to_owned(),
    }
}

fn ended(call: &str, is_cut: bool) -> [Act; 1] {
    let call = call.to_owned();
    [Act::Ended { call, is_cut }]
}

#[test]
fn what_the_protocol_says_of_a_call_tells_when_it_goes_on_and_when_it_has_ended() {
    let mut acp = at_work(Provider::Acp);
    let mut told = |update: Value| {
        let params = json!({ "sessionId": "s", "update": update });
        acp.heard(&json!({ "method": "session/update", "params": params }))
    };
    let of = |id: &str, status: &str| json!({ "sessionUpdate": "tool_call_update", "toolCallId": id, "status": status });
    let begins = |id: &str, kind: &str| json!({ "sessionUpdate": "tool_call", "toolCallId": id, "kind": kind, "title": "do it" });
    for (kind, effect) in [
        ("execute", Some(ToolKind::Execute)),
        ("edit", Some(ToolKind::Edit)),
        ("delete", Some(ToolKind::Delete)),
        ("move", Some(ToolKind::Move)),
        ("switch_mode", Some(ToolKind::Other)),
        ("read", None),
        ("search", None),
        ("fetch", None),
        ("think", None),
    ] {
        let pending = effect.map(|effect| Act::Began(call(kind, effect, "do it")));
        assert_eq!(
            told(begins(kind, kind)),
            Vec::from_iter(pending),
            "{kind}: it is pending, and nobody may be asked"
        );
        let more = json!({ "sessionUpdate": "tool_call_update", "toolCallId": kind, "title": "do it" });
        assert_eq!(told(more), [], "{kind}: more of it is no news");
        assert_eq!(told(of(kind, "pending")), [], "{kind}");
        // Its kind was said before.
        let goes_on = told(of(kind, "in_progress"));
        let expected = effect.map(|effect| Act::Began(call(kind, effect, "a call that is not named")));
        assert_eq!(goes_on, Vec::from_iter(expected), "{kind}");
        assert_eq!(told(of(kind, "completed")), ended(kind, false));
    }
    for (status, is_cut) in [("failed", false), ("cancelled", true), ("strange", true)] {
        assert_eq!(told(of("c", status)), ended("c", is_cut), "{status}");
    }
    // What is told before the session is there is of turns that were.
    let mut acp = Dialogue::new(Provider::Acp, opening(Some("s"))).unwrap();
    acp.heard(&json!({ "id": 0, "result": { "agentCapabilities": { "loadSession": true } } }));
    let params = json!({ "sessionId": "s", "update": of("c", "in_progress") });
    assert_eq!(
        acp.heard(&json!({ "method": "session/update", "params": params })),
        []
    );
}

#[test]
fn what_the_protocol_asks_for_is_a_call_of_its_kind() {
    let mut acp = at_work(Provider::Acp);
    let mut asked = |said: Value| {
        let params = json!({ "options": [], "toolCall": said });
        match acp
            .heard(&json!({ "id": 9, "method": "session/request_permission", "params": params }))
            .remove(0)
        {
            Act::Ask(permission) => permission.call,
            other => panic!("{other:?}"),
        }
    };
    let said = json!({ "toolCallId": "c", "kind": "read", "title": "look" });
    assert_eq!(asked(said), call("c", ToolKind::Read, "look"));
    assert_eq!(
        asked(json!({ "toolCallId": "c", "title": "look again" })),
        call("c", ToolKind::Read, "look again"),
        "as it was said to be"
    );
    // What is not known may have an effect; without an id it is its request's.
    assert_eq!(
        asked(json!({})),
        call("9", ToolKind::Other, "a call that is not named")
    );
}

#[test]
fn what_the_app_server_says_of_its_items_tells_which_calls_go_on_unasked_and_which_have_ended() {
    let mut codex = at_work(Provider::CodexAppServer);
    let mut told =
        |method: &str, item: Value| codex.heard(&json!({ "method": method, "params": { "item": item } }));
    // It asks for what is not known to be harmless.
    for kind in [
        "commandExecution",
        "fileChange",
        "webSearch",
        "agentMessage",
        "reasoning",
    ] {
        assert_eq!(
            told("item/started", json!({ "type": kind, "id": "c0" })),
            [],
            "{kind}"
        );
    }
    for kind in ["mcpToolCall", "dynamicToolCall", "collabToolCall"] {
        let began = told(
            "item/started",
            json!({ "type": kind, "id": "c1", "tool": "post" }),
        );
        assert_eq!(began, [Act::Began(call("c1", ToolKind::Other, "post"))], "{kind}");
    }
    for (status, is_cut) in [
        ("completed", false),
        ("failed", false),
        ("declined", false),
        ("interrupted", true),
        ("strange", true),
    ] {
        let item = json!({ "type": "commandExecution", "id": "c0", "status": status });
        assert_eq!(told("item/completed", item), ended("c0", is_cut), "{status}");
    }
    for (method, params, expected) in [
        (
            "item/commandExecution/requestApproval",
            json!({ "itemId": "c2", "command": "rm x" }),
            call("c2", ToolKind::Execute, "rm x"),
        ),
        (
            "item/fileChange/requestApproval",
            json!({ "itemId": "c3" }),
            call("c3", ToolKind::Edit, "change files"),
        ),
        (
            "execCommandApproval",
            json!({ "callId": "c4", "command": ["rm", "x"] }),
            call("c4", ToolKind::Execute, "rm x"),
        ),
    ] {
        match codex
            .heard(&json!({ "id": 7, "method": method, "params": params }))
            .remove(0)
        {
            Act::Ask(permission) => assert_eq!(permission.call, expected),
            other => panic!("{other:?}"),
        }
    }
}
