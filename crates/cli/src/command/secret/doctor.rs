//! `secret doctor`: the vault, its key, and every secret. It changes nothing.

use crate::api::{EffectiveView, List, SecretView, VaultView};
use crate::client::{Call, Session};
use crate::command::doctor::{Check, key_file, print};
use crate::command::listing;
use crate::context::Context;
use crate::exit::Exit;
use crate::problem::Result;

pub(super) async fn doctor(session: &mut Session<'_>, context: &Context) -> Result<Exit> {
    let mut checks = vec![key_file(context)];
    let status = session.ask(&Call::get("/v1/secrets/status")).await?;
    let vault: VaultView = listing::read(&status)?;
    checks.push(of_vault(&vault));
    if vault.is_locked_in_memory == Some(false) {
        checks.push(Check::warn(
            "memory",
            "the root key could not be kept out of swap",
            "raise the limit of locked memory (ulimit -l), or encrypt swap",
        ));
    }
    let secrets = all(session).await?;
    checks.extend(secrets.iter().filter(|secret| secret.unscrubbed).map(short));
    if vault.vault == "unlocked" {
        checks.extend(unreadable(session, &secrets).await?);
    }
    print(&context.ui, &checks)
}

fn of_vault(vault: &VaultView) -> Check {
    let count = vault.shared + vault.of_agents;
    let found = format!("{}, {count} secrets", vault.vault);
    match vault.vault.as_str() {
        "absent" => Check::ok(
            "vault",
            "there is none yet; the first secret that is set makes it",
        ),
        "unlocked" if vault.is_rekeying => Check::warn(
            "vault",
            format!("{found}, new keys are under way"),
            "dormouse secret rekey goes on",
        ),
        "unlocked" => Check::ok("vault", found),
        "locked" => Check::warn("vault", found, "dormouse secret unlock"),
        _ => Check::fail(
            "vault",
            format!("{found}: no key that was found opens it"),
            "put its key file where dormouse config path says, or dormouse secret unlock --key-file FILE",
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

async fn all(session: &mut Session<'_>) -> Result<Vec<SecretView>> {
    let (mut all, mut cursor) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let call = Call::get("/v1/secrets")
            .query("limit", Some(1000))
            .query("cursor", cursor.take());
        let page: List<SecretView> = listing::read(&session.ask(&call).await?)?;
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// Those that do not open, of each agent that has some: what its workers could not be given.
async fn unreadable(session: &mut Session<'_>, secrets: &[SecretView]) -> Result<Vec<Check>> {
    let mut agents: Vec<String> = secrets
        .iter()
        .filter_map(|secret| match &secret.scope {
            dormouse_secrets::SecretScope::Agent(agent) => Some(agent.to_string()),
            dormouse_secrets::SecretScope::InstanceShared => None,
        })
        .collect();
    agents.dedup();
    let (mut checks, mut count) = (Vec::new(), 0);
    for agent in &agents {
        let call = Call::get("/v1/secrets/effective").query("agent", Some(agent));
        let page: List<EffectiveView> = listing::read(&session.ask(&call).await?)?;
        count += page.items.len();
        let broken = page.items.iter().filter(|item| item.usable == "unreadable");
        checks.extend(broken.map(|item| {
            Check::fail(
                "secret",
                format!("{} does not open, so workers of {agent} are not started", item.at),
                "set it again, or find the key it was sealed with",
            )
        }));
    }
    if checks.is_empty() && count > 0 {
        checks.push(Check::ok("secrets", format!("{count} that agents see open")));
    }
    Ok(checks)
}
