//! Where a store is, in a line of text: the backend's name, a colon, and its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Most edits between a scheme and the one that was meant.
const EDITS_MAX: usize = 2;
/// What is shown of a server's url that cannot be told apart from a password.
const HIDDEN: &str = "postgres://***";

/// A backend, by the name that a url begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// `memory:`, the reference, which forgets.
    Memory,
    /// `file:`, one readable file per record.
    File,
    /// `sled:`, the embedded default.
    Sled,
    /// `postgres:`, for several machines.
    Postgres,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::File, Self::Sled, Self::Postgres];

    /// What its urls begin with, without the colon.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::File => "file",
            Self::Sled => "sled",
            Self::Postgres => "postgres",
        }
    }

    /// The feature of this crate that it needs, if it needs one.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Memory => None,
            Self::File => Some("local"),
            Self::Sled => Some("sled"),
            Self::Postgres => Some("postgres"),
        }
    }

    /// Whether this build has it.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Memory => true,
            Self::File => cfg!(feature = "local"),
            Self::Sled => cfg!(feature = "sled"),
            Self::Postgres => cfg!(feature = "postgres"),
        }
    }

    fn named(scheme: &str) -> Option<Self> {
        match scheme {
            // As libpq does.
            "postgresql" => Some(Self::Postgres),
            _ => Self::ALL.into_iter().find(|backend| backend.scheme() == scheme),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}

/// Why a text is not the url of a store. Nothing of the text is repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It begins with no backend's name.
    #[error("it begins with none of memory:, file:, sled:, postgres:{}", near.map(|near| format!("; did you mean {near}:?")).unwrap_or_default())]
    Scheme {
        /// The name that was meant, where that can be told.
        near: Option<Backend>,
    },
    /// This build does not have the backend.
    #[error(
        "this build has no backend {backend}:; it comes with the feature `{}` of dormouse-filesystem",
        backend.feature().unwrap_or("default")
    )]
    NotBuilt {
        /// The backend.
        backend: Backend,
    },
    /// A folder's backend without a folder.
    #[error("a folder follows {0}:, as in {0}:/var/lib/dormouse/store, and no host")]
    Folder(Backend),
    /// More behind `memory:`, which has no place.
    #[error("nothing follows memory:")]
    Surplus,
    /// `postgres:` without `//`.
    #[error("it is not of the form postgres://user:password@host:port/database")]
    Server,
}

/// Where a store is: `memory:`, `file:PATH`, `sled:PATH` or `postgres://user@host/database`.
///
/// Display and Debug show no password and none of a server's parameters.
///
/// ```
/// use dormouse_filesystem::{Backend, StoreUrl};
///
/// let url: StoreUrl = "postgres://alice:hunter2@db.example/agents".parse()?;
/// assert_eq!(url.backend(), Backend::Postgres);
/// assert_eq!(url.to_string(), "postgres://alice@db.example/agents");
/// assert!("sledd:/var/lib/x".parse::<StoreUrl>().unwrap_err().to_string().ends_with("did you mean sled:?"));
/// # Ok::<(), dormouse_filesystem::InvalidUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StoreUrl(Place);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Memory,
    Folder(Backend, PathBuf),
    /// The whole url, as it was given.
    Server(String),
}

impl StoreUrl {
    /// The store of a folder.
    ///
    /// # Panics
    /// When the backend has no folder.
    #[must_use]
    pub fn of_folder(backend: Backend, folder: &Path) -> Self {
        assert!(
            matches!(backend, Backend::File | Backend::Sled),
            "only file and sled have a folder"
        );
        Self(Place::Folder(backend, folder.to_owned()))
    }

    /// The backend.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match &self.0 {
            Place::Memory => Backend::Memory,
            Place::Folder(backend, _) => *backend,
            Place::Server(_) => Backend::Postgres,
        }
    }

    /// The folder, for a backend that has one. A relative one is below the process's working folder.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Place::Folder(_, folder) => Some(folder),
            Place::Memory | Place::Server(_) => None,
        }
    }

    /// The same, with a relative folder taken to be below this one.
    #[must_use]
    pub fn below(&self, base: &Path) -> Self {
        match &self.0 {
            Place::Folder(backend, folder) => Self(Place::Folder(*backend, base.join(folder))),
            Place::Memory | Place::Server(_) => self.clone(),
        }
    }

    /// Whether the text itself holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let Place::Server(url) = &self.0 else {
            return false;
        };
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        let in_base = base
            .rsplit_once('@')
            .is_some_and(|(before, _)| before.trim_start_matches("postgres://").contains(':'));
        in_base || parameters.contains("password")
    }

    /// The server's url as it was given, password and all.
    #[cfg(feature = "postgres")]
    pub(super) fn server(&self) -> &str {
        match &self.0 {
            Place::Server(url) => url,
            Place::Memory | Place::Folder(..) => "",
        }
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text.split_once(':').ok_or(InvalidUrl::Scheme { near: None })?;
        let backend = Backend::named(scheme).ok_or_else(|| InvalidUrl::Scheme { near: near(scheme) })?;
        let place = match backend {
            Backend::Memory if rest.is_empty() => Place::Memory,
            Backend::Memory => return Err(InvalidUrl::Surplus),
            Backend::File | Backend::Sled => {
                let folder = folder(rest).ok_or(InvalidUrl::Folder(backend))?;
                Place::Folder(backend, PathBuf::from(folder))
            }
            Backend::Postgres if rest.starts_with("//") => Place::Server(format!("postgres:{rest}")),
            Backend::Postgres => return Err(InvalidUrl::Server),
        };
        Ok(Self(place))
    }
}

/// `file:a`, `file:/a` and `file:///a`; what stands behind two slashes would be a host.
fn folder(rest: &str) -> Option<&str> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return None,
        None => rest,
    };
    (!path.is_empty() && !path.contains('\0')).then_some(path)
}

/// The backend whose name is a few letters away, or that goes by another name too.
fn near(scheme: &str) -> Option<Backend> {
    match scheme {
        "local" | "files" | "dir" => return Some(Backend::File),
        "mem" | "ram" => return Some(Backend::Memory),
        "pg" | "psql" => return Some(Backend::Postgres),
        _ => {}
    }
    let names = Backend::ALL
        .into_iter()
        .map(|backend| (backend.scheme(), backend));
    names
        .chain([("postgresql", Backend::Postgres)])
        .map(|(name, backend)| (strsim::osa_distance(scheme, name), backend))
        .filter(|(edits, _)| *edits <= EDITS_MAX)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, backend)| backend)
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Memory => f.write_str("memory:"),
            Place::Folder(backend, folder) => write!(f, "{backend}:{}", folder.display()),
            Place::Server(url) => f.write_str(&shown(url).unwrap_or_else(|| HIDDEN.to_owned())),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// User, hosts, ports and database; none when a password might be taken for one of them.
fn shown(url: &str) -> Option<String> {
    let rest = url.strip_prefix("postgres://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    if behind.contains('@') || authority.matches('@').count() > 1 {
        return None;
    }
    let (user, hosts) = match authority.split_once('@') {
        Some((user, hosts)) => (Some(user.split(':').next().unwrap_or_default()), hosts),
        None => (None, authority),
    };
    if !hosts.split(',').all(is_host) {
        return None;
    }
    let database = behind.split(['?', '#']).next().unwrap_or_default();
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    Some(format!("postgres://{user}{hosts}{database}"))
}

/// A name or number, and behind it at most a port.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '%');
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_name = match bare {
        Some(address) => address.chars().all(|c| c == ':' || is_of_name(c)),
        None => name.chars().all(is_of_name),
    };
    is_name && port.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<StoreUrl, InvalidUrl> {
        text.parse()
    }

    #[test]
    fn every_backend_has_its_form() {
        for (text, backend, folder, said) in [
            ("memory:", Backend::Memory, None, "memory:"),
            ("file:/a/b", Backend::File, Some("/a/b"), "file:/a/b"),
            ("file:///a/b", Backend::File, Some("/a/b"), "file:/a/b"),
            ("sled:a", Backend::Sled, Some("a"), "sled:a"),
            ("sled:./a:b@c", Backend::Sled, Some("./a:b@c"), "sled:./a:b@c"),
            ("postgres://u@h/d", Backend::Postgres, None, "postgres://u@h/d"),
            (
                "postgresql://u:p@[::1]:5432,h2:1/d?x=1",
                Backend::Postgres,
                None,
                "postgres://u@[::1]:5432,h2:1/d",
            ),
        ] {
            let url = parsed(text).expect(text);
            assert_eq!(
                (url.backend(), url.folder(), &*url.to_string()),
                (backend, folder.map(Path::new), said),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_is_one() {
        for (text, said) in [
            ("/var/lib/store", "none of memory:, file:, sled:, postgres:"),
            ("redis://x", "none of memory:, file:, sled:, postgres:"),
            ("sledd:/a", "did you mean sled:?"),
            ("posgres://u@h/d", "did you mean postgres:?"),
            ("postgressql://u@h/d", "did you mean postgres:?"),
            ("local:/a", "did you mean file:?"),
            ("memory:/a", "nothing follows memory:"),
            ("sled:", "a folder follows sled:"),
            ("sled://host/a", "a folder follows sled:"),
            ("file:a\0b", "a folder follows file:"),
            ("postgres:u@h/d", "postgres://user:password@host"),
        ] {
            let refused = parsed(text).expect_err(text).to_string();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }

    /// FS-70, of urls themselves.
    #[test]
    fn a_password_is_shown_by_no_url_whatever_its_letters() {
        for text in [
            "postgres://u:hunter2@h/d",
            "postgres://u:hunter2@h:5432/d?sslmode=require",
            "postgres://u:x/hunter2@h/d",
            "postgres://u:x?hunter2@h/d",
            "postgres://u:x@hunter2@h/d",
            "postgres://u:x#hunter2@h/d",
            "postgres://u@h/d?password=hunter2",
            "postgres://h/d?user=u&password=x@hunter2",
            "postgres://u:hunter2",
            "postgres://:hunter2@h/d",
        ] {
            let url = parsed(text).expect(text);
            let said = format!("{url} {url:?}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        for text in ["hunter2", "u:hunter2@h/d", "memory:hunter2", "postgres:hunter2"] {
            let refused = parsed(text).expect_err(text);
            let said = format!("{refused} {refused:?}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn whether_a_url_holds_a_password_is_told() {
        for (text, has) in [
            ("postgres://u:p@h/d", true),
            ("postgres://u@h:5432/d", false),
            ("postgres://u@h/d?password=p", true),
            ("sled:/a:b@c", false),
            ("memory:", false),
        ] {
            assert_eq!(parsed(text).expect(text).has_password(), has, "{text}");
        }
    }

    #[test]
    fn a_relative_folder_is_below_the_one_that_is_named() {
        let base = Path::new("/base");
        for (text, said) in [
            ("sled:a", "sled:/base/a"),
            ("sled:/a", "sled:/a"),
            ("memory:", "memory:"),
        ] {
            let url = parsed(text).expect(text).below(base);
            assert_eq!(url.to_string(), said);
        }
    }
}
