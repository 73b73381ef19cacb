//! Where the server is, read from `postgres://…`, and how safe the way there has to be.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::OpenError;

/// Longest wait for a connection to be made.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// After this long without an acknowledgement the network is taken for broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How the way to the server is protected, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Security {
    /// Not at all: only within this machine.
    Plain,
    /// Encrypted to whoever answers; spelled out as `sslmode=require`.
    Encrypted,
    /// Encrypted to whoever has a certificate of the authority; spelled out as `sslmode=verify-ca`.
    VerifyCa,
    /// Encrypted to the host named in the url. The default, but within this machine.
    VerifyFull,
}

/// A server, a database and a user on it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) security: Security,
    /// For people: without password and parameters.
    pub(super) place: String,
}

/// Reads a url.
///
/// # Errors
/// `Refused`, which repeats nothing of the url but user, host and database.
pub(super) fn parse(url: &str) -> Result<Address, OpenError> {
    let refused = |reason: &str| refused("the url of the server", reason);
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| refused("it does not begin with postgres://"))?;
    let (base, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = base.split('/').next().unwrap_or("");
    if authority.matches('@').count() > 1 {
        // It would be taken for a part of the host, and shown as one.
        return Err(refused("an @ in user or password is written %40"));
    }
    let (mode, kept) = split_mode(parameters);
    let mut config = Config::from_str(&format!("postgres://{base}?{kept}"))
        .map_err(|_| refused("it is not of the form postgres://user:password@host:port/database"))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(refused("it names no host"));
    }
    let place = place(&config);
    let security = security(mode, is_near(&config)).map_err(|reason| self::refused(&place, reason))?;
    config
        .ssl_mode(match security {
            Security::Plain => SslMode::Disable,
            Security::Encrypted | Security::VerifyCa | Security::VerifyFull => SslMode::Require,
        })
        .connect_timeout(CONNECT_MAX)
        .tcp_user_timeout(SILENCE_MAX)
        .keepalives_idle(SILENCE_MAX)
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .application_name("dormouse");
    Ok(Address {
        config,
        security,
        place,
    })
}

pub(super) fn refused(path: &str, reason: &str) -> OpenError {
    OpenError::Refused {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Takes `sslmode` out of the parameters: the client library knows less of it than the url may say.
fn split_mode(parameters: &str) -> (Option<&str>, String) {
    let mut mode = None;
    let kept: Vec<&str> = parameters
        .split('&')
        .filter(|parameter| match parameter.strip_prefix("sslmode=") {
            Some(found) => {
                mode = Some(found);
                false
            }
            None => !parameter.is_empty(),
        })
        .collect();
    (mode, kept.join("&"))
}

fn security(mode: Option<&str>, is_near: bool) -> Result<Security, &'static str> {
    match mode {
        None if is_near => Ok(Security::Plain),
        None | Some("verify-full") => Ok(Security::VerifyFull),
        Some("verify-ca") => Ok(Security::VerifyCa),
        Some("require") => Ok(Security::Encrypted),
        Some("disable" | "allow" | "prefer") if is_near => Ok(Security::Plain),
        Some("disable" | "allow" | "prefer") => {
            Err("it is another machine, and sslmode would let the records go there in plain text")
        }
        Some(_) => Err("sslmode is one of disable, require, verify-ca, verify-full"),
    }
}

/// Whether every byte stays within this machine.
fn is_near(config: &Config) -> bool {
    if config.get_hostaddrs().is_empty() {
        config.get_hosts().iter().all(is_near_host)
    } else {
        config.get_hostaddrs().iter().all(IpAddr::is_loopback)
    }
}

fn is_near_host(host: &Host) -> bool {
    match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    }
}

fn place(config: &Config) -> String {
    let hosts: Vec<String> = config.get_hosts().iter().map(host_name).collect();
    let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
    let port = if ports.is_empty() {
        String::new()
    } else {
        format!(":{}", ports.join(","))
    };
    let user = config
        .get_user()
        .map(|user| format!("{user}@"))
        .unwrap_or_default();
    let database = config
        .get_dbname()
        .map(|name| format!("/{name}"))
        .unwrap_or_default();
    format!("postgres://{user}{}{port}{database}", hosts.join(","))
}

fn host_name(host: &Host) -> String {
    match host {
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
        Host::Tcp(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security_of(url: &str) -> Result<Security, String> {
        parse(url)
            .map(|address| address.security)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_way_within_a_machine_may_be_plain_and_every_other_is_verified() {
        for (url, expected) in [
            ("postgres://u@localhost/d", Security::Plain),
            ("postgres://u@127.0.0.1:1234/d", Security::Plain),
            ("postgresql://u@%2Fvar%2Frun/d", Security::Plain),
            (
                "postgres://u@localhost/d?sslmode=verify-full",
                Security::VerifyFull,
            ),
            ("postgres://u@db.example/d", Security::VerifyFull),
            ("postgres://u@localhost,db.example/d", Security::VerifyFull),
            ("postgres://u@db.example/d?hostaddr=127.0.0.1", Security::Plain),
            (
                "postgres://u@localhost/d?hostaddr=192.0.2.1",
                Security::VerifyFull,
            ),
            ("postgres://u@db.example/d?sslmode=require", Security::Encrypted),
            (
                "postgres://u@db.example/d?application_name=x&sslmode=verify-ca",
                Security::VerifyCa,
            ),
        ] {
            assert_eq!(security_of(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn plain_text_to_another_machine_is_refused_with_the_reason() {
        for mode in ["disable", "allow", "prefer"] {
            let refused = security_of(&format!("postgres://u:hunter2@db.example/d?sslmode={mode}"));
            let text = refused.unwrap_err();
            assert!(
                text.contains("plain text") && text.contains("db.example"),
                "{text}"
            );
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn no_part_of_a_password_is_repeated() {
        for url in [
            "postgres://u:hunter2@x@host/d",
            "postgres://u:hunter2@host:port/d",
            "postgres://u:hunter2@host/d?hunter2=1",
            "postgres://u:hunter2@host/d?sslmode=hunter2",
            "postgres://u:hunter2@/d",
            "mysql://u:hunter2@host/d",
            "hunter2",
        ] {
            let refused = security_of(url).expect_err(url);
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let address = parse("postgres://u:hunter2@localhost:5433/d").unwrap();
        assert_eq!(address.place, "postgres://u@localhost:5433/d");
        assert!(!format!("{:?}", address.config).contains("hunter2"));
    }
}
