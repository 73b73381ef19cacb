//! `secret …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dormouse_engine::AgentName;
use dormouse_secrets::{Origin, QuarantineId, SecretCategory, SecretName, SecretRef};

use super::{Page, help, value};

/// `secret …`.
#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Put a credential: its value from stdin, or typed without being shown
    #[command(after_help = help::secret_set())]
    Set(SecretSet),
    /// List secrets: names, scopes and times, never a value
    #[command(after_help = help::secret_list())]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "NAME", conflicts_with = "shared")]
        agent: Option<AgentName>,
        /// Only those of every agent
        #[arg(long)]
        shared: bool,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Show what is known of one secret, never its value
    #[command(after_help = help::secret_show())]
    Show {
        /// Which.
        #[command(flatten)]
        which: Which,
    },
    /// List the names that an agent sees: whose each is, what it hides, whether a worker gets it
    #[command(after_help = help::secret_effective())]
    Effective {
        /// The agent
        #[arg(short, long, value_name = "NAME")]
        agent: AgentName,
    },
    /// Destroy a secret and every value it had
    #[command(after_help = help::secret_delete())]
    Delete {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// Also one that an agent's configuration names
        #[arg(long)]
        force: bool,
        /// It is meant: do not ask for its name to be typed
        #[arg(short, long)]
        yes: bool,
    },
    /// Print how the vault is, and how many secrets there are
    #[command(after_help = help::secret_status())]
    Status,
    /// Open the vault with its key file, another one, a passphrase, or the key in the system's key store
    #[command(after_help = help::secret_unlock())]
    Unlock {
        /// Which key.
        #[command(flatten)]
        key: VaultKey,
        /// Make the key file of the settings anew, where it is gone: it opens the vault from then on
        #[arg(long)]
        restore_key_file: bool,
    },
    /// Lock the vault for every process, until somebody unlocks it
    #[command(after_help = help::secret_lock())]
    Lock,
    /// Put a new key file in the place of the one in use
    #[command(after_help = help::secret_rotate())]
    Rotate,
    /// Seal everything anew, when keys may be known: only the key that is given opens the vault then
    #[command(after_help = help::secret_rekey())]
    Rekey {
        /// Which key.
        #[command(flatten)]
        key: LastingKey,
    },
    /// List the keys that open the vault, add one, or take one away
    #[command(after_help = help::secret_slots(), args_conflicts_with_subcommands = true)]
    Slots {
        /// What is done to them; they are listed if nothing is said.
        #[command(subcommand)]
        change: Option<SlotChange>,
    },
    /// Write all secrets to a new file, encrypted with age
    #[command(after_help = help::secret_export())]
    Export {
        /// The file, which must not be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A public key, age1…, that may open it; several times for several
        #[arg(long, value_name = "KEY", conflicts_with = "passphrase")]
        recipient: Vec<String>,
        /// With a passphrase, from stdin or typed without being shown
        #[arg(long, required_unless_present = "recipient")]
        passphrase: bool,
    },
    /// Read an exported file: all of it, or nothing
    #[command(after_help = help::secret_import())]
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The file with the private key that opens it, AGE-SECRET-KEY-1…
        #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
        identity: Option<PathBuf>,
        /// With a passphrase, from stdin or typed without being shown
        #[arg(long)]
        passphrase: bool,
        /// Replace secrets that exist and differ
        #[arg(long, conflicts_with = "keep")]
        overwrite: bool,
        /// Leave secrets that exist and differ as they are
        #[arg(long)]
        keep: bool,
    },
    /// Take over a file with secrets of an older layout; the file stays as it is
    #[command(after_help = help::secret_migrate())]
    Migrate(SecretMigrate),
    /// List what migrations could not place, and why: it goes after 7 days
    #[command(after_help = help::secret_quarantined())]
    Quarantined,
    /// Make a secret of what a migration could not place
    #[command(after_help = help::secret_place())]
    Place {
        /// What, as secret quarantined lists it
        #[arg(value_name = "ID")]
        id: QuarantineId,
        /// What it becomes.
        #[command(flatten)]
        which: Which,
    },
    /// Check the vault, its key and every secret; changes nothing
    #[command(after_help = help::secret_doctor())]
    Doctor,
}

/// `secret slots add|remove`.
#[derive(Debug, Subcommand)]
pub enum SlotChange {
    /// Let another key open the vault too: a passphrase, a file, or one in the system's key store
    #[command(after_help = help::secret_slots_add())]
    Add {
        /// Which key.
        #[command(flatten)]
        key: NewKey,
    },
    /// Take a key away: it opens the vault no more
    #[command(after_help = help::secret_slots_remove())]
    Remove {
        /// Its number, as secret slots lists it
        #[arg(value_name = "ID")]
        id: u32,
        /// It is meant: do not ask for its number to be typed
        #[arg(short, long)]
        yes: bool,
    },
}

/// A key that is to open the vault too: one of the three.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct NewKey {
    /// The file with the key, made for its user alone where there is none
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// A passphrase of at least 12 bytes, from stdin or typed twice without being shown
    #[arg(long)]
    pub passphrase: bool,
    /// One in the system's key store, made there where there is none: it opens the vault as long as it is there
    #[arg(long)]
    pub keyring: bool,
}

/// The key with which a vault is sealed anew. One in the system's key store may vanish, and is none.
#[derive(Debug, Args)]
pub struct LastingKey {
    /// The file with the key; that of the settings if nothing is said
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    pub key_file: Option<PathBuf>,
    /// With a passphrase, from stdin or typed without being shown
    #[arg(long)]
    pub passphrase: bool,
}

/// The key with which a vault is opened.
#[derive(Debug, Args)]
pub struct VaultKey {
    /// The file with the key; that of the settings if nothing is said
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    pub key_file: Option<PathBuf>,
    /// With a passphrase, from stdin or typed without being shown
    #[arg(long)]
    pub passphrase: bool,
    /// With the one in the system's key store
    #[arg(long, conflicts_with_all = ["key_file", "passphrase"])]
    pub keyring: bool,
}

/// `secret set`.
#[derive(Debug, Args)]
pub struct SecretSet {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Refuse an unknown agent instead of making it
    #[arg(long)]
    pub no_create: bool,
    /// Whom it serves: workers' environments, or consumers inside dormouse alone
    #[arg(long, value_name = "CATEGORY", value_parser = value::category, default_value = "tool")]
    pub category: SecretCategory,
    /// A note for those who look later, which everybody may read
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
    /// A web origin, https://HOST, where it may be typed in; several times for several
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Vec<Origin>,
    /// Keep a newline at the end of the value
    #[arg(long)]
    pub keep_newline: bool,
    /// Take a value of less than 8 bytes, which cannot be taken out of texts
    #[arg(long)]
    pub accept_short: bool,
}

/// `secret migrate`.
#[derive(Debug, Args)]
pub struct SecretMigrate {
    /// The file, as docs/FORMAT.md draws it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// It was the store of this agent alone, which gets all of it
    #[arg(long, value_name = "NAME", conflicts_with = "shared")]
    pub agent: Option<AgentName>,
    /// It was the store of one agent, and every agent gets all of it
    #[arg(long)]
    pub shared: bool,
    /// Say what would become of each row, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Overwrite and remove the file, once each of its rows has its place and was read back
    #[arg(long, conflicts_with = "dry_run")]
    pub destroy: bool,
    /// It is meant: do not ask before the file is destroyed
    #[arg(short, long, requires = "destroy")]
    pub yes: bool,
}

/// One secret: its name, and whose it is.
#[derive(Debug, Args)]
pub struct Which {
    /// Its name: capital letters, digits and _
    #[arg(value_name = "NAME", value_parser = value::secret)]
    pub name: SecretName,
    /// The agent whose it is
    #[arg(
        short,
        long,
        value_name = "NAME",
        required_unless_present = "shared",
        conflicts_with = "shared"
    )]
    pub agent: Option<AgentName>,
    /// It is every agent's
    #[arg(long)]
    pub shared: bool,
}

impl Which {
    /// What names it.
    #[must_use]
    pub fn at(&self) -> SecretRef {
        match &self.agent {
            Some(agent) => {
                let agent = agent.as_str().parse().expect("both have the same alphabet");
                SecretRef::agent(agent, self.name.clone())
            }
            None => SecretRef::shared(self.name.clone()),
        }
    }

    /// Where the API has it.
    #[must_use]
    pub fn path(&self) -> String {
        let at = self.at();
        format!("/v1/secrets/{}/{}", at.scope, at.name)
    }
}
