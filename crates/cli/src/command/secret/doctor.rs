//! `secret doctor`: the vault, its key, and every secret. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_secrets::SecretScope;
use serde::de::DeserializeOwned;

use crate::api::{AgentView, EffectiveView, List, SecretView, VaultView};
use crate::client::{Call, Session};
use crate::command::doctor::{Check, key_file, print};
use crate::command::doctor_keys::in_system;
use crate::command::listing;
use crate::context::Context;
use crate::exit::Exit;
use crate::problem::Result;

pub(super) async fn doctor(session: &mut Session<'_>, context: &Context) -> Result<Exit> {
    let status = session.ask(&Call::get("/v1/secrets/status")).await?;
    let vault: VaultView = listing::read(&status)?;
    let mut checks = vec![key_file(context, Some(&vault)), of_vault(&vault)];
    checks.extend(in_system(&vault));
    if vault.is_locked_in_memory == Some(false) {
        checks.push(Check::warn(
            "memory",
            "the root key could not be kept out of swap",
            "raise the limit of locked memory (ulimit -l), or encrypt swap",
        ));
    }
    let secrets: Vec<SecretView> = all(session, "/v1/secrets").await?;
    checks.extend(secrets.iter().filter(|secret| secret.unscrubbed).map(short));
    if vault.vault == "unlocked" {
        checks.extend(unreadable(session).await?);
    }
    print(&context.ui, &checks)
}

fn of_vault(vault: &VaultView) -> Check {
    let count = vault.shared + vault.of_agents;
    let secrets = if count == 1 { "secret" } else { "secrets" };
    let found = format!("{}, {count} {secrets}", vault.vault);
    match vault.vault.as_str() {
        "absent" => Check::ok(
            "vault",
            "there is none yet; the first secret that is set makes it",
        ),
        "unlocked" if vault.is_rekeying => Check::warn(
            "vault",
            format!("{found}, a rekey is not ended"),
            "dormouse run ends it within an hour, dormouse secret rekey at once where it is a minute old",
        ),
        "unlocked" => Check::ok("vault", found),
        "locked" => Check::warn("vault", found, "dormouse secret unlock"),
        _ => Check::fail(
            "vault",
            format!("{found}: no key that was found opens it"),
            "put its key file where dormouse config path says, or dormouse secret unlock with --passphrase or --key-file FILE",
        ),
    }
}

fn short(secret: &SecretView) -> Check {
    Check::warn(
        "secret",
        format!("{} is too short to be taken out of what workers print", secret.at),
        "set a longer credential",
    )
}

/// All items of a list.
async fn all<T: DeserializeOwned>(session: &mut Session<'_>, path: &str) -> Result<Vec<T>> {
    let (mut all, mut cursor) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let call = Call::get(path)
            .query("limit", Some(1000))
            .query("cursor", cursor.take());
        let page: List<T> = listing::read(&session.ask(&call).await?)?;
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// Those that do not open of all that an agent sees: what its workers could not be given.
async fn unreadable(session: &mut Session<'_>) -> Result<Vec<Check>> {
    let (mut broken, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for agent in all::<AgentView>(session, "/v1/agents").await? {
        let call = Call::get("/v1/secrets/effective").query("agent", Some(&agent.name));
        let page: List<EffectiveView> = listing::read(&session.ask(&call).await?)?;
        for item in page.items {
            if item.usable == "unreadable" {
                broken.entry(item.at.clone()).or_insert(agent.name.clone());
            }
            seen.insert(item.at);
        }
    }
    if broken.is_empty() && !seen.is_empty() {
        let found = format!("{} that agents see open", seen.len());
        return Ok(vec![Check::ok("secrets", found)]);
    }
    let checks = broken.into_iter().map(|(at, agent)| {
        let whose = match at.scope {
            SecretScope::Agent(_) => format!("of {agent}"),
            SecretScope::InstanceShared => format!("that see it, as of {agent},"),
        };
        Check::fail(
            "secret",
            format!("{at} does not open, so workers {whose} are not started"),
            "set it again, or find the key it was sealed with",
        )
    });
    Ok(checks.collect())
}
