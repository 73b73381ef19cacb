//! What the worker of this run asks: told here as it comes, and asked here where there is a person.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use dormouse_engine::event::{Change, EventAt};
use dormouse_engine::supervisor::OnGate;
use dormouse_engine::{GateId, RunId, SessionId, Subject};
use dormouse_state::GateKind;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::api::{GateView, List, RunView};
use crate::args::GateMode;
use crate::client::{Call, Client, Lines};
use crate::command::gate::{One, next, shown};
use crate::output::visible::one_line;
use crate::output::{Format, Ui};
use crate::problem::{Code, Problem};

/// The wait before a stream that was cut is asked for again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often a gate that is asked here is looked at: somebody else may be quicker.
const LOOK: Duration = Duration::from_secs(1);

/// What is done when the worker asks: as it was said, or by whether there is a person.
pub(super) fn mode(said: Option<GateMode>, ui: &Ui) -> Result<GateMode, Problem> {
    use std::io::IsTerminal;
    let has_person = std::io::stdin().is_terminal() && ui.is_stderr_terminal && ui.format == Format::Text;
    match said {
        Some(GateMode::Ask) if !has_person => Err(Problem::new(
            Code::Usage,
            "--on-gate ask: there is no terminal on which to ask",
        )
        .hint("pass --on-gate wait, and decide with dormouse gate approve in another terminal")),
        Some(mode) => Ok(mode),
        None if has_person => Ok(GateMode::Ask),
        None => Ok(GateMode::Wait),
    }
}

/// What that is for the worker.
pub(super) fn of_worker(mode: GateMode) -> OnGate {
    match mode {
        GateMode::Ask | GateMode::Wait => OnGate::Wait,
        GateMode::Park => OnGate::Park,
        GateMode::Reject => OnGate::Reject,
    }
}

/// Watches the gates of one run.
pub(super) struct Watch {
    run: RunId,
    session: Option<SessionId>,
    mode: GateMode,
    ui: Ui,
    clients: watch::Receiver<Option<Client>>,
    told: HashSet<GateId>,
    person: Option<Person>,
}

impl Watch {
    pub(super) fn new(
        run: &RunView,
        mode: GateMode,
        ui: Ui,
        clients: watch::Receiver<Option<Client>>,
    ) -> Self {
        Self {
            run: run.id,
            session: run.session,
            mode,
            ui,
            clients,
            told: HashSet::new(),
            person: None,
        }
    }

    /// Ends with the run: it is aborted then. What goes wrong here keeps nobody from deciding elsewhere.
    pub(super) async fn work(mut self) {
        loop {
            if let Some(client) = self.client().await {
                self.follow(&client).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn client(&mut self) -> Option<Client> {
        let found = self.clients.wait_for(Option::is_some).await.ok()?;
        found.clone()
    }

    /// Reads events until the stream is cut. What was asked before it began is listed.
    async fn follow(&mut self, client: &Client) {
        let call = Call::get("/v1/events")
            .query("follow", Some(true))
            .query("type", Some("gate.*"));
        let Ok(answer) = client.send(&call).await else {
            return;
        };
        let mut lines = Lines::new(answer.body);
        for gate in pending(client).await {
            // What an attempt before this one asked in the session is asked still.
            let is_of_session = gate.session.is_some() && gate.session == self.session;
            if gate.run == Some(self.run) || is_of_session {
                self.meet(client, gate).await;
            }
        }
        while let Ok(Some(line)) = lines.next().await {
            let Some(id) = asked(&line, self.run) else {
                continue;
            };
            if let Some(gate) = fetch(client, id).await {
                self.meet(client, gate).await;
            }
        }
    }

    async fn meet(&mut self, client: &Client, gate: GateView) {
        if !gate.is_pending() || !self.told.insert(gate.id) {
            return;
        }
        let expires = gate.expires_at.map_or_else(
            || "never expires".to_owned(),
            |at| {
                format!(
                    "expires {}",
                    crate::output::TimeStyle::Relative.show(at, crate::edge::now())
                )
            },
        );
        let line = format!(
            "gate {}  {} {} {} ({expires})",
            gate.id,
            gate.agent,
            wants(gate.kind),
            gate.title()
        );
        match self.mode {
            // It is over before anybody could do anything about it.
            GateMode::Reject | GateMode::Park => {}
            _ if !gate.decidable => self.ui.note(&one_line(&line)),
            GateMode::Ask => {
                is_shown(client, &gate).await;
                self.ui.stderr_line(&one_line(&line));
                // All that is decided, and not only what the worker says of it.
                self.ui.stderr_bytes(shown(&gate, &self.ui).as_bytes());
                self.ask(client, gate).await;
            }
            GateMode::Wait => {
                is_shown(client, &gate).await;
                self.ui.note(&one_line(&line));
                self.ui.note(&format!("   {}", next(&gate)));
            }
        }
    }

    /// Asks the person here, until the gate is decided here or elsewhere.
    async fn ask(&mut self, client: &Client, gate: GateView) {
        // Whoever owns the store may change while somebody thinks.
        let clients = self.clients.clone();
        let client = || clients.borrow().clone().unwrap_or_else(|| client.clone());
        let person = self.person.get_or_insert_with(Person::begin);
        let mut prompted = false;
        // Once for a gate: what is typed while it is shown is meant for it.
        let asked_at = person.turn_to();
        // Ends with the decision, or when nobody is there any more.
        loop {
            if !prompted {
                self.ui.stderr_bytes(prompt(&gate).as_bytes());
                prompted = true;
            }
            let line = tokio::select! {
                line = person.line(asked_at) => line,
                () = tokio::time::sleep(LOOK) => {
                    let Some(now) = fetch(&client(), gate.id).await else { continue };
                    let Some(decision) = &now.decision else { continue };
                    let line = format!("\n{} by {} elsewhere", now.status, decision.by);
                    return self.ui.stderr_line(&line);
                }
            };
            let Some(line) = line else {
                let line = format!("\nnobody is here; {}", next(&gate));
                return self.ui.stderr_line(&line);
            };
            prompted = false;
            let Some(decision) = meant(&gate, line.trim(), &self.ui) else {
                continue;
            };
            match decide(&client(), &gate, &decision).await {
                Ok(()) => return,
                Err(problem) if problem.is(Code::Invalid) => self.ui.problem(&problem),
                Err(problem) => return self.ui.problem(&problem),
            }
        }
    }
}

fn wants(kind: GateKind) -> &'static str {
    match kind {
        GateKind::Approval => "wants:",
        GateKind::Question => "asks:",
        GateKind::Notification => "says:",
    }
}

fn prompt(gate: &GateView) -> String {
    let default = if gate.default_no { " (Enter rejects)" } else { "" };
    match gate.kind {
        GateKind::Approval => format!("   [s]how [a]pprove [r]eject{default} "),
        GateKind::Question if gate.options.is_empty() => "   [s]how [r]eject, or the answer: ".to_owned(),
        GateKind::Question => {
            let options = gate.options.iter().enumerate();
            let options: Vec<String> = options
                .map(|(at, option)| format!("   {} {}\n", at + 1, one_line(option)))
                .collect();
            format!("{}   [s]how [r]eject, or the number: ", options.concat())
        }
        GateKind::Notification => "   [s]how, Enter when seen ".to_owned(),
    }
}

/// The decision that a typed line is; none when it is none, or only asks to see more.
fn meant<'a>(gate: &'a GateView, line: &'a str, ui: &Ui) -> Option<One<'a>> {
    let one = |decision| One::new(decision, gate, None);
    match (gate.kind, line) {
        (_, "s" | "show") => {
            ui.stderr_bytes(shown(gate, ui).as_bytes());
            None
        }
        (GateKind::Approval, "a" | "approve") => Some(one("approve")),
        (GateKind::Approval | GateKind::Question, "r" | "reject") => Some(one("reject")),
        (GateKind::Approval | GateKind::Question, "") if gate.default_no => Some(one("reject")),
        (GateKind::Notification, _) => Some(one("answer")),
        (GateKind::Approval, _) | (GateKind::Question, "") => None,
        (GateKind::Question, text) if gate.options.is_empty() => Some(One {
            text: Some(text),
            ..one("answer")
        }),
        (GateKind::Question, numbers) => {
            let chosen: Option<Vec<usize>> = numbers
                .split([' ', ','])
                .filter(|number| !number.is_empty())
                .map(|number| number.parse::<usize>().ok()?.checked_sub(1))
                .collect();
            Some(One {
                chosen: chosen?,
                ..one("answer")
            })
        }
    }
}

async fn decide(client: &Client, gate: &GateView, decision: &One<'_>) -> Result<(), Problem> {
    let unknown =
        |why: &str| Problem::new(Code::Unavailable, format!("it was not decided: {why}")).hint(next(gate));
    let call = Call::put(format!("/v1/gates/{}/decision", gate.id), decision);
    let answer = client
        .send(&call)
        .await
        .map_err(|_| unknown("the owner of the store does not answer"))?;
    if answer.status.is_success() {
        return Ok(());
    }
    let bytes = answer.bytes().await.unwrap_or_default();
    Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown("the answer cannot be read")))
}

/// Tells that it is shown here, for those who look at it elsewhere. That they are not told keeps nobody from deciding.
async fn is_shown(client: &Client, gate: &GateView) {
    let here = json!({ "surface": "terminal", "reference": crate::edge::user() });
    let _told = client
        .send(&Call::post(format!("/v1/gates/{}/shown", gate.id), &here))
        .await;
}

async fn fetch(client: &Client, id: GateId) -> Option<GateView> {
    let answer = client.send(&Call::get(format!("/v1/gates/{id}"))).await.ok()?;
    serde_json::from_slice(&answer.bytes().await.ok()?).ok()
}

/// What is pending, as far as one page goes: a run has at most 100 of them.
async fn pending(client: &Client) -> Vec<GateView> {
    let call = Call::get("/v1/gates")
        .query("state", Some("pending"))
        .query("limit", Some(1000));
    let Ok(answer) = client.send(&call).await else {
        return Vec::new();
    };
    let bytes = answer.bytes().await.unwrap_or_default();
    serde_json::from_slice(&bytes).map_or_else(|_| Vec::new(), |list: List<GateView>| list.items)
}

/// The gate that this run asked by this event, or took over from an attempt before it.
fn asked(line: &Bytes, own: RunId) -> Option<GateId> {
    let event: EventAt = serde_json::from_slice(line).ok()?;
    let run = match event.event.change()? {
        Change::GateOpened(asked) => asked.run,
        Change::GateAdopted { run } => run,
        _ => return None,
    };
    match event.event.subject.parse().ok()? {
        Subject::Gate(gate) if run == Some(own) => Some(gate),
        _ => None,
    }
}

/// The person at this terminal: the lines they type.
struct Person(mpsc::Receiver<(Instant, String)>);

impl Person {
    /// Reads from here on. The thread waits in a read that nothing ends but a line, so it is not joined: it ends with
    /// the process.
    fn begin() -> Self {
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if sender.blocking_send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// Forgets what was typed before they are asked: it was no answer to this.
    fn turn_to(&mut self) -> Instant {
        // Where it cannot be, the time of each line tells.
        let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
        Instant::now()
    }

    /// The next line typed since they were asked; none when there are no more.
    async fn line(&mut self, asked_at: Instant) -> Option<String> {
        // Ends with the first such line.
        loop {
            let (read_at, line) = self.0.recv().await?;
            if read_at >= asked_at {
                return Some(line);
            }
        }
    }
}
