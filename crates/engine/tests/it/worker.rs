//! Real processes: how they start, what surrounds them, what they write, how they leave.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dormouse_engine::command::Stdin;
use dormouse_engine::outcome::FailReason;
use dormouse_engine::worker::isolation::{self, Level, Offered, Policy};
use dormouse_engine::worker::{self, Feed, Launch, LiveEvent, SpawnError};

use crate::worker_bed::{Bed, finish, run, start};

async fn refused(launch: &Launch) -> SpawnError {
    match worker::prepare(launch).await {
        Err(error) => error,
        Ok(prepared) => prepared.go().await.expect_err("it cannot be started"),
    }
}

#[tokio::test]
async fn both_streams_and_the_exit_code_arrive() {
    let seen = run(&Bed::new().sh("echo out; echo err >&2; exit 3")).await;
    assert_eq!(
        (seen.text().as_str(), seen.stderr.as_slice()),
        ("out\n", &b"err\n"[..])
    );
    assert_eq!((seen.exit().code, seen.exit().signal), (Some(3), None));
    seen.assert_nothing_is_left();
}

#[tokio::test]
async fn a_signal_that_is_not_ours_is_told_apart() {
    let exit = run(&Bed::new().sh("kill -9 $$")).await.exit();
    assert_eq!((exit.code, exit.signal, exit.by_us), (None, Some(9), false));
}

#[tokio::test]
async fn a_worker_has_its_own_session_tight_limits_default_signals_and_four_descriptors() {
    let script = "umask; ulimit -c; ulimit -n; ulimit -f; ls /proc/self/fd | tr '\\n' ' '; echo; \
                  grep -E '^(NoNewPrivs|SigBlk|SigIgn)' /proc/self/status; \
                  test $(ps -o sid= -p $$) = $$ && echo leads its session; pwd";
    let bed = Bed::new();
    let seen = run(&bed.sh(script)).await;
    let text = seen.text();
    let lines: Vec<&str> = text.lines().collect();
    // The fourth descriptor is the report channel, the fifth the folder that `ls` reads; file sizes are in blocks of 512 bytes.
    assert_eq!(
        lines[..5],
        ["0077", "0", "4096", "8388608", "0 1 2 3 4 "],
        "{text}"
    );
    assert!(text.contains("NoNewPrivs:\t1"), "{text}");
    let ignored = lines
        .iter()
        .find_map(|line| line.strip_prefix("SigIgn:\t"))
        .unwrap();
    // The two signals the C library keeps for itself do not count: it ignores them in every process it spawns.
    assert_eq!(
        u64::from_str_radix(ignored, 16).unwrap() & !(0b11 << 31),
        0,
        "{text}"
    );
    assert!(text.contains("SigBlk:\t0000000000000000"), "{text}");
    assert!(text.contains("leads its session"), "{text}");
    assert_eq!(
        *lines.last().unwrap(),
        bed.workspace().canonicalize().unwrap().to_str().unwrap()
    );
}

#[tokio::test]
async fn the_name_of_the_program_is_the_one_that_was_asked_for() {
    assert_eq!(run(&Bed::new().sh("echo $0")).await.text(), "sh\n");
}

#[tokio::test]
async fn input_is_empty_or_the_file_that_was_named() {
    let bed = Bed::new();
    assert_eq!(run(&bed.sh("cat; echo end")).await.text(), "end\n");
    let file = bed.outside("input");
    fs::write(&file, "a line\n").unwrap();
    let launch = Launch {
        stdin: Stdin::File(file),
        ..bed.sh("cat; echo end")
    };
    assert_eq!(run(&launch).await.text(), "a line\nend\n");
}

#[tokio::test]
async fn input_that_is_no_regular_file_is_refused_and_not_waited_for() {
    let bed = Bed::new();
    for file in [bed.outside("missing"), bed.workspace(), "/dev/zero".into()] {
        let launch = Launch {
            stdin: Stdin::File(file),
            ..bed.sh("cat")
        };
        assert!(matches!(refused(&launch).await, SpawnError::Stdin { .. }));
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_with_a_hint() {
    let error = refused(&Bed::new().launch(&["no-such-program"])).await;
    assert!(
        error
            .to_string()
            .starts_with("the program `no-such-program` was not found on the worker's PATH")
    );
    assert_eq!(
        (error.fail_reason(), error.is_permanent(), error.hint().is_some()),
        (FailReason::Spawn, true, true)
    );
}

#[tokio::test]
async fn programs_that_cannot_be_run_are_told_apart() {
    let bed = Bed::new();
    let file = |name: &str, text: &str, mode| {
        let path = bed.workspace().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        format!("./{name}")
    };
    let plain = file("plain", "#!/bin/sh\n", 0o600);
    assert!(matches!(
        refused(&bed.launch(&[plain])).await,
        SpawnError::NotExecutable { .. }
    ));
    assert!(matches!(
        refused(&bed.launch(&["/etc"])).await,
        SpawnError::NotExecutable { .. }
    ));
    assert!(matches!(
        refused(&bed.launch(&["./missing"])).await,
        SpawnError::NotFound { .. }
    ));
    assert!(matches!(
        refused(&bed.launch::<&str>(&[])).await,
        SpawnError::NotFound { .. }
    ));

    let orphan = file("orphan", "#!/no/such/interpreter\n", 0o700);
    let error = refused(&bed.launch(&[orphan])).await;
    assert!(matches!(error, SpawnError::Exec { .. }), "{error}");
    assert!(error.hint().unwrap().contains("interpreter") && error.is_permanent());
}

#[tokio::test]
async fn a_program_that_is_being_written_is_tried_again() {
    let bed = Bed::new();
    let busy = bed.workspace().join("busy");
    fs::copy("/bin/true", &busy).unwrap();
    let writer = fs::File::options().append(true).open(&busy).unwrap();
    let error = refused(&bed.launch(&["./busy"])).await;
    assert!(
        matches!(&error, SpawnError::Exec { source, .. } if source.kind() == std::io::ErrorKind::ExecutableFileBusy)
    );
    assert!(!error.is_permanent());
    drop(writer);
    // Other tests' children may hold the file for a moment, between their fork and their exec.
    let again = async || loop {
        match worker::prepare(&bed.launch(&["./busy"]))
            .await
            .unwrap()
            .go()
            .await
        {
            Ok(live) => return finish(live).await,
            Err(error) => assert!(!error.is_permanent(), "{error}"),
        }
    };
    assert_eq!(again().await.exit().code, Some(0));
}

#[tokio::test]
async fn a_working_folder_is_there_and_inside_the_workspace_with_every_link_resolved() {
    let bed = Bed::new();
    let at = |cwd| Launch {
        cwd: Some(cwd),
        ..bed.sh("pwd")
    };
    let inside = bed.workspace().join("a");
    fs::create_dir(&inside).unwrap();
    assert_eq!(
        run(&at(inside.clone())).await.text().trim_end(),
        inside.canonicalize().unwrap().to_str().unwrap()
    );

    assert!(matches!(
        refused(&at(bed.workspace().join("missing"))).await,
        SpawnError::Folder { .. }
    ));
    assert!(matches!(
        refused(&at("/".into())).await,
        SpawnError::OutsideWorkspace { .. }
    ));
    let link = bed.workspace().join("link");
    std::os::unix::fs::symlink("/usr", &link).unwrap();
    assert!(matches!(
        refused(&at(link)).await,
        SpawnError::OutsideWorkspace { .. }
    ));
}

#[tokio::test]
async fn an_executable_that_is_no_keeper_is_found_out() {
    let bed = Bed::new();
    let launch = Launch {
        keeper: "/bin/true".into(),
        ..bed.sh("true")
    };
    assert!(matches!(refused(&launch).await, SpawnError::KeeperLost { .. }));
    let launch = Launch {
        keeper: "/no/such/keeper".into(),
        ..bed.sh("true")
    };
    assert!(matches!(refused(&launch).await, SpawnError::Keeper { .. }));
}

#[tokio::test]
async fn a_reader_that_is_too_slow_stalls_no_worker_and_every_missing_byte_is_counted() {
    const BYTES: u64 = 64 * 1024 * 1024;
    let bed = Bed::new();
    let live = start(&bed.sh("head -c 67108864 /dev/zero; echo done > done")).await;
    // Nobody reads, and the worker comes to its end all the same.
    bed.written("done").await;
    let seen = finish(live).await;
    // The buffer, and what the pipe still held when the reader came.
    assert!(seen.stdout.len() <= 2 * worker::process::BUFFER_BYTES_MAX);
    assert_eq!(seen.stdout.len() as u64 + seen.elided, BYTES);
    assert_eq!(seen.gone.elided_bytes, seen.elided);
}

#[tokio::test]
async fn a_worker_may_close_its_streams_and_go_on() {
    let bed = Bed::new();
    let seen = run(&bed.sh("exec >&- 2>&-; echo went on > file; exit 4")).await;
    assert_eq!(seen.exit().code, Some(4));
    assert_eq!(bed.written("file").await, "went on\n");
}

#[tokio::test]
async fn work_in_silence_shows_as_processor_time() {
    let bed = Bed::new();
    let live = start(&bed.sh("( while :; do :; done ) & wait")).await;
    let begun = tokio::time::timeout(crate::worker_bed::PATIENCE, async {
        while live.cpu().await.is_zero() {
            tokio::task::yield_now().await;
        }
    });
    begun.await.expect("a loop uses the processor");
    live.kill();
    let seen = finish(live).await;
    assert!(seen.gone.usage.user_ms + seen.gone.usage.system_ms > 0);
    assert!(seen.gone.usage.resident_max_bytes > 0);
}

#[tokio::test]
async fn a_wall_lets_a_worker_reach_its_own_folders_only() {
    let Offered::Landlock { abi } = isolation::offered() else {
        let must_be = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!must_be, "this kernel has no Landlock, and CI=true");
        eprintln!("SKIPPED: this kernel has no Landlock");
        return;
    };
    let bed = Bed::new();
    let secret = bed.outside("store");
    fs::write(&secret, "a secret\n").unwrap();
    let script = format!(
        "echo mine > own && cat own; echo tmp > $TMPDIR/t && cat $TMPDIR/t; cat {secret}; echo x > {secret}; \
         echo into nothing > /dev/null && echo null; head -c 1 /etc/passwd > /dev/null && echo etc; \
         readlink /proc/{me}/cwd || echo no trace; kill -0 {me} 2>&- || echo no signal; exit 5",
        secret = secret.display(),
        me = std::process::id(),
    );
    let launch = Launch {
        isolation: Some(Policy::Required),
        ..bed.sh(&script)
    };
    let live = start(&launch).await;
    assert_eq!(live.isolation(), Level::Landlock { abi });
    let seen = finish(live).await;
    // Signals are closed in by version 6.
    let signal = if abi < 6 { "" } else { "no signal\n" };
    assert_eq!(
        seen.text(),
        format!("mine\ntmp\nnull\netc\nno trace\n{signal}"),
        "{}",
        String::from_utf8_lossy(&seen.stderr)
    );
    assert_eq!(seen.exit().code, Some(5));
    assert_eq!(fs::read_to_string(secret).unwrap(), "a secret\n");
}

#[tokio::test]
async fn what_is_written_on_the_third_descriptor_is_a_report_and_nothing_of_the_output() {
    let bed = Bed::new();
    let script =
        "echo out; echo said >&3; sh -c 'echo of a child >&3'; echo err >&2; echo $DORMOUSE_REPORT_FD";
    let seen = run(&bed.sh(script)).await;
    assert_eq!(String::from_utf8_lossy(&seen.report), "said\nof a child\n");
    assert_eq!(
        (seen.text().as_str(), seen.stderr.as_slice()),
        ("out\n3\n", &b"err\n"[..])
    );
}

#[tokio::test]
async fn a_worker_that_is_fed_reads_what_is_written_while_it_runs_and_its_end() {
    use tokio::io::AsyncWriteExt as _;

    let bed = Bed::new();
    let launch = Launch {
        feed: Feed::Piped,
        ..bed.sh("read line; echo \"heard $line\"; cat; echo end")
    };
    let mut live = start(&launch).await;
    let mut feed = live.take_feed().unwrap();
    feed.write_all(b"one\n").await.unwrap();
    match live.next().await.unwrap() {
        LiveEvent::Stdout(bytes) => assert_eq!(&bytes[..], b"heard one\n"),
        other => panic!("{other:?}"),
    }
    feed.write_all(b"two\n").await.unwrap();
    drop(feed);
    assert_eq!(finish(live).await.text(), "two\nend\n");
}
