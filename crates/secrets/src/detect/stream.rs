//! The detector of one stream: any chunking gives what the whole would give.
//!
//! Held back is the run the text ends with, and a header line whose end is yet to come.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{
    FormatCounts, Formats, encoded,
    matcher::{Hint, Hit, KEY_BLOCK, Literal, MATCHER},
    pem::{Block, Now, Show},
    rules::{Anchor, JWT_MAX, LINE_MAX, RULES},
};

/// The most bytes of a run that are looked at together; a longer one is cut.
const RUN_MAX: usize = JWT_MAX;

/// The bytes kept of what went out: for borders, and for the BEGIN line of a block.
const CONTEXT: usize = 64;

/// Works on text in which no registered value is left.
pub(crate) struct Work {
    formats: Formats,
    counts: FormatCounts,
    buffer: Zeroizing<Vec<u8>>,
    /// Up to here the buffer went out; a run begins here.
    gone: usize,
    block: Option<Block>,
}

/// What was found in a part of the buffer, and how far it is decided.
struct Scan {
    hits: Vec<(Hit, Range<usize>)>,
    settled: usize,
    block: bool,
}

impl Work {
    /// `None` if nothing is to be looked for.
    pub(crate) fn new(formats: Formats) -> Option<Work> {
        let work = Work {
            formats,
            counts: FormatCounts::new(),
            buffer: Zeroizing::default(),
            gone: 0,
            block: None,
        };
        (formats != Formats::Off).then_some(work)
    }

    pub(crate) fn held(&self) -> &[u8] {
        &self.buffer[self.gone..]
    }

    pub(crate) fn counts(&self) -> &FormatCounts {
        &self.counts
    }

    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.buffer.extend_from_slice(text);
        self.settle(false, out);
    }

    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        self.settle(true, out);
    }

    fn settle(&mut self, is_ended: bool, out: &mut Vec<u8>) {
        loop {
            if let Some(block) = &mut self.block {
                let show = match self.formats {
                    Formats::Strict => Show::Marker,
                    Formats::OwnOnly | Formats::Off => Show::AsItIs,
                };
                match block.take(&self.buffer[self.gone..], is_ended, show, out) {
                    Now::Within(taken) => {
                        self.gone += taken;
                        break;
                    }
                    Now::Over(taken) => {
                        self.gone += taken;
                        self.block = None;
                    }
                }
            }
            let scan = self.scan(is_ended);
            self.release(&scan, out);
            if !scan.block {
                break;
            }
            *self.counts.entry("private_key").or_default() += 1;
            self.block = Some(Block::new());
        }
        let cut = self.gone.saturating_sub(CONTEXT);
        self.buffer.drain(..cut);
        self.gone -= cut;
    }

    fn scan(&self, is_ended: bool) -> Scan {
        let text = self.buffer.as_slice();
        let mut scan = Scan {
            hits: Vec::new(),
            settled: if is_ended {
                text.len()
            } else {
                last_run(text, self.gone)
            },
            block: false,
        };
        let mut run = self.gone..self.gone;
        let mut at = self.gone;
        while let Some(found) = MATCHER.next(text, at) {
            let (literal, hint) = (&found.place, found.hint);
            at = literal.start + 1;
            if literal.start >= run.end {
                run = run_at(text, literal.start, run.end);
            }
            if run.end > scan.settled {
                break;
            }
            if hint == Hint::KeyBlock {
                if literal.end <= run.end && begins_block(text, literal.start) {
                    scan.settled = literal.end;
                    scan.block = true;
                    break;
                }
                continue;
            }
            if is_line(hint) {
                let Some(line) = line_at(text, literal.start, is_ended) else {
                    scan.settled = run.start;
                    break;
                };
                scan.note(MATCHER.plain(text, &found, &line), &run, &mut at);
                continue;
            }
            let hit = find(&found, text, &run);
            scan.note(hit, &run, &mut at);
        }
        scan.drop_open();
        scan
    }

    /// Lets what is settled out, with a marker for each credential.
    fn release(&mut self, scan: &Scan, out: &mut Vec<u8>) {
        for (hit, _run) in &scan.hits {
            if hit.place.start < self.gone {
                continue;
            }
            *self.counts.entry(hit.kind).or_default() += 1;
            if self.formats == Formats::Strict {
                out.extend_from_slice(&self.buffer[self.gone..hit.place.start]);
                out.extend_from_slice(format!("[redacted:~{}]", hit.kind).as_bytes());
                self.gone = hit.place.end;
            }
        }
        if self.gone < scan.settled {
            out.extend_from_slice(&self.buffer[self.gone..scan.settled]);
            self.gone = scan.settled;
        }
    }
}

impl Scan {
    fn note(&mut self, hit: Option<Hit>, run: &Range<usize>, at: &mut usize) {
        if let Some(hit) = hit {
            *at = (*at).max(hit.place.end);
            self.hits.push((hit, run.clone()));
        }
    }

    /// What reaches over the settled part is looked at again when more is there.
    fn drop_open(&mut self) {
        while let Some((hit, run)) = self.hits.last() {
            if hit.place.end <= self.settled {
                break;
            }
            self.settled = self.settled.min(run.start);
            self.hits.pop();
        }
    }
}

fn is_line(hint: Hint) -> bool {
    matches!(hint, Hint::Plain(rule) if RULES[rule].anchor == Anchor::Line)
}

fn find(found: &Literal, text: &[u8], run: &Range<usize>) -> Option<Hit> {
    let literal = found.place.start;
    match found.hint {
        Hint::Plain(_) => MATCHER.plain(text, found, run),
        Hint::Base64(rule) => {
            let place = encoded::base64_run(text, literal, run);
            let decoded = encoded::base64_decoded(&text[place.clone()]);
            within(rule, decoded).then_some(Hit {
                place,
                kind: RULES[rule].kind,
            })
        }
        Hint::Percent(rule) => {
            let decoded = encoded::percent_decoded(&text[run.clone()]);
            within(rule, std::iter::once(decoded)).then_some(Hit {
                place: run.clone(),
                kind: RULES[rule].kind,
            })
        }
        Hint::KeyBlock => None,
    }
}

/// Whether one of the decoded texts has a match of the rule.
fn within(rule: usize, mut decoded: impl Iterator<Item = Vec<u8>>) -> bool {
    decoded.any(|text| {
        let whole = 0..text.len();
        let is_match = |literal: &str| {
            let places = text.windows(literal.len()).enumerate();
            let mut places = places.filter(|(_, window)| *window == literal.as_bytes());
            places.any(|(place, _)| MATCHER.fit(rule, &text, place, &whole).is_some())
        };
        RULES[rule].literals.iter().any(|literal| is_match(literal))
    })
}

/// What a run is made of.
fn is_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.=+/:%@~$!*".contains(&byte)
}

/// Where the run begins that the text ends with, or its last part.
fn last_run(text: &[u8], floor: usize) -> usize {
    let length = text[floor..]
        .iter()
        .rev()
        .take_while(|byte| is_run(**byte))
        .count();
    let start = text.len() - length;
    start + length / RUN_MAX * RUN_MAX
}

/// The run that has `at`, or its part; `floor` is where a run or a part begins, at the earliest.
fn run_at(text: &[u8], at: usize, floor: usize) -> Range<usize> {
    let start = at
        - text[floor..at]
            .iter()
            .rev()
            .take_while(|byte| is_run(**byte))
            .count();
    let start = start + (at - start) / RUN_MAX * RUN_MAX;
    let rest = text[start..].iter().take(RUN_MAX);
    start..start + rest.take_while(|byte| is_run(**byte)).count()
}

/// From a header's name to the end of its line, if that is there.
fn line_at(text: &[u8], start: usize, is_ended: bool) -> Option<Range<usize>> {
    let rest = &text[start..text.len().min(start + LINE_MAX)];
    let end = rest.iter().position(|byte| *byte == b'\n');
    match end {
        Some(end) => Some(start..start + end),
        None if is_ended || rest.len() == LINE_MAX => Some(start..start + rest.len()),
        None => None,
    }
}

/// Whether the end of a BEGIN line stands at `literal`: `KEY-----`.
fn begins_block(text: &[u8], literal: usize) -> bool {
    debug_assert!(text[literal..].starts_with(KEY_BLOCK), "the literal stands there");
    let before = &text[literal.saturating_sub(CONTEXT - KEY_BLOCK.len())..literal];
    let Some(rest) = before.strip_suffix(b"PRIVATE ") else {
        return false;
    };
    let words = rest
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_uppercase() || **byte == b' ')
        .count();
    // The word BEGIN is one of those.
    let (front, words) = rest.split_at(rest.len() - words);
    front.ends_with(b"-----") && words.starts_with(b"BEGIN ")
}
