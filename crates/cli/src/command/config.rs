//! `config`: where settings and places are, and where each value came from.

use serde_json::json;

use super::listing;
use crate::args::Config;
use crate::config::key::Class;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Table};
use crate::problem::Result;

/// Prints settings and places. The loader has run already: what it refuses never comes here.
pub(crate) fn config(command: &Config, context: &Context) -> Result<Exit> {
    match command {
        Config::Path => paths(context),
        Config::List { origin } => list(context, *origin),
        Config::Validate => validate(context),
        Config::Reload => unreachable!("it asks whoever owns the store"),
    }
}

fn paths(context: &Context) -> Result<Exit> {
    let places = &context.places;
    let shown = |path: &std::path::Path| path.display().to_string();
    // A store that is in no folder has a url, without its password.
    let store = places
        .store
        .as_deref()
        .map_or_else(|| places.url.to_string(), shown);
    let rows = [
        ("config", shown(&context.config_file)),
        ("key", shown(&context.key_file)),
        ("store", store),
        ("workspaces", shown(&places.workspaces)),
        ("state", shown(&places.state)),
        ("lock", shown(&places.lock)),
        ("token", shown(&places.token)),
        ("socket", shown(&places.socket)),
    ];
    let items = rows
        .iter()
        .map(|(what, path)| json!({ "what": what, "path": path }))
        .collect();
    let mut table = Table::new(&["what", "path"]);
    table.rows = rows.map(|(what, path)| vec![what.to_owned(), path]).into();
    listing::local(&context.ui, items, &table)
}

fn list(context: &Context, with_origin: bool) -> Result<Exit> {
    let mut table = Table::new(if with_origin {
        &["key", "value", "origin"]
    } else {
        &["key", "value"]
    });
    let mut items = Vec::new();
    for (key, setting) in context.config.settings() {
        let shown = key.shown(&setting.value);
        let mut row = vec![key.path.to_owned(), shown.clone()];
        let mut item = json!({ "key": key.path, "value": shown, "class": key.class.word() });
        if with_origin {
            row.push(setting.origin.to_string());
            item["origin"] = setting.origin.to_string().into();
        }
        table.rows.push(row);
        items.push(item);
    }
    for agent in context.config.agents() {
        for (key, setting) in &agent.settings {
            let path = format!("{}.{key}", agent.path());
            let mut row = vec![path.clone(), setting.value.clone()];
            let mut item = json!({ "key": path, "value": setting.value, "class": Class::Live.word() });
            if with_origin {
                row.push(setting.origin.to_string());
                item["origin"] = setting.origin.to_string().into();
            }
            table.rows.push(row);
            items.push(item);
        }
    }
    listing::local(&context.ui, items, &table)
}

fn validate(context: &Context) -> Result<Exit> {
    match context.ui.format {
        Format::Text => context.ui.note("the configuration is valid"),
        Format::Json | Format::Jsonl => context.ui.line(json!({ "valid": true }).to_string())?,
    }
    Ok(Exit::Done)
}
