//! A server of the test's own, for what is said of whole servers: made from the programs of this machine, gone with
//! its holder. A shell watches over it: when the pipe to the test closes, the server is stopped and its folder goes.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const USER: &str = "dormouse";
/// How often a server that starts is asked whether it is there.
const ASKED_MAX: u32 = 600;
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Where a server notes its first process.
const PID_FILE: &str = "postmaster.pid";
const WATCH: &str = r#"trap "" INT HUP
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
cat >/dev/null
kill -QUIT $! 2>/dev/null
wait $!
rm -rf "$folder""#;

/// A server's folder before it is started.
pub(super) struct Folder {
    path: PathBuf,
    programs: PathBuf,
    ids: Option<(u32, u32)>,
}

/// A server, until it is dropped.
pub(super) struct Server {
    /// Whoever watched over it, in each of its lives.
    watchers: Vec<Child>,
    folder: Folder,
    port: u16,
}

impl Folder {
    /// None where the server's programs are not on this machine: it is said, and must not be where every test has to
    /// run.
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    pub(super) fn new() -> Option<Self> {
        let Some(programs) = programs() else {
            let must_be = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!must_be, "no PostgreSQL server's programs are here, and CI=true");
            eprintln!("SKIPPED: no PostgreSQL server's programs are on this machine");
            return None;
        };
        let path = std::env::temp_dir().join(format!("dormouse-private-{}", random()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let folder = Self {
            path,
            programs,
            ids: ids(),
        };
        folder.give(&folder.path);
        let made = folder
            .command("initdb")
            .arg("-D")
            .arg(folder.data())
            .args(["--username", USER, "--auth", "trust", "--no-sync"])
            .args(["--encoding", "UTF8", "--locale", "C"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(folder)
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Puts a file among the server's data, for it alone.
    pub(super) fn put(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self.give(&path);
    }

    /// Starts the server with these settings.
    pub(super) fn start(self, settings: &[&str]) -> Server {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        Server {
            watchers: vec![self.run(port, settings)],
            folder: self,
            port,
        }
    }

    /// Runs the server, with a shell that watches over it, until it answers.
    fn run(&self, port: u16, settings: &[&str]) -> Child {
        let mut command = self.command_of(Path::new("sh"));
        command
            .args(["-c", WATCH, "sh"])
            .arg(&self.path)
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdin(Stdio::piped());
        let watcher = command.spawn().unwrap();
        let is_there = || {
            let mut asking = Command::new(self.programs.join("pg_isready"));
            asking.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
            asking.status().is_ok_and(|status| status.success())
        };
        let log = || fs::read_to_string(self.path.join("log")).unwrap_or_default();
        assert!(comes_true(is_there), "the server does not start: {}", log());
        watcher
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.ids {
            std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
        }
    }

    fn command(&self, program: &str) -> Command {
        self.command_of(&self.programs.join(program))
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/");
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
    }
}

/// Whether something comes true before one loses patience.
fn comes_true(is_true: impl Fn() -> bool) -> bool {
    (0..ASKED_MAX).any(|_| {
        let is_true = is_true();
        if !is_true {
            std::thread::sleep(ASK_EVERY);
        }
        is_true
    })
}

impl Server {
    /// Kills all of its processes: nothing of it is told to end, or does anything more.
    pub(super) fn kill(&self) {
        let first = self.first_process();
        let all: Vec<i32> = std::iter::once(first).chain(children_of(first)).collect();
        for process in &all {
            let process = Pid::from_raw(*process).unwrap();
            // One that is gone need not be killed.
            let _ = kill_process(process, Signal::KILL);
        }
        assert!(comes_true(|| !all.iter().copied().any(is_alive)), "{all:?}");
        fs::remove_file(self.folder.data().join(PID_FILE)).unwrap();
    }

    /// Starts it again where it was, after it was killed.
    pub(super) fn again(&mut self) {
        let watcher = self.folder.run(self.port, &[]);
        self.watchers.push(watcher);
    }

    fn first_process(&self) -> i32 {
        let file = fs::read_to_string(self.folder.data().join(PID_FILE)).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    /// The server's url by this name of this machine, with these parameters.
    pub(super) fn url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://{USER}@{host}:{}/postgres{parameters}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The pipes close, the last server's first; the shells do the rest.
        for watcher in self.watchers.iter_mut().rev() {
            drop(watcher.stdin.take());
            drop(watcher.wait());
        }
    }
}

/// The state and the parent of a process; none when it is gone.
fn state_of(process: i32) -> Option<(String, i32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut behind_name = stat.rsplit_once(')')?.1.split_whitespace();
    Some((behind_name.next()?.to_owned(), behind_name.next()?.parse().ok()?))
}

fn is_alive(process: i32) -> bool {
    state_of(process).is_some_and(|(state, _)| state != "Z")
}

fn children_of(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| state_of(*process).is_some_and(|(_, of)| of == parent))
        .collect()
}

/// The folder of the newest server's programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().find(|folder| {
        ["postgres", "initdb", "pg_isready"]
            .iter()
            .all(|name| folder.join(name).is_file())
    })
}

/// Who runs the server, which refuses to be root.
fn ids() -> Option<(u32, u32)> {
    if id(&["-u"])? != 0 {
        return None;
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id")
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn random() -> String {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut bytes)
        .unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
