//! What workers print: all of it is read, as much as may be is kept, and the rest is counted.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use dormouse_engine::transcript::{HEAD_MAX, PENDING_MAX, TAIL_MAX, TAIL_SLACK};

use super::*;

/// A folder with programs of known providers' names.
pub(super) struct Programs(tempfile::TempDir);

impl Programs {
    /// One program, of this name, that is this script.
    pub(super) fn with(name: &str, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    /// The same house, whose workers find these programs first.
    pub(super) fn first(&self, bed: &Bed, house: House) -> House {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let supervisor = Supervisor::new(
            &house.engine,
            SupervisorOptions {
                path,
                ..options(bed.folder())
            },
        );
        House { supervisor, ..house }
    }
}

/// The most that this process ever had in memory, in bytes.
fn memory_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// WK-10
///
/// What was in memory is of the whole process: right where a test has one of its own, as under nextest, and no less than
/// right where it has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_gibibyte_of_output_head_and_tail_are_kept_and_the_rest_is_counted() {
    const BYTES: u64 = 1 << 30;
    let (first, last) = ("the first line\n", "\nthe last line\n");
    let bed = bed();
    let house = bed.open_with_alice().await;
    house.run(sh("true")).await;
    let before = memory_max();
    let script = format!(
        "echo 'the first line'; sleep 1; head -c {BYTES} /dev/zero; echo all is written > written; while [ ! -e go ]; do sleep 0.05; done; echo; echo 'the last line'"
    );
    let command = CommandSpec {
        wall_clock_ms: Some(300_000),
        ..sh(&script)
    };
    let run = house.begin(command).await;
    // Whoever does not read as fast as it prints does not hold it up: it comes to its end, and waits for nothing but this.
    let folder = bed.folder().join("workspaces/default/alice");
    let written = async {
        while !folder.join("written").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let written = tokio::time::timeout(Duration::from_secs(200), written).await;
    written.expect("it is stalled");
    // The reader has the time to come to the end, so that the last line is not what it was too slow for.
    tokio::time::sleep(Duration::from_secs(5)).await;
    std::fs::write(folder.join("go"), "").unwrap();
    let row = house.ended(run).await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
    let text = house.transcript(row.run.id).await;
    assert!(text.starts_with(first), "{:?}", &text[..40]);
    assert!(text.ends_with(last), "{:?}", &text[text.len() - 40..]);
    let kept = text.len() as u64;
    assert!(kept > PENDING_MAX as u64 / 2, "{kept} bytes are kept");
    assert!(
        kept <= HEAD_MAX + TAIL_MAX + TAIL_SLACK + 64 * 1024,
        "{kept} bytes are kept"
    );
    let all = BYTES + first.len() as u64 + last.len() as u64;
    assert_eq!(
        kept + facts(&row).elided_bytes,
        all,
        "every byte is kept or counted"
    );
    // The store of this test is memory: what is kept twice, what waits, and what reading it takes.
    let grown = memory_max() - before;
    let most = 6 * (HEAD_MAX + TAIL_MAX + TAIL_SLACK) + 4 * PENDING_MAX as u64;
    assert!(grown < most, "{grown} bytes more");
}

/// WK-13
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_line_of_a_stream_is_counted_and_the_next_one_is_read() {
    let stream = include_str!("../../fixtures/streams/own/claude_success.jsonl");
    let mut script = String::from(
        "echo 'a banner'; printf '{\"bad\":\"\\377\\376\"}\\n'; printf 'a \\000 in it\\n'\n\
         i=0; while [ $i -lt 256 ]; do head -c 65536 /dev/zero | tr '\\000' x; i=$((i+1)); sleep 0.02; done; echo x\n",
    );
    write!(script, "cat <<'END'\n{}\nEND", stream.trim_end()).unwrap();
    let programs = Programs::with("claude", &script);
    let bed = bed();
    let house = programs.first(&bed, bed.open_with_alice().await);
    let command = CommandSpec {
        wall_clock_ms: Some(300_000),
        ..CommandSpec::new(["claude", "-p", "count"].map(str::to_owned).to_vec())
    };
    let row = house.run(command).await;
    let Outcome::Success { text: Some(text) } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!(text.as_str(), "There are 12 lines.");
    let facts = facts(&row);
    let heard = facts.stream.unwrap();
    // The line is a byte too long; it is no JSON, as little as the three before it.
    assert_eq!((heard.lines_cut, heard.log_lines), (1, 4), "{heard:?}");
}

/// A value that JSON escapes.
const QUOTED: &str = "q\"uo\\te-wombat+9Zx";
/// What takes the place of the first one, while a worker has that.
const ROTATED: &str = "zX9+another-wombat-7Rk";

/// Prints its values in every way that is told of: cut at each byte between two writes, and across the pieces that are
/// read and stored; plain, escaped once and twice, in base64; and once more when it may.
const LEAKS: &str = r#"
n=${#GH_TOKEN}; i=1
while [ $i -lt $n ]; do
  printf %s "$GH_TOKEN" | head -c $i; sleep 0.01; printf %s "$GH_TOKEN" | tail -c +$((i+1)); echo; i=$((i+1))
done
for round in 1 2; do i=1; while [ $i -lt $n ]; do
  head -c $((65536 - i)) /dev/zero | tr '\000' f; printf '%s\n' "$GH_TOKEN"; i=$((i+1))
done; done
escape() { printf %s "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
once=$(escape "$QUOTED"); twice=$(escape "$once")
printf '%s\n' "$QUOTED" "$once" "$twice"
printf %s "$GH_TOKEN" | base64; printf %s "$GH_TOKEN" | base64 >&2; ls "/$GH_TOKEN" || true
printf '{"type":"system","subtype":"init","session_id":"s1","model":"m"}\n'
said() { printf '{"type":"assistant","message":{"id":"%s","role":"assistant","content":[{"type":"text","text":"%s"}]},"session_id":"s1"}\n' "$1" "$2"; }
said m1 "it is $once"; said m2 "it is $twice"; said m3 "it is $GH_TOKEN"
echo up; while [ ! -e go ]; do sleep 0.01; done
printf '%s\n' "$GH_TOKEN"
printf '{"type":"result","subtype":"success","is_error":false,"result":"%s and %s","session_id":"s1"}\n' "$once" "$GH_TOKEN"
"#;

/// WK-11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_in_no_sink_however_it_is_cut_and_written_and_though_it_was_rotated() {
    let programs = Programs::with("claude", LEAKS);
    let bed = bed();
    let house = programs.first(&bed, bed.open_with_alice().await);
    house.with_secret("GH_TOKEN").await;
    let put = async |name: &str, value: &str| {
        let call = house.tenant.credentials.call(&operator());
        let at = format!("agent:alice:{name}").parse().unwrap();
        let value = Secret::new(value.as_bytes().to_vec());
        let (category, meta) = (SecretCategory::Tool, PutMeta::default());
        let secrets = house.tenant.credentials.secrets();
        secrets
            .put(&call, &at, &value, category, &meta, Expect::Any)
            .await
            .unwrap();
    };
    put("QUOTED", QUOTED).await;
    let command = CommandSpec::new(["claude", "-p", "leak"].map(str::to_owned).to_vec());
    let run = house.begin(command).await;
    house.printed(run, "up\n").await;
    put("GH_TOKEN", ROTATED).await;
    std::fs::write(bed.folder().join("workspaces/default/alice/go"), "").unwrap();
    let row = house.ended(run).await;
    let Outcome::Success { text: Some(text) } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!(text.as_str(), "[redacted:QUOTED] and [redacted:GH_TOKEN]");
    let transcript = house.transcript(run).await;
    let least = VALUE.len() - 1;
    assert!(
        transcript.matches("[redacted:GH_TOKEN]").count() >= least,
        "{}",
        transcript.len()
    );
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let once = escape(QUOTED);
    let base64 = data_encoding::BASE64.encode(VALUE.as_bytes());
    let values = [
        VALUE,
        QUOTED,
        &once,
        &escape(&once),
        base64.trim_end_matches('='),
        ROTATED,
    ];
    let stored = crate::stores::stored_in(&bed.store).await;
    assert!(
        stored.contains("[redacted:GH_TOKEN]"),
        "the transcript is looked at"
    );
    for value in values {
        assert!(!transcript.contains(value), "{value} is shown");
        assert!(!stored.contains(value), "{value} is stored");
    }
}
