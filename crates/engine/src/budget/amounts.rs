//! What is counted: dimensions, and amounts of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::CommandError;

/// What is counted of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Money, in millionths of a US dollar.
    UsdMicros,
    /// Tokens that a model read.
    InputTokens,
    /// Tokens that a model wrote.
    OutputTokens,
    /// Time at work, in milliseconds.
    WallMs,
    /// What was printed, in bytes.
    OutputBytes,
    /// What left by the network, in bytes.
    EgressBytes,
    /// Processes at once.
    Processes,
    /// Runs at once.
    Concurrency,
}

impl Dimension {
    /// Every dimension: the flows, then the gauges.
    pub const ALL: [Self; 8] = [
        Self::UsdMicros,
        Self::InputTokens,
        Self::OutputTokens,
        Self::WallMs,
        Self::OutputBytes,
        Self::EgressBytes,
        Self::Processes,
        Self::Concurrency,
    ];

    /// Those that are used up, until a period ends.
    pub const FLOWS: [Self; 6] = [
        Self::UsdMicros,
        Self::InputTokens,
        Self::OutputTokens,
        Self::WallMs,
        Self::OutputBytes,
        Self::EgressBytes,
    ];

    /// The dimension's word, as stored and asked for.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::UsdMicros => "usd_micros",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::WallMs => "wall_ms",
            Self::OutputBytes => "output_bytes",
            Self::EgressBytes => "egress_bytes",
            Self::Processes => "processes",
            Self::Concurrency => "concurrency",
        }
    }

    /// Whether it is what is held at the moment, and given back; a flow is used up.
    #[must_use]
    pub fn is_gauge(self) -> bool {
        match self {
            Self::Processes | Self::Concurrency => true,
            Self::UsdMicros
            | Self::InputTokens
            | Self::OutputTokens
            | Self::WallMs
            | Self::OutputBytes
            | Self::EgressBytes => false,
        }
    }

    /// An amount of it, for people.
    #[must_use]
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::UsdMicros => usd(amount),
            Self::InputTokens => format!("{amount} input tokens"),
            Self::OutputTokens => format!("{amount} output tokens"),
            Self::WallMs => wall(amount),
            Self::OutputBytes => format!("{amount} bytes printed"),
            Self::EgressBytes => format!("{amount} bytes sent"),
            Self::Processes => format!("{amount} processes"),
            Self::Concurrency => format!("{amount} runs at once"),
        }
    }
}

/// Dollars with two digits behind the point, more where they say something.
fn usd(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let digits = format!("{rest:06}");
    let cents = &digits[..2];
    let more = digits[2..].trim_end_matches('0');
    format!("{whole}.{cents}{more} USD")
}

fn wall(milliseconds: u64) -> String {
    let (hours, rest) = (milliseconds / 3_600_000, milliseconds % 3_600_000);
    let (minutes, seconds) = (rest / 60_000, rest % 60_000 / 1000);
    match (hours, minutes) {
        (0, 0) if seconds == 0 => format!("{milliseconds}ms of time"),
        (0, 0) => format!("{seconds}s of time"),
        (0, _) => format!("{minutes}m{seconds:02}s of time"),
        (_, _) => format!("{hours}h{minutes:02}m{seconds:02}s of time"),
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Dimension {
    type Err = CommandError;

    fn from_str(word: &str) -> Result<Self, CommandError> {
        let found = Self::ALL.into_iter().find(|dimension| dimension.word() == word);
        found.ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            CommandError::invalid("dimension", format!("is none of {words}"))
        })
    }
}

/// Amounts by dimension. One that is named may be 0, which is not the same as one that is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amounts(BTreeMap<Dimension, u64>);

impl Amounts {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// With so much of this.
    #[must_use]
    pub fn with(mut self, dimension: Dimension, amount: u64) -> Self {
        self.set(dimension, amount);
        self
    }

    /// From what somebody says, who may say anything.
    ///
    /// # Errors
    /// `Invalid` for a negative amount.
    pub fn of_signed(said: impl IntoIterator<Item = (Dimension, i64)>) -> Result<Self, CommandError> {
        let amount = |(dimension, amount): (Dimension, i64)| match u64::try_from(amount) {
            Ok(amount) => Ok((dimension, amount)),
            Err(_) => Err(CommandError::invalid(
                "estimate",
                format!("{dimension} is {amount}; an amount is 0 or more"),
            )),
        };
        said.into_iter().map(amount).collect::<Result<_, _>>().map(Self)
    }

    /// So much of this from now on.
    pub fn set(&mut self, dimension: Dimension, amount: u64) {
        self.0.insert(dimension, amount);
    }

    /// It is named no more.
    pub fn remove(&mut self, dimension: Dimension) {
        self.0.remove(&dimension);
    }

    /// How much; 0 where it is not named.
    #[must_use]
    pub fn get(&self, dimension: Dimension) -> u64 {
        self.named(dimension).unwrap_or(0)
    }

    /// How much, where it is named.
    #[must_use]
    pub fn named(&self, dimension: Dimension) -> Option<u64> {
        self.0.get(&dimension).copied()
    }

    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing of anything.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.values().all(|amount| *amount == 0)
    }

    /// What is named, by dimension.
    pub fn iter(&self) -> impl Iterator<Item = (Dimension, u64)> + '_ {
        self.0.iter().map(|(dimension, amount)| (*dimension, *amount))
    }

    /// Adds; what is more than fits stays at the most there can be. What is nothing is not named by it.
    pub fn add(&mut self, more: &Self) {
        for (dimension, amount) in more.iter().filter(|(_, amount)| *amount > 0) {
            let sum = self.0.entry(dimension).or_default();
            *sum = sum.saturating_add(amount);
        }
    }

    /// Takes away; what becomes nothing is named no more.
    pub fn take(&mut self, less: &Self) {
        for (dimension, amount) in less.iter() {
            if let Some(left) = self.0.get_mut(&dimension) {
                *left = left.saturating_sub(amount);
                if *left == 0 {
                    self.0.remove(&dimension);
                }
            }
        }
    }

    /// What of these is beyond the other.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let rest =
            |(dimension, amount): (Dimension, u64)| (dimension, amount.saturating_sub(other.get(dimension)));
        Self(self.iter().map(rest).filter(|(_, amount)| *amount > 0).collect())
    }

    /// Of each the larger.
    #[must_use]
    pub fn largest(&self, other: &Self) -> Self {
        let mut largest = self.clone();
        for (dimension, amount) in other.iter() {
            let most = largest.0.entry(dimension).or_default();
            *most = amount.max(*most);
        }
        largest
    }

    /// The flows of these.
    #[must_use]
    pub fn flows(&self) -> Self {
        Self(
            self.iter()
                .filter(|(dimension, _)| !dimension.is_gauge())
                .collect(),
        )
    }
}

impl FromIterator<(Dimension, u64)> for Amounts {
    fn from_iter<I: IntoIterator<Item = (Dimension, u64)>>(amounts: I) -> Self {
        Self(amounts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_money_reads_as_one() {
        assert_eq!(Dimension::UsdMicros.shown(1_000_000), "1.00 USD");
        assert_eq!(Dimension::UsdMicros.shown(100_000), "0.10 USD");
        assert_eq!(Dimension::UsdMicros.shown(1_002_500), "1.0025 USD");
        assert_eq!(Dimension::UsdMicros.shown(7), "0.000007 USD");
    }

    #[test]
    fn what_is_taken_away_never_goes_below_nothing() {
        let mut amounts = Amounts::none().with(Dimension::WallMs, 5);
        amounts.take(
            &Amounts::none()
                .with(Dimension::WallMs, 9)
                .with(Dimension::Processes, 1),
        );
        assert!(amounts.is_empty());
        amounts.add(&Amounts::none().with(Dimension::WallMs, u64::MAX));
        amounts.add(&Amounts::none().with(Dimension::WallMs, 2));
        assert_eq!(amounts.get(Dimension::WallMs), u64::MAX);
    }
}
