//! Reports: sheets in and, later, sheets and printable pages out. Reading a sheet knows no database and no
//! document engine; what was read becomes edits of the phone's own machine, like anything typed.

pub mod dates;
pub mod delimited;
pub mod followups;
pub mod grid;
pub mod header;
pub mod quotes;
pub mod reading;
pub mod remark;
pub mod width;
pub mod workbook;
pub mod worker;

#[cfg(test)]
mod tests;
