//! Whatever the server refuses or holds of what was typed offline: every word is on the server, or is shown to
//! its author as refused or held, in the edit that it came in (CL-11, CL-12, CL-14).

use proptest::prelude::*;

use super::*;
use crate::refusal::Rule;

/// Fields of the card: three words and a long text.
const WORDS: [&str; 3] = ["address", "city", "district"];
const TEXT: &str = "remarks";

/// What the server will say to an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Refused,
    Held,
    /// Refused for its numbers as often as its first actor sends it.
    Renumbered,
}

#[derive(Debug, Clone)]
enum Step {
    Type { field: usize, fate: Fate },
    Colleague { field: usize },
    Sync,
    PowerLoss,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        6 => Just(Fate::Passes),
        2 => Just(Fate::Refused),
        1 => Just(Fate::Held),
        1 => Just(Fate::Renumbered),
    ];
    prop_oneof![
        8 => (0..4usize, fate).prop_map(|(field, fate)| Step::Type { field, fate }),
        3 => (0..4usize).prop_map(|field| Step::Colleague { field }),
        1 => Just(Step::Sync),
        1 => Just(Step::PowerLoss),
    ]
}

/// An edit as it was typed, and what it is to find.
struct Typed {
    edit: crate::client::EditId,
    field: usize,
    token: String,
    fate: Fate,
}

fn write(phone: &mut Phone, field: usize, token: &str) -> crate::client::EditId {
    let (key, value) = match WORDS.get(field) {
        Some(key) => (*key, Value::Str(token.to_owned())),
        None => {
            let base = phone.text(FACTORY, TEXT).unwrap_or_default();
            let text = format!("{base}{token}");
            (TEXT, Value::Text { base, text })
        }
    };
    let fields = Patch::from([(key.to_owned(), value)]);
    phone.edit(Edit::EditCustomer { customer: FACTORY, fields })
}

/// Plays the steps, lets everybody talk, and looks for every word.
fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut hub, mut phone) = rep_with_factory();
    let mut colleague = colleague(&mut hub, 2);
    colleague.sync(&mut hub);
    hub.refuse.push((b"BAD".to_vec(), Rule::SchemaViolated));
    hub.hold.push(b"LATE".to_vec());
    phone.disconnect(&mut hub);
    phone.network = false;
    let mut typed: Vec<Typed> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Type { field, fate } => {
                let mark = match fate {
                    Fate::Refused => "BAD",
                    Fate::Held => "LATE",
                    Fate::Passes | Fate::Renumbered => "",
                };
                if fate == Fate::Renumbered {
                    hub.cloned.insert(phone.client.meta.actor);
                }
                let token = format!("<{number}{mark}>");
                let edit = write(&mut phone, field, &token);
                typed.push(Typed { edit, field, token, fate });
                phone.run(&mut hub);
            }
            Step::Colleague { field } => {
                write(&mut colleague, field, &format!("[{number}]"));
                colleague.sync(&mut hub);
            }
            Step::Sync => {
                phone.network = true;
                sync_all(&mut [&mut phone, &mut colleague], &mut hub);
                phone.disconnect(&mut hub);
                phone.network = false;
            }
            Step::PowerLoss => phone.reopen(),
        }
    }
    phone.network = true;
    sync_all(&mut [&mut phone, &mut colleague], &mut hub);
    prop_assert_eq!(phone.status().pending.edits, 0);
    let refused = phone.refused();
    let server = &mut hub.docs.get_mut(&FACTORY).expect("registered").document;
    for (at, edit) in typed.iter().enumerate() {
        let shown = refused.iter().find(|row| row.edit_id == edit.edit.0);
        let stored = match WORDS.get(edit.field) {
            Some(key) => server.values(key).iter().any(|value| format!("{value:?}").contains(&edit.token)),
            None => server.text_of(TEXT).unwrap_or_default().contains(&edit.token),
        };
        match edit.fate {
            Fate::Refused | Fate::Held => {
                let row = shown.expect("it is shown to its author");
                prop_assert!(
                    format!("{:?}", row.edit).contains(&edit.token),
                    "in the author's words: {row:?}"
                );
                prop_assert_eq!(row.held, edit.fate == Fate::Held);
                prop_assert!(!stored, "{} is refused and stored", edit.token);
            }
            Fate::Passes | Fate::Renumbered => {
                prop_assert!(shown.is_none(), "{} would pass: {shown:?}", edit.token);
                // A later value of a word, the author's own or a colleague's who saw it, takes its place.
                let is_last = !typed[at + 1..].iter().any(|later| later.field == edit.field);
                if edit.field == WORDS.len() {
                    prop_assert!(stored, "{} is not in {:?}", edit.token, server.text_of(TEXT));
                } else if is_last && !stored {
                    let values = format!("{:?}", server.values(WORDS[edit.field]));
                    prop_assert!(values.contains('['), "{} gave way to nobody: {values}", edit.token);
                }
            }
        }
    }
    let heads = server.heads();
    prop_assert_eq!(phone.client.held.get(FACTORY).map(|row| row.heads.clone()), Some(heads.clone()));
    prop_assert_eq!(colleague.client.held.get(FACTORY).map(|row| row.heads.clone()), Some(heads));
    Ok(())
}

proptest! {
    #![proptest_config(crate::testing::property(96))]

    #[test]
    fn a_rebase_keeps_what_was_meant_or_shows_it(steps in proptest::collection::vec(step(), 1..30)) {
        play(steps)?;
    }
}

/// An edit that was made again because others of its card were refused was shown as refused for its numbers when
/// it had been sent under new ones only once.
#[test]
fn cl_14_what_other_edits_are_refused_for_does_not_count() {
    let typed = |fate| Step::Type { field: 0, fate };
    let steps = vec![
        typed(Fate::Refused),
        typed(Fate::Refused),
        Step::Sync,
        typed(Fate::Held),
        Step::PowerLoss,
        typed(Fate::Refused),
        typed(Fate::Renumbered),
    ];
    play(steps).expect("every word is found");
}
