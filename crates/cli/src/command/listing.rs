//! Lists and items, in every form.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::List;
use crate::args::Page;
use crate::client::{Call, Session};
use crate::exit::Exit;
use crate::output::{Format, Table, Ui};
use crate::problem::{Code, Problem, Result};

/// Prints a list that was made here.
pub(super) fn local(ui: &Ui, items: Vec<Value>, table: &Table) -> Result<Exit> {
    match ui.format {
        Format::Text => ui.table(table)?,
        Format::Json => {
            let list = List {
                items,
                next_cursor: None,
            };
            ui.line(serde_json::to_vec(&list).expect("values have text keys only"))?;
        }
        Format::Jsonl => items.iter().try_for_each(|item| ui.line(item.to_string()))?,
    }
    Ok(Exit::Done)
}

/// Prints a list of the API: one page, or all of them.
pub(super) async fn pages<T: DeserializeOwned>(
    session: &mut Session<'_>,
    ui: &Ui,
    call: Call,
    page: &Page,
    columns: &[&'static str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<Exit> {
    let mut cursor = page.cursor.as_ref().map(|cursor| cursor.0.clone());
    let mut table = Table::new(columns);
    let mut everything = List {
        items: Vec::new(),
        next_cursor: None,
    };
    // Ends with the last page, or after the first where not all are wanted.
    loop {
        let body = session
            .ask(
                &call
                    .clone()
                    .query("limit", Some(page.limit))
                    .query("cursor", cursor.take()),
            )
            .await?;
        let list: List<Box<RawValue>> = read(&body)?;
        match ui.format {
            Format::Json if !page.all => {
                ui.line(&body)?;
                return Ok(Exit::Done);
            }
            Format::Json => everything.items.extend(list.items),
            Format::Jsonl => list.items.iter().try_for_each(|item| ui.line(item.get()))?,
            Format::Text => {
                for item in &list.items {
                    table.rows.push(row(&read(item.get().as_bytes())?));
                }
            }
        }
        session.deliver(ui, None).await?;
        cursor = list.next_cursor;
        if cursor.is_none() || !page.all {
            break;
        }
    }
    match ui.format {
        Format::Json => ui.line(serde_json::to_vec(&everything).expect("it was JSON"))?,
        Format::Text => ui.table(&table)?,
        Format::Jsonl => {}
    }
    session.deliver(ui, None).await?;
    if let (Format::Text, Some(cursor)) = (ui.format, cursor) {
        ui.note(&format!("there are more: --all, or --cursor {cursor}"));
    }
    Ok(Exit::Done)
}

/// Prints a list of the API that has no pages.
pub(super) async fn whole<T: DeserializeOwned>(
    session: &mut Session<'_>,
    ui: &Ui,
    call: Call,
    columns: &[&'static str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<Exit> {
    let body = session.ask(&call).await?;
    let list: List<Box<RawValue>> = read(&body)?;
    match ui.format {
        Format::Json => ui.line(&body)?,
        Format::Jsonl => list.items.iter().try_for_each(|item| ui.line(item.get()))?,
        Format::Text => {
            let mut table = Table::new(columns);
            for item in &list.items {
                table.rows.push(row(&read(item.get().as_bytes())?));
            }
            ui.table(&table)?;
        }
    }
    Ok(Exit::Done)
}

/// Prints one item of the API.
pub(super) fn item<T: DeserializeOwned>(
    ui: &Ui,
    body: &Bytes,
    record: impl FnOnce(&T) -> Vec<(&'static str, String)>,
) -> Result<Exit> {
    match ui.format {
        Format::Text => ui.record(&record(&read(body)?))?,
        Format::Json | Format::Jsonl => ui.line(body)?,
    }
    Ok(Exit::Done)
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(Code::Internal, format!("the answer cannot be read: {error}"))
            .hint("client and owner may be of different builds; stop the owner and try again")
            .into()
    })
}
