//! The sheet reader as a child process of the real binary.

use std::path::Path;

use rust_xlsxwriter::Workbook;
use server::report::grid::SheetError;
use server::report::worker::parse_by;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_daybook"))
}

fn workbook(far: bool) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (column, word) in (0..).zip(["客户名称", "第一次访谈", "对策"]) {
        sheet.write(0, column, word).expect("a cell");
    }
    sheet.write(1, 0, "远腾精密机械（台资）").expect("a cell");
    sheet.write(1, 1, "25/11/08 拜访").expect("a cell");
    if far {
        sheet.write(1_048_575, 16_383, "远").expect("a cell");
    }
    workbook.save_to_buffer().expect("a workbook")
}

#[test]
fn imp_2_a_workbook_is_read_in_a_child_process_that_may_die() {
    let honest = parse_by(binary(), &workbook(false), "跟进.xlsx").expect("an honest sheet");
    assert_eq!(
        honest,
        server::report::followups::parse(&workbook(false), "跟进.xlsx").expect("an honest sheet")
    );
    let far = SheetError::CellTooFar { cell: "XFD1048576".to_owned() };
    assert_eq!(parse_by(binary(), &workbook(true), "跟进.xlsx"), Err(far));
    assert_eq!(parse_by(binary(), b"PK\x03\x04 broken", "跟进.xlsx"), Err(SheetError::Damaged));
    let dies = parse_by(Path::new("/bin/false"), &workbook(false), "跟进.xlsx");
    assert_eq!(dies, Err(SheetError::ReaderEnded));
    let babbles = parse_by(Path::new("/bin/echo"), &workbook(false), "跟进.xlsx");
    assert_eq!(babbles, Err(SheetError::ReaderEnded));
    let missing = parse_by(Path::new("/no/such/program"), &workbook(false), "跟进.xlsx");
    assert_eq!(missing, Err(SheetError::ReaderNotStarted));
}
