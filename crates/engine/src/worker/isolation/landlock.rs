//! Landlock: the wall is built by the keeper and entered by the worker's first process.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, RestrictSelf,
    RestrictSelfAttr, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::Wall;

/// The newest version whose rights are asked for; an older kernel closes what it can.
const KNOWN: ABI = ABI::V9;

/// The version of the kernel's interface as far as this program makes a difference; 0 without Landlock.
pub(crate) fn abi() -> u8 {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let flags = || RestrictSelf::default().set_compatibility(CompatLevel::HardRequirement);
    let has = [
        strict().handle_access(AccessFs::Execute).is_ok(),
        strict().handle_access(AccessFs::Refer).is_ok(),
        strict().handle_access(AccessFs::Truncate).is_ok(),
        strict().handle_access(AccessNet::ConnectTcp).is_ok(),
        strict().handle_access(AccessFs::IoctlDev).is_ok(),
        strict().scope(Scope::Signal).is_ok(),
        flags().log_subdomains(false).is_ok(),
        flags().all_threads(true).is_ok(),
        strict().handle_access(AccessFs::ResolveUnix).is_ok(),
    ];
    u8::try_from(has.iter().take_while(|has| **has).count()).expect("nine at most")
}

/// A wall that stands ready.
#[derive(Debug)]
pub(crate) struct Built(RulesetCreated);

impl Built {
    /// Builds it. A path that does not exist is left out, what this kernel cannot close stays open.
    pub(crate) fn new(wall: &Wall) -> io::Result<Self> {
        let all = AccessFs::from_all(KNOWN);
        let mut rules = Ruleset::default()
            .handle_access(all)
            .and_then(|rules| rules.scope(Scope::Signal | Scope::AbstractUnixSocket))
            .and_then(Ruleset::create)
            .map_err(wrong)?;
        for path in &wall.read {
            rules = gate(rules, path, AccessFs::from_read(KNOWN))?;
        }
        for path in &wall.write {
            rules = gate(rules, path, all)?;
        }
        Ok(Self(rules))
    }

    /// Enters it, for ever. Called between fork and exec of a process with one thread.
    pub(crate) fn enter(self) -> io::Result<()> {
        self.0.restrict_self().map_err(wrong)?;
        Ok(())
    }
}

fn gate(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> io::Result<RulesetCreated> {
    let Ok(opened) = PathFd::new(path) else {
        return Ok(rules);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(KNOWN)
    };
    rules.add_rule(PathBeneath::new(opened, access)).map_err(wrong)
}

fn wrong(error: RulesetError) -> io::Error {
    io::Error::other(error)
}
