//! The language of test scripts: from text to commands.
//!
//! A script is a list of `clear`, `load` and `eval` blocks. A block ends at an empty line, and a
//! comment line is one.

use ferula_model::Timestamp;

use crate::notation::{SeriesLine, parse_series, parse_starts};
use crate::parse_duration;

/// A command and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) kind: CommandKind,
}

#[derive(Clone, Debug)]
pub(crate) enum CommandKind {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Series to put into the store.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) step_ms: i64,
    /// Whether classic histograms are loaded as native ones, too.
    pub(crate) with_nhcb: bool,
    pub(crate) series: Vec<SeriesLine>,
}

/// A query and what is expected of it.
#[derive(Clone, Debug)]
pub(crate) struct Eval {
    pub(crate) query: String,
    pub(crate) at: EvalAt,
    pub(crate) expected: Expected,
}

/// When a query is evaluated, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EvalAt {
    Instant(Timestamp),
    Range {
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
    },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) ordered: bool,
    /// That it fails, and with what.
    pub(crate) fail: Option<Match>,
    pub(crate) warnings: Notes,
    pub(crate) infos: Notes,
    pub(crate) string: Option<String>,
    /// Start, end and step of the samples of a range vector.
    pub(crate) range_vector: Option<(Timestamp, Timestamp, i64)>,
    pub(crate) scalar: Option<f64>,
    pub(crate) series: Vec<SeriesLine>,
}

/// What is expected of the annotations of one level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// None at all.
    pub(crate) none: bool,
    /// Each matches one, and each one matches.
    pub(crate) some: Vec<Match>,
}

/// A test on a text.
#[derive(Clone, Debug)]
pub(crate) enum Match {
    Any,
    Text(String),
    Regex(regex::Regex),
}

impl Match {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(expected) => expected == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// What is wrong with a script, and in which line.
#[derive(Clone, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// What.
    pub what: String,
}

type Result<T> = std::result::Result<T, String>;

/// Parses a whole script.
pub(crate) fn parse_script(text: &str) -> std::result::Result<Vec<Command>, ScriptError> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].is_empty() {
            at += 1;
            continue;
        }
        let first = at;
        let block = lines[at..]
            .iter()
            .take_while(|line| !line.is_empty())
            .count();
        let mut reader = Reader {
            lines: &lines[first..first + block],
            next: 0,
        };
        let kind = reader.command().map_err(|what| ScriptError {
            line: first + reader.next.max(1),
            what,
        })?;
        commands.push(Command {
            line: first + 1,
            kind,
        });
        at = first + reader.next;
    }
    Ok(commands)
}

/// Reads the lines of a block.
struct Reader<'a> {
    lines: &'a [&'a str],
    next: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next)?;
        self.next += 1;
        Some(line)
    }

    fn command(&mut self) -> Result<CommandKind> {
        let line = self.line().unwrap_or_default();
        let lower = line.to_ascii_lowercase();
        if lower == "clear" {
            return Ok(CommandKind::Clear);
        }
        let (word, rest) = split_word(line);
        let word = word.to_ascii_lowercase();
        if word.starts_with("load") {
            return self
                .load(word == "load_with_nhcb", rest)
                .map(CommandKind::Load);
        }
        if word.starts_with("eval") {
            return self
                .eval(&word, rest)
                .map(|eval| CommandKind::Eval(Box::new(eval)));
        }
        Err(format!("unknown command {word:?}"))
    }

    fn load(&mut self, with_nhcb: bool, step: &str) -> Result<Load> {
        let step_ms = duration(step)?;
        let mut series: Vec<SeriesLine> = Vec::new();
        while let Some(line) = self.line() {
            let starts = parse_starts(line).map_err(|e| e.to_string())?;
            let line = match &starts {
                Some(_) => self
                    .line()
                    .ok_or("a series must follow its start timestamps")?,
                None => line,
            };
            let mut line = parse_series(line).map_err(|e| e.to_string())?;
            if let Some(starts) = starts {
                if starts.labels != line.labels || starts.starts.len() != line.values.len() {
                    return Err("the start timestamps are of another series".to_owned());
                }
                line.starts = starts.starts;
            }
            match series.iter_mut().find(|known| known.labels == line.labels) {
                Some(known) => *known = line,
                None => series.push(line),
            }
        }
        Ok(Load {
            step_ms,
            with_nhcb,
            series,
        })
    }

    fn eval(&mut self, word: &str, rest: &str) -> Result<Eval> {
        let mut expected = Expected::default();
        match word {
            "eval" => {}
            "eval_fail" => expected.fail = Some(Match::Any),
            "eval_warn" => expected.warnings.some.push(Match::Any),
            "eval_info" => expected.infos.some.push(Match::Any),
            "eval_ordered" => expected.ordered = true,
            _ => return Err(format!("unknown command {word:?}")),
        }
        let (at, query) = eval_times(rest)?;
        while let Some(line) = self.line() {
            if expect_line(line, &mut expected)? {
                continue;
            }
            if let Some(value) = number_line(line) {
                expected.scalar = Some(value);
                break;
            }
            expected
                .series
                .push(parse_series(line).map_err(|e| e.to_string())?);
        }
        Ok(Eval {
            query: query.to_owned(),
            at,
            expected,
        })
    }
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.find([' ', '\t']) {
        Some(end) => (&text[..end], text[end..].trim_start()),
        None => (text, ""),
    }
}

fn keyword<'a>(text: &'a str, word: &str) -> Result<&'a str> {
    let (found, rest) = split_word(text);
    if found == word {
        Ok(rest)
    } else {
        Err(format!("expected {word:?}, found {found:?}"))
    }
}

fn duration(text: &str) -> Result<i64> {
    let (sign, text) = match text.trim().strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.trim()),
    };
    parse_duration(text)
        .map(|ms| sign * ms)
        .ok_or_else(|| format!("{text:?} is no duration"))
}

fn eval_times(text: &str) -> Result<(EvalAt, &str)> {
    let (kind, rest) = split_word(text);
    if kind == "instant" {
        let (time, query) = split_word(keyword(rest, "at")?);
        return Ok((EvalAt::Instant(duration(time)?), query));
    }
    let rest = keyword(text, "range")?;
    let ((start, end, step_ms), query) = from_to_step(rest)?;
    Ok((
        EvalAt::Range {
            start,
            end,
            step_ms,
        },
        query,
    ))
}

/// `from A to B step S`, and what follows.
fn from_to_step(text: &str) -> Result<((i64, i64, i64), &str)> {
    let (start, rest) = split_word(keyword(text, "from")?);
    let (end, rest) = split_word(keyword(rest, "to")?);
    let (step, rest) = split_word(keyword(rest, "step")?);
    Ok(((duration(start)?, duration(end)?, duration(step)?), rest))
}

/// Reads an `expect` line or one of its old forms; says whether it was one.
fn expect_line(line: &str, expected: &mut Expected) -> Result<bool> {
    let (word, rest) = split_word(line);
    match word {
        "expected_fail_message" => expected.fail = Some(Match::Text(rest.to_owned())),
        "expected_fail_regexp" => expected.fail = Some(Match::Regex(pattern(rest)?)),
        "expect" => {
            let (what, rest) = split_word(rest);
            match what {
                "ordered" => expected.ordered = true,
                "fail" => expected.fail = Some(text_match(rest)?),
                "warn" => expected.warnings.some.push(text_match(rest)?),
                "info" => expected.infos.some.push(text_match(rest)?),
                "no_warn" => expected.warnings.none = true,
                "no_info" => expected.infos.none = true,
                "string" => {
                    let mut cursor = crate::cursor::Cursor::new(rest);
                    expected.string = Some(cursor.string().map_err(|e| e.to_string())?);
                }
                "range" => {
                    let (times, _) = from_to_step(keyword(rest, "vector")?)?;
                    expected.range_vector = Some(times);
                }
                _ => return Err(format!("unknown expectation {what:?}")),
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn text_match(text: &str) -> Result<Match> {
    if let Some(message) = text.strip_prefix("msg:") {
        Ok(Match::Text(message.trim().to_owned()))
    } else if let Some(text) = text.strip_prefix("regex:") {
        Ok(Match::Regex(pattern(text.trim())?))
    } else if text.is_empty() {
        Ok(Match::Any)
    } else {
        Err(format!("expected msg: or regex:, found {text:?}"))
    }
}

fn pattern(text: &str) -> Result<regex::Regex> {
    regex::Regex::new(text).map_err(|e| e.to_string())
}

/// The value of a line that is just a number.
fn number_line(line: &str) -> Option<f64> {
    if line.contains([' ', '\t', '{']) {
        return None;
    }
    if let Some(digits) = line.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(|v| v as f64);
    }
    line.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let script = "# a comment\nload 5m\n  a 1x2\n  b{c=\"d\"} _ 3\n\nclear\neval instant at 10m a + b\n  expect no_warn\n  {} 4\n\neval range from 0 to 1m step 30s a\n# ends the block\n";
        let commands = parse_script(script).unwrap();
        assert_eq!(commands.len(), 4);
        assert_eq!(commands[2].line, 7);
        let CommandKind::Eval(eval) = &commands[2].kind else {
            panic!("no eval")
        };
        assert_eq!(eval.query, "a + b");
        assert!(eval.expected.warnings.none && eval.expected.series.len() == 1);
        assert!(matches!(eval.at, EvalAt::Instant(600_000)));
    }

    #[test]
    fn mistakes_name_their_line() {
        let error = parse_script("clear\n\nload 5m\n  a 1\n  b x\n").unwrap_err();
        assert_eq!(error.line, 5);
        assert_eq!(parse_script("lod 5m").unwrap_err().line, 1);
    }
}
