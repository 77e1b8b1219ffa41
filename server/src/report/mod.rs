//! Reports: sheets in and, later, sheets and printable pages out. Reading a sheet knows no database and no
//! document engine; what was read becomes edits of the phone's own machine, like anything typed.

pub mod width;
pub mod dates;
pub mod quotes;
pub mod grid;
pub mod workbook;
pub mod delimited;
pub mod remark;
pub mod header;
pub mod nature;
pub mod reading;
pub mod outcome;
pub mod book;
pub mod followups;
pub mod worker;

#[cfg(test)]
mod tests;
