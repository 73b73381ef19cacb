//! Runs that are resumable, against scripted peers: what a killed server knows of their calls decides what becomes of them.

use std::path::Path;

use serde_json::{Value, json};

use crate::dialogues::{decide, peer_in, said};
use crate::home::{Home, Running};
use crate::server::Schema;
use crate::wait::until;

/// A provider: how it begins, asks for `rm -rf x`, tells the result, and ends its turn. Killed once, it finishes.
struct Peer {
    program: &'static str,
    command: &'static [&'static str],
    begin: &'static str,
    ask: &'static str,
    result: &'static str,
    finish: &'static str,
    session: &'static str,
    /// How it is told to go on, and with what it is spoken to.
    resume: &'static str,
    prompt: &'static str,
    words: &'static str,
}

const APP_SERVER: Peer = Peer {
    program: "codex",
    command: &["codex", "app-server"],
    begin: r#"
        hear; echo '{"id":0,"result":{}}'; hear; hear
        case "$line" in
        *thread/resume*) if [ -e refuse ]; then
            echo '{"id":1,"error":{"code":-1,"message":"no such thread"}}'; hear
            echo '{"id":2,"result":{"thread":{"id":"t2"}}}'
        else echo '{"id":1,"result":{"thread":{"id":"t1"}}}'; fi ;;
        *) echo '{"id":1,"result":{"thread":{"id":"t1"}}}' ;;
        esac
        hear; echo '{"method":"turn/started","params":{"turn":{"id":"u1"}}}'
    "#,
    ask: r#"
        echo '{"method":"item/started","params":{"item":{"type":"commandExecution","id":"c0","command":"rm -rf x","status":"inProgress"}}}'
        echo '{"id":7,"method":"item/commandExecution/requestApproval","params":{"itemId":"c0","command":"rm -rf x","availableDecisions":["accept","decline"]}}'
        hear; case "$line" in *accept*) ;; *) exit 8 ;; esac
    "#,
    result: r#"echo '{"method":"item/completed","params":{"item":{"type":"commandExecution","id":"c0","command":"rm -rf x","status":"completed","exitCode":0}}}'"#,
    finish: r#"
        echo '{"method":"item/completed","params":{"item":{"type":"agentMessage","id":"m1","text":"the sheep are counted"}}}'
        echo '{"method":"turn/completed","params":{"turn":{"id":"u1","status":"completed"}}}'
    "#,
    session: "t1",
    resume: "thread/resume",
    prompt: "turn/start",
    words: "/params/input/0/text",
};

const ACP: Peer = Peer {
    program: "shepherd-acp",
    command: &["shepherd-acp"],
    begin: r#"
        update() { echo '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s1","update":'"$1"'}}'; }
        hear; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":1,"agentCapabilities":{"loadSession":true}}}'
        hear
        case "$line" in
        *session/load*) if [ -e refuse ]; then
            echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no such session"}}'; hear
            echo '{"jsonrpc":"2.0","id":2,"result":{"sessionId":"s2"}}'
        else
            update '{"sessionUpdate":"tool_call","toolCallId":"c0","kind":"execute","status":"in_progress"}'
            echo '{"jsonrpc":"2.0","id":1,"result":null}'
        fi ;;
        *) echo '{"jsonrpc":"2.0","id":1,"result":{"sessionId":"s1"}}' ;;
        esac
        hear
        turn=${line##*\"id\":}; turn=${turn%%[,\}]*}
    "#,
    ask: r#"
        update '{"sessionUpdate":"tool_call","toolCallId":"c0","title":"rm -rf x","kind":"execute","status":"in_progress"}'
        echo '{"jsonrpc":"2.0","id":7,"method":"session/request_permission","params":{"sessionId":"s1","options":[{"optionId":"once","kind":"allow_once"},{"optionId":"no","kind":"reject_once"}],"toolCall":{"toolCallId":"c0","title":"rm -rf x","kind":"execute"}}}'
        hear; case "$line" in *once*) ;; *) exit 8 ;; esac
    "#,
    result: r#"update '{"sessionUpdate":"tool_call_update","toolCallId":"c0","status":"completed"}'"#,
    finish: r#"
        update '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"the sheep are counted"}}'
        echo '{"jsonrpc":"2.0","id":'$turn',"result":{"stopReason":"end_turn"}}'
    "#,
    session: "s1",
    resume: "session/load",
    prompt: "session/prompt",
    words: "/params/prompt/0/text",
};

/// Where its first process stays, until it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    /// Behind the words, before any call.
    BeforeCalls,
    /// While somebody is asked.
    Asking,
    /// Within a call that was allowed, and has had its effect.
    InCall,
    /// Behind the result of that call.
    BehindCall,
}

impl Peer {
    fn script(&self, stays: Stays) -> String {
        let Self {
            begin,
            ask,
            result,
            finish,
            ..
        } = self;
        let effect = "echo done >>effects";
        let first = match stays {
            Stays::BeforeCalls => String::new(),
            // It asks beside, and goes on to say so.
            Stays::Asking => ask.replace("hear; case", "touch at; hear; case"),
            Stays::InCall => format!("{ask}\n{effect}"),
            Stays::BehindCall => format!("{ask}\n{effect}\n{result}"),
        };
        format!(
            "{begin}\nif [ -e began ]; then\n{finish}\nhear\nexit 0\nfi\ntouch began\n{first}\ntouch at\nwhile :; do sleep 0.1; done"
        )
    }
}

/// A server, and the task of a peer that is at its place.
struct Scene {
    home: Home,
    _programs: tempfile::TempDir,
    task: String,
    run: String,
}

fn serve(home: &Home) -> Running {
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    serving
}

fn add(home: &Home, programs: &Path, command: &[&str]) -> String {
    let words = programs.join("words");
    let words = words.to_str().unwrap();
    let head = [
        "task", "add", "-o", "json", "--agent", "alice", "--stdin", words, "--",
    ];
    let ran = home.dormouse([&head[..], command].concat());
    ran.exits(0);
    ran.json()["id"].as_str().unwrap().to_owned()
}

fn is_at(home: &Home) -> Option<()> {
    home.workspace("alice").join("at").exists().then_some(())
}

fn effects(home: &Home) -> usize {
    let done = std::fs::read_to_string(home.workspace("alice").join("effects"));
    done.unwrap_or_default().lines().count()
}

fn show(home: &Home, run: &str) -> Value {
    home.json(&format!("runs show {run}"))
}

/// Each backend that is there: a home of its own, and one whose store is a server's.
fn everywhere(check: impl Fn(&dyn Fn() -> Home)) {
    check(&Home::new);
    let Some(schema) = Schema::new() else { return };
    // Each scene has a schema of its own.
    drop(schema);
    let schemas = std::cell::RefCell::new(Vec::new());
    check(&|| {
        let schema = Schema::new().expect("there was one");
        let home = schema.home();
        schemas.borrow_mut().push(schema);
        home
    });
}

/// The server is killed while the first process of the peer stays at its place, and what was known by then is durable.
fn killed(home: Home, peer: &Peer, stays: Stays) -> Scene {
    let (home, programs) = peer_in(home, peer.program, &peer.script(stays));
    let serving = serve(&home);
    let task = add(&home, programs.path(), peer.command);
    if matches!(stays, Stays::InCall | Stays::BehindCall) {
        decide(&home, "approve");
    }
    until("it is at its place", || is_at(&home));
    let run = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    let name = peer.program;
    match stays {
        // Its session is durable when it is named, and nothing is open: nobody has said yes.
        Stays::BeforeCalls => until("its session is kept", || {
            let run = show(&home, &run);
            assert_eq!(run["checkpoint"]["mark"], "safe", "{name}: {run:#}");
            (run["provider_session"] == peer.session).then_some(())
        }),
        Stays::Asking => {
            until("it asks", || (home.items("gate list").len() == 1).then_some(()));
            until("nothing is open", || {
                let run = show(&home, &run);
                let is_kept = run["provider_session"] == peer.session;
                (is_kept && run["checkpoint"]["mark"] == "safe").then_some(())
            });
        }
        // Its effect has happened: it stood in the row before the peer was told that it may.
        Stays::InCall => {
            let run = show(&home, &run);
            let open = json!({ "mark": "side_effect", "what": "rm -rf x" });
            assert_eq!(run["checkpoint"], open, "{name}: {run:#}");
            let call = json!([{ "id": "c0", "kind": "execute", "title": "rm -rf x", "fate": "open" }]);
            assert_eq!(run["calls"], call, "{name}: {run:#}");
            assert_eq!(run["provider_session"], peer.session, "{name}: {run:#}");
        }
        Stays::BehindCall => until("its result is known", || {
            (show(&home, &run)["checkpoint"]["mark"] == "safe").then_some(())
        }),
    }
    serving.kill();
    Scene {
        home,
        _programs: programs,
        task,
        run,
    }
}

/// What the last process of the peer was told: by what methods, and in what words.
fn told(scene: &Scene, peer: &Peer) -> (Vec<String>, String) {
    let said = said(&scene.home);
    let begins = said
        .iter()
        .rposition(|line| line["method"] == "initialize")
        .unwrap();
    let told = &said[begins..];
    let methods = told
        .iter()
        .filter_map(|line| line["method"].as_str().map(str::to_owned));
    let words = told.iter().find(|line| line["method"] == peer.prompt).unwrap();
    let words = words.pointer(peer.words).unwrap().as_str().unwrap().to_owned();
    (methods.collect(), words)
}

fn ends(scene: &Scene, state: &str) {
    until(&format!("the task is {state}"), || {
        let task = scene.home.json(&format!("task show {}", scene.task));
        (task["state"] == state).then_some(())
    });
}

/// The run that goes on with what the killed one left, done.
fn continued(scene: &Scene, peer: &Peer) -> Value {
    ends(scene, "done");
    let runs = scene.home.items("runs list");
    assert_eq!(runs.len(), 2, "{runs:#?}");
    let lost = show(&scene.home, &scene.run);
    assert_eq!(lost["outcome"]["kind"], "lost", "{lost:#}");
    let next = runs.iter().find(|run| run["id"] != scene.run.as_str()).unwrap();
    let next = show(&scene.home, next["id"].as_str().unwrap());
    let outcome = json!({ "kind": "success", "text": "the sheep are counted" });
    assert_eq!(next["outcome"], outcome, "{next:#}");
    assert_eq!(
        next["continues"],
        scene.run.as_str(),
        "{}: {next:#}",
        peer.program
    );
    next
}

/// WK-28: resumable, with its calls closed.
#[test]
fn killed_while_no_call_is_open_the_session_goes_on_and_nothing_happens_twice() {
    for peer in [&APP_SERVER, &ACP] {
        for stays in [Stays::BeforeCalls, Stays::Asking] {
            goes_on(Home::new(), peer, stays);
        }
        // On a server each lapse takes as long as a lease lasts.
        everywhere(|home| goes_on(home(), peer, Stays::BehindCall));
    }
}

fn goes_on(home: Home, peer: &Peer, stays: Stays) {
    let scene = killed(home, peer, stays);
    let _serving = serve(&scene.home);
    let next = continued(&scene, peer);
    let name = format!("{} {stays:?}", peer.program);
    assert_eq!(next["provider_session"], peer.session, "{name}");
    let (methods, words) = told(&scene, peer);
    assert!(
        methods.iter().any(|method| method == peer.resume),
        "{name}: {methods:?}"
    );
    assert!(
        words.starts_with("The program that ran you was cut off"),
        "{name}: {words}"
    );
    assert!(!words.contains("may have happened"), "{name}: {words}");
    // It may have been cut off before it heard them.
    assert!(words.contains("count the sheep"), "{name}: {words}");
    let happened = usize::from(stays == Stays::BehindCall);
    assert_eq!(effects(&scene.home), happened, "{name}");
}

/// WK-28: resumable, with a call open.
#[test]
fn killed_within_a_call_it_is_lost_and_whoever_tries_it_again_is_told_of_it() {
    everywhere(|home| {
        for peer in [&APP_SERVER, &ACP] {
            let scene = killed(home(), peer, Stays::InCall);
            let home = &scene.home;
            let _serving = serve(home);
            ends(&scene, "failed");
            let runs = home.items("runs list");
            assert_eq!((runs.len(), &runs[0]["outcome"]["kind"]), (1, &json!("lost")));
            let shown = home.type_line(&format!("runs show {}", scene.run));
            assert!(
                shown.exits(0).stdout.contains("rm -rf x may have happened"),
                "{shown:?}"
            );
            home.type_line(&format!("task retry {}", scene.task)).exits(0);
            continued(&scene, peer);
            let (methods, words) = told(&scene, peer);
            assert!(methods.iter().any(|method| method == peer.resume), "{methods:?}");
            assert!(words.contains("may have happened"), "{words}");
            assert!(words.contains("- execute: rm -rf x (c0)"), "{words}");
            assert_eq!(effects(home), 1, "it was told to look, and did not do it again");
        }
    });
}

#[test]
fn a_session_that_is_refused_behind_a_crash_is_begun_anew_once() {
    for (peer, anew) in [(&APP_SERVER, "thread/start"), (&ACP, "session/new")] {
        let scene = killed(Home::new(), peer, Stays::BehindCall);
        std::fs::write(scene.home.workspace("alice").join("refuse"), "").unwrap();
        let _serving = serve(&scene.home);
        continued(&scene, peer);
        let (methods, words) = told(&scene, peer);
        let of = |method: &str| methods.iter().filter(|found| *found == method).count();
        assert_eq!((of(peer.resume), of(anew)), (1, 1), "{methods:?}");
        let before =
            "An attempt at this before you was cut off. What it did is done: look before you do it again.";
        assert_eq!(words, format!("{before}\n\ncount the sheep"));
    }
}

#[test]
fn what_cannot_go_on_is_not_said_to() {
    let (home, programs) = peer_in(
        Home::new(),
        APP_SERVER.program,
        &APP_SERVER.script(Stays::BeforeCalls),
    );
    for (command, why) in [
        (&["sh", "-c", "true"][..], "exec is not resumable"),
        (&["claude", "-p", "x"], "the hook for that is not built"),
        (&["codex", "exec", "x"], "codex app-server does"),
    ] {
        let head = ["run", "--agent", "alice", "--effects", "resumable", "--"];
        let refused = home.dormouse([&head[..], command].concat());
        refused.exits(2).errs(&[why]).hints();
    }
    // Said of its agent, which has workers of many kinds, it is known when one is to begin.
    home.type_line("agent set alice effects=resumable").exits(0);
    assert_eq!(home.json("agent show alice")["effects"], "resumable");
    let ran = home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", "touch ran"]);
    ran.exits(1).errs(&["exec is not resumable"]).hints();
    assert!(!home.workspace("alice").join("ran").exists());
    let run = &home.items("runs list")[0];
    assert_eq!(
        (&run["outcome"]["kind"], &run["outcome"]["permanent"]),
        (&json!("failed"), &json!(true))
    );
    // What is said of the task comes first.
    let head = [
        "run",
        "--agent",
        "alice",
        "--effects",
        "opaque",
        "--",
        "sh",
        "-c",
        "true",
    ];
    home.dormouse(head).exits(0);
    // And an agent's word before that of the kind.
    home.type_line("agent set alice effects=opaque").exits(0);
    let serving = serve(&home);
    let task = add(&home, programs.path(), APP_SERVER.command);
    until("it is at its place", || is_at(&home));
    let runs = home.items("runs list");
    let run = runs.iter().find(|run| run["task"] == task.as_str()).unwrap();
    assert_eq!(run["checkpoint"]["what"], "the command's process", "{run:#}");
    serving.kill();
    home.type_line("agent set alice effects=").exits(0);
    assert!(home.json("agent show alice")["effects"].is_null());
    assert_eq!(home.json(&format!("task show {task}"))["state"], "failed");
}
