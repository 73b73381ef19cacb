//! A PostgreSQL server for the tests: private, on a free loopback port, with fsync on, gone when xtask is.
//!
//! It is made from the server's programs found on the machine, or installed by the distribution's package manager
//! where that may be done. A shell watches over it: when the pipe to xtask closes, in whichever way xtask ended, the
//! server is stopped and its folder removed.

use std::fs;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Names the server that the tests use.
pub(crate) const VARIABLE: &str = "DORMOUSE_TEST_POSTGRES";
/// How often a server is tried to be started.
const TRIES_MAX: u32 = 3;
/// How often a server that starts is asked whether it is there.
const ASKED_MAX: u32 = 400;
const ASK_EVERY: Duration = Duration::from_millis(50);
const USER: &str = "dormouse";
/// Where distributions put the server's programs, beside `PATH`.
const PLACES: [&str; 3] = ["/usr/lib/postgresql", "/usr", "/opt/homebrew/opt"];
/// Package managers, and how each installs a server without asking.
const INSTALLERS: [(&str, &[&str]); 3] = [
    (
        "apt-get",
        &["install", "--yes", "--no-install-recommends", "postgresql"],
    ),
    ("dnf", &["install", "--assumeyes", "postgresql-server"]),
    ("apk", &["add", "postgresql"]),
];
/// The server, stopped and forgotten when standard input ends. An interrupt is for xtask: its end is the server's.
const WATCH: &str = r#"trap "" INT HUP
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
cat >/dev/null
kill -INT $! 2>/dev/null
wait $!
rm -rf "$folder""#;

/// A server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    watcher: Child,
    url: String,
}

impl Server {
    /// Starts a server, unless the environment names one; says why when there is none.
    pub(crate) fn for_tests() -> Result<Option<Self>, String> {
        if std::env::var_os(VARIABLE).is_some() {
            println!("the PostgreSQL backend is tested on the server that {VARIABLE} names");
            return Ok(None);
        }
        let programs = match find_programs() {
            Some(programs) => programs,
            None => {
                install().and_then(|()| find_programs().ok_or("it was installed and is not found".into()))?
            }
        };
        let server = Self::start_somewhere(&programs)?;
        println!(
            "the PostgreSQL backend is tested on a private server made from {}",
            programs.display()
        );
        Ok(Some(server))
    }

    /// A server to measure on, and the folder of its programs.
    pub(crate) fn for_bench() -> Result<(Self, PathBuf), String> {
        let programs = find_programs().ok_or("no server's programs are on this machine")?;
        Ok((Self::start_somewhere(&programs)?, programs))
    }

    /// For the environment of the tests.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Somebody else may take a port first: each try has another, and another folder.
    fn start_somewhere(programs: &Path) -> Result<Self, String> {
        let mut tried = Self::start(programs);
        for _ in 1..TRIES_MAX {
            if tried.is_ok() {
                break;
            }
            tried = Self::start(programs);
        }
        tried
    }

    fn start(programs: &Path) -> Result<Self, String> {
        let owner = Owner::find()?;
        let folder = owner
            .folder()
            .map_err(|error| format!("no folder for a server: {error}"))?;
        let initialised = initialise(programs, &folder, &owner);
        let started = initialised.and_then(|password| Self::listen(programs, &folder, &owner, &password));
        if started.is_err() {
            drop(fs::remove_dir_all(&folder));
        }
        started
    }

    fn listen(programs: &Path, folder: &Path, owner: &Owner, password: &str) -> Result<Self, String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let mut command = owner.command(Path::new("sh"));
        command
            .args(["-c", WATCH, "sh"])
            .arg(folder)
            .arg(programs.join("postgres"))
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args([
                "-c",
                "unix_socket_directories=",
                "-c",
                "fsync=on",
                "-c",
                "max_connections=500",
            ])
            .stdin(Stdio::piped());
        let watcher = command.spawn().map_err(|error| format!("no shell: {error}"))?;
        let server = Self {
            watcher,
            url: format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres"),
        };
        let ready = programs.join("pg_isready");
        for _ in 0..ASKED_MAX {
            let mut asking = Command::new(&ready);
            asking.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
            if asking.status().is_ok_and(|status| status.success()) {
                return Ok(server);
            }
            thread::sleep(ASK_EVERY);
        }
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        Err(format!("the server does not start: {log}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The pipe closes; the shell does the rest.
        drop(self.watcher.stdin.take());
        drop(self.watcher.wait());
    }
}

/// Who runs the server: it refuses to be root.
struct Owner {
    ids: Option<(u32, u32)>,
}

impl Owner {
    fn find() -> Result<Self, String> {
        if id(&["-u"]) != Some(0) {
            return Ok(Self { ids: None });
        }
        let ids = ["postgres", "nobody"]
            .into_iter()
            .find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)));
        match ids {
            Some(ids) => Ok(Self { ids: Some(ids) }),
            None => Err("there is no user `postgres` or `nobody` for a server to run as".to_owned()),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // Its own folder is no place where every user may be.
        command.current_dir("/");
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
    }

    /// A new folder for it alone.
    fn folder(&self) -> io::Result<PathBuf> {
        let name = format!("dormouse-postgres-{}", random()?);
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        if let Some((user, group)) = self.ids {
            std::os::unix::fs::chown(&folder, Some(user), Some(group))?;
        }
        Ok(folder)
    }
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id")
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Makes the server's data, and a password for it.
fn initialise(programs: &Path, folder: &Path, owner: &Owner) -> Result<String, String> {
    let password = random().map_err(|error| format!("no password: {error}"))?;
    let file = folder.join("password");
    fs::write(&file, &password).map_err(|error| format!("no password: {error}"))?;
    if let Some((user, group)) = owner.ids {
        std::os::unix::fs::chown(&file, Some(user), Some(group))
            .map_err(|error| format!("no password: {error}"))?;
    }
    let mut command = owner.command(&programs.join("initdb"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .arg("--pwfile")
        .arg(&file)
        .args(["--username", USER, "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"]);
    let output = command
        .output()
        .map_err(|error| format!("initdb cannot be started: {error}"))?;
    if output.status.success() {
        Ok(password)
    } else {
        Err(format!("initdb: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// 32 hexadecimal digits.
fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Free at this moment; who takes it first is seen by the server.
fn free_port() -> io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()
        .map(|address| address.port())
}

/// The folder of the newest server's programs.
fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for place in PLACES {
        let mut versions: Vec<PathBuf> = fs::read_dir(place)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| place != PLACES[2] || path.to_string_lossy().contains("postgresql"))
            .collect();
        versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
        folders.extend(versions.into_iter().map(|path| path.join("bin")));
    }
    let has_all = |folder: &PathBuf| {
        ["postgres", "initdb", "pg_isready"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    folders.into_iter().find(has_all)
}

/// The number at the end of `postgresql/17`, `postgresql@17`.
fn version(path: &Path) -> u32 {
    let name = path.to_string_lossy();
    let digits: String = name.chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or(0)
}

/// Only root may, and nobody is asked for a password here.
fn install() -> Result<(), String> {
    const HOW: &str = "install a PostgreSQL server, or name one: DORMOUSE_TEST_POSTGRES=postgres://…";
    if id(&["-u"]) != Some(0) {
        return Err(format!("no server's programs are on this machine; {HOW}"));
    }
    for (program, arguments) in INSTALLERS {
        println!("{program} {}", arguments.join(" "));
        let mut command = Command::new(program);
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        match command.status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => return Err(format!("{program} ended with {status}; {HOW}")),
            Err(_) => {}
        }
    }
    Err(format!("no package manager of this machine is known; {HOW}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_told_by_its_number() {
        let versions = [
            "/usr/lib/postgresql/9",
            "/usr/lib/postgresql/17",
            "/opt/postgresql@16",
            "/opt/x",
        ];
        assert_eq!(versions.map(|path| version(Path::new(path))), [9, 17, 16, 0]);
    }

    #[test]
    fn a_server_is_gone_with_its_holder() {
        let Some(programs) = find_programs() else {
            eprintln!("SKIPPED: no PostgreSQL server's programs are on this machine");
            return;
        };
        let server = Server::start_somewhere(&programs).unwrap();
        let port: u16 = server.url().rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        drop(server);
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
