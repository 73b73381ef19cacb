//! One line of the result, in the form that other tools read and in the form that people read.

use serde_json::json;

use super::series::{Series, short};
use super::{Heading, Machine};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// For tools: an object a line.
    Json,
}

/// Which way a ratio has to go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Nothing is promised.
    None,
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Target {
    fn is_met(self, ratio: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtLeast(least) => Some(ratio >= least),
            Self::AtMost(most) => Some(ratio <= most),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

/// What was measured, and what it is held against.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is a figure of.
    pub name: String,
    /// What was measured.
    pub value: Series,
    /// In which unit.
    pub unit: &'static str,
    /// What it is held against, in the same unit.
    pub against: Option<(String, Series)>,
    /// What the ratio has to be.
    pub target: Target,
}

impl Figure {
    /// Held against nothing.
    pub fn alone(name: impl Into<String>, value: Series, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            against: None,
            target: Target::None,
        }
    }

    /// The middle of the rounds' ratios.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let (_, against) = self.against.as_ref()?;
        Some(self.value.per(against).median())
    }

    /// Whether the target is met; none where nothing is promised or measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.target.is_met(self.ratio()?)
    }

    fn to_json(&self, section: Heading) -> serde_json::Value {
        let target = match self.target {
            Target::None => None,
            Target::AtLeast(bound) | Target::AtMost(bound) => Some(bound),
        };
        json!({
            "section": section.name,
            "figure": self.name,
            "value": self.value.median(),
            "spread": self.value.spread(),
            "unit": self.unit,
            "against": self.against.as_ref().map(|(name, _)| name),
            "against_value": self.against.as_ref().map(|(_, series)| series.median()),
            "ratio": self.ratio(),
            "target": target,
            "met": self.is_met(),
        })
    }
}

/// What it is measured on: a comment before a table; standard error beside JSON.
pub(super) fn print_head(form: Form, machine: &Machine) {
    match form {
        Form::Table => println!("{machine}"),
        Form::Json => eprintln!("{}", machine.to_json()),
    }
}

/// The figures of a section, as soon as they are there: a table for people, or one object a line.
pub(super) fn print(form: Form, section: Heading, figures: &[Figure]) {
    match form {
        Form::Json => figures
            .iter()
            .for_each(|figure| println!("{}", figure.to_json(section))),
        Form::Table => print!("{}", table(section, figures)),
    }
}

/// What the columns are; said once.
pub(super) fn legend(rounds: usize) -> String {
    format!("medians of {rounds} rounds, ± half of the spread; ratios are of the same round")
}

/// The table of a section, under its title.
pub(super) fn table(section: Heading, figures: &[Figure]) -> String {
    let rows: String = figures.iter().map(row).collect();
    format!(
        "\n#### {}\n\n| figure | value | held against | its value | ratio | target | met |\n\
         |---|---|---|---|---|---|---|\n{rows}",
        section.title
    )
}

fn row(figure: &Figure) -> String {
    let (against, against_value) = match &figure.against {
        Some((name, series)) => (name.as_str(), series.to_string()),
        None => ("", String::new()),
    };
    let ratio = figure.ratio().map(short).unwrap_or_default();
    let met = match figure.is_met() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    let Figure {
        name,
        value,
        unit,
        target,
        ..
    } = figure;
    format!("| {name} | {value} {unit} | {against} | {against_value} | {ratio} | {target} | {met} |\n")
}
