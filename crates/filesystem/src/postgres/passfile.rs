//! Passwords from a file in the form of `.pgpass`: `host:port:database:user:password` a line, `*` for any.

use std::path::Path;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// The password of the first line that fits; none when there is no such line, or others may read the file.
pub(super) async fn password(path: &Path, config: &Config) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = tokio::fs::metadata(path).await.ok()?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!("the file of passwords is ignored: others may read it (chmod 600)");
            return None;
        }
    }
    let text = tokio::fs::read_to_string(path).await.ok()?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(_)) => "localhost".to_owned(),
        None => config.get_hostaddrs().first()?.to_string(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user()?;
    let wanted = [&*host, &*port, config.get_dbname().unwrap_or(user), user];
    text.lines().find_map(|line| fitting(line, wanted))
}

fn fitting(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let fields = fields(line);
    let [named @ .., password] = fields.as_slice() else {
        return None;
    };
    let fits = named.len() == wanted.len()
        && named
            .iter()
            .zip(wanted)
            .all(|(named, wanted)| named == "*" || named == wanted);
    fits.then(|| password.clone())
}

/// Fields end at `:`; a backslash takes what follows as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.last_mut().expect("there is always one");
        match character {
            '\\' => last.extend(characters.next()),
            ':' => fields.push(String::new()),
            other => last.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let wanted = ["db", "5432", "agents", "u"];
        for (line, expected) in [
            ("db:5432:agents:u:secret", Some("secret")),
            ("*:*:*:u:a\\:b\\\\c", Some("a:b\\c")),
            ("db:5433:agents:u:secret", None),
            ("#db:5432:agents:u:secret", None),
            ("db:5432:agents:u", None),
            ("", None),
        ] {
            assert_eq!(fitting(line, wanted).as_deref(), expected, "{line}");
        }
    }
}
