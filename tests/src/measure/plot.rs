//! The figures that have a target, as a picture: how far each is beyond it, on a logarithmic scale.
//!
//! Written by hand: some lines and bars need no library.

use std::fmt::Write as _;

use super::{Figure, Heading, Target};

const ROW: usize = 16;
const LABELS: usize = 620;
const SCALE: usize = 320;
const WIDTH: usize = LABELS + SCALE + 80;
/// The picture ends at this many times better, or worse, than the target.
const TIMES_MAX: f64 = 10.0;

/// One bar for each figure with a target: to the right of the middle it is met.
pub(super) fn of(measured: &[(Heading, Vec<Figure>)]) -> String {
    let mut rows = String::new();
    let mut y = 2 * ROW;
    for (section, figures) in measured {
        if !figures.iter().any(|figure| margin(figure).is_some()) {
            continue;
        }
        y += ROW;
        text(&mut rows, 8, y, "font-weight='bold'", section.title);
        for figure in figures {
            if let Some(margin) = margin(figure) {
                y += ROW;
                bar(&mut rows, y, figure, margin);
            }
        }
    }
    let height = y + 2 * ROW;
    let middle = LABELS + SCALE / 2;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' \
         font-family='sans-serif' font-size='11'>\n<rect width='100%' height='100%' fill='white'/>\n\
         <text x='{middle}' y='{ROW}' text-anchor='middle'>worse ← target → better, each side ten times</text>\n\
         <line x1='{middle}' x2='{middle}' y1='{}' y2='{height}' stroke='black'/>\n{rows}</svg>\n",
        ROW + 6
    )
}

/// How many times better than its target a figure is; below 1 it missed.
fn margin(figure: &Figure) -> Option<f64> {
    let ratio = figure.ratio()?;
    match figure.target {
        Target::None => None,
        Target::AtLeast(least) => Some(ratio / least),
        Target::AtMost(most) => Some(most / ratio),
    }
    .filter(|margin| margin.is_finite() && *margin > 0.0)
}

fn bar(rows: &mut String, y: usize, figure: &Figure, margin: f64) {
    let against = figure.against.as_ref().map_or("", |(name, _)| name);
    text(rows, 16, y, "", &format!("{} / {against}", figure.name));
    let middle = (LABELS + SCALE / 2) as f64;
    let length = margin.log10().clamp(-1.0, 1.0) / TIMES_MAX.log10() * SCALE as f64 / 2.0;
    let (x, color) = if length < 0.0 {
        (middle + length, "#c0392b")
    } else {
        (middle, "#2e7d32")
    };
    let (top, thick) = (y - ROW + 6, ROW - 5);
    writeln!(
        rows,
        "<rect x='{x:.1}' y='{top}' width='{:.1}' height='{thick}' fill='{color}'/>",
        length.abs().max(1.0)
    )
    .expect("a string takes text");
    text(rows, LABELS + SCALE + 8, y, "", &format!("× {margin:.2}"));
}

fn text(rows: &mut String, x: usize, y: usize, style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(rows, "<text x='{x}' y='{y}' {style}>{text}</text>").expect("a string takes text");
}
