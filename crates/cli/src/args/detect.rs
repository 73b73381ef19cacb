//! `detect`.

use std::path::PathBuf;

use clap::Args;
use dormouse_engine::detect::is_address;

/// `detect`.
#[derive(Debug, Args)]
pub struct Detect {
    /// The address that was asked for; without it no redirect to a login page is judged
    #[arg(long, value_name = "URL", value_parser = address)]
    pub requested_url: Option<String>,
    /// The address that came of it
    #[arg(long, value_name = "URL", value_parser = address)]
    pub url: Option<String>,
    /// The HTTP status
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(100..=999))]
    pub status: Option<u16>,
    /// A header of the answer, NAME:VALUE; as often as there are headers
    #[arg(long, value_name = "NAME:VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,
    /// The page; - for what comes on stdin
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
}

fn address(text: &str) -> Result<String, String> {
    match is_address(text) {
        true => Ok(text.to_owned()),
        false => Err("the address of a page is like https://a.example/login".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME:VALUE")?;
    if name.trim().is_empty() {
        return Err("a header has a name".to_owned());
    }
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
