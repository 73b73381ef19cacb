//! Asking a person at a pause line: one gate for each account, dimension and period, whoever comes there first.

use std::sync::Arc;

use dormouse_filesystem::Records;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::moves::Move;
use super::{Account, AccountPath, Chain, Dimension, Refusal};
use crate::core::Core;
use crate::draft::Draft;
use crate::gate::{Call, Canonical, Gate, GateError, GateStatus, Gates, Input, NewGate, Timeout};
use crate::{AgentName, CommandError, GateId, Incarnation, Principal};

/// What a person is asked of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetAsk {
    /// Which account.
    pub account: AccountPath,
    /// That agent, told from former ones of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_incarnation: Option<Incarnation>,
    /// In what.
    pub dimension: Dimension,
    /// When its period began; what is said is for that one.
    pub period_started_at: Timestamp,
    /// What was used and held when it was asked.
    pub used: u64,
    /// The limit that stands.
    pub limit: u64,
    /// What the limit has to be at least.
    pub needed: u64,
}

impl BudgetAsk {
    fn of(refusal: &Refusal, chain: &Chain) -> Self {
        let is_agent = matches!(refusal.account, AccountPath::Agent(_));
        Self {
            account: refusal.account.clone(),
            agent_incarnation: is_agent.then_some(chain.agent_incarnation),
            dimension: refusal.dimension,
            period_started_at: refusal.period_started_at,
            used: refusal.used.saturating_add(refusal.reserved),
            limit: refusal.limit,
            needed: refusal.needed(),
        }
    }

    /// What names the gate: the same for all who come to this line in this period.
    pub(crate) fn key_parts(&self) -> [String; 5] {
        let incarnation = self.agent_incarnation.map(|incarnation| incarnation.to_string());
        [
            "budget".to_owned(),
            self.account.to_string(),
            incarnation.unwrap_or_default(),
            self.dimension.word().to_owned(),
            self.period_started_at.as_nanosecond().to_string(),
        ]
    }

    fn summary(&self) -> String {
        let shown = |amount| self.dimension.shown(amount);
        format!(
            "{} is at {} of {}: raise its limit to {} or more?",
            self.account,
            shown(self.used),
            shown(self.limit),
            shown(self.needed)
        )
    }

    fn call(&self) -> Call {
        let input = json!({
            "account": self.account,
            "dimension": self.dimension,
            "period_started_at": self.period_started_at,
            "used": self.used,
            "limit": self.limit,
            "needed": self.needed,
        });
        let input = Canonical::parse(&input.to_string()).expect("names and numbers have one meaning");
        Call::new("budget.raise", Input::Given(input))
    }

    fn gate(&self, agent: &AgentName, core: &Core) -> NewGate {
        NewGate {
            timeout: Timeout::After(core.budgets.approval_ttl),
            budget: Some(self.clone()),
            ..NewGate::approval(agent.clone(), self.call(), self.summary())
        }
    }
}

/// Asks a person about what was refused. None when that was decided meanwhile: then it is to be decided again.
pub(super) async fn ask(
    core: &Arc<Core>,
    by: &Principal,
    chain: &Chain,
    refusal: Refusal,
) -> Result<Option<Refusal>, CommandError> {
    let new = BudgetAsk::of(&refusal, chain).gate(&chain.agent, core);
    // The request itself was refused: its key is free for the next try.
    let core = Arc::new(core.unasked());
    let opened = Gates::new(&core).open(by, &new, &core.scrubber).await;
    let gate = opened.map_err(of_gate)?.gate;
    Ok(gate.is_pending().then_some(Refusal {
        gate: Some(gate.id),
        ..refusal
    }))
}

fn of_gate(error: GateError) -> CommandError {
    match error {
        GateError::Command(error) => error,
        GateError::Full { limit } => CommandError::TooLarge { limit },
        other => CommandError::Unsupported(other.into()),
    }
}

/// What the end of such a gate does to the account.
pub(crate) fn follow_gate(draft: &mut Draft, gate: &Gate) {
    let (Some(ask), Some(end)) = (&gate.budget, &gate.end) else {
        return;
    };
    let raised_to = end.said.as_ref().and_then(|said| said.raised_to);
    let said = match (end.status, raised_to) {
        (GateStatus::Approved, Some(limit)) => Move::Raise(ask.clone(), limit, gate.id),
        (GateStatus::Rejected | GateStatus::Expired | GateStatus::Discarded, _) => {
            Move::Deny(ask.clone(), gate.id)
        }
        (GateStatus::Approved | GateStatus::Answered | GateStatus::Invalidated, _) => return,
    };
    draft.move_accounts(said);
}

/// Whether the account carries still what this gate ended with. Another limit or period of it forgets that, and then a
/// person is asked anew.
pub(crate) async fn stands(core: &Core, gate: &Gate) -> Result<bool, CommandError> {
    let (Some(ask), Some(end)) = (&gate.budget, &gate.end) else {
        return Ok(false);
    };
    let account = Records::<Account>::new(&core.space).get(&ask.account).await?;
    let Some(account) = account.map(|account| account.at(core.environment.clock.now())) else {
        return Ok(false);
    };
    let is_of_it = account.agent_incarnation == ask.agent_incarnation
        && account.period_started_at == ask.period_started_at;
    Ok(is_of_it
        && match end.status {
            GateStatus::Approved => account.raised.named(ask.dimension).is_some(),
            GateStatus::Rejected | GateStatus::Expired | GateStatus::Discarded => {
                account.denied.get(&ask.dimension) == Some(&gate.id)
            }
            GateStatus::Answered | GateStatus::Invalidated => false,
        })
}

/// The gate by which a person is asked, if one is.
pub(super) async fn pending_of(
    core: &Core,
    refusal: &Refusal,
    chain: &Chain,
) -> Result<Option<GateId>, CommandError> {
    let key = crate::gate::budget_key(&BudgetAsk::of(refusal, chain));
    let key = Records::<crate::gate::GateKey>::new(&core.space)
        .get(&key)
        .await?;
    Ok(key.map(|key| key.gate))
}
