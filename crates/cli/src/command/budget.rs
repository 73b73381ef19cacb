//! `budget show|set|history`.

use dormouse_engine::budget::{Amounts, Dimension, Period};
use serde_json::{Map, Value, json};

use super::listing;
use crate::api::{BudgetView, UsageView};
use crate::args::{Budget, BudgetSet, NewPeriod};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Ui;
use crate::problem::{Code, Problem, Result};

pub(super) async fn budget(session: &mut Session<'_>, context: &Context, command: Budget) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Budget::Show { whose, page } => match whose.account() {
            Some(account) => {
                let body = session.ask(&Call::get(format!("/v1/budgets/{account}"))).await?;
                listing::item(ui, &body, |view| record(view, ui))
            }
            None => {
                let columns = ["account", "period", "limits", "used", "held"];
                listing::pages(session, ui, Call::get("/v1/budgets"), &page, &columns, row).await
            }
        },
        Budget::Set(set) => {
            let account = account(set.whose.account())?;
            let call = Call::patch(format!("/v1/budgets/{account}"), &body(&set));
            let body = session.ask(&call).await?;
            listing::item(ui, &body, |view| record(view, ui))
        }
        Budget::History { whose, page } => {
            let account = account(whose.account())?;
            let call = Call::get(format!("/v1/budgets/{account}/history"));
            let columns = ["day", "used", "estimated", "holds"];
            listing::pages(session, ui, call, &page, &columns, day).await
        }
    }
}

fn account(account: Option<String>) -> Result<String> {
    account.ok_or_else(|| {
        Problem::new(Code::Usage, "whose budget is meant is not said")
            .hint("name an agent, or pass --tenant-wide, --session, --task or --run")
            .into()
    })
}

fn body(set: &BudgetSet) -> Value {
    let mut body = Map::new();
    let limits: Map<String, Value> = set
        .limits
        .said()
        .into_iter()
        .map(|(dimension, limit)| (dimension.word().to_owned(), json!(limit)))
        .collect();
    if !limits.is_empty() {
        body.insert("limits".to_owned(), Value::Object(limits));
    }
    if let Some(warn) = set.warn {
        body.insert("warn".to_owned(), json!(warn.0));
    }
    if let Some(pause) = set.pause {
        body.insert("pause".to_owned(), json!(pause.0));
    }
    if let Some(period) = set.period {
        body.insert("period".to_owned(), json!(self::period(period, &set.zone)));
    }
    Value::Object(body)
}

fn period(period: NewPeriod, zone: &str) -> Period {
    match period {
        NewPeriod::Lifetime => Period::Lifetime,
        NewPeriod::Run => Period::Run,
        NewPeriod::Calendar(unit) => Period::Calendar {
            unit,
            zone: zone.to_owned(),
        },
        NewPeriod::Every(every_ms) => Period::Every {
            every_ms,
            anchor: crate::edge::now(),
        },
        NewPeriod::Rolling(over_ms) => Period::Rolling { over_ms },
    }
}

fn row(view: &BudgetView) -> Vec<String> {
    vec![
        view.account.to_string(),
        view.period.word(),
        shown(&view.limits),
        shown(&view.used),
        shown(&view.reserved),
    ]
}

fn day(view: &UsageView) -> Vec<String> {
    vec![
        view.day.to_string(),
        shown(&view.used),
        shown(&view.estimated),
        view.closed.to_string(),
    ]
}

fn record(view: &BudgetView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("account", view.account.to_string()),
        ("period", view.period.word()),
        ("since", ui.instant(view.period_started_at)),
    ];
    pairs.extend(view.period_ends_at.map(|at| ("until", ui.instant(at))));
    pairs.extend(view.warn.map(|share| ("warn", format!("{share}%"))));
    pairs.extend(view.pause.map(|share| ("pause", format!("{share}%"))));
    for (dimension, limit) in view.limits.iter() {
        pairs.push(("limit", line(view, dimension, limit)));
    }
    let unlimited = |amounts: &Amounts| -> Amounts {
        let is_unlimited = |(of, _): &(Dimension, u64)| view.limits.named(*of).is_none();
        amounts.iter().filter(is_unlimited).collect()
    };
    let (used, held) = (unlimited(&view.used), unlimited(&view.reserved));
    if !used.is_empty() {
        pairs.push(("used beside", shown(&used)));
    }
    if !held.is_empty() {
        pairs.push(("held beside", shown(&held)));
    }
    pairs
}

/// One limit, with what is left of it.
fn line(view: &BudgetView, dimension: Dimension, limit: u64) -> String {
    let raised = view.raised.named(dimension);
    let total = view
        .used
        .get(dimension)
        .saturating_add(view.reserved.get(dimension));
    let left = raised.unwrap_or(limit).saturating_sub(total);
    let mut text = format!("{}, {} left", dimension.shown(limit), dimension.shown(left));
    if let Some(raised) = raised {
        text.push_str(&format!(", raised to {}", dimension.shown(raised)));
    }
    if let Some(gate) = view.denied.get(&dimension) {
        text.push_str(&format!(", no more by {gate}"));
    }
    text
}

fn shown(amounts: &Amounts) -> String {
    let each = amounts.iter().map(|(dimension, amount)| dimension.shown(amount));
    each.collect::<Vec<_>>().join(", ")
}
