//! From what a person types to what the machine needs: customers by id, code or exact name; people by name;
//! times, prices, fields.

use chrono::{FixedOffset, NaiveDateTime, TimeZone};
use shared::edit::{Patch, Value};
use shared::id::DocId;
use shared::time::StatedTime;
use shared::view::{Answer, CustomerRow, PersonView, Query};

use crate::clock;
use crate::device::phone::Phone;
use crate::outcome::{CommandError, told};

/// The customer that is meant.
///
/// # Errors
/// None, or several of one name: the error lists them.
pub fn customer(phone: &mut Phone, typed: &str) -> Result<CustomerRow, CommandError> {
    let typed = typed.trim();
    let rows = customers(phone, "");
    if let Ok(id) = typed.parse::<DocId>()
        && let Some(row) = rows.iter().find(|row| row.id == id)
    {
        return Ok(row.clone());
    }
    if let Some(row) = rows.iter().find(|row| row.code.as_deref() == Some(typed)) {
        return Ok(row.clone());
    }
    let by_name: Vec<_> = rows.iter().filter(|row| row.name == typed).collect();
    let found = match by_name.is_empty() {
        false => by_name,
        true => rows
            .iter()
            .filter(|row| {
                row.short_name.as_deref() == Some(typed) || row.provisional.as_deref() == Some(typed)
            })
            .collect(),
    };
    match found.as_slice() {
        [row] => Ok((*row).clone()),
        [] => Err(told(
            "customer_not_found",
            format!("这台设备上没有客户“{typed}”。"),
            format!("No customer on this phone has the id, code or exact name “{typed}”."),
        )),
        several => {
            let list: Vec<String> = several.iter().map(|row| describe(row)).collect();
            let list = list.join("; ");
            Err(told(
                "customer_ambiguous",
                format!("有 {} 个客户叫“{typed}”，请用编号：{list}", several.len()),
                format!("{} customers are called “{typed}”; use an id: {list}", several.len()),
            ))
        }
    }
}

fn describe(row: &CustomerRow) -> String {
    let code = row.code.as_deref().or(row.provisional.as_deref()).unwrap_or("-");
    format!("{} {code} {}", row.id, row.name)
}

/// Every customer on the phone that matches a search; all for an empty one.
pub fn customers(phone: &mut Phone, search: &str) -> Vec<CustomerRow> {
    let query = Query::Customers { search: search.to_owned(), limit: usize::MAX };
    match phone.query(&query) {
        Answer::Customers(rows) => rows,
        other => unreachable!("customers answer a customers query, not {other:?}"),
    }
}

/// Everybody the phone knows.
pub fn people(phone: &mut Phone) -> Vec<PersonView> {
    match phone.query(&Query::People) {
        Answer::People(people) => people,
        other => unreachable!("people answer a people query, not {other:?}"),
    }
}

/// The person that is meant, by name or id.
///
/// # Errors
/// Nobody of that name.
pub fn person(phone: &mut Phone, typed: &str) -> Result<PersonView, CommandError> {
    let typed = typed.trim();
    let found =
        people(phone).into_iter().find(|person| person.name == typed || person.id.to_string() == typed);
    found.ok_or_else(|| {
        told(
            "person_not_found",
            format!("没有“{typed}”这个人。"),
            format!("This phone knows nobody called “{typed}”."),
        )
    })
}

/// A document's id.
///
/// # Errors
/// Not 32 hexadecimal digits.
pub fn doc_id(typed: &str) -> Result<DocId, CommandError> {
    typed.trim().parse().map_err(|_| {
        told(
            "id_malformed",
            format!("“{typed}”不是编号。"),
            format!("“{typed}” is no id: 32 hexadecimal digits are."),
        )
    })
}

/// A stated time: a day, a time with an offset, or a time of day in this machine's zone.
///
/// # Errors
/// Anything else.
pub fn stated_time(typed: &str) -> Result<StatedTime, CommandError> {
    let typed = typed.trim();
    if let Ok(time) = typed.parse() {
        return Ok(time);
    }
    let offset =
        FixedOffset::east_opt(clock::offset_minutes() * 60).expect("the system's offset is below a day");
    ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(typed, format).ok())
        .and_then(|local| offset.from_local_datetime(&local).single())
        .map(StatedTime::Instant)
        .ok_or_else(|| {
            told(
                "time_malformed",
                format!("“{typed}”不是日期或时间，例如 2026-11-22 或 2026-11-22T09:10:00+08:00。"),
                format!("“{typed}” is no time, such as 2026-11-22 or 2026-11-22T09:10:00+08:00."),
            )
        })
}

/// Fen of a price typed in yuan, such as `1850` or `12.5`.
///
/// # Errors
/// Not a price, or more than two digits after the point.
pub fn fen(typed: &str) -> Result<i64, CommandError> {
    let digits = typed.trim().trim_end_matches('元').trim_start_matches('¥').trim();
    let (yuan, cents) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = (!yuan.is_empty() && is_number(yuan) && is_number(cents) && cents.len() <= 2)
        .then(|| format!("{yuan}{cents:0<2}").parse::<i64>().ok())
        .flatten();
    parsed.ok_or_else(|| {
        told(
            "price_malformed",
            format!("“{typed}”不是价格。"),
            format!("“{typed}” is no price in yuan, such as 12.50."),
        )
    })
}

/// Adds `PATH=VALUE` entries to a patch. An empty value removes; whole numbers, `true` and `false` are taken
/// as such where the schema wants them, which is the machine's to judge.
///
/// # Errors
/// An entry without `=`.
pub fn set_fields(
    patch: &mut Patch,
    entries: &[String],
    is_number: impl Fn(&str) -> bool,
) -> Result<(), CommandError> {
    for entry in entries {
        let Some((path, value)) = entry.split_once('=') else {
            return Err(told(
                "field_malformed",
                format!("“{entry}”缺少等号。"),
                format!("“{entry}” lacks a “=”."),
            ));
        };
        let value = match value {
            "" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => match text.parse() {
                Ok(number) if is_number(path) => Value::Int(number),
                _ => Value::from(text),
            },
        };
        patch.insert(path.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact() {
        assert_eq!(fen("1850").ok(), Some(185_000));
        assert_eq!(fen("12.5元").ok(), Some(1_250));
        assert_eq!(fen("¥0.05").ok(), Some(5));
        for bad in ["", "-1", "1.234", "1e3", "十"] {
            assert!(fen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_local() {
        let with = stated_time("2026-11-22T09:10:00+08:00").expect("a time");
        assert_eq!(with.to_string(), "2026-11-22T09:10:00+08:00");
        assert!(matches!(stated_time("2026-11-22 09:10"), Ok(StatedTime::Instant(_))));
        assert_eq!(stated_time("2026-11-22").expect("a day").to_string(), "2026-11-22");
        assert!(stated_time("tomorrow").is_err());
    }
}
