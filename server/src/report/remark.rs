//! What an import has to say about a cell, by name and in both languages. Knows no sheet and no document.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::dates::Doubt;

/// Something that a person should know about one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Remark {
    /// The date could mean another day.
    DateDoubtful {
        /// The date as written.
        date: String,
        /// The day it was taken for.
        day: String,
        /// Why.
        why: String,
    },
    /// No date: placed at the day of the entry beside it.
    DateBorrowed {
        /// The day.
        day: String,
    },
    /// No date anywhere in the row: the visit stands at the time of the import.
    DateMissing,
    /// The cell holds a date and no words.
    DateOnly,
    /// The words of the date column are no date.
    DateUnread,
    /// The counter-measure was put to the last of several entries.
    CountermeasureToLast,
    /// There is no visit before this counter-measure; it is kept as a visit's text.
    CountermeasureAlone,
    /// No price could be read; the cell is kept whole as a visit's text.
    QuoteUnread,
    /// Not all of the cell could be read as quotes; it is kept whole beside those that could.
    QuotePartly,
    /// The quote cell as it was written.
    QuoteSource,
    /// The text is longer than one record; it goes on in another.
    TextContinued,
    /// The value is too long or not one of the choices for its field; it is kept in the remarks.
    KeptInRemarks,
    /// The customer's card says something else; it was left as it is.
    CardDiffers {
        /// What the card says.
        present: String,
    },
    /// The customer was found under a name that differs in form.
    MatchedLoosely {
        /// The card's name.
        name: String,
    },
    /// Several cards have this name; nothing was imported for the row.
    NameAmbiguous,
    /// The row has no customer's name; nothing was imported for it.
    NameMissing,
    /// The name is too long to be one; nothing was imported for the row.
    NameTooLong,
    /// The same customer has another row above; both were imported.
    CustomerRepeated,
    /// An earlier import made more entries of this cell than it holds now; they were left as they are.
    EntryLeft,
    /// The visit was voided since an earlier import and was left as it is.
    VisitVoided,
    /// A title, footer or repeated header: not imported.
    OutsideTable,
    /// A rule refused it.
    Refused {
        /// The rule's words in Chinese.
        zh: String,
        /// The rule's words in English.
        en: String,
    },
}

impl Remark {
    /// A doubt about a date.
    pub fn doubt(date: &str, day: NaiveDate, doubt: Doubt) -> Self {
        let why = match doubt {
            Doubt::MonthFirst => "month_first",
            Doubt::YearFirst => "year_first",
            Doubt::Future => "future",
        };
        Remark::DateDoubtful { date: date.to_owned(), day: day.to_string(), why: why.to_owned() }
    }

    /// One sentence in Chinese.
    pub fn zh(&self) -> String {
        match self {
            Remark::DateDoubtful { date, day, why } => {
                let why = match why.as_str() {
                    "month_first" => "按 月/日/年",
                    "year_first" => "按 年/月/日",
                    _ => "日期在将来",
                };
                format!("日期“{date}”读作 {day}（{why}），请核对")
            }
            Remark::DateBorrowed { day } => format!("原表无日期，暂按相邻记录排在 {day}"),
            Remark::DateMissing => "原表无日期，按导入时间显示".to_owned(),
            Remark::DateOnly => "原表只有日期，没有内容".to_owned(),
            Remark::DateUnread => "日期栏无法识别".to_owned(),
            Remark::CountermeasureToLast => "对策无法与多条访谈一一对应，归到最后一条".to_owned(),
            Remark::CountermeasureAlone => "对策前没有访谈，按一条记录保存".to_owned(),
            Remark::QuoteUnread => "报价无法识别，原文保存为记录".to_owned(),
            Remark::QuotePartly => "报价有一部分无法识别，原文一并保存".to_owned(),
            Remark::QuoteSource => "报价原文".to_owned(),
            Remark::TextContinued => "文字过长，分成几条记录".to_owned(),
            Remark::KeptInRemarks => "内容放入备注".to_owned(),
            Remark::CardDiffers { present } => format!("客户卡上已有“{present}”，未改动"),
            Remark::MatchedLoosely { name } => format!("按名称归到已有客户“{name}”，请核对"),
            Remark::NameAmbiguous => "有多个同名客户，本行未导入".to_owned(),
            Remark::NameMissing => "没有客户名称，本行未导入".to_owned(),
            Remark::NameTooLong => "客户名称过长，本行未导入".to_owned(),
            Remark::CustomerRepeated => "同一客户在表中不止一行".to_owned(),
            Remark::EntryLeft => "表中已没有这一条，先前导入的记录保留未动".to_owned(),
            Remark::VisitVoided => "这条记录已作废，未改动".to_owned(),
            Remark::OutsideTable => "不属于客户数据，未导入".to_owned(),
            Remark::Refused { zh, .. } => zh.clone(),
        }
    }

    /// One sentence in English.
    pub fn en(&self) -> String {
        match self {
            Remark::DateDoubtful { date, day, why } => {
                let why = why.replace('_', " ");
                format!("the date \"{date}\" was taken for {day} ({why}); please check")
            }
            Remark::DateBorrowed { day } => {
                format!("no date in the sheet; placed at {day} like the entry beside it")
            }
            Remark::DateMissing => "no date in the row; shown at the time of the import".to_owned(),
            Remark::DateOnly => "a date without words".to_owned(),
            Remark::DateUnread => "the date column holds no date".to_owned(),
            Remark::CountermeasureToLast => {
                "the counter-measure was put to the last of several entries".to_owned()
            }
            Remark::CountermeasureAlone => {
                "no visit before this counter-measure; kept as a record".to_owned()
            }
            Remark::QuoteUnread => "no price could be read; kept whole as a record".to_owned(),
            Remark::QuotePartly => {
                "not all of the quote could be read; kept whole beside what could".to_owned()
            }
            Remark::QuoteSource => "the quote as written".to_owned(),
            Remark::TextContinued => "too long for one record; goes on in another".to_owned(),
            Remark::KeptInRemarks => "kept in the card's remarks".to_owned(),
            Remark::CardDiffers { present } => format!("the card says \"{present}\"; left as it is"),
            Remark::MatchedLoosely { name } => format!("taken for the customer \"{name}\"; please check"),
            Remark::NameAmbiguous => "several customers have this name; the row was not imported".to_owned(),
            Remark::NameMissing => "no customer's name; the row was not imported".to_owned(),
            Remark::NameTooLong => "too long for a customer's name; the row was not imported".to_owned(),
            Remark::CustomerRepeated => "the customer has more than one row".to_owned(),
            Remark::EntryLeft => "no longer in the sheet; what an earlier import made was left".to_owned(),
            Remark::VisitVoided => "the record was voided; left as it is".to_owned(),
            Remark::OutsideTable => "not a customer's data; not imported".to_owned(),
            Remark::Refused { en, .. } => en.clone(),
        }
    }
}
