//! What a command says at its end: one JSON value or a text on standard output, messages in both languages
//! on standard error.

use serde::Serialize;
use serde_json::{Value, json};
use shared::refusal::Refusal;

/// What a command found or did.
pub struct Outcome {
    /// For programs.
    pub json: Value,
    /// For people.
    pub text: String,
    /// Whether what was asked for is done; decides the exit status. A command that fails outright returns a
    /// [`CommandError`] instead.
    pub done: bool,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A rule said no.
    #[error("{}", .0.rule.en())]
    Refused(Refusal),
    /// Something that the person can mend.
    #[error("{en}")]
    Told {
        /// The stable name, for programs.
        code: &'static str,
        /// In Chinese.
        zh: String,
        /// In English.
        en: String,
    },
    /// The world broke.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// What every command returns.
pub type CommandResult = Result<Outcome, CommandError>;

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        CommandError::Refused(refusal)
    }
}

impl Outcome {
    /// A value with a text for people.
    pub fn new(value: impl Serialize, text: impl Into<String>) -> Outcome {
        let json = serde_json::to_value(value).expect("views have text keys and finite numbers");
        Outcome { json, text: text.into(), done: true }
    }
}

/// Something that the person can mend, in both languages.
pub fn told(code: &'static str, zh: impl Into<String>, en: impl Into<String>) -> CommandError {
    CommandError::Told { code, zh: zh.into(), en: en.into() }
}

/// Prints the end of a command and says the exit status.
pub fn print(result: CommandResult, as_json: bool) -> u8 {
    match result {
        Ok(outcome) => {
            if as_json {
                say(&outcome.json.to_string());
            } else if !outcome.text.is_empty() {
                say(outcome.text.trim_end_matches('\n'));
            }
            u8::from(!outcome.done)
        }
        Err(error) => {
            let (code, zh, en) = describe(&error);
            if zh.is_empty() {
                eprintln!("daybook: {en}");
            } else {
                eprintln!("{zh}\n{en}");
            }
            if as_json {
                say(&json!({ "error": { "code": code, "zh": zh, "en": en } }).to_string());
            }
            1
        }
    }
}

/// Prints one line to standard output. A closed pipe (`| head`) is the reader's decision, no failure.
pub fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn describe(error: &CommandError) -> (String, String, String) {
    match error {
        CommandError::Refused(refusal) => {
            let about = refusal.about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
            let name = serde_json::to_value(refusal.rule).ok();
            let code = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
            (code, format!("{}{about}", refusal.rule.zh()), format!("{}{about}", refusal.rule.en()))
        }
        CommandError::Told { code, zh, en } => ((*code).to_owned(), zh.clone(), en.clone()),
        CommandError::Failed(error) => ("failed".to_owned(), String::new(), format!("{error:#}")),
    }
}
