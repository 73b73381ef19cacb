//! `worker.agent_intensity`: how many bad ends within how long pause an agent.

use dormouse_engine::agent::Intensity;
use dormouse_engine::limits::{INTENSITY_RUNS_MAX, INTENSITY_WITHIN_MAX, INTENSITY_WITHIN_MIN};

use crate::duration::{self, Bounds};

/// Between what it is looked back.
const WITHIN: Bounds = Bounds {
    min: INTENSITY_WITHIN_MIN,
    max: INTENSITY_WITHIN_MAX,
};

/// `10/10m`: a number of runs and how long; none of `off`.
///
/// # Errors
/// What is wrong.
pub(super) fn intensity(value: &str) -> Result<Option<Intensity>, String> {
    if value == "off" {
        return Ok(None);
    }
    let (runs, within) = value
        .split_once('/')
        .ok_or("not how many within how long, as in 10/10m, or off")?;
    let is_digits = !runs.is_empty() && runs.bytes().all(|byte| byte.is_ascii_digit());
    let runs = runs.parse().ok().filter(|_| is_digits);
    let runs = runs.filter(|runs| (1..=INTENSITY_RUNS_MAX).contains(runs));
    let runs =
        runs.ok_or_else(|| format!("out of bounds: 1 to {INTENSITY_RUNS_MAX} runs, as in 10/10m, or off"))?;
    let within = duration::parse(within, WITHIN)
        .map_err(|error| format!("not how many within how long, {within:?} is {error}"))?;
    Ok(Some(Intensity { runs, within }))
}
