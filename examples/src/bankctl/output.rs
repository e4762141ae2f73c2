//! What a command found, printed for people or for machines, and the exit code.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{BadInput, Failure};

/// Done, or it verifies.
const EXIT_YES: u8 = 0;
/// It does not verify.
const EXIT_NO: u8 = 1;
/// There is no answer: wrong use, or input that is malformed or cannot be read.
const EXIT_NO_ANSWER: u8 = 2;

/// What a command found.
#[derive(Debug)]
pub(super) struct Answer {
    machine: Map<String, Value>,
    people: String,
    no: Option<No>,
    product: bool,
}

#[derive(Debug)]
struct No {
    code: &'static str,
    reason: BadInput,
}

impl Answer {
    /// Yes; `machine` serialises to an object.
    pub(super) fn yes(machine: impl Serialize, people: impl Into<String>) -> Result<Self, Failure> {
        let Value::Object(machine) = serde_json::to_value(machine).map_err(Failure::other)? else {
            return Err(Failure::other("the answer is no JSON object"));
        };
        Ok(Self {
            machine,
            people: people.into(),
            no: None,
            product: false,
        })
    }

    /// The output is what the command was run for: when nobody takes it, the command is not done.
    pub(super) fn product(self) -> Self {
        Self {
            product: true,
            ..self
        }
    }

    /// No: a stable name of the rule, and the rule in words.
    pub(super) fn no(code: &'static str, reason: BadInput) -> Self {
        Self {
            machine: Map::new(),
            people: String::new(),
            no: Some(No { code, reason }),
            product: false,
        }
    }

    /// The same findings, but the answer is no.
    pub(super) fn but_no(self, code: &'static str, reason: BadInput) -> Self {
        Self {
            no: Some(No { code, reason }),
            ..self
        }
    }
}

/// Prints an answer, or why there is none.
pub(super) fn finish(json: bool, result: Result<Answer, Failure>) -> ExitCode {
    let (exit, printed) = match result {
        Ok(Answer {
            machine,
            people,
            no: None,
            product,
        }) => {
            let document = document(EXIT_YES, machine);
            let printed = match print(json, &document, &people) {
                Err(error) if !product => read_enough(error),
                printed => printed,
            };
            (EXIT_YES, printed)
        }
        Ok(Answer {
            mut machine,
            people,
            no: Some(No { code, reason }),
            ..
        }) => {
            complain("no", &reason.to_string());
            machine.extend(told(code, &reason));
            let printed = print(json, &document(EXIT_NO, machine), &people);
            (EXIT_NO, printed.or_else(read_enough))
        }
        Err(failure) => {
            complain("error", &failure.to_string());
            let reason = match failure {
                Failure::Input(input) => input,
                Failure::Other(reason) => BadInput::new("", reason).coded("failed"),
            };
            let code = reason.code.unwrap_or("bad_input");
            let document = document(EXIT_NO_ANSWER, told(code, &reason).collect());
            let printed = print(json, &document, "");
            (EXIT_NO_ANSWER, printed.or_else(read_enough))
        }
    };
    match printed {
        Ok(()) => exit.into(),
        Err(error) => {
            complain("error", &format!("standard output: {error}"));
            EXIT_NO_ANSWER.into()
        }
    }
}

/// Says it on standard error. Where that cannot be written, the exit code still tells.
fn complain(kind: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "bankctl: {kind}: {}", plain(text));
}

/// Whoever closed the pipe has read enough.
fn read_enough(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

/// Prints help, or what is wrong with the arguments.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if !error.use_stderr() {
        return match printed {
            Ok(()) => EXIT_YES.into(),
            Err(_) => EXIT_NO_ANSWER.into(),
        };
    }
    // They were not understood, but this much is meant by it.
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        let reason = BadInput::new("arguments", reason.trim_start_matches("error: "));
        let members = told("usage", &reason).collect();
        // Its failure could be told no better than by the exit code.
        let _ = print(true, &document(EXIT_NO_ANSWER, members), "");
    }
    EXIT_NO_ANSWER.into()
}

fn told(code: &'static str, reason: &BadInput) -> impl Iterator<Item = (String, Value)> {
    [
        ("code", json!(code)),
        ("source", json!(reason.source_name)),
        ("line", json!((reason.line > 0).then_some(reason.line))),
        ("reason", json!(reason.reason)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
}

fn document(exit: u8, mut members: Map<String, Value>) -> Value {
    members.insert("ok".to_owned(), json!(exit == EXIT_YES));
    members.insert("exit_code".to_owned(), json!(exit));
    Value::Object(members)
}

fn print(json: bool, document: &Value, people: &str) -> std::io::Result<()> {
    let text = if json {
        pretty(document)
    } else {
        plain(people.trim_end())
    };
    if text.is_empty() {
        return Ok(());
    }
    writeln!(std::io::stdout(), "{text}")
}

/// JSON on several lines, safe for a terminal.
pub(super) fn pretty(value: &Value) -> String {
    json_text(&format!("{value:#}"))
}

/// JSON with what would steer a terminal written as escapes of JSON.
pub(super) fn json_text(text: &str) -> String {
    text.chars().fold(String::new(), |mut text, c| {
        match c {
            '\n' => text.push(c),
            // These stand inside strings alone.
            c if is_unsafe(c) => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| text.push_str(&format!("\\u{unit:04x}"))),
            c => text.push(c),
        }
        text
    })
}

/// Text of others that goes to a terminal: what would steer it is escaped.
pub(super) fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |mut text, c| {
        match c {
            '\n' => text.push(c),
            c if is_unsafe(c) => text.extend(c.escape_unicode()),
            c => text.push(c),
        }
        text
    })
}

/// Control characters, those that turn the direction of writing or end a line, and the invisible tags.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
        )
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{E0000}'..='\u{E007F}')
}

/// Lines of a name and a value, the values below one another.
pub(super) fn aligned(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter()
        .map(|(name, value)| {
            let value = plain(value).replace('\n', "\\n");
            format!("  {name:<width$}  {value}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let text =
            "a\u{1b}[31m\u{9b}\u{202e}\u{61c}\u{2028}\u{2029}\u{e0001}\u{e007f}\u{e9}\u{4e2d}\n";
        assert_eq!(
            plain(text),
            "a\\u{1b}[31m\\u{9b}\\u{202e}\\u{61c}\\u{2028}\\u{2029}\\u{e0001}\\u{e007f}\u{e9}\u{4e2d}\n"
        );
        let value = json!({ "a": text });
        let printed = pretty(&value);
        assert!(
            !printed.chars().any(|c| c != '\n' && is_unsafe(c)),
            "{printed}"
        );
        let read: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn values_are_aligned_and_take_one_line_each() {
        let rows = [("sub", "lin".to_owned()), ("expires", "a\nb".to_owned())];
        assert_eq!(aligned(&rows), "  sub      lin\n  expires  a\\nb\n");
    }
}
