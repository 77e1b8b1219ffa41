//! Finds the header of a follow-up sheet and says what each column is, by synonyms and with tolerance for
//! typing errors (`第二访谈`, `第三次访…`, `1次报价`). Knows nothing of the rows below.

use super::grid::{Grid, GridRow, column_name};
use super::width::{bare, folded};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// 客户名称
    Name,
    /// 序号
    Number,
    /// 企业性质
    Capital,
    /// 简称
    ShortName,
    /// 统一社会信用代码
    CreditCode,
    /// 行业
    Industry,
    /// 规模
    Size,
    /// 等级
    Level,
    /// 来源
    Source,
    /// 区域
    District,
    /// 地址
    Address,
    /// 联系人
    Contact,
    /// 职务
    ContactTitle,
    /// 电话
    Phone,
    /// 产品
    Product,
    /// 用量
    Consumption,
    /// 现用品牌, 竞争对手
    Competitor,
    /// 设备
    Equipment,
    /// 需求
    Need,
    /// 备注
    Remarks,
    /// 业务员
    Rep,
    /// One of the visits: its number in the header and its kind, where the header says them.
    Visit(Option<u32>, Option<&'static str>),
    /// The day of the visit beside it.
    VisitDate,
    /// 对策, of the visit before it.
    Countermeasure,
    /// One of the quotes, with its number in the header.
    Quote(Option<u32>),
    /// Anything else: kept with the header's words.
    Unknown,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Counted from 0.
    pub column: u32,
    /// The header's words, of all its rows.
    pub header: String,
    /// What it holds.
    pub role: Role,
}

/// A sheet's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its first row.
    pub first_row: u32,
    /// Its last row.
    pub last_row: u32,
    /// The column of the customer's name.
    pub name_column: u32,
    /// Every column with a header or a cell below it, in order.
    pub columns: Vec<Column>,
}

/// How many rows with something in them may stand above the header.
const ROWS_ABOVE_MAX: usize = 40;

/// Finds the header: the row with the customer's name that knows most of its columns, and the rows that
/// belong to it above and below.
pub fn find(grid: &Grid) -> Option<Header> {
    let candidates = grid.rows.iter().take(ROWS_ABOVE_MAX).enumerate();
    let scored = candidates.filter_map(|(index, row)| Some((index, name_column(row)?, known(row))));
    let (index, name_column, _) = scored
        .filter(|(_, _, known)| *known >= 2)
        .max_by_key(|(index, _, known)| (*known, usize::MAX - index))?;
    let name_row = &grid.rows[index];
    let above =
        index.checked_sub(1).map(|above| &grid.rows[above]).filter(|above| groups_columns(above, name_row));
    let below = grid.rows.get(index + 1).filter(|below| continues_header(grid, below, name_row, name_column));
    let rows: Vec<&GridRow> = above.into_iter().chain([name_row]).chain(below).collect();
    let (first_row, last_row) = (rows[0].row, rows[rows.len() - 1].row);
    let mut used: Vec<u32> = rows.iter().flat_map(|row| row.cells.iter().map(|cell| cell.column)).collect();
    used.extend(
        grid.rows
            .iter()
            .skip_while(|row| row.row <= last_row)
            .flat_map(|row| row.cells.iter().map(|cell| cell.column)),
    );
    used.sort_unstable();
    used.dedup();
    let mut columns: Vec<Column> = used.into_iter().map(|column| describe(grid, &rows, column)).collect();
    keep_one_name(&mut columns, name_column);
    settle_dates(&mut columns);
    Some(Header { first_row, last_row, name_column, columns })
}

fn name_column(row: &GridRow) -> Option<u32> {
    row.cells.iter().find(|cell| classify(&cell.text) == Role::Name).map(|cell| cell.column)
}

fn known(row: &GridRow) -> usize {
    row.cells.iter().filter(|cell| classify(&cell.text) != Role::Unknown).count()
}

/// Whether a row above holds titles of groups of columns, such as 第一次访谈 over 日期 and 内容.
fn groups_columns(above: &GridRow, name_row: &GridRow) -> bool {
    let is_group = |role| matches!(role, Role::Visit(Some(_), _) | Role::Quote(Some(_)));
    name_row.row - above.row == 1 && above.cells.iter().any(|cell| is_group(classify(&cell.text)))
}

/// Whether the row below belongs to the header: the name's cell goes on into it or is blank, and what stands
/// in it are words for columns.
fn continues_header(grid: &Grid, below: &GridRow, name_row: &GridRow, name_column: u32) -> bool {
    if below.row - name_row.row != 1 || below.cell(name_column).is_some() {
        return false;
    }
    let merged = grid.merged_into(below.row, name_column) == Some((name_row.row, name_column));
    let words = below
        .cells
        .iter()
        .filter(|cell| classify(&cell.text) != Role::Unknown || is_part_word(&cell.text))
        .count();
    words > 0
        && (merged || words * 2 > below.cells.len())
        && below.cells.iter().all(|cell| cell.text.chars().count() <= 20)
}

/// The header's words over one column, merged cells included, and what they mean together.
fn describe(grid: &Grid, rows: &[&GridRow], column: u32) -> Column {
    let mut words: Vec<&str> = Vec::new();
    for row in rows {
        let own = row.cell(column);
        let merged = || grid.merged_into(row.row, column).and_then(|(row, column)| grid.cell(row, column));
        words.extend(own.or_else(merged).map(|cell| cell.text.as_str()));
        words.dedup();
    }
    let header = words.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let role = match words.as_slice() {
        [] => Role::Unknown,
        [only] => classify(only),
        [group, .., part] => together(classify(group), part),
    };
    Column { column, header, role }
}

/// What a column means under a group's title.
fn together(group: Role, part: &str) -> Role {
    let own = classify(part);
    match (group, own) {
        (_, Role::Countermeasure) => Role::Countermeasure,
        (Role::Visit(..), _) if is_date_word(part) => Role::VisitDate,
        (Role::Visit(..), Role::Unknown | Role::Remarks | Role::Visit(None, _)) => group,
        (
            Role::Quote(_),
            Role::Unknown | Role::Product | Role::Quote(None) | Role::Consumption | Role::Remarks,
        ) => group,
        (_, Role::Unknown) => group,
        _ => own,
    }
}

fn is_part_word(text: &str) -> bool {
    let word = bare(text);
    is_date_word(text)
        || ["内容", "情况", "记录", "结果", "包装", "规格", "数量", "单价", "品名"].contains(&word.as_str())
}

fn is_date_word(text: &str) -> bool {
    let word = bare(text);
    word.chars().count() <= 8 && (word.ends_with("日期") || word.ends_with("时间"))
}

/// Only one column names the customer; another that could is words like any other.
fn keep_one_name(columns: &mut [Column], name_column: u32) {
    for column in
        columns.iter_mut().filter(|column| column.role == Role::Name && column.column != name_column)
    {
        column.role = Role::Unknown;
    }
}

/// A bare 日期 is a visit's day only where a visit stands directly to its right.
fn settle_dates(columns: &mut [Column]) {
    for index in 0..columns.len() {
        let next = columns.get(index + 1).map(|next| next.role);
        let role = columns[index].role;
        if matches!(role, Role::Unknown | Role::VisitDate) && is_date_word(&columns[index].header) {
            let beside = matches!(next, Some(Role::Visit(..)));
            columns[index].role = if beside { Role::VisitDate } else { Role::Unknown };
        } else if role == Role::VisitDate && !matches!(next, Some(Role::Visit(..))) {
            columns[index].role = Role::Unknown;
        }
    }
}

impl Column {
    /// The column for a person: its words, or its letter.
    pub fn title(&self) -> String {
        if self.header.is_empty() { column_name(self.column) } else { self.header.clone() }
    }
}

const NAME_BEGINNINGS: [&str; 14] = [
    "客户名",
    "单位名称",
    "公司名称",
    "企业名称",
    "工厂名称",
    "厂家名称",
    "厂商名称",
    "客户全称",
    "公司全称",
    "客户单位",
    "客户公司",
    "customername",
    "companyname",
    "客户姓名",
];
const NAME_WORDS: [&str; 10] =
    ["客户", "名称", "公司", "单位", "厂名", "厂家", "企业", "工厂", "customer", "company"];

/// Words of other columns: whole or as a part, in order of precedence.
const WORDS: [(Role, &[&str]); 20] = [
    (Role::Countermeasure, &["对策", "措施", "应对", "对应方案", "解决方案", "解决办法", "countermeasure"]),
    (
        Role::Contact,
        &["联系人", "受访人", "被访人", "访谈对象", "拜访对象", "接洽人", "洽谈人", "负责人", "contact"],
    ),
    (
        Role::Rep,
        &[
            "业务员",
            "业务代表",
            "跟单员",
            "跟进人",
            "拜访人",
            "访谈人",
            "访问人",
            "销售员",
            "经办",
            "salesrep",
        ],
    ),
    (Role::Phone, &["联系电话", "联系方式", "手机", "电话", "固话", "phone", "tel", "mobile"]),
    (Role::Address, &["地址", "厂址", "address"]),
    (Role::CreditCode, &["信用代码", "税号"]),
    (Role::ShortName, &["简称"]),
    (Role::Capital, &["企业性质", "公司性质", "资本性质", "客户性质", "投资性质", "性质", "资本"]),
    (Role::Industry, &["行业", "主营", "经营范围", "主要产品", "生产产品", "industry"]),
    (Role::Size, &["规模", "人数"]),
    (Role::Level, &["等级", "级别", "客户分级", "level"]),
    (Role::Source, &["来源", "信息渠道"]),
    (Role::District, &["区域", "地区", "镇区", "片区", "所在地", "城市"]),
    (Role::ContactTitle, &["职务", "职位", "职称"]),
    (Role::Consumption, &["用量", "消耗量", "月用", "年用"]),
    (Role::Competitor, &["现用品牌", "现用厂家", "竞争对手", "竞品", "现供应商", "目前供应商", "现用供应商"]),
    (Role::Product, &["使用产品", "用油", "产品", "油品", "品种", "product"]),
    (Role::Equipment, &["设备", "机台", "机床", "机器"]),
    (Role::Need, &["需求", "要求"]),
    (Role::Remarks, &["备注", "说明", "remark", "note"]),
];

const VISIT_WORDS: [&str; 17] = [
    "访谈", "访淡", "访问", "拜访", "走访", "回访", "来访", "初访", "面谈", "洽谈", "约谈", "跟进", "跟踪",
    "沟通", "交流", "visit", "访",
];

/// What one header cell means.
pub fn classify(text: &str) -> Role {
    let word = bare(text);
    let length = word.chars().count();
    if length == 0 || length > 24 {
        return Role::Unknown;
    }
    if ["序号", "编号", "no", "项次", "序", "客户编号"].contains(&word.as_str()) {
        return Role::Number;
    }
    if NAME_WORDS.contains(&word.as_str())
        || (length <= 14 && NAME_BEGINNINGS.iter().any(|name| word.starts_with(name)))
    {
        return Role::Name;
    }
    let number = ordinal(&word);
    if ["下次", "下一次", "计划", "预定", "预约", "最近", "最后", "上次", "次数", "频率", "频次"]
        .iter()
        .any(|other| word.contains(other))
    {
        return Role::Unknown;
    }
    if word.contains("对策") {
        return Role::Countermeasure;
    }
    let quote = ["报价", "报介", "quote", "quotation"].iter().any(|quote| word.contains(quote));
    if quote
        || (number.is_some() && (word.ends_with("次报") || word.ends_with("价格") || word.ends_with("单价")))
    {
        return if is_date_word(text) { Role::Unknown } else { Role::Quote(number) };
    }
    if number.is_none()
        && let Some((role, _)) =
            WORDS.iter().find(|(_, words)| words.iter().any(|known| word.contains(known)))
    {
        return *role;
    }
    let visit = VISIT_WORDS.iter().any(|visit| word.contains(visit));
    if visit && is_date_word(text) {
        return Role::VisitDate;
    }
    let by_number =
        number.is_some() && (word.starts_with('第') || word.contains('次')) && is_visit_like(&word);
    if visit || by_number {
        return Role::Visit(number, visit_kind(&word));
    }
    WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|known| word.contains(known)))
        .map_or(Role::Unknown, |(role, _)| *role)
}

/// Whether a word with a number reads like a cut or mistyped 第N次访谈, or another way to be in touch.
fn is_visit_like(word: &str) -> bool {
    word.ends_with('次')
        || word.ends_with('谈')
        || visit_kind(word).is_some()
        || word.ends_with("内容")
        || word.ends_with("记录")
}

fn visit_kind(word: &str) -> Option<&'static str> {
    let kinds = [
        ("电话", "电话"),
        ("微信", "微信"),
        ("送样", "送样"),
        ("试样", "送样"),
        ("样品", "送样"),
        ("来访", "来访"),
        ("寄资料", "寄资料"),
        ("上门", "上门"),
    ];
    kinds.iter().find(|(part, _)| word.contains(part)).map(|(_, kind)| *kind)
}

/// The number in `第三次访谈`, `第三访谈`, `3次报价`, `访谈3`, `初访`; between 1 and 99.
pub fn ordinal(word: &str) -> Option<u32> {
    let word = folded(word);
    let characters: Vec<char> = word.chars().filter(|character| !character.is_whitespace()).collect();
    if characters.first() == Some(&'初') || characters.first() == Some(&'首') {
        return Some(1);
    }
    let numeral =
        |character: &char| character.is_ascii_digit() || "一二两三四五六七八九十".contains(*character);
    let runs = || {
        let mut from = 0;
        std::iter::from_fn(move || {
            let start = from + characters.get(from..)?.iter().position(numeral)?;
            let length = characters[start..].iter().take_while(|character| numeral(character)).count();
            from = start + length;
            let before = start.checked_sub(1).map(|before| characters[before]);
            Some((before, characters[start..from].to_vec(), characters.get(from).copied()))
        })
        .collect::<Vec<_>>()
    };
    let runs = runs();
    let marked = runs.iter().find(|(before, _, after)| *before == Some('第') || *after == Some('次'));
    let last =
        || runs.iter().find(|(_, digits, after)| after.is_none() && digits.iter().all(char::is_ascii_digit));
    let (_, digits, _) = marked.or_else(last)?;
    numeral_value(digits).filter(|number| (1..=99).contains(number))
}

fn numeral_value(digits: &[char]) -> Option<u32> {
    if digits.iter().all(char::is_ascii_digit) {
        return digits.iter().collect::<String>().parse().ok();
    }
    let value = |digit: char| match digit {
        '两' => Some(2),
        _ => "一二三四五六七八九".chars().position(|known| known == digit).map(|at| at as u32 + 1),
    };
    match digits {
        ['十'] => Some(10),
        ['十', unit] => value(*unit).map(|unit| 10 + unit),
        [ten, '十'] => value(*ten).map(|ten| ten * 10),
        [ten, '十', unit] => Some(value(*ten)? * 10 + value(*unit)?),
        [unit] => value(*unit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::{CellKind, GridBuilder, Merge};
    use super::*;

    #[test]
    fn imp_5_a_header_is_known_by_its_synonyms_and_through_its_typing_errors() {
        let table = [
            ("客户名称", Role::Name),
            ("客户名称（资本性质）", Role::Name),
            ("客 户", Role::Name),
            ("单位名称", Role::Name),
            ("序号", Role::Number),
            ("联系人", Role::Contact),
            ("联系电话", Role::Phone),
            ("地址", Role::Address),
            ("区域", Role::District),
            ("业务员", Role::Rep),
            ("月用量", Role::Consumption),
            ("使用产品", Role::Product),
            ("企业性质", Role::Capital),
            ("对策", Role::Countermeasure),
            ("对 策", Role::Countermeasure),
            ("对策1", Role::Countermeasure),
            ("跟进措施", Role::Countermeasure),
            ("第一次访谈", Role::Visit(Some(1), None)),
            ("第二访谈", Role::Visit(Some(2), None)),
            ("第三次访…", Role::Visit(Some(3), None)),
            ("第1次访谈", Role::Visit(Some(1), None)),
            ("第１次访谈", Role::Visit(Some(1), None)),
            ("访谈1", Role::Visit(Some(1), None)),
            ("访谈", Role::Visit(None, None)),
            ("初访", Role::Visit(Some(1), None)),
            ("第四次访淡", Role::Visit(Some(4), None)),
            ("第五次", Role::Visit(Some(5), None)),
            ("第十二次访谈", Role::Visit(Some(12), None)),
            ("第二次拜访内容", Role::Visit(Some(2), None)),
            ("第二次电话", Role::Visit(Some(2), Some("电话"))),
            ("第一次送样", Role::Visit(Some(1), Some("送样"))),
            ("第一次报价", Role::Quote(Some(1))),
            ("1次报价", Role::Quote(Some(1))),
            ("报价", Role::Quote(None)),
            ("报价2", Role::Quote(Some(2))),
            ("第二次报", Role::Quote(Some(2))),
            ("下次拜访时间", Role::Unknown),
            ("拜访次数", Role::Unknown),
            ("拜访人", Role::Rep),
            ("首次拜访时间", Role::VisitDate),
            ("付款方式", Role::Unknown),
            ("", Role::Unknown),
            ("备注", Role::Remarks),
        ];
        for (header, role) in table {
            assert_eq!(classify(header), role, "{header}");
        }
    }

    fn grid(rows: &[&[&str]], merges: Vec<Merge>) -> Grid {
        let mut builder = GridBuilder::default();
        for (row, cells) in (0..).zip(rows) {
            for (column, text) in (0..).zip(*cells) {
                builder.put(row, column, text, CellKind::Text).expect("within limits");
            }
        }
        builder.take(String::new(), merges)
    }

    #[test]
    fn imp_5_the_header_is_found_below_titles_and_over_two_rows() {
        let sheet = grid(
            &[
                &["重点客户业务跟进表"],
                &["部门：一部", "", "日期：2009年4月"],
                &["序号", "客户名称", "第一次访谈", "", "", "第一次报价", ""],
                &["", "", "日期", "内容", "对策", "产品", "单价"],
                &["1", "远腾", "25/11/08", "拜访", "送样", "46#", "1850"],
            ],
            vec![
                Merge { first: (0, 0), last: (0, 6) },
                Merge { first: (2, 1), last: (3, 1) },
                Merge { first: (2, 2), last: (2, 4) },
                Merge { first: (2, 5), last: (2, 6) },
            ],
        );
        let header = find(&sheet).expect("a header");
        assert_eq!((header.first_row, header.last_row, header.name_column), (2, 3, 1));
        let roles: Vec<Role> = header.columns.iter().map(|column| column.role).collect();
        let visit = Role::Visit(Some(1), None);
        let quote = Role::Quote(Some(1));
        assert_eq!(
            roles,
            [Role::Number, Role::Name, Role::VisitDate, visit, Role::Countermeasure, quote, quote]
        );
    }

    #[test]
    fn imp_5_the_first_customer_is_not_taken_for_a_header() {
        let sheet = grid(
            &[
                &["客户名称", "第一次访谈", "对策"],
                &["", "第一次访谈", "谈得不错"],
                &["远腾", "拜访", "送样"],
            ],
            vec![],
        );
        assert_eq!(find(&sheet).map(|header| header.last_row), Some(0));
        let sheet = grid(&[&["客户名称", "第一次访谈", "对策"], &["远腾", "拜访", "送样"]], vec![]);
        assert_eq!(find(&sheet).map(|header| header.last_row), Some(0));
        assert_eq!(find(&grid(&[&["甲", "乙"], &["丙", "丁"]], vec![])), None);
        assert_eq!(find(&Grid::default()), None);
    }
}
